/**
 * Emulates how the CI systems read the files in `ci/`: each function returns the script that would run and its environment. Unknown inputs fail here
 * as they would there.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse, parseAllDocuments } from "yaml";
import { z } from "zod";

export const ci = join(import.meta.dirname, "../../ci");

export interface Step {
  readonly shell: readonly string[];
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
}

const read = (path: string) => readFileSync(join(ci, path), "utf8");
const texts = z.record(z.string(), z.string());

/** Returns the values of all declared inputs. @throws if an input is undeclared, missing or not one of its options */
function inputValues(
  declared: Record<string, { default?: unknown; required?: boolean | undefined; options?: string[] | undefined } | null>,
  given: Record<string, string>,
) {
  const unknown = Object.keys(given).filter((name) => !(name in declared));
  if (unknown.length > 0) throw new Error(`no such input: ${unknown}`);
  const values = Object.entries(declared).map(([name, input]) => {
    const value = given[name] ?? input?.default;
    if (value === undefined) throw new Error(`input ${name} is needed`);
    if (input?.options && !input.options.includes(String(value))) throw new Error(`input ${name}: must be one of ${input.options}`);
    return [name, String(value)] as const;
  });
  return new Map(values);
}

function replaced(text: string, pattern: RegExp, values: ReadonlyMap<string, string>): string {
  return text.replace(pattern, (expression, name) => {
    const value = values.get(name);
    if (value === undefined) throw new Error(`${expression} is not declared`);
    return value;
  });
}

const mapped = (record: Record<string, string>, change: (value: string) => string) =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));

const action = z.object({
  inputs: z.record(z.string(), z.object({ description: z.string(), default: z.string().optional(), required: z.boolean().optional() })),
  runs: z.object({
    using: z.literal("composite"),
    steps: z.tuple([z.strictObject({ shell: z.literal("sh"), run: z.string(), env: texts })]),
  }),
});

/** Returns the composite action's step. @throws if its script contains an expression, which GitHub would insert as code */
export function githubAction(inputs: Record<string, string>): Step {
  const { inputs: declared, runs } = action.parse(parse(read("github/action.yml")));
  const [{ run: script, env }] = runs.steps;
  if (script.includes("${{")) throw new Error("an expression in a script is executed as part of it");
  const values = inputValues(declared, inputs);
  return {
    shell: ["sh", "-e"],
    script,
    env: {
      ...mapped(env, (value) => replaced(value, /\$\{\{ inputs\.([\w-]+) \}\}/g, values)),
      GITHUB_ACTIONS: "true",
      GITHUB_ACTION_PATH: join(ci, "github"),
    },
  };
}

/** Returns the inputs of the action's step in the example workflow, with GitHub's expressions unresolved. */
export function exampleInputs(): Record<string, string> {
  const workflow = z.object({
    jobs: z.object({ image: z.object({ steps: z.array(z.object({ uses: z.string().optional(), with: z.looseObject({}).optional() })) }) }),
  });
  const { steps } = workflow.parse(parse(read("github/example.yml"))).jobs.image;
  return texts.parse(steps.find(({ uses }) => uses?.includes("/ci/github@"))?.with ?? {});
}

const gitlabInput = z.strictObject({
  description: z.string().optional(),
  default: z.unknown().optional(),
  options: z.array(z.string()).optional(),
  type: z.literal("boolean").optional(),
});
const gitlabTemplate = z.tuple([
  z.object({ spec: z.object({ inputs: z.record(z.string(), gitlabInput) }) }),
  z.record(
    z.string(),
    z.object({
      stage: z.string(),
      image: z.object({ name: z.string(), entrypoint: z.array(z.string()) }),
      variables: texts,
      script: z.array(z.string()),
      artifacts: z.object({ when: z.literal("always"), paths: z.array(z.string()), reports: texts }),
    }),
  ),
]);

