/**
 * `npm run where -- <stack> <id|package>`: which images have a vulnerability or a vulnerable package, according to the last scan of each by the
 * registry scan.
 */
import { parseArgs } from "node:util";
import { CoreV1Api } from "@kubernetes/client-node";
import { z } from "zod";
import { parts } from "../components/shared/parts.ts";
import { exitCodes, reportsPorts, versionRangeProblem, visible } from "../registry-scan/index.ts";
import { respond } from "./cluster/api.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { getFromPod } from "./cluster/port-forward.ts";
import { openEngine } from "./engine/engine.ts";
import { stackNamespace } from "./namespace.ts";
import { stackCluster } from "./stack-cluster.ts";
import { projectFolder, readStackFile, stacksOf } from "./stack-file.ts";
import { isReady, nameOf } from "./status/read.ts";
import { main, UserError } from "./user-error.ts";

const usage = () => `Usage: npm run where -- <stack> <id|package> [--versions RANGE] [--image TEXT] [--json|--csv]

Shows which images have a finding, such as CVE-2021-44228, or findings of a package, according to the last scan of each.

  --versions RANGE  only installed versions of the package in this range, such as '<2.15'
  --image TEXT      only images with this text in their names
  --json, --csv     for programs and spreadsheets

Stacks: ${stacksOf(projectFolder).join(", ")}
Exit codes: 0 no image has it, 1 some have it, 2 it is not known, or wrong usage`;

/** Milliseconds for the answer: 100,000 images are searched in a few seconds. */
const timeout = 60_000;

const resultSchema = z.object({
  images: z.number(),
  omitted: z.number(),
  matches: z.array(
    z.object({
      image: z.string(),
      id: z.string(),
      severity: z.string(),
      package: z.string(),
      installed: z.string().optional(),
      fixed: z.string().optional(),
      since: z.string().optional(),
    }),
  ),
});

export async function where(args: readonly string[]): Promise<number> {
  const { stack, term, versions, image, json, csv } = parsed(args);
  const file = readStackFile(projectFolder, stack);
  const cluster = await stackCluster(file, () => openEngine(projectFolder));
  const { name: namespace } = stackNamespace(file);
  const pod = await reportsPod(cluster, stack, namespace);
  const query = new URLSearchParams({ term, ...(versions !== undefined && { versions }), ...(image !== undefined && { image }) });
  const from = { namespace, pod, port: reportsPorts.pages };
  const type = csv && !json ? "csv" : "json";
  const text = await getFromPod(cluster, from, `/findings.${type}?${query}`, timeout).catch((error: Error) => {
    throw new UserError(`The reports server in ${namespace} does not answer: ${error.message}`);
  });
  if (type === "csv") {
    process.stdout.write(text);
    // Below its header.
    return text.trimEnd().includes("\n") ? exitCodes.findings : exitCodes.clean;
  }
  const result = resultSchema.parse(JSON.parse(text));
  console.log(json ? text : table(result));
  return result.matches.length > 0 ? exitCodes.findings : exitCodes.clean;
}

function parsed(args: readonly string[]) {
  const options = { versions: { type: "string" }, image: { type: "string" }, json: { type: "boolean" }, csv: { type: "boolean" } } as const;
  const { values, positionals } = (() => {
    try {
      return parseArgs({ args: [...args], allowPositionals: true, options });
    } catch (error) {
      throw new UserError(`${(error as Error).message}\n\n${usage()}`);
    }
  })();
  const [stack, term, ...more] = positionals;
  if (stack === undefined || term === undefined || term.trim() === "" || more.length > 0) throw new UserError(usage());
  const problem = values.versions === undefined ? undefined : versionRangeProblem(values.versions);
  if (problem !== undefined) throw new UserError(`--versions ${problem}`);
  return { stack, term, ...values };
}

async function reportsPod(cluster: Cluster, stack: string, namespace: string): Promise<string> {
  const labelSelector = `app.kubernetes.io/component=${parts.reports.component}`;
  const pods = await respond(cluster, cluster.config.makeApiClient(CoreV1Api).listNamespacedPod({ namespace, labelSelector }));
  const pod = pods?.items.find(isReady);
  if (pod) return nameOf(pod);
  throw new UserError(
    pods?.items[0]
      ? `The reports server in ${namespace} is not ready; see \`npm run status -- ${stack}\``
      : `The stack ${stack} has no registry scan in this cluster.\nSet registryScan.enabled to true and list targets, then run: npm run up -- ${stack}`,
  );
}

function table({ images, omitted, matches }: z.infer<typeof resultSchema>): string {
  if (matches.length === 0) return `Not found in the last scans of ${images} images.`;
  const header = ["IMAGE", "FINDING", "SEVERITY", "PACKAGE", "INSTALLED", "FIXED IN", "FIRST SEEN"];
  const rows = matches.map(({ image, id, severity, package: name, installed = "", fixed = "", since = "" }) =>
    [image, id, severity, name, installed, fixed, since].map(visible),
  );
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  const count = new Set(matches.map(({ image }) => image)).size;
  return [
    ...[header, ...rows].map(line),
    "",
    `${matches.length + omitted} findings in ${count} of ${images} images${omitted > 0 ? `, of which ${omitted} are not shown` : ""}`,
  ].join("\n");
}

if (import.meta.main) await main(where, { usage, failure: exitCodes.errors });
