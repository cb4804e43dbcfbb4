import { createHash, randomBytes, X509Certificate } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { parseAllDocuments } from "yaml";
import { type CertificateHolder, generatorOf, parseRequest } from "../../recorder/generated-values.ts";
import { type Answer, contentHash, plain, type RecordedResource } from "../../recorder/record.ts";
import { base64Forms } from "../../recorder/secret-leaks.ts";
import { Problem } from "../user-error.ts";
import { isNamed, type Manifest, toYaml, yamlVersion } from "./manifests.ts";

/** A value that is known here and that others must put in: one that is generated, or what stands in for an encrypted setting. */
interface Guarded {
  /** What people know it by. */
  readonly name: string;
  readonly value: string;
  readonly description: string;
  /** Of a certificate: the name of its authority's. */
  readonly signer?: string | undefined;
}

/**
 * Stands in for an encrypted setting: good for a password and recognisable wherever it ends up. The character at its end shows whether it was
 * percent-encoded on the way.
 */
export function placeholder(setting: string): string {
  return `encrypted${createHash("sha256").update(setting).digest("hex").slice(0, 32)}@`;
}

/** What a later run has to know: a resource's name, a hash of its inputs, and what was generated for it. A line each, so that PEM is one. */
const generatedLine = /^# generated (.+) ([0-9a-f]{8}): (.+)$/gm;
const onOneLine = (value: string) => value.replaceAll("\n", "\\n");
const onItsLines = (value: string) => (value.startsWith("-----BEGIN ") ? value.replaceAll("\\n", "\n") : value);

interface Generated {
  readonly type: string;
  readonly name: string;
  readonly lineKey: string;
  readonly value: string;
  /** Without marks. */
  readonly inputs: Readonly<Record<string, unknown>>;
}

/**
 * Plays the providers for what is secret, with the memory of an earlier run: generated passwords, keys and certificates stay, and so do the generated
 * names of Secrets as long as they hold the same. The names are random: one that follows from the content would be a hash of it for everybody to try
 * passwords on.
 */
export class RenderedSecrets {
  private readonly kept: ReadonlyMap<string, string>;
  private readonly before: readonly Record<string, unknown>[];
  private readonly written: boolean;
  private readonly generated = new Map<string, Generated>();
  private readonly encrypted: ReadonlyMap<string, string>;

  /** `text` is the file of an earlier run; `encrypted` the settings that cannot be read, with what stands in for them; not `written`, names are plain. */
  constructor(text: string | undefined, encrypted: ReadonlyMap<string, string>, written: boolean, path: string) {
    this.kept = new Map(
      [...(text ?? "").matchAll(generatedLine)].map(([, name, inputs, value = ""]) => [`${name} ${inputs}`, onItsLines(value)]),
    );
    const documents = parseAllDocuments(text ?? "", { version: yamlVersion });
    const error = "empty" in documents ? undefined : documents.flatMap(({ errors }) => errors)[0];
    if (error) throw new Problem(`${path} cannot be read: ${error.message}\nMend it, or remove it to have new passwords generated.`);
    this.before = documents.map((document) => (document.toJS() ?? {}) as Record<string, unknown>);
    this.encrypted = encrypted;
    this.written = written;
  }

  readonly answer = async (resource: RecordedResource): Promise<Answer | undefined> => {
    const generator = generatorOf(resource.type);
    // A request is not generated: it says what its inputs say, and is in no Secret.
    if (generator && resource.type !== certificateRequest) {
      const { type, name, urn } = resource;
      const inputs = plain(resource.inputs) as Generated["inputs"];
      const lineKey = `${name} ${contentHash(inputs)}`;
      const kept = this.kept.get(lineKey);
      const value = kept !== undefined && lasts(kept, inputs) ? kept : await generator.generate(inputs);
      this.generated.set(urn, { type, name, lineKey, value, inputs });
      return { state: { [generator.output]: value } };
    }
    return resource.type === "kubernetes:core/v1:Secret" && !isNamed(resource) ? this.named(resource) : undefined;
  };

  private named({ name, inputs, state }: RecordedResource): Answer {
    const metadata = (given: string) => ({ state: { metadata: { ...(state["metadata"] as object), name: given } } });
    // Who creates the Secret by hand should not have to make up eight digits, and to keep them.
    if (!this.written || this.encryptedIn(inputs).length > 0) return metadata(name);
    const content = ({ type, data, stringData }: Record<string, unknown>) => ({ type, data, stringData });
    const same = this.before.find((secret) => {
      const { name: earlier = "" } = (secret["metadata"] ?? {}) as { name?: string };
      return earlier.replace(/-[0-9a-f]{8}$/, "") === name && isDeepStrictEqual(content(secret), content(plain(inputs) as typeof secret));
    });
    const earlier = (same?.["metadata"] as { name: string } | undefined)?.name;
    return metadata(earlier ?? `${name}-${randomBytes(4).toString("hex")}`);
  }

  /** Which encrypted settings a value holds. */
  encryptedIn(value: unknown): string[] {
    const text = JSON.stringify(plain(value)) ?? "";
    return [...this.encrypted].flatMap(([setting, stand]) => (holds(text, stand) ? [setting] : []));
  }

