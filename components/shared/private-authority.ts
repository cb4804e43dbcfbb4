import * as pulumi from "@pulumi/pulumi";
import * as tls from "@pulumi/tls";
import { type AuthoritiesArgs, defaults } from "../args.ts";
import { Component, optional, several, type Transforms } from "./component.ts";
import { eachGeneration, numbered } from "./generated-secret.ts";
import { withDefaults } from "./merge.ts";

const hoursPerYear = 365 * 24;

/**
 * Renewed by the first `up` in the last quarter of the validity: in a stack that is updated every three months, no certificate ever
 * expires.
 */
const validity = (years: number) => ({ validityPeriodHours: years * hoursPerYear, earlyRenewalHours: (years * hoursPerYear) / 4 });

const children = {
  /** The private keys of the valid generations. */
  keys: several(tls.PrivateKey),
  /** The self-signed certificates of the valid generations. */
  certificates: several(tls.SelfSignedCert),
  /** The current generation's certificate, issued by the previous one. */
  crossCertificate: optional(tls.LocallySignedCert),
  /** The private keys of issued certificates. */
  issuedKeys: several(tls.PrivateKey),
  requests: several(tls.CertRequest),
  issuedCertificates: several(tls.LocallySignedCert),
};

export interface PrivateAuthorityArgs {
  /** Name of the authority in its certificate. */
  readonly commonName: string;
  /** Which generations are valid. @default { generation: 1, retire: 0 } */
  readonly authorities?: AuthoritiesArgs | undefined;
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
  /** PEM; during a rotation followed by the certificate that lets clients verify it that know only the previous generation. */
  readonly certificate: pulumi.Output<string>;
  /** The private key, PEM, as a secret. */
  readonly key: pulumi.Output<string>;
}

/** One generation of an authority. */
interface Generation {
  readonly number: number;
  readonly commonName: string;
  readonly privateKeyPem: pulumi.Output<string>;
  readonly certPem: pulumi.Output<string>;
}

/**
 * A certificate authority of the stack's own. Its private key is kept in the state, encrypted, and nowhere else.
 *
 * While two generations are valid, every pair of old and new pods can connect, in any order of their rollouts: who verifies trusts both, and
 * who is verified also shows that the previous generation vouches for the current one.
 *
 * @example
 * const authority = new PrivateAuthority("internal", { commonName: "internal services" });
 * const { certificate, key } = authority.issue("server", { commonName: "shop", dnsNames: ["shop.mall.svc"], use: "server" });
 */
export class PrivateAuthority extends Component<PrivateAuthorityArgs, typeof children> {
  /**
   * The certificates of the valid generations, PEM, newest first. A certificate is renewed with the same key and name, so that certificates
   * issued earlier stay valid.
   */
  readonly certificate: pulumi.Output<string>;
  readonly #current: Generation;
  readonly #crossCertificate: pulumi.Output<string> | undefined;

  constructor(name: string, args: PrivateAuthorityArgs, options?: pulumi.ComponentResourceOptions) {
    super("PrivateAuthority", name, args, { children, settings: ["commonName", "authorities"] }, options);
    const generations = eachGeneration(withDefaults(defaults.authorities, args.authorities), (number) => this.generate(number));
    const [current, previous] = generations;
    this.#current = current;
    this.#crossCertificate = previous && this.crossSign(current, previous);
    this.certificate = concatenated(generations.map(({ certPem }) => certPem));
    this.registerOutputs({ certificate: this.certificate });
  }

  private generate(number: number): Generation {
    // Each has a name of its own, by which programs choose between authorities.
    const commonName = number === 1 ? this.args.commonName : `${this.args.commonName} ${number}`;
    const { privateKeyPem } = this.create("keys", ellipticKey, {}, numbered("key", number));
    const args = { privateKeyPem, subject: { commonName }, ...authority };
    const { certPem } = this.create("certificates", args, {}, numbered("certificate", number));
    return { number, commonName, privateKeyPem, certPem };
  }

  private crossSign({ privateKeyPem, commonName }: Generation, issuer: Generation): pulumi.Output<string> {
    const { certRequestPem } = this.create("requests", { privateKeyPem, subject: { commonName } }, {}, "cross-request");
    const { certPem } = this.create("crossCertificate", {
      certRequestPem,
      caPrivateKeyPem: issuer.privateKeyPem,
      caCertPem: issuer.certPem,
      ...authority,
    });
    return certPem;
  }

  /**
   * Issues a certificate, valid for one year, with a private key of its own, which the next generation replaces. `name` distinguishes the
   * certificates of this authority.
   */
  issue(name: string, { commonName, dnsNames, ipAddresses, use }: CertificateArgs): IssuedCertificate {
    const { privateKeyPem } = this.create("issuedKeys", ellipticKey, {}, numbered(`${name}-key`, this.#current.number));
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
        caPrivateKeyPem: this.#current.privateKeyPem,
        caCertPem: this.#current.certPem,
        ...validity(1),
        allowedUses: ["digital_signature", `${use}_auth`],
      },
      {},
      `${name}-certificate`,
    );
    return { certificate: concatenated([certPem, ...(this.#crossCertificate ? [this.#crossCertificate] : [])]), key: privateKeyPem };
  }
}

const authority = {
  ...validity(10),
  isCaCertificate: true,
  setSubjectKeyId: true,
  allowedUses: ["cert_signing", "crl_signing"],
};

/** Returns one PEM text with all certificates. */
function concatenated(certificates: readonly pulumi.Output<string>[]): pulumi.Output<string> {
  return pulumi.all([...certificates]).apply((texts) => texts.join(""));
}

const ellipticKey: tls.PrivateKeyArgs = { algorithm: "ECDSA", ecdsaCurve: "P256" };
