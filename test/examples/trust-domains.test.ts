import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parseAllDocuments } from "yaml";
import { render } from "../../commands/render/render.ts";
import type { Manifest } from "../support/service.ts";

const root = join(import.meta.dirname, "../..");
const stacks = ["product", "untrusted"] as const;

describe("the example of trust domains", () => {
  const manifests: Record<string, Manifest[]> = {};
  let project: string;

  before(async () => {
    project = mkdtempSync(join(tmpdir(), "trust-domains-"));
    for (const file of ["index.ts", "Pulumi.yaml"]) symlinkSync(join(root, file), join(project, file));
    for (const stack of stacks) {
      symlinkSync(join(root, "examples/trust-domains", `Pulumi.${stack}.yaml`), join(project, `Pulumi.${stack}.yaml`));
      await render({ project, stack });
      const folder = join(project, "out", stack);
      manifests[stack] = readdirSync(folder).flatMap((file) =>
        parseAllDocuments(readFileSync(join(folder, file), "utf8")).map((document) => document.toJS()),
      );
    }
  });
  after(() => rmSync(project, { recursive: true }));

  const both = () => stacks.map((stack) => manifests[stack] ?? []);

  it("no object belongs to both domains", () => {
    const [one, other] = both().map((list) => list.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ""} ${metadata.name}`));
    expect(one).to.have.length.above(20);
    expect(other).to.have.length.above(20);
    expect(one?.filter((object) => other?.includes(object))).to.deep.equal([]);
  });

  it("no secret value is used in both domains", () => {
    const [one, other] = both().map((list) =>
      list.filter(({ kind }) => kind === "Secret").flatMap(({ stringData = {} }) => Object.values<string>(stringData)),
    );
    expect(one).to.have.length.above(5);
    expect(one?.filter((value) => other?.includes(value))).to.deep.equal([]);
  });

  it("no network policy names the namespaces of the other domain", () => {
    for (const [own, foreign] of [both(), both().reverse()]) {
      const names = ["trivy-product", "ci-product", "trivy-untrusted", "ci-public"].filter((name) =>
        foreign?.some(({ kind, spec }) => kind === "NetworkPolicy" && JSON.stringify(spec).includes(`"${name}"`)),
      );
      expect(names).to.not.be.empty;
      const policies = own?.filter(({ kind }) => kind === "NetworkPolicy") ?? [];
      for (const name of names) expect(JSON.stringify(policies), name).to.not.contain(`"${name}"`);
    }
  });

  it("no registry scan trusts the cache of the untrusted domain", () => {
    const [one, other] = both();
    expect(one?.some(({ kind }) => kind === "CronJob")).to.equal(true);
    expect(other?.some(({ kind }) => kind === "CronJob")).to.equal(false);
  });
});
