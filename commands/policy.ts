/**
 * `npm run policy -- <stack>|--file <file>`: checks a stack's state against the rules in policy/, as the policy pack does before a change.
 * Exit codes: 0 if there is no violation, 1 if there are some or the state cannot be read, 2 for wrong usage.
 */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { type Violation, violations } from "../policy/check.ts";
import { rules } from "../policy/rules.ts";
import { resourcesOfState } from "../policy/state.ts";
import { exportStack, openEngine } from "./engine/engine.ts";
import { projectFolder, stacksOf } from "./stack-file.ts";
import { main, UserError } from "./user-error.ts";

const usage = () => `Usage: npm run policy -- <stack>
       npm run policy -- --file <output of \`pulumi stack export\`; - for standard input>

Stacks: ${stacksOf(projectFolder).join(", ")}
Exit codes: 0 without violations, 1 with violations, 2 for wrong usage`;

/** Checks a state and returns the exit code. */
export async function checkPolicy(args: readonly string[]): Promise<number> {
  const [first, file, ...rest] = args;
  const isFile = first === "--file" && file !== undefined && rest.length === 0;
  if (!isFile && (first === undefined || first.startsWith("-") || file !== undefined)) throw new UserError(usage(), 2);
  const source = isFile ? (file === "-" ? "The standard input" : file) : `The stack ${first}`;
  const resources = parse(source, isFile ? readState(file) : await exported(first));
  if (resources.length === 0) throw new UserError(`${source} has no resources: nothing to check.`);
  const found = violations(resources);
  for (const line of report(found)) console.error(line);
  console.log(
    found.length === 0
      ? `${resources.length} resources comply with all ${rules.length} rules.`
      : `${found.length} violations in ${resources.length} resources.`,
  );
  return found.length === 0 ? 0 : 1;
}

function readState(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new UserError(`${file} cannot be read: ${(error as Error).message}`);
  }
}

async function exported(stack: string): Promise<string> {
  const state = await exportStack(await openEngine(projectFolder), stack);
  if (state === undefined) throw new UserError(`There is no stack ${stack}. Stacks: ${stacksOf(projectFolder).join(", ")}`);
  return state;
}

function parse(source: string, text: string) {
  try {
    return resourcesOfState(JSON.parse(text));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error).replaceAll(/\s*\n\s*/g, " ") : (error as Error).message;
    throw new UserError(
      `${source} is not a state of Pulumi: ${reason}\nWrite one with: npm run --silent pulumi -- stack export --stack STACK`,
    );
  }
}

function* report(found: readonly Violation[]): Generator<string> {
  for (const { name, description } of rules) {
    const own = found.filter(({ rule }) => rule === name);
    if (own.length === 0) continue;
    yield `${name}: ${description}`;
    for (const { message } of own) yield `  ${message}`;
  }
}

if (import.meta.main) await main(checkPolicy, { usage });
