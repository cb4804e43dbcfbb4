import type * as pulumi from "@pulumi/pulumi";
import type { EgressRule } from "../shared/network.ts";
import type { SecretKey } from "../shared/pod.ts";

/** Keys of TLS material in Secrets, as cert-manager names them. */
export const tlsKeys = { ca: "ca.crt", certificate: "tls.crt", key: "tls.key" } as const;

/** What a Trivy server needs to use the cache. */
export interface CacheConnection {
  /** Value of `--cache-backend`. `$(REDIS_PASSWORD)` in it stands for the password, if there is one. */
  readonly backend: pulumi.Output<string>;
  /** Value of `--cache-ttl`. */
  readonly ttl: pulumi.Input<string>;
  /** @default no password */
  readonly password?: SecretKey;
  readonly tls: boolean;
  /** Certificate authorities to trust in addition to the system's, PEM. @default none */
  readonly caCertificates?: pulumi.Input<string>;
  /** Name of a Secret with the authority, certificate and key of mutual TLS, under `tlsKeys`. @default no mutual TLS */
  readonly clientCertificate?: pulumi.Input<string>;
  /** The rule that allows connections to the cache. */
  readonly egress: pulumi.Input<EgressRule>;
  /**
   * Where to check whether Redis answers. `user` may PING with any password; without it, Redis answers an unauthenticated PING with `+PONG`
   * or `-NOAUTH`.
   */
  readonly health: { readonly host: pulumi.Input<string>; readonly port: pulumi.Input<number>; readonly user?: string };
}
