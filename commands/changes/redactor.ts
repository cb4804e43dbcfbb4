import type { Digest, ResourceState } from "./digest.ts";

const secretText = "[secret]";

/** Marks a secret in Pulumi's own serialisation of values. */
const signature = "4dabf18193072939515e22adb298388d";
/** The engine's placeholder for values that are known only after the update. */
const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** Names of properties, environment variables and outputs whose value is a secret. `secretName` and the like are references. */
const secretName =
  /(?:password|passwd|passphrase|tokens?|secret|api_?key|access_?key|private_?key(?:_?pem)?|credentials?|authorization|webhook)$/i;
const privateKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g;
const userInfo = /(\w:\/\/)[^\s/?#@"']*@/g;
/** Shorter values would turn ordinary words into `[secret]`. */
const shortest = 6;

/** Where a value is: the type of its resource and the path of properties and indices. */
export interface Place {
  readonly state: ResourceState;
  readonly path: readonly (string | number)[];
  /** The name next to the value in an object `{ name, value }`, such as an environment variable's. */
  readonly name?: string | undefined;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Removes secrets from everything that is shown of the engine's JSON. The engine masks what is marked as secret; this does not rely on it:
 * secrets are also recognised by their place, and a value that is a secret in one place is removed in all others.
 */
export class Redactor {
  readonly #known = new Set<string>();
  #ordered: readonly string[] | undefined;

  /** @param secrets further secrets, such as the credentials in this process's environment. */
  constructor(secrets: Iterable<string> = []) {
    for (const secret of secrets) this.#add(secret);
  }

  /** Learns the secrets of a stack, so that they are recognised wherever they appear. */
  learn({ steps }: Digest): void {
    for (const { oldState, newState } of steps ?? [])
      for (const state of [oldState, newState]) {
        if (!state) continue;
        this.#learn({ state, path: [] }, state.inputs, false);
        this.#learn({ state, path: [] }, state.outputs, false);
      }
  }

  #learn(place: Place, value: unknown, within: boolean): void {
    const secret = within || isSecretBlock(place) || isMarked(value);
    if (typeof value === "string" && (secret || isSecretName(place))) {
      this.#add(value);
      if (isKubernetesSecret(place)) this.#add(Buffer.from(value, place.path[0] === "data" ? "base64" : "utf8").toString());
    }
    for (const [key, inner, name] of children(value)) this.#learn({ ...place, path: [...place.path, key], name }, inner, secret);
  }

  #add(secret: string): void {
    const encoded = Buffer.from(secret).toString("base64");
    for (const text of [secret, encoded, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), ...secret.split("\n")]) {
      if (text.trim().length < shortest || text === secretText || text === unknownValue) continue;
      this.#known.add(text.trim());
      this.#ordered = undefined;
    }
  }

  /** Returns a text without known secrets, private keys and the credentials of URLs. */
  text(text: string): string {
    // The longest first, because a secret may be part of another.
    this.#ordered ??= [...this.#known].sort((a, b) => b.length - a.length);
    const masked = this.#ordered.reduce((rest, secret) => rest.replaceAll(secret, secretText), text);
    return masked.replaceAll(privateKey, secretText).replaceAll(userInfo, `$1${secretText}@`);
  }

  /** Returns what may be shown of a value: the same structure with secrets and unknown values replaced. */
  value(place: Place, value: unknown): unknown {
    if (isMarked(value)) return secretText;
    if (isSecretBlock(place)) return isKubernetesSecret(place) && place.path.length === 1 ? this.#keys(value) : secretText;
    if (typeof value === "string") return isSecretName(place) ? secretText : this.#string(value);
    if (Array.isArray(value)) return value.map((inner, index) => this.value({ ...place, path: [...place.path, index] }, inner));
    if (!isObject(value)) return value;
    const entries = children(value).map(([key, inner, name]) => {
      return [this.text(String(key)), this.value({ ...place, path: [...place.path, key], name }, inner)] as const;
    });
    return Object.fromEntries(entries);
  }

  #string(value: string): string {
    return value === unknownValue ? "(known after the update)" : this.text(value);
  }

  /** The names of the keys of a Secret are not secret. */
  #keys(value: unknown): unknown {
    return isObject(value) ? Object.fromEntries(Object.keys(value).map((key) => [this.text(key), secretText])) : secretText;
  }
}

/** Returns the values of the environment variables that hold secrets by their names. */
export function environmentSecrets(env: NodeJS.ProcessEnv): string[] {
  return Object.entries(env).flatMap(([name, value]) => (value && secretName.test(name) ? [value] : []));
}

/** The keys and values of an object or an array, with the `name` next to a `value`. */
function children(value: unknown): [key: string | number, value: unknown, name?: string][] {
  if (Array.isArray(value)) return value.map((inner, index) => [index, inner]);
  if (!isObject(value)) return [];
  const name = typeof value["name"] === "string" ? value["name"] : undefined;
  return Object.entries(value).map(([key, inner]) => (key === "value" && name !== undefined ? [key, inner, name] : [key, inner]));
}

const isMarked = (value: unknown) => isObject(value) && signature in value;

const isKubernetesSecret = ({ state: { type }, path: [first] }: Place) =>
  /^kubernetes:core\/v1:Secret(Patch)?$/.test(type) && (first === "data" || first === "stringData");

/** Whether everything at a place is secret, whatever its structure. */
function isSecretBlock({ state, path, name }: Place): boolean {
  const [first] = path;
  if (typeof first !== "string") return false;
  if (state.additionalSecretOutputs?.includes(first)) return true;
  return isKubernetesSecret({ state, path, name }) || (state.type === "pulumi:pulumi:Stack" && secretName.test(first));
}

/** Whether a string at a place is secret by its name, or by the name next to it. */
function isSecretName({ path, name }: Place): boolean {
  const last = path.at(-1);
  return secretName.test(name ?? "") || (typeof last === "string" && secretName.test(last));
}
