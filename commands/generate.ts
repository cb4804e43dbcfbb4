/** `npm run generate`: writes the files that follow from the settings' schema, the rules and the dashboards. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { allAlerts, allRecordings, type PrometheusGroup } from "../components/monitoring/rules/render.ts";
import { dashboards } from "../monitoring/dashboards/index.ts";
import { argumentsFile } from "../stacks/generators/arguments.ts";
import { jsonSchemaFile } from "../stacks/generators/json-schema.ts";
import { packageSchemaFile } from "../stacks/generators/package-schema.ts";
import { referenceFile } from "../stacks/generators/reference.ts";
import { modelOf } from "../stacks/model.ts";
import { schema } from "../stacks/schema.ts";
import { projectFolder } from "./stack-file.ts";

export interface GeneratedFile {
  /** Path below the project's folder. */
  readonly path: string;
  readonly text: string;
}

/** Returns every generated file as it should be. */
export function generatedFiles(): GeneratedFile[] {
  const model = modelOf(schema);
  return [
    { path: "components/args.ts", text: formatted("components/args.ts", argumentsFile(model, schema.parse({}))) },
    { path: "stacks/settings.schema.json", text: jsonSchemaFile(model) },
    { path: "docs/reference/settings.md", text: referenceFile(model) },
    { path: "provider/schema.json", text: packageSchemaFile(model, packageVersion()) },
    { path: "monitoring/alerts.yaml", text: rulesFile("alerting", allAlerts()) },
    { path: "monitoring/rules.yaml", text: rulesFile("recording", allRecordings()) },
    ...Object.entries(dashboards).map(([name, dashboard]) => {
      const path = `monitoring/dashboards/${name}.json`;
      return { path, text: formatted(path, JSON.stringify(dashboard().build(), undefined, 2)) };
    }),
  ];
}

const packageVersion = (): string => JSON.parse(readFileSync(join(projectFolder, "package/package.json"), "utf8")).version;

/** Returns what a generated file holds now, or nothing if it does not exist. */
export function currentText({ path }: GeneratedFile): string | undefined {
  const file = join(projectFolder, path);
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

const rulesFile = (kind: string, groups: readonly PrometheusGroup[]) =>
  `# Prometheus ${kind} rules. Generated from components/monitoring/rules/ by \`npm run generate\`: change them there. docs/guides/monitoring.md shows\n# how to load them.\n${stringify({ groups }, { lineWidth: 140, aliasDuplicateObjects: false, blockQuote: "literal" })}`;

function formatted(path: string, text: string): string {
  const biome = join(projectFolder, "node_modules/.bin/biome");
  return execFileSync(biome, ["format", `--stdin-file-path=${path}`], { cwd: projectFolder, input: text, encoding: "utf8" });
}

if (import.meta.main) for (const { path, text } of generatedFiles()) writeFileSync(join(projectFolder, path), text);
