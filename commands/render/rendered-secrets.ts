import { randomBytes, X509Certificate } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { parseAllDocuments } from "yaml";
import { generatorOf } from "../../recorder/generated-values.ts";
import { type Answer, contentHash, plain, type RecordedResource } from "../../recorder/record.ts";
import { UserError } from "../user-error.ts";
import { describeGenerated, instructions } from "./instructions.ts";
import { isNamed, type Manifest, toYaml, yamlVersion } from "./manifests.ts";
import { contains, core } from "./occurrences.ts";

/** What a later run needs to know: a resource's name, a hash of its inputs, and the generated value. PEM takes one line, too. */
const generatedLine = /^# generated (.+) ([0-9a-f]{8}): (.+)$/gm;
const toOneLine = (value: string) => value.replaceAll("\n", "\\n");
const fromOneLine = (value: string) => (value.startsWith("-----BEGIN ") ? value.replaceAll("\\n", "\n") : value);

interface Generated {
  readonly type: string;
  readonly name: string;
  /** The name and the hash of the inputs, as in `generatedLine`. */
  readonly lineKey: string;
  readonly value: string;
  /** Without secret marks. */
  readonly inputs: Readonly<Record<string, unknown>>;
}

const certificateRequest = "tls:index/certRequest:CertRequest";

/**
 * Answers for the providers of everything secret, and remembers it from run to run in the file with the Secrets: generated passwords, keys
 * and certificates stay, and so do the generated names of Secrets as long as their content does. The names are random, because a name
 * derived from the content would be a hash that passwords could be tried against.
 */
export class RenderedSecrets {
  private readonly remembered: ReadonlyMap<string, string>;
  private readonly earlierSecrets: readonly Record<string, unknown>[];
  private readonly generated = new Map<string, Generated>();
  private readonly encrypted: ReadonlyMap<string, string>;
  private readonly written: boolean;

  /**
   * @param text the file of an earlier run.
   * @param encrypted the placeholders of encrypted settings by path.
   * @param written whether the Secrets are written. Otherwise their names have no random part.
   * @param path of the file, for messages.
   * @throws UserError if `text` is not valid YAML.
   */
  constructor(text: string | undefined, encrypted: ReadonlyMap<string, string>, written: boolean, path: string) {
    this.remembered = new Map(
      [...(text ?? "").matchAll(generatedLine)].map(([, name, inputs, value = ""]) => [`${name} ${inputs}`, fromOneLine(value)]),
    );
    const documents = parseAllDocuments(text ?? "", { version: yamlVersion });
    const error = "empty" in documents ? undefined : documents.flatMap(({ errors }) => errors)[0];
    if (error) throw new UserError(`${path} cannot be read: ${error.message}\nFix it, or remove it to generate new passwords.`);
    this.earlierSecrets = documents.map((document) => (document.toJS() ?? {}) as Record<string, unknown>);
    this.encrypted = encrypted;
    this.written = written;
  }

  /** For `record`. */
  readonly answer = async (resource: RecordedResource): Promise<Answer | undefined> => {
    const generator = generatorOf(resource.type);
    // A certificate request only repeats its inputs and is in no Secret.
    if (generator && resource.type !== certificateRequest) {
      const { type, name, urn } = resource;
      const inputs = plain(resource.inputs) as Generated["inputs"];
      const lineKey = `${name} ${contentHash(inputs)}`;
      const earlier = this.remembered.get(lineKey);
      const value = earlier !== undefined && isCurrent(earlier, inputs) ? earlier : await generator.generate(inputs);
      this.generated.set(urn, { type, name, lineKey, value, inputs });
      return { state: { [generator.output]: value } };
    }
    return resource.type === "kubernetes:core/v1:Secret" && !isNamed(resource) ? this.nameSecret(resource) : undefined;
  };

  private nameSecret({ name, inputs, state }: RecordedResource): Answer {
    const named = (name: string) => ({ state: { metadata: { ...(state["metadata"] as object), name } } });
    // For a Secret that is created by hand, a random part would only have to be invented and remembered.
    if (!this.written || this.encryptedIn(inputs).length > 0) return named(name);
    const content = ({ type, data, stringData }: Record<string, unknown>) => ({ type, data, stringData });
    const earlierName = (secret: Record<string, unknown>) => (secret["metadata"] as { name?: string } | undefined)?.name ?? "";
    const same = this.earlierSecrets.find(
      (secret) =>
        earlierName(secret).replace(/-[0-9a-f]{8}$/, "") === name &&
        isDeepStrictEqual(content(secret), content(plain(inputs) as typeof secret)),
    );
    return named(same ? earlierName(same) : `${name}-${randomBytes(4).toString("hex")}`);
  }

  /** Returns the encrypted settings that a value contains. */
  encryptedIn(value: unknown): string[] {
    const text = JSON.stringify(plain(value)) ?? "";
    return [...this.encrypted].flatMap(([setting, placeholder]) => (contains(text, placeholder) ? [setting] : []));
  }

  /** Returns the file with the given Secrets and what a later run needs to know. */
  file(head: string, secrets: readonly Manifest[]): string {
    const comments = this.allGenerated().map(({ lineKey, value }) => `# generated ${lineKey}: ${toOneLine(value)}\n`);
    return [head, ...comments, ...secrets.map(({ body }) => `---\n${toYaml(body)}`)].join("");
  }

  /** Replaces placeholders in a text that is shown. */
  masked(text: string): string {
    return [...this.encrypted.values()].reduce(
      (masked, placeholder) => masked.replaceAll(placeholder, "[encrypted]").replaceAll(core(placeholder), "[encrypted]"),
      text,
    );
  }

  /**
   * Describes how to create Secrets by hand.
   *
   * @param file the path of the file with the other Secrets, if there are any. It has the generated values, which a Secret may share with
   * others.
   */
  instructions(secrets: readonly Manifest[], file?: string): string[] {
    const all = this.allGenerated();
    return instructions(secrets, [
      ...all.map(({ type, name, value, inputs }) => {
        const signer = all.find((other) => other.value === inputs["caCertPem"])?.name;
        const description = file === undefined ? describeGenerated(type, inputs, signer) : `the generated one in ${file}`;
        return { name, value, description, signer };
      }),
      ...[...this.encrypted].map(([setting, value]) => ({ name: setting, value, description: "the encrypted setting" })),
    ]);
  }

  /** Sorted, because remembered values are available earlier than generated ones. */
  private allGenerated(): Generated[] {
    return [...this.generated.values()].sort((a, b) => (a.lineKey < b.lineKey ? -1 : 1));
  }
}

/** Returns whether a value of an earlier run can be used again. Certificates are renewed as early as their provider does. */
function isCurrent(value: string, { earlyRenewalHours }: Generated["inputs"]): boolean {
  if (typeof earlyRenewalHours !== "number") return true;
  return Date.now() < new X509Certificate(value).validToDate.getTime() - earlyRenewalHours * 60 * 60 * 1000;
}
