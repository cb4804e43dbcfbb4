import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  randomInt,
  sign,
  X509Certificate,
} from "node:crypto";

type Inputs = Readonly<Record<string, unknown>>;

interface Generator {
  /** The output that is generated. */
  readonly output: string;
  /** Takes the inputs without their marks. */
  generate(inputs: never): string | Promise<string>;
}

/** The resources whose providers generate something, by type: what is left of their outputs when nobody asks for the others. */
const generators = {
  "random:index/randomPassword:RandomPassword": { output: "result", generate: randomPassword },
  "tls:index/privateKey:PrivateKey": { output: "privateKeyPem", generate: privateKey },
  "tls:index/selfSignedCert:SelfSignedCert": { output: "certPem", generate: selfSigned },
  "tls:index/certRequest:CertRequest": { output: "certRequestPem", generate: request },
  "tls:index/locallySignedCert:LocallySignedCert": { output: "certPem", generate: locallySigned },
} as const satisfies Readonly<Record<string, Generator>>;

/** What of a resource its provider generates, and a value for it; undefined for a type that nothing is generated for. */
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

/** Of the length and the characters that the resource asks for; the minimum of each kind is left to the provider. */
function randomPassword({ length, lower = true, upper = true, numeric = true, special = true, overrideSpecial }: PasswordInputs): string {
  const alphabet = [
    lower ? "abcdefghijklmnopqrstuvwxyz" : "",
    upper ? "ABCDEFGHIJKLMNOPQRSTUVWXYZ" : "",
    numeric ? "0123456789" : "",
    special ? (overrideSpecial ?? "!@#$%&*()-_=+[]{}<>:?") : "",
  ].join("");
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join("");
}

/** In the form in which the provider has it. */
function privateKey({ algorithm, ecdsaCurve }: { readonly algorithm: string; readonly ecdsaCurve?: string }): string {
  if (algorithm !== "ECDSA" || ecdsaCurve !== "P256")
    throw new Error(`only ECDSA keys on P256 are made here, not ${algorithm} ${ecdsaCurve}`);
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "sec1", format: "pem" }).toString();
}