/** Returns the GitLab template's job, in a project with these predefined variables. */
export function gitlabJob(inputs: Record<string, string>, predefined: Record<string, string>) {
  const text = read("gitlab/scan-gate.yml");
  const [{ spec }] = gitlabTemplate.parse(parseAllDocuments(text).map((document) => document.toJS()));
  const values = inputValues(spec.inputs, inputs);
  const filled = replaced(text, /\$\[\[ inputs\.([\w-]+) \]\]/g, values);
  const [, jobs] = gitlabTemplate.parse(parseAllDocuments(filled).map((document) => document.toJS()));
  const job = Object.values(jobs)[0];
  if (job === undefined) throw new Error("the template has no job");
  const { image, variables, script, artifacts } = job;
  const known = new Map(Object.entries(predefined));
  const env = { ...mapped(variables, (value) => replaced(value, /\$(\w+)/g, known)), ...predefined };
  return { image, artifacts, shell: ["sh", "-e"], script: script.join("\n"), env };
}

const buildkitePipeline = z.object({
  steps: z.tuple([z.object({ env: texts, command: z.array(z.string()), artifact_paths: z.string() })]),
});

/** Returns the Buildkite step after `buildkite-agent pipeline upload` has interpolated the agent's variables. */
export function buildkiteStep(agent: Record<string, string>): Step {
  const known = new Map([...Object.entries(agent), ["$", "$"] as const]);
  const text = replaced(read("buildkite/pipeline.yml").replace(/^#.*$/gm, ""), /\$\{?(\$|\w+)\}?/g, known);
  const [{ env, command }] = buildkitePipeline.parse(parse(text)).steps;
  return { shell: ["bash", "-e"], script: command.join("\n"), env: { ...env, ...agent } };
}

/** Returns the shell step of the Jenkins stage. */
export function jenkinsStage(env: Record<string, string>): Step {
  const text = read("jenkins/Jenkinsfile");
  const [, environment = ""] = /environment \{([\s\S]*?)\n {4}\}/.exec(text) ?? [];
  const [, script] = /sh '''([\s\S]*?)'''/.exec(text) ?? [];
  if (script === undefined) throw new Error("the Jenkinsfile has no shell step");
  const assignments = [...environment.matchAll(/^ +(\w+) = (?:'([^'$]*)'|"([^"]*)")(?: \/\/.*)?$/gm)];
  if (assignments.length !== environment.trim().split("\n").length) throw new Error(`not all of this is an assignment: ${environment}`);
  const known = new Map(Object.entries(env));
  const declared = assignments.map(([, name = "", plain, filled = ""]) => [name, plain ?? replaced(filled, /\$\{env\.(\w+)\}/g, known)]);
  return { shell: ["sh", "-xe"], script, env: { ...Object.fromEntries(declared), ...env } };
}

const azurePipeline = z.object({
  jobs: z.tuple([
    z.object({
      variables: texts,
      steps: z.array(z.object({ script: z.string().optional(), displayName: z.string().optional(), env: texts.optional() })),
    }),
  ]),
});

/** Returns the step of the Azure pipeline with this name, after Azure has replaced `$(name)` by variables. */
export function azureStep(displayName: string, agent: Record<string, string>): Step {
  const [{ variables, steps }] = azurePipeline.parse(parse(read("azure/pipeline.yml"))).jobs;
  const step = steps.find((each) => each.displayName === displayName);
  if (step?.script === undefined) throw new Error(`no script step ${displayName}`);
  const known = new Map(Object.entries(agent));
  const fill = (value: string) => replaced(value, /\$\(([\w.]+)\)/g, known);
  // Azure replaces only names of variables; `$(mktemp -d)` stays.
  const script = step.script.replace(/\$\(([\w.]+)\)/g, (text, name) => known.get(name) ?? text);
  return { shell: ["bash", "-e"], script, env: { ...mapped(variables, fill), ...mapped(step.env ?? {}, fill), TF_BUILD: "True" } };
}

const circleciConfig = z.object({
  jobs: z.object({
    "scan-gate": z.object({
      docker: z.tuple([z.object({ image: z.string() })]),
      environment: texts,
      steps: z.array(z.union([z.string(), z.record(z.string(), z.looseObject({}))])),
    }),
  }),
});

/** Returns the run step of the CircleCI job, and the paths that the job stores. */
export function circleciJob(job: Record<string, string>): Step & { readonly image: string; readonly stored: readonly string[] } {
  const { docker, environment, steps } = circleciConfig.parse(parse(read("circleci/config.yml"))).jobs["scan-gate"];
  const named = (name: string) => steps.flatMap((step) => (typeof step === "object" && step[name] ? [step[name]] : []));
  const scan = named("run").find(({ name }) => name === "Scan");
  const { shell, command } = z.object({ shell: z.string(), command: z.string() }).parse(scan);
  const stored = [...named("store_test_results"), ...named("store_artifacts")].map(
    (step) => z.object({ path: z.string() }).parse(step).path,
  );
  const [program = "", ...options] = shell.split(" ");
  // `pipefail` is not in every shell; the command has no pipe.
  const flags = options.filter((option) => option !== "pipefail").map((option) => option.replace("o", ""));
  return { image: docker[0].image, stored, shell: [program, ...flags], script: command, env: { ...environment, ...job } };
}

const tektonTask = z.object({
  spec: z.object({
    params: z.array(z.object({ name: z.string(), default: z.string().optional() })),
    results: z.array(z.object({ name: z.string() })),
    steps: z.tuple([
      z.object({
        image: z.string(),
        script: z.string(),
        env: z.array(z.object({ name: z.string(), value: z.string().optional(), valueFrom: z.looseObject({}).optional() })),
      }),
    ]),
  }),
});

/** Returns the step of the Tekton task. */
export function tektonStep(params: Record<string, string>, token: string, result: string): Step {
  const { spec } = tektonTask.parse(parse(read("tekton/task.yml")));
  const declared = Object.fromEntries(spec.params.map((param) => [param.name, param]));
  const values = new Map([...inputValues(declared, params)].map(([name, value]): [string, string] => [`params.${name}`, value]));
  for (const { name } of spec.results) values.set(`results.${name}.path`, result);
  const [step] = spec.steps;
  if (/\$\((params|results|workspaces)\./.test(step.script)) throw new Error("a parameter in a script is executed as part of it");
  const env = step.env.map(({ name, value }) => [name, value === undefined ? token : replaced(value, /\$\(([\w.-]+)\)/g, values)]);
  return { shell: ["sh"], script: step.script, env: Object.fromEntries(env) };
}

const reusableWorkflow = z.object({
  on: z.object({
    workflow_call: z.object({
      inputs: z.record(z.string(), z.looseObject({ default: z.unknown().optional(), required: z.boolean().optional() })),
    }),
  }),
  jobs: z.object({
    scan: z.object({ steps: z.array(z.looseObject({ name: z.string().optional(), run: z.string().optional(), env: texts.optional() })) }),
  }),
});

/** Returns the scan step of the reusable workflow for one image. */
export function reusableWorkflowStep(inputs: Record<string, string>, image: string, token: string): Step {
  const { on, jobs } = reusableWorkflow.parse(parse(readFileSync(join(ci, "../.github/workflows/scan-gate.yml"), "utf8")));
  const step = jobs.scan.steps.find(({ name }) => name === "Scan");
  if (step?.run === undefined || step.run.includes("${{")) throw new Error("an expression in a script is executed as part of it");
  const values = new Map(
    [...inputValues(on.workflow_call.inputs, inputs)].map(([name, value]): [string, string] => [`inputs.${name}`, value]),
  );
  values.set("matrix.image", image).set("secrets.token", token);
  return {
    shell: ["sh", "-e"],
    script: step.run,
    env: { ...mapped(step.env ?? {}, (value) => replaced(value, /\$\{\{ ([\w.-]+) \}\}/g, values)), GITHUB_ACTIONS: "true" },
  };
}
