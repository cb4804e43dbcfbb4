/**
 * `npm run bench`: takes the measurements of docs/reference/performance.md, prints them with the bounds that they meet or miss, and fails if one is
 * missed. `npm run bench -- throughput growth` measures only these topics; `--docs` writes the measurements into the document.
 *
 * Alternatives are measured in turns in the same run, because a machine's load changes. Needs the environment of the end-to-end tests
 * (test/e2e/support/environment.ts). BENCH_ROUNDS is the number of rounds; each topic has its own default.
 */
import { readFile, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { trivyVersion } from "../../components/shared/images.ts";
import { kubectl } from "../e2e/support/cluster.ts";
import { checkEnvironment } from "../e2e/support/environment.ts";
import { Project } from "../e2e/support/project.ts";
import { database } from "./database.ts";
import { databaseSize } from "./database-size.ts";
import { scanGate } from "./gate.ts";
import { growth } from "./growth.ts";
import { registryScan } from "./registry-scan.ts";
import { resources } from "./resources.ts";
import { Services } from "./services.ts";
import type { Report, Verdict } from "./statistics.ts";
import { throughput } from "./throughput.ts";
import { up } from "./up.ts";

/** In order of execution: `up` comes first, so that no other service runs while the commands are timed. */
const topics: Readonly<Record<string, (project: Project, services: Services) => Promise<Report>>> = {
  up: (project) => up(project),
  throughput: (_, services) => throughput(services),
  resources: (_, services) => resources(services),
  database: (project) => database(project),
  "database-size": () => databaseSize(),
  growth: (_, services) => growth(services),
  "registry-scan": registryScan,
  gate: (_, services) => scanGate(services),
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: { docs: { type: "boolean", default: false }, help: { type: "boolean", default: false } },
});
const usage = `usage: npm run bench -- [--docs] [TOPIC...]\nTopics: ${Object.keys(topics).join(", ")}`;
const unknown = [
  ...positionals.filter((name) => !(name in topics)),
  ...Object.keys(values).flatMap((name) => (name === "docs" || name === "help" ? [] : [`--${name}`])),
];
if (unknown.length > 0) {
  console.error(`${unknown.join(", ")}: not a topic or option of the benchmark\n${usage}`);
  process.exit(2);
}
if (values.help) {
  console.log(usage);
  process.exit(0);
}

await checkEnvironment();
const project = await Project.create();
const services = new Services(project);
const verdicts: Verdict[] = [];
try {
  for (const [name, topic] of Object.entries(topics)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    try {
      const report = await topic(project, services);
      verdicts.push(...report.verdicts);
      for (const section of Object.values(report.sections)) console.log(`\n${section}`);
      if (values.docs) await write(report.sections);
    } catch (error) {
      // The remaining topics are measured nevertheless.
      console.error(error);
      verdicts.push({ what: name, value: "not measured", bound: "see above", outcome: "missed" });
    }
  }
} finally {
  await services.down().finally(() => project.remove());
}

console.log();
for (const { what, value, bound, outcome } of verdicts) console.log(`${outcome.padEnd(9)} ${what}: ${value}; ${bound}`);
process.exitCode = verdicts.some(({ outcome }) => outcome === "missed") ? 1 : 0;

/** Replaces the text between each section's marks. */
async function write(sections: Report["sections"]): Promise<void> {
  const path = join(import.meta.dirname, "../../docs/reference/performance.md");
  const { serverVersion } = JSON.parse(await kubectl("version", "-o", "json"));
  const measured = `Measured on ${new Date().toISOString().slice(0, 10)}, Trivy ${trivyVersion}, Kubernetes ${serverVersion.gitVersion}, ${availableParallelism()} cores for cluster and clients.`;
  let text = await readFile(path, "utf8");
  for (const [name, section] of Object.entries(sections)) {
    const [begin, end] = [`<!-- ${name}: npm run bench -->`, `<!-- /${name} -->`];
    const [from, to] = [text.indexOf(begin), text.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`docs/reference/performance.md lacks the marks ${begin} … ${end}`);
    text = `${text.slice(0, from)}${begin}\n${section}\n\n${measured}\n${text.slice(to)}`;
  }
  await writeFile(path, text);
}
