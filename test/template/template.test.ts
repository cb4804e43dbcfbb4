import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parse, parseAllDocuments, stringify } from "yaml";
import { render } from "../../commands/render/render.ts";
import type { Manifest } from "../support/service.ts";
import { fillTemplate, project as given, template } from "../support/template.ts";

const root = join(import.meta.dirname, "../..");

/** What `pulumi new` asks for. */
const prompts: Readonly<Record<string, { description: string; default: string }>> = parse(
  readFileSync(join(template, "Pulumi.yaml"), "utf8"),
).template.config;

describe("the template of pulumi new", () => {
  let project: string;

  before(() => {
    project = mkdtempSync(join(tmpdir(), "template-"));
    fillTemplate(project);
    symlinkSync(join(root, "node_modules"), join(project, "node_modules"));
  });
  after(() => rmSync(project, { recursive: true }));

  /** Renders the project with these answers to the prompts. */
  async function rendered(answers: Record<string, string>): Promise<Manifest[]> {
    const config = Object.fromEntries(Object.entries(answers).map(([key, value]) => [`${given.name}:${key}`, value]));
    writeFileSync(join(project, "Pulumi.dev.yaml"), stringify({ config }));
    await render({ project, stack: "dev" });
    const folder = join(project, "out/dev");
    return readdirSync(folder).flatMap((file) =>
      parseAllDocuments(readFileSync(join(folder, file), "utf8")).map((document) => document.toJS()),
    );
  }
  const find = (manifests: Manifest[], kind: string, name: string) =>
    manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);

  it("every prompt of the template has a description and a default", () => {
    for (const [key, prompt] of Object.entries(prompts)) {
      expect(prompt, key).to.have.all.keys("description", "default");
      expect(prompt.default, key).to.be.a("string").and.not.equal("");
    }
  });

  it("the new project has the name and the description that pulumi new was given", () => {
    expect(parse(readFileSync(join(project, "Pulumi.yaml"), "utf8"))).to.include(given);
    expect(JSON.parse(readFileSync(join(project, "package.json"), "utf8"))).to.include({ name: given.name });
    for (const file of readdirSync(project, { withFileTypes: true }).filter((entry) => entry.isFile()))
      expect(readFileSync(join(project, file.name), "utf8"), file.name).not.to.match(/\$\{(PROJECT|DESCRIPTION)\}/);
  });

  it("the new project depends on the versions of the packages that are tested here", () => {
    const read = (path: string) => JSON.parse(readFileSync(join(root, path), "utf8"));
    const { version, peerDependencies } = read("package/package.json");
    expect(read("template/package.json").dependencies).to.deep.equal({ ...peerDependencies, "trivy-server": `^${version}` });
  });

  it("the new project with the default answers is a service", async () => {
    const manifests = await rendered(Object.fromEntries(Object.entries(prompts).map(([key, prompt]) => [key, prompt.default])));
    expect(find(manifests, "Namespace", "trivy")).to.not.equal(undefined);
    expect(find(manifests, "StatefulSet", "redis").metadata.namespace).to.equal("trivy");
    expect(find(manifests, "Deployment", "trivy-server").spec.replicas).to.equal(2);
  });

  it("the new project uses every answer", async () => {
    const manifests = await rendered({ namespace: "scanning", replicas: "5", clientNamespaces: "ci,builds" });
    expect(find(manifests, "Namespace", "scanning")).to.not.equal(undefined);
    expect(find(manifests, "Deployment", "trivy-server").spec.replicas).to.equal(5);
    const names = find(manifests, "NetworkPolicy", "trivy-server").spec.ingress.flatMap(({ from }: Manifest) =>
      from.map(({ namespaceSelector }: Manifest) => namespaceSelector.matchLabels["kubernetes.io/metadata.name"]),
    );
    expect(names).to.deep.equal(["ci", "builds"]);
  });
});
