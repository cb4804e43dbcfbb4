import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parseAllDocuments } from "yaml";
import { render } from "../../commands/render/render.ts";
import type { Manifest } from "../support/service.ts";

const examples = join(import.meta.dirname, "../../examples");

/** Renders an example as `npm start` does, and returns its manifests. */
async function rendered(example: string): Promise<Manifest[]> {
  const project = mkdtempSync(join(tmpdir(), "example-"));
  try {
    for (const file of ["index.ts", "Pulumi.yaml"]) symlinkSync(join(examples, example, file), join(project, file));
    writeFileSync(join(project, "Pulumi.dev.yaml"), "");
    await render({ project, stack: "dev" });
    const folder = join(project, "out/dev");
    return readdirSync(folder).flatMap((file) =>
      parseAllDocuments(readFileSync(join(folder, file), "utf8")).map((document) => document.toJS()),
    );
  } finally {
    rmSync(project, { recursive: true });
  }
}

const find = (manifests: Manifest[], kind: string, name: string): Manifest => {
  const found = manifests.filter(
    (manifest) => manifest.kind === kind && new RegExp(`^${name}(-[0-9a-f]{8})?$`).test(manifest.metadata.name),
  );
  expect(found, `${kind} ${name}`).to.have.length(1);
  return found[0];
};
const variable = (deployment: Manifest, name: string): Manifest =>
  deployment.spec.template.spec.containers[0].env.find((entry: Manifest) => entry.name === name);

describe("the examples", () => {
  it("every example is tested here and depends on the package versions of the template", () => {
    const packageJson = (folder: string) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const template = packageJson(join(examples, "../template"));
    const folders = readdirSync(examples, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const names = ["managed-redis", "minimal"];
    expect(folders.map((folder) => folder.name)).to.have.members([...names, "python", "trust-domains", "yaml"]);
    for (const name of names) expect(packageJson(join(examples, name))).to.deep.equal({ ...template, name: `scanning-${name}` });
  });

  it("examples/minimal creates servers with a Redis, for the pods of one namespace", async () => {
    const manifests = await rendered("minimal");
    find(manifests, "StatefulSet", "redis");
    expect(variable(find(manifests, "Deployment", "trivy-server"), "TRIVY_CACHE_BACKEND").value).to.contain("@redis.trivy.svc:6379?");
    expect(find(manifests, "NetworkPolicy", "trivy-server").spec.ingress[0].from).to.deep.equal([
      { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "ci" } } },
    ]);
  });

  it("examples/managed-redis connects the servers to the Redis that the same program creates", async () => {
    const manifests = await rendered("managed-redis");
    expect(manifests.filter(({ kind }) => kind === "StatefulSet")).to.deep.equal([]);
    const { namespace, name } = find(manifests, "Service", "valkey").metadata;
    const server = find(manifests, "Deployment", "trivy-server");
    expect(variable(server, "TRIVY_CACHE_BACKEND").value).to.contain(`redis://:$(REDIS_PASSWORD)@${name}.${namespace}.svc:6379/0?`);
    expect(find(manifests, "NetworkPolicy", "trivy-server").spec.egress).to.deep.include({
      to: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": namespace } } }],
      ports: [{ port: 6379, protocol: "TCP" }],
    });
    const { secretKeyRef } = variable(server, "REDIS_PASSWORD").valueFrom;
    const secret = manifests.find(({ kind, metadata }) => kind === "Secret" && metadata.name === secretKeyRef.name);
    const { password } = find(manifests, "Secret", "valkey").stringData;
    expect(secret.stringData[secretKeyRef.key])
      .to.equal(password)
      .and.match(/^[A-Za-z0-9]{32}$/);
  });
});
