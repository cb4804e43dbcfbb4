import { isOption } from "./operation.ts";
import type { State } from "./state.ts";

/** Returns the protected objects of a state, such as `Namespace trivy-prod`, in the order of their creation. */
export function protectedObjects({ resources }: Pick<State, "resources">): string[] {
  return resources.flatMap(({ protect, type, inputs: { kind, metadata: { name } = {} } }) =>
    protect ? [`${kind ?? type} ${name ?? ""}`.trim()] : [],
  );
}

/** Returns why a stack must not be destroyed; undefined if nothing in it is protected, or the flags leave what is. */
export function destroyProblem(stack: string, state: Pick<State, "resources">, flags: readonly string[]): string | undefined {
  const names = protectedObjects(state);
  if (names.length === 0 || isOption(flags, "--exclude-protected") || isOption(flags, "--target", "-t")) return undefined;
  return (
    `The stack ${stack} is protected: destroying it would delete ${list(names)}, with all data. Nothing was changed.\n` +
    `${releaseSteps(stack)}\n  npm run destroy -- ${stack}\n` +
    `To keep the protected objects and destroy the rest:\n  npm run destroy -- ${stack} --exclude-protected`
  );
}

/** Returns what to do if an operation failed because of protection; undefined if nothing in the stack is protected. */
export function protectionHint(stack: string, state: Pick<State, "resources">): string | undefined {
  const names = protectedObjects(state);
  if (names.length === 0) return undefined;
  return (
    `Protected in the stack ${stack}: ${list(names)}. If the error is that one of them cannot be deleted or replaced, undo the change of the settings.\n` +
    `${releaseSteps(stack)}\nand try again.`
  );
}

/** How to state the intent to delete. */
const releaseSteps = (stack: string) =>
  `To delete them, set trivy-server:protect to false in Pulumi.${stack.split("/").at(-1)}.yaml without another change, then:\n  npm run up -- ${stack}`;

const list = (names: readonly string[]) => new Intl.ListFormat("en-GB", { type: "conjunction" }).format(names);
