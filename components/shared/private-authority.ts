import type * as pulumi from "@pulumi/pulumi";
import * as tls from "@pulumi/tls";
import { Component, several, type Transforms } from "./component.ts";

const hoursPerYear = 365 * 24;

/**
 * Renewed by the first `up` in the last quarter of the validity: in a stack that is updated every three months, no certificate ever
 * expires.
 */
const validity = (years: number) => ({ validityPeriodHours: years * hoursPerYear, earlyRenewalHours: (years * hoursPerYear) / 4 });

const children = {
  /** The authority's private key. */
  key: tls.PrivateKey,
  /** The authority's own certificate. */
  certificate: tls.SelfSignedCert,
  /** The private keys of issued certificates. */
  issuedKeys: several(tls.PrivateKey),
  requests: several(tls.CertRequest),
  issuedCertificates: several(tls.LocallySignedCert),
};

export interface PrivateAuthorityArgs {
  /** Name of the authority in its certificate. */
  readonly commonName: string;
  readonly transform?: Transforms<typeof children> | undefined;
}

export interface CertificateArgs {
  /** Name of the holder in the certificate; clients do not verify it. */
  readonly commonName: string;
  /** DNS names that clients may use for a server. @default none */
  readonly dnsNames?: pulumi.Input<pulumi.Input<string>[]>;
  /** IP addresses that clients may use for a server. @default none */
  readonly ipAddresses?: pulumi.Input<pulumi.Input<string>[]>;
  /** The side of the connection that uses the certificate. */
  readonly use: "server" | "client";
}

export interface IssuedCertificate {
  /** PEM. */
  readonly certificate: pulumi.Output<string>;
  /** The private key, PEM, as a secret. */
  readonly key: pulumi.Output<string>;
}

/**
 * A certificate authority of the stack's own. Its private key is kept in the state, encrypted, and nowhere else.
 *
 * @example
 * const authority = new PrivateAuthority("internal", { commonName: "internal services" });
 * const { certificate, key } = authority.issue("server", { commonName: "shop", dnsNames: ["shop.mall.svc"], use: "server" });
 */
export class PrivateAuthority extends Component<PrivateAuthorityArgs, typeof children> {
  /** The authority's certificate, PEM. It is renewed with the same key and name, so that certificates issued earlier stay valid. */
  readonly certificate: pulumi.Output<string>;

  constructor(name: string, args: PrivateAuthorityArgs, options?: pulumi.ComponentResourceOptions) {
    super("PrivateAuthority", name, args, { children, settings: ["commonName"] }, options);
    const { privateKeyPem } = this.create("key", ellipticKey);
    const { certPem } = this.create("certificate", {
      privateKeyPem,
      subject: { commonName: args.commonName },
      ...validity(10),
      isCaCertificate: true,
      setSubjectKeyId: true,
      allowedUses: ["cert_signing", "crl_signing"],
    });
    this.certificate = certPem;
    this.registerOutputs({ certificate: this.certificate });
  }

  /** Issues a certificate with a private key of its own, valid for one year. `name` distinguishes the certificates of this authority. */
  issue(name: string, { commonName, dnsNames, ipAddresses, use }: CertificateArgs): IssuedCertificate {
    const { privateKeyPem } = this.create("issuedKeys", ellipticKey, {}, `${name}-key`);
    const { certRequestPem } = this.create(
      "requests",
      { privateKeyPem, subject: { commonName }, ...(dnsNames && { dnsNames }), ...(ipAddresses && { ipAddresses }) },
      {},
      `${name}-request`,
    );
    const { certPem } = this.create(
      "issuedCertificates",
      {
        certRequestPem,
        caPrivateKeyPem: this.nodes.key.privateKeyPem,
        caCertPem: this.certificate,
        ...validity(1),
        allowedUses: ["digital_signature", `${use}_auth`],
      },
      {},
      `${name}-certificate`,
    );
    return { certificate: certPem, key: privateKeyPem };
  }
}

const ellipticKey: tls.PrivateKeyArgs = { algorithm: "ECDSA", ecdsaCurve: "P256" };
