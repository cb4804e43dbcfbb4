import * as pulumi from "@pulumi/pulumi";
import * as tls from "@pulumi/tls";

const year = 365 * 24;

/** Renewed by the first `up` in the last quarter of its life: a stack that is brought up every three months never sees one expire. */
const validity = (hours: number) => ({ validityPeriodHours: hours, earlyRenewalHours: hours / 4 });

export interface PrivateAuthorityArgs {
  /** What the authority is called in its certificate. */
  readonly commonName: string;
}

export interface CertificateArgs {
  /** What its holder is called in it; nothing is verified by this name. */
  readonly commonName: string;
  /** DNS names that clients may use for a server. @default none */
  readonly dnsNames?: readonly pulumi.Input<string>[];
  /** IP addresses that clients may use for a server. @default none */
  readonly ipAddresses?: readonly string[];
  /** Which side of a connection shows it. */
  readonly use: "server" | "client";
}

export interface IssuedCertificate {
  /** PEM. */
  readonly certificate: pulumi.Output<string>;
  /** PEM, a secret. */
  readonly key: pulumi.Output<string>;
}

/** A certificate authority of the stack's own. Its key is in the state, encrypted, and nowhere else. */
export class PrivateAuthority extends pulumi.ComponentResource {
  /** The authority's certificate, PEM; renewed with the same key and name, so that what the earlier one has signed stays valid. */
  readonly certificate: pulumi.Output<string>;
  private readonly key: pulumi.Output<string>;

  constructor(name: string, args: PrivateAuthorityArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trivy-server:index:PrivateAuthority", name, args, opts);
    this.key = this.generateKey(name);
    this.certificate = new tls.SelfSignedCert(
      `${name}-certificate`,
      {
        privateKeyPem: this.key,
        subject: { commonName: args.commonName },
        ...validity(10 * year),
        isCaCertificate: true,
        setSubjectKeyId: true,
        allowedUses: ["cert_signing", "crl_signing"],
      },
      { parent: this },
    ).certPem;
    this.registerOutputs({ certificate: this.certificate });
  }

  /** A certificate for a server or a client, with a key of its own; valid for a year. */
  issue(name: string, { commonName, dnsNames = [], ipAddresses = [], use }: CertificateArgs): IssuedCertificate {
    const key = this.generateKey(name);
    const { certRequestPem } = new tls.CertRequest(
      `${name}-request`,
      {
        privateKeyPem: key,
        subject: { commonName },
        ...(dnsNames.length > 0 && { dnsNames: [...dnsNames] }),
        ...(ipAddresses.length > 0 && { ipAddresses: [...ipAddresses] }),
      },
      { parent: this },
    );
    const { certPem } = new tls.LocallySignedCert(
      `${name}-certificate`,
      {
        certRequestPem,
        caPrivateKeyPem: this.key,
        caCertPem: this.certificate,
        ...validity(year),
        allowedUses: ["digital_signature", `${use}_auth`],
      },
      { parent: this },
    );
    return { certificate: certPem, key };
  }

  private generateKey(name: string): pulumi.Output<string> {
    return new tls.PrivateKey(`${name}-key`, { algorithm: "ECDSA", ecdsaCurve: "P256" }, { parent: this }).privateKeyPem;
  }
}
