import { createPrivateKey, createPublicKey, generateKeyPairSync, randomInt } from "node:crypto";

type Inputs = Readonly<Record<string, unknown>>;

interface Generator {
  /** The name of the generated output. */
  readonly output: string;
  /** Generates a value from the inputs, which must not contain secret marks. */
  generate(inputs: never): string | Promise<string>;
}

/** The resource types whose provider generates a value. Only the output that this project uses is generated. */
const generators = {
  "random:index/randomPassword:RandomPassword": { output: "result", generate: randomPassword },
  "tls:index/privateKey:PrivateKey": { output: "privateKeyPem", generate: privateKey },
  "tls:index/selfSignedCert:SelfSignedCert": { output: "certPem", generate: selfSignedCertificate },
  "tls:index/certRequest:CertRequest": { output: "certRequestPem", generate: certificateRequest },
  "tls:index/locallySignedCert:LocallySignedCert": { output: "certPem", generate: locallySignedCertificate },
} as const satisfies Readonly<Record<string, Generator>>;

/** Returns the output that a resource type's provider generates and the function for it; undefined if it generates none. */
export function generatorOf(type: string): { readonly output: string; readonly generate: (inputs: Inputs) => Promise<string> } | undefined {
  const found = (generators as Readonly<Record<string, Generator>>)[type];
  return found && { output: found.output, generate: async (inputs) => found.generate(inputs as never) };
}

interface PasswordInputs {
  readonly length: number;
  readonly lower?: boolean;
  readonly upper?: boolean;
  readonly numeric?: boolean;
  readonly special?: boolean;
  readonly overrideSpecial?: string;
}

/** Generates a password of the requested length and characters. The minimum number of each kind of character is not enforced. */
function randomPassword({ length, lower = true, upper = true, numeric = true, special = true, overrideSpecial }: PasswordInputs): string {
  const alphabet = [
    lower ? "abcdefghijklmnopqrstuvwxyz" : "",
    upper ? "ABCDEFGHIJKLMNOPQRSTUVWXYZ" : "",
    numeric ? "0123456789" : "",
    special ? (overrideSpecial ?? "!@#$%&*()-_=+[]{}<>:?") : "",
  ].join("");
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join("");
}

/** Generates a key in the provider's format: PEM, SEC 1. */
function privateKey({ algorithm, ecdsaCurve }: { readonly algorithm: string; readonly ecdsaCurve?: string }): string {
  if (algorithm !== "ECDSA" || ecdsaCurve !== "P256")
    throw new Error(`the recorder generates only ECDSA keys on P256, not ${algorithm} ${ecdsaCurve}`);
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "sec1", format: "pem" }).toString();
}

/** The holder of a certificate. */
export interface CertificateHolder {
  readonly subject?: { readonly commonName?: string };
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

interface CertificateRequest extends CertificateHolder {
  /** PEM. */
  readonly publicKey: string;
}

type RequestInputs = CertificateHolder & { readonly privateKeyPem: string };

/** Only `parseRequest` reads the result, so it is JSON instead of PKCS #10. */
function certificateRequest({ privateKeyPem, subject, dnsNames, ipAddresses }: RequestInputs): string {
  return JSON.stringify({ publicKey: publicKeyOf(privateKeyPem), subject, dnsNames, ipAddresses });
}

const publicKeyOf = (privateKeyPem: string) => createPublicKey(privateKeyPem).export({ type: "spki", format: "pem" }).toString();

export const parseRequest = (text: string): CertificateRequest => JSON.parse(text);

interface CertificateInputs {
  readonly validityPeriodHours: number;
  readonly allowedUses: readonly string[];
  readonly isCaCertificate?: boolean;
}

/** Generates an authority's certificate, the only self-signed kind that this project uses. */
function selfSignedCertificate(inputs: CertificateInputs & RequestInputs): Promise<string> {
  const { privateKeyPem, subject } = inputs;
  return certificate({ subject, publicKey: publicKeyOf(privateKeyPem) }, { key: privateKeyPem }, inputs);
}

function locallySignedCertificate(
  inputs: CertificateInputs & { readonly certRequestPem: string; readonly caCertPem: string; readonly caPrivateKeyPem: string },
): Promise<string> {
  const { certRequestPem, caCertPem, caPrivateKeyPem } = inputs;
  return certificate(parseRequest(certRequestPem), { certificate: caCertPem, key: caPrivateKeyPem }, inputs);
}

const verifyingKey = (pem: string) => createPublicKey(pem).toCryptoKey(ecdsa, true, ["verify"]);
const signingKey = (pem: string) => createPrivateKey(pem).toCryptoKey(ecdsa, false, ["sign"]);
const ecdsa = { name: "ECDSA", namedCurve: "P-256" };

/** Generates a certificate. A signer without a certificate signs its own, which is an authority's. */
async function certificate(
  { publicKey, subject, dnsNames = [], ipAddresses = [] }: CertificateRequest,
  signer: { readonly certificate?: string; readonly key: string },
  { validityPeriodHours, allowedUses, isCaCertificate = false }: CertificateInputs,
): Promise<string> {
  // Loaded only when a certificate is generated: it takes 0.15 s (measured), a fifth of `npm start`. It needs the polyfill before it.
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");

  const usages: Readonly<Record<string, number>> = {
    cert_signing: x509.KeyUsageFlags.keyCertSign,
    crl_signing: x509.KeyUsageFlags.cRLSign,
    digital_signature: x509.KeyUsageFlags.digitalSignature,
  };
  const purposes: Readonly<Record<string, string>> = {
    server_auth: x509.ExtendedKeyUsage.serverAuth,
    client_auth: x509.ExtendedKeyUsage.clientAuth,
  };
  const unsupported = allowedUses.find((use) => !(use in usages) && !(use in purposes));
  if (unsupported !== undefined) throw new Error(`the recorder generates no certificates for ${unsupported}`);

  const extendedUsages = allowedUses.flatMap((use) => purposes[use] ?? []);
  const names = [
    ...dnsNames.map((value) => ({ type: "dns" as const, value })),
    ...ipAddresses.map((value) => ({ type: "ip" as const, value })),
  ];
  const holderKey = verifyingKey(publicKey);
  const name = new x509.Name([{ CN: [subject?.commonName ?? ""] }]);
  const issuer = signer.certificate === undefined ? undefined : new x509.X509Certificate(signer.certificate);
  const notBefore = new Date();
  const generated = await x509.X509CertificateGenerator.create({
    subject: name,
    issuer: issuer?.subjectName ?? name,
    notBefore,
    notAfter: new Date(notBefore.getTime() + validityPeriodHours * 60 * 60 * 1000),
    publicKey: holderKey,
    signingKey: signingKey(signer.key),
    extensions: [
      new x509.BasicConstraintsExtension(isCaCertificate, undefined, true),
      new x509.KeyUsagesExtension(
        allowedUses.reduce((sum, use) => sum | (usages[use] ?? 0), 0),
        true,
      ),
      ...(extendedUsages.length > 0 ? [new x509.ExtendedKeyUsageExtension(extendedUsages)] : []),
      ...(isCaCertificate ? [await x509.SubjectKeyIdentifierExtension.create(holderKey)] : []),
      ...(issuer === undefined ? [] : [await x509.AuthorityKeyIdentifierExtension.create(verifyingKey(signer.key))]),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
    ],
  });
  return `${generated.toString("pem")}\n`;
}
