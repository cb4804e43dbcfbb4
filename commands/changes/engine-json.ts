import { localStackFile } from "../engine/backend.ts";
import { capture, type Engine } from "../engine/engine.ts";
import { explain } from "../engine/explain.ts";
import { readStackFile } from "../stack-file.ts";
import { UserError } from "../user-error.ts";
import { parseDigest } from "./digest.ts";
import type { EngineResult } from "./render.ts";

/** Runs `pulumi preview` or `pulumi refresh` for a stack and reads the engine's JSON. A stack without a file or a state is an error result. */
export async function engineJson(engine: Engine, stack: string, ...args: string[]): Promise<EngineResult> {
  try {
    const file = readStackFile(engine.project, stack);
    const copy = engine.backend.local && localStackFile(engine.backend.local, file);
    const all = [...args, "--json", "--stack", stack, "--non-interactive", ...(copy ? ["--config-file", copy] : [])];
    const { status, stdout, stderr } = await capture(engine, all);
    const digest = parseDigest(stdout);
    const error = /no stack named/.test(stderr)
      ? `There is no stack ${stack} in ${engine.backend.url}. To create it: npm run pulumi -- stack init ${stack}`
      : explain(stderr, { stack, backend: engine.backend, env: process.env });
    return { status, digest, error };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { status: error.status, digest: undefined, error: error.message };
  }
}
