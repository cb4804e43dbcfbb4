import type * as pulumi from "@pulumi/pulumi";
import type { ArtifactName } from "../../database-mirror/index.ts";
import type { SecretKey } from "../shared/pod.ts";

/** The mirror, as servers and clients in the cluster reach it. */
export interface MirrorConnection {
  /** DNS name. */
  readonly host: pulumi.Output<string>;
  /** The repository of each database that is mirrored, with its tag. */
  readonly repositories: Readonly<Partial<Record<ArtifactName, pulumi.Output<string>>>>;
  /** Labels of the mirror's pods. */
  readonly selector: Readonly<Record<string, string>>;
  /** Port of these pods. */
  readonly port: number;
  /**
   * The certificate authority to trust, in the Secret of the certificate: manifests without Secrets must not contain an authority that is generated
   * each time.
   */
  readonly authority: SecretKey;
  /** Name of the ConfigMap with the program that servers run first. */
  readonly waitProgram: pulumi.Output<string>;
}
