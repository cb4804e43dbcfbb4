/**
 * Records the engine's JSON for the golden files in `fixtures/`. It needs what the end-to-end tests need (test/e2e/support/environment.ts),
 * brings up one stack in the namespace preview-staging, and destroys it:
 *
 *     node test/commands/changes/record.ts
 *
 * Then approve the texts that change: `UPDATE_GOLDEN=1 npx mocha test/commands/changes/render.test.ts`.
 */
import { cp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { kubectl } from "../../e2e/support/cluster.ts";
import { checkEnvironment, environmentSettings } from "../../e2e/support/environment.ts";
import { merged, Project, type Settings } from "../../e2e/support/project.ts";

const namespace = "preview-staging";
const fixtures = join(import.meta.dirname, "fixtures");
const reports = { registryScan: { enabled: true, targets: [{ image: "registry.example.com/team/app:1.0" }] } };

await checkEnvironment();
const project = await Project.create();

/** Writes the settings of one of the committed stacks with changes. */
const settings = (stack: string, changes: Settings = {}) =>
  project.writeStack(stack, merged({ namespace: { name: `preview-${stack}` } }, changes), `committed-${stack}`);

/** Properties with this machine's paths, or that nothing reads. */
const dropped = ["stackTrace", "sourcePosition", "propertyDependencies", "dependencies", "duration", "created", "modified"];
const hosts = (Object.values(environmentSettings()["database"] ?? {}).flat() as string[]).map((reference) => reference.split("/")[0] ?? "");

/** The bundled programs are half a megabyte. */
const longest = 20_000;

function sanitised(key: string, value: unknown): unknown {
  if (dropped.includes(key)) return undefined;
  if (typeof value !== "string") return value;
  const text = value
    .replaceAll(project.folder, "/project")
    .replaceAll(dirname(project.folder), "/tmp")
    .replaceAll(/\/\S+\/pulumi-resource-/g, "/bin/pulumi-resource-")
    .replaceAll(/(\.\.\/)+\S*?\/node_modules\//g, "node_modules/");
  // Network policies name a registry by its address, without the port.
  return hosts
    .reduce((rest, host) => rest.replaceAll(host, "registry.example.com").replaceAll(host.replace(/:\d+$/, ""), "192.0.2.10"), text)
    .slice(0, longest);
}

/** Records a command's standard output. Of unchanged resources it keeps only the names. */
async function record(name: string, stack: string, ...args: string[]): Promise<void> {
  const { stdout, stderr, exitCode } = await project.run("pulumi", [...args, "--json", "--stack", stack, "--non-interactive"]);
  const { steps, ...digest } = JSON.parse(stdout);
  for (const step of steps ?? [])
    if (step.op === "same" || step.op === "refresh") for (const side of ["oldState", "newState"]) delete step[side];
  await writeFile(join(fixtures, `${name}.json`), `${JSON.stringify({ ...digest, steps }, sanitised, 1)}\n`);
  console.log(`${name}: exit code ${exitCode}\n${stderr.trim()}`.trim());
}

try {
  for (const stack of ["dev", "staging", "prod"]) {
    await cp(join(project.folder, `Pulumi.${stack}.yaml`), join(project.folder, `Pulumi.committed-${stack}.yaml`));
    await settings(stack, stack === "prod" ? reports : {});
    await project.must("pulumi", ["stack", "init", stack]);
    await record(`create-${stack}`, stack, "preview");
  }
  await settings("dev", { redis: { ttl: "7d" }, server: { replicas: 0 } });
  await record("settings-error", "dev", "preview");

  await settings("staging");
  await project.pulumi("staging", "up", "--yes", "--skip-preview");
  await record("no-change", "staging", "preview");
  await settings("staging", { server: { replicas: 4 } });
  await record("replicas", "staging", "preview");
  await settings("staging", { images: { trivy: "docker.io/aquasec/trivy:0.75.0" } });
  await record("image", "staging", "preview");
  await settings("staging", { redis: { generation: 2 } });
  await record("password", "staging", "preview");
  await settings("staging", { redis: { persistence: { storageClass: "fast" } } });
  await record("redis-claim", "staging", "preview");
  await settings("staging", { namespace: { name: "preview-renamed" } });
  await record("namespace", "staging", "preview");

  await settings("staging", { gateway: { clients: [{ name: "ci" }, { name: "other" }] } });
  await project.pulumi(
    "staging",
    "config",
    "set",
    "--secret",
    "--path",
    "trivy-server:gateway.clients[0].token",
    "an-encrypted-token-of-a-client",
  );
  await record("encrypted-setting", "staging", "preview");

  await settings("staging");
  await record("no-drift", "staging", "refresh", "--preview-only", "--expect-no-changes");
  await kubectl("scale", "deployment/trivy-server", "--replicas=3", "-n", namespace);
  await kubectl("delete", "networkpolicy/redis", "-n", namespace);
  await record("drift", "staging", "refresh", "--preview-only", "--expect-no-changes");
} finally {
  await project.run("pulumi", ["destroy", "--yes", "--skip-preview", "--stack", "staging", "--non-interactive"]);
  await rm(dirname(project.folder), { recursive: true, force: true });
}
