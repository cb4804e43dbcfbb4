import type { RecordedResource } from "./monitor.ts";
import { isSecret } from "./sdk.ts";

export interface PlainSecret {
  readonly urn: string;
  /** Path in the resource, such as `inputs.data.password`. */
  readonly path: string;
}

/**
 * Returns every place in which one of the given strings can be read: in any part of a resource, within a longer text, as a key, or in
 * base64. The secret marks of a Kubernetes Secret's data prove nothing, because the SDK marks them whatever their source.
 */
export function plainSecrets(resources: readonly RecordedResource[], secrets: readonly string[]): PlainSecret[] {
  const forms = secrets.filter((secret) => secret !== "").flatMap((secret) => [secret, ...base64Forms(secret)]);
  const shows = (text: string) => forms.some((form) => text.includes(form));
  const places = function* (value: unknown, path: string): Generator<string> {
    if (typeof value === "string" && shows(value)) yield path;
    if (typeof value !== "object" || value === null || isSecret(value)) return;
    for (const [key, inner] of Object.entries(value)) {
      const at = Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`;
      if (shows(key)) yield at;
      yield* places(inner, at);
    }
  };
  return resources.flatMap(({ urn, name, id, inputs, state, outputs }) =>
    Object.entries({ name, id, inputs, state, outputs }).flatMap(([part, value]) =>
      [...places(value, part)].map((path) => ({ urn, path })),
    ),
  );
}

/** Returns what a text looks like inside base64-encoded data, at each of the three possible offsets. */
export function base64Forms(text: string): string[] {
  return [0, 1, 2].map((offset) => {
    const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(text)]);
    return bytes.toString("base64").slice(Math.ceil((offset * 8) / 6), Math.floor((bytes.length * 8) / 6));
  });
}