/** What is to be certified of somebody. */
export interface Identity {
  readonly subject?: { readonly commonName?: string };
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

interface Request extends Identity {
  /** PEM. */
  readonly publicKey: string;
}

/** Nobody reads it but `parseRequest`, and so it need not be the real thing. */
function request({ privateKeyPem, subject, dnsNames, ipAddresses }: Identity & { readonly privateKeyPem: string }): string {
  return JSON.stringify({ publicKey: publicKeyOf(privateKeyPem), subject, dnsNames, ipAddresses } satisfies {
    [K in keyof Request]: unknown;
  });
}

export const parseRequest = (text: string): Request => JSON.parse(text);

interface CertificateInputs {
  readonly validityPeriodHours: number;
  readonly allowedUses: readonly string[];
}

/** An authority's, because no other kind is asked for. */
function selfSigned(inputs: CertificateInputs & Identity & { readonly privateKeyPem: string }): Promise<string> {
  const { privateKeyPem, subject } = inputs;
  return certificate({ ...(subject && { subject }), publicKey: publicKeyOf(privateKeyPem) }, { key: privateKeyPem }, inputs);
}

function locallySigned(
  inputs: CertificateInputs & { readonly certRequestPem: string; readonly caCertPem: string; readonly caPrivateKeyPem: string },
): Promise<string> {
  const { certRequestPem, caCertPem, caPrivateKeyPem } = inputs;
  return certificate(parseRequest(certRequestPem), { certificate: caCertPem, key: caPrivateKeyPem }, inputs);
}

const publicKeyOf = (key: string) => createPublicKey(key).export({ type: "spki", format: "pem" }).toString();

/** By a signer without a certificate, its own, and so an authority's. */
async function certificate(
  { publicKey, subject, dnsNames = [], ipAddresses = [] }: Request,
  signer: { readonly certificate?: string; readonly key: string },
  { validityPeriodHours, allowedUses }: CertificateInputs,
): Promise<string> {
  // Loaded only when a certificate is made: it takes longer than all else of a recording.
  const { AsnConvert, OctetString } = await import("@peculiar/asn1-schema");
  const x509 = await import("@peculiar/asn1-x509");

  const encoded = (value: unknown) => new OctetString(AsnConvert.serialize(value));
  const extension = (extnID: string, value: unknown, critical = false) =>
    new x509.Extension({ extnID, critical, extnValue: encoded(value) });
  const keyInfo = (pem: string) =>
    AsnConvert.parse(createPublicKey(pem).export({ type: "spki", format: "der" }), x509.SubjectPublicKeyInfo);
  const keyId = (pem: string) =>
    createHash("sha1")
      .update(Buffer.from(keyInfo(pem).subjectPublicKey))
      .digest();

  const flags: Readonly<Record<string, number>> = {
    cert_signing: x509.KeyUsageFlags.keyCertSign,
    crl_signing: x509.KeyUsageFlags.cRLSign,
    digital_signature: x509.KeyUsageFlags.digitalSignature,
  };
  const purposes: Readonly<Record<string, string>> = { server_auth: x509.id_kp_serverAuth, client_auth: x509.id_kp_clientAuth };
  const unknown = allowedUses.find((use) => !(use in flags) && !(use in purposes));
  if (unknown !== undefined) throw new Error(`certificates for ${unknown} are not made here`);
  const extended = allowedUses.flatMap((use) => purposes[use] ?? []);
  const names = [
    ...dnsNames.map((dNSName) => new x509.GeneralName({ dNSName })),
    ...ipAddresses.map((iPAddress) => new x509.GeneralName({ iPAddress })),
  ];

  const name = new x509.Name([
    new x509.RelativeDistinguishedName([
      new x509.AttributeTypeAndValue({
        type: "2.5.4.3",
        value: new x509.AttributeValue({ utf8String: subject?.commonName ?? "" }),
      }),
    ]),
  ]);
  const issuer = signer.certificate === undefined ? undefined : AsnConvert.parse(derOf(signer.certificate), x509.Certificate);
  const ecdsaWithSha256 = new x509.AlgorithmIdentifier({ algorithm: "1.2.840.10045.4.3.2" });
  const notBefore = new Date();
  const tbsCertificate = new x509.TBSCertificate({
    version: x509.Version.v3,
    serialNumber: Uint8Array.of(1, ...randomBytes(15)).buffer,
    signature: ecdsaWithSha256,
    issuer: issuer?.tbsCertificate.subject ?? name,
    validity: new x509.Validity({ notBefore, notAfter: new Date(notBefore.getTime() + validityPeriodHours * 60 * 60 * 1000) }),
    subject: name,
    subjectPublicKeyInfo: keyInfo(publicKey),
    extensions: new x509.Extensions([
      extension(x509.id_ce_basicConstraints, new x509.BasicConstraints({ cA: issuer === undefined }), true),
      extension(x509.id_ce_keyUsage, new x509.KeyUsage(allowedUses.reduce((sum, use) => sum | (flags[use] ?? 0), 0)), true),
      ...(extended.length > 0 ? [extension(x509.id_ce_extKeyUsage, new x509.ExtendedKeyUsage(extended))] : []),
      ...(issuer === undefined
        ? [extension(x509.id_ce_subjectKeyIdentifier, new x509.SubjectKeyIdentifier(keyId(publicKey)))]
        : [
            extension(
              x509.id_ce_authorityKeyIdentifier,
              new x509.AuthorityKeyIdentifier({ keyIdentifier: new x509.KeyIdentifier(keyId(signer.key)) }),
            ),
          ]),
      ...(names.length > 0 ? [extension(x509.id_ce_subjectAltName, new x509.SubjectAlternativeName(names))] : []),
    ]),
  });
  const signature = sign("sha256", Buffer.from(AsnConvert.serialize(tbsCertificate)), createPrivateKey(signer.key));
  const made = new x509.Certificate({
    tbsCertificate,
    signatureAlgorithm: ecdsaWithSha256,
    signatureValue: new Uint8Array(signature).buffer,
  });
  return new X509Certificate(Buffer.from(AsnConvert.serialize(made))).toString();
}

const derOf = (pem: string) => new X509Certificate(pem).raw;
