/**
 * `npm run images -- [--stack <stack>] [--verify] [--plain-http] [<image>…]`: lists images, and with `--verify` compares them with what their
 * registries have. Without images, they are those of the stack, or the default ones.
 * Exit codes: 0 if every image is as expected or has no digest, 1 if one moved, is missing, or could not be checked, 2 for wrong usage.
 */
import { parseArgs } from "node:util";
import { imageReference, images } from "../components/shared/images.ts";
import { imageReferenceProblem, parseImageReference } from "../registry-scan/index.ts";
import { checkSettings, SettingsError } from "../stacks/index.ts";
import { stackConfig } from "./program.ts";
import { RegistryClient } from "./registry/registry.ts";
import { verifyImage } from "./registry/verify.ts";
import { projectFolder, readProject, readStackFile, stacksOf } from "./stack-file.ts";
import { main, UserError } from "./user-error.ts";

const usage = () =>
  `Usage: npm run images -- [--stack STACK] [--verify] [--plain-http] [IMAGE…]\nStacks: ${stacksOf(projectFolder).join(", ")}\n` +
  "Exit codes: 0 if every image is as expected or has no digest, 1 if one moved, is missing, or could not be checked, 2 for wrong usage";

const names = Object.keys(images) as (keyof typeof images)[];

/** Runs the command and returns its exit code. */
export async function listImages(args: readonly string[]): Promise<number> {
  const { verify, stack, plainHttp, given } = parse(args);
  const references = given.length > 0 ? given : stack === undefined ? names.map((name) => imageReference(name)) : imagesOf(stack);
  if (!verify) {
    for (const reference of references) console.log(reference);
    return 0;
  }
  const client = new RegistryClient({ plainHttp });
  let good = true;
  for (const reference of references) {
    const image = parseImageReference(reference);
    if (!image) throw new UserError(`${reference} ${imageReferenceProblem(reference)}`, 2);
    const { status, message } = await verifyImage(client, image);
    console.log(`${status.padEnd(10)} ${reference} ${message}`);
    good &&= status === "correct" || status === "unpinned";
  }
  return good ? 0 : 1;
}

function parse(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { verify: { type: "boolean" }, "plain-http": { type: "boolean" }, stack: { type: "string" } },
    });
    const { verify = false, stack, "plain-http": plainHttp = false } = values;
    if (stack !== undefined && positionals.length > 0) throw new Error("--stack and images exclude each other");
    return { verify, stack, plainHttp, given: positionals };
  } catch (error) {
    throw new UserError(`${(error as Error).message}\n${usage()}`, 2);
  }
}

/** Returns the images that a stack's settings select. */
function imagesOf(stack: string): string[] {
  const { config } = stackConfig(readProject(projectFolder), readStackFile(projectFolder, stack));
  const prefix = `${readProject(projectFolder).name}:`;
  const own = Object.entries(config).flatMap(([key, value]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), value]] : []));
  try {
    const settings = checkSettings(Object.fromEntries(own));
    return names.map((name) => imageReference(name, settings.images));
  } catch (error) {
    if (error instanceof SettingsError) throw new UserError(error.message);
    throw error;
  }
}

if (import.meta.main) await main(listImages, { usage });