  /** The file with the given Secrets, and with what a later run has to know. */
  file(head: string, secrets: readonly Manifest[]): string {
    const comments = this.allGenerated().map(({ lineKey, value }) => `# generated ${lineKey}: ${onOneLine(value)}\n`);
    return [head, ...comments, ...secrets.map(({ body }) => `---\n${toYaml(body)}`)].join("");
  }

  /** A text that may be shown. */
  masked(text: string): string {
    return [...this.encrypted.values()].reduce(
      (masked, stand) => masked.replaceAll(stand, "[encrypted]").replaceAll(core(stand), "[encrypted]"),
      text,
    );
  }

  /**
   * What somebody has to know who creates the Secrets by hand; no value of a secret is in it. `file` is the one with the others, if there are any: what
   * was generated stands there, and a Secret may need the same as another.
   */
  instructions(secrets: readonly Manifest[], file?: string): string[] {
    const guarded: Guarded[] = [
      ...this.allGenerated().map(({ type, name, value, inputs }, _, all) => {
        const signer = all.find((other) => other.value === inputs["caCertPem"])?.name;
        return {
          name,
          value,
          description: file === undefined ? description(type, inputs, signer) : `the generated one in ${file}`,
          signer,
        };
      }),
      ...[...this.encrypted].map(([setting, value]) => ({ name: setting, value, description: "the encrypted setting" })),
    ];
    const used = new Set<Guarded>();
    const lines = secrets.flatMap(({ object: { name, namespace }, body }) => {
      const { type, data = {}, stringData = {} } = body as { type?: string; data?: object; stringData?: object };
      const values = Object.entries({ ...data, ...stringData });
      return [
        `kubectl create secret generic ${name} -n ${namespace}${type ? ` --type=${type}` : ""}${values.map(([key]) => ` --from-file=${key}=FILE`).join("")}`,
        ...values.flatMap(([key, value]) => template(key, String(value), guarded, used)).map((line) => `  ${line}`),
      ];
    });
    for (const { signer } of used) for (const authority of guarded.filter(({ name }) => name === signer)) used.add(authority);
    return [...lines, ...[...used].map(({ name, description }) => `where <${name}> is ${description}`)];
  }

  /** Sorted, because what is kept is there sooner than what has to be generated. */
  private allGenerated(): Generated[] {
    return [...this.generated.values()].sort((a, b) => (a.lineKey < b.lineKey ? -1 : 1));
  }
}

const certificateRequest = "tls:index/certRequest:CertRequest";

/** Whether a value of an earlier run is still good: a certificate is renewed when the time for that has come, as by its provider. */
function lasts(value: string, { earlyRenewalHours }: Generated["inputs"]): boolean {
  if (typeof earlyRenewalHours !== "number") return true;
  return Date.now() < new X509Certificate(value).validToDate.getTime() - earlyRenewalHours * 60 * 60 * 1000;
}

const core = (value: string) => value.replace(/@$/, "");
const sha256 = (value: string) => createHash("sha256").update(value).digest("hex");
const holdsEncoded = (text: string, value: string) => base64Forms(core(value)).some((form) => text.includes(form));
const holds = (text: string, value: string) =>
  [core(value), sha256(value)].some((form) => text.includes(form)) || holdsEncoded(text, value);

/** One entry of a Secret, with names where the secrets stand. */
function template(key: string, value: string, guarded: readonly Guarded[], used: Set<Guarded>): string[] {
  let text = value;
  for (const secret of guarded.filter((secret) => holds(value, secret.value))) {
    used.add(secret);
    const { name } = secret;
    text = holdsEncoded(text, secret.value)
      ? `<made with ${name}, in base64>`
      : text
          .replaceAll(secret.value, `<${name}>`)
          .replaceAll(encodeURIComponent(secret.value), `<${name}, percent-encoded>`)
          .replaceAll(sha256(secret.value), `<SHA-256 of ${name}, hexadecimal>`)
          .replaceAll(core(secret.value), `<${name}>`);
  }
  const lines = text.trimEnd().split("\n");
  if (lines.length === 1) return [`${key}: ${text.trimEnd()}`];
  const nothingToFillIn = text === value;
  return nothingToFillIn && lines.length > 8
    ? [`${key}: ${lines[0]} … (${lines.length} lines)`]
    : [`${key}: |`, ...lines.map((line) => `  ${line}`)];
}

function description(type: string, inputs: Generated["inputs"], signer: string | undefined): string {
  if (type.endsWith(":PrivateKey")) return `a private key, ${inputs["algorithm"]} ${inputs["ecdsaCurve"]}, PEM`;
  if (type.endsWith(":SelfSignedCert")) return `the certificate of an authority of yours, PEM: ${identity(inputs as CertificateHolder)}`;
  if (type.endsWith(":LocallySignedCert")) {
    const holder = identity(parseRequest(String(inputs["certRequestPem"])));
    const use = (inputs["allowedUses"] as readonly string[]).includes("server_auth") ? "server" : "client";
    return `a ${use}'s certificate for the key beside it, signed by the authority of <${signer}>, PEM: ${holder}`;
  }
  const { length, special = true } = inputs as { length: number; special?: boolean };
  return `${length} random ${special ? "characters" : "letters and digits"}`;
}

function identity({ subject, dnsNames = [], ipAddresses = [] }: CertificateHolder): string {
  return [`CN=${subject?.commonName}`, ...dnsNames.map((name) => `DNS:${name}`), ...ipAddresses.map((address) => `IP:${address}`)].join(
    ", ",
  );
}
