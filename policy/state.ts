import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { kindOf, type Resource } from "./resource.ts";
import { unknown, viewOf } from "./values.ts";

const { specialSecretSig, specialSigKey, unknownValue } = pulumi.runtime;

const exported = z.object({
  version: z.number().max(3, { error: "is the state of a newer version of Pulumi" }).optional(),
  deployment: z.object({
    resources: z
      .array(
        z.object({
          urn: z.string(),
          type: z.string(),
          inputs: z.record(z.string(), z.unknown()).default({}),
          protect: z.boolean().default(false),
          /** Replaced, and to be deleted by the next update. */
          delete: z.boolean().default(false),
        }),
      )
      .nullish(),
  }),
});

/**
 * Returns the resources of a state as `pulumi stack export` writes it. Encrypted values are unknown.
 *
 * @throws z.ZodError if it is not a state
 */
export function resourcesOfState(state: unknown): Resource[] {
  const { resources } = exported.parse(state).deployment;
  return (resources ?? []).filter((resource) => !resource.delete).map(resourceOf);
}

/** A resource as states and the SDK's requests describe it, with secrets wrapped. */
export interface Described {
  readonly urn: string;
  readonly type: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly protect?: boolean | undefined;
}

/** Returns the resource as the rules see it. */
export function resourceOf({ urn, type, inputs, protect = false }: Described): Resource {
  return {
    ...{ urn, type, protect, name: urn.split("::").at(-1) ?? urn },
    inputs: viewOf(inputs, read),
    secretPaths: kindOf({ type }) === "" ? [] : [...secretPaths(inputs, "")],
  };
}

/** Returns what a value stands for. A secret without its plain text is encrypted. */
function read(value: unknown): unknown {
  if (value === unknownValue) return unknown;
  if (!isSecret(value)) return value;
  if ("value" in value) return read(value.value);
  return "plaintext" in value ? read(JSON.parse(String(value.plaintext))) : unknown;
}

function* secretPaths(value: unknown, path: string): Generator<string> {
  if (typeof value !== "object" || value === null) return;
  if (isSecret(value)) yield path;
  else for (const [key, inner] of Object.entries(value)) yield* secretPaths(inner, path === "" ? key : `${path}.${key}`);
}

const isSecret = (value: unknown): value is object =>
  typeof value === "object" && value !== null && (value as Record<string, unknown>)[specialSigKey] === specialSecretSig;
