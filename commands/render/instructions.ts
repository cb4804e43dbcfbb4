import { type CertificateHolder, parseRequest } from "../../recorder/generated-values.ts";
import type { Manifest } from "./manifests.ts";
import { contains, containsEncoded, core, sha256 } from "./occurrences.ts";

/** A value that has to be filled in: a generated one, or the placeholder of an encrypted setting. */
export interface Blank {
  /** The name in the instructions. */
  readonly name: string;
  readonly value: string;
  readonly description: string;
  /** For a certificate: the name of its authority's certificate. */
  readonly signer?: string | undefined;
}

/** Describes how to create Secrets by hand. The text contains none of the blanks' values. */
export function instructions(secrets: readonly Manifest[], blanks: readonly Blank[]): string[] {
  const used = new Set<Blank>();
  const lines = secrets.flatMap(({ object: { name, namespace }, body }) => {
    const { type, data = {}, stringData = {} } = body as { type?: string; data?: object; stringData?: object };
    const values = Object.entries({ ...data, ...stringData });
    const files = values.map(([key]) => ` --from-file=${key}=FILE`).join("");
    return [
      `kubectl create secret generic ${name} -n ${namespace}${type ? ` --type=${type}` : ""}${files}`,
      ...values.flatMap(([key, value]) => template(key, String(value), blanks, used)).map((line) => `  ${line}`),
    ];
  });
  for (const { signer } of used) for (const authority of blanks.filter(({ name }) => name === signer)) used.add(authority);
  return [...lines, ...[...used].map(({ name, description }) => `where <${name}> is ${description}`)];
}

/** An entry of a Secret, with names in place of the blanks' values. Adds the blanks that occur to `used`. */
function template(key: string, value: string, blanks: readonly Blank[], used: Set<Blank>): string[] {
  let text = value;
  for (const blank of blanks.filter((blank) => contains(value, blank.value))) {
    used.add(blank);
    const { name } = blank;
    text = containsEncoded(text, blank.value)
      ? `<made with ${name}, in base64>`
      : text
          .replaceAll(blank.value, `<${name}>`)
          .replaceAll(encodeURIComponent(blank.value), `<${name}, percent-encoded>`)
          .replaceAll(sha256(blank.value), `<SHA-256 of ${name}, hexadecimal>`)
          .replaceAll(core(blank.value), `<${name}>`);
  }
  const lines = text.trimEnd().split("\n");
  if (lines.length === 1) return [`${key}: ${text.trimEnd()}`];
  const hasNoBlanks = text === value;
  return hasNoBlanks && lines.length > 8
    ? [`${key}: ${lines[0]} … (${lines.length} lines)`]
    : [`${key}: |`, ...lines.map((line) => `  ${line}`)];
}

/** Describes how to generate a value by hand. */
export function describeGenerated(type: string, inputs: Readonly<Record<string, unknown>>, signer: string | undefined): string {
  if (type.endsWith(":PrivateKey")) return `a private key, ${inputs["algorithm"]} ${inputs["ecdsaCurve"]}, PEM`;
  if (type.endsWith(":SelfSignedCert")) return `the certificate of your own authority, PEM: ${describeHolder(inputs as CertificateHolder)}`;
  if (type.endsWith(":LocallySignedCert")) {
    const holder = describeHolder(parseRequest(String(inputs["certRequestPem"])));
    const use = (inputs["allowedUses"] as readonly string[]).includes("server_auth") ? "server" : "client";
    return `a ${use} certificate for the key next to it, signed by the authority of <${signer}>, PEM: ${holder}`;
  }
  const { length, special = true } = inputs as { length: number; special?: boolean };
  return `${length} random ${special ? "characters" : "letters and digits"}`;
}

function describeHolder({ subject, dnsNames = [], ipAddresses = [] }: CertificateHolder): string {
  return [`CN=${subject?.commonName}`, ...dnsNames.map((name) => `DNS:${name}`), ...ipAddresses.map((address) => `IP:${address}`)].join(
    ", ",
  );
}
