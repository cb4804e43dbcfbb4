import { z } from "zod";

const properties = z.record(z.string(), z.unknown()).catch({});

const state = z.object({
  type: z.string().catch(""),
  custom: z.boolean().catch(false),
  inputs: properties.default({}),
  outputs: properties.default({}),
  additionalSecretOutputs: z.array(z.string()).nullish(),
});

const step = z.object({
  op: z.string(),
  urn: z.string(),
  oldState: state.nullish(),
  newState: state.nullish(),
  replaceReasons: z.array(z.string()).nullish(),
  detailedDiff: z.record(z.string(), z.unknown()).nullish(),
});

const digest = z.object({
  steps: z.array(step).nullish(),
  diagnostics: z.array(z.object({ message: z.string(), severity: z.string() })).nullish(),
});

export type ResourceState = z.infer<typeof state>;
export type Step = z.infer<typeof step>;

/** The output of `pulumi preview --json` and `pulumi refresh --json`, as far as it is read. */
export type Digest = z.infer<typeof digest>;

/**
 * Returns undefined if the text is not the engine's JSON. Without steps the engine prints an object without `steps`; a command that fails
 * before the engine starts prints nothing or text.
 */
export function parseDigest(text: string): Digest | undefined {
  try {
    return digest.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
