import { RunError } from "@pulumi/pulumi";

/** Name of the Pulumi project, which is the namespace of its settings. */
export const project = "trivy-server";

/** Something wrong with a stack's settings. */
export interface SettingProblem {
  /** Path of the setting, as `pulumi config set --path` takes it after the project's name. */
  readonly path: string;
  /** The namespace of the setting in the stack's file. @default that of the project */
  readonly namespace?: string;
  /** What is wrong and what would be valid, as the rest of a sentence that begins with the path. */
  readonly message: string;
}

/** Everything that is wrong with a stack's settings. Pulumi shows the message without a stack trace. */
export class SettingsError extends RunError {
  readonly problems: readonly SettingProblem[];

  /** @param locate returns where a problem is, such as `Pulumi.dev.yaml:7`. @default unknown */
  constructor(problems: readonly SettingProblem[], locate: (problem: SettingProblem) => string | undefined = () => undefined) {
    const lines = problems.map((problem) => {
      const { namespace = project, path, message } = problem;
      const place = locate(problem);
      return `  ${namespace}:${path} ${message}${place === undefined ? "" : ` (${place})`}`;
    });
    super(`${problems.length === 1 ? "A setting" : `${problems.length} settings`} of this stack cannot be used:\n${lines.join("\n")}`);
    this.problems = problems;
  }
}
