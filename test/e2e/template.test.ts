import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { fillTemplate, project as given, template } from "../support/template.ts";
import { Project } from "./support/project.ts";

describe("pulumi new with the template", () => {
  let project: Project;
  let expected: string;

  before(async () => {
    project = await Project.create();
    expected = await mkdtemp(join(tmpdir(), "template-"));
  });
  after(async () => {
    await project?.remove();
    await rm(expected, { recursive: true });
  });

  it("pulumi new creates the same files as the unit tests of the template", async () => {
    const created = join(project.folder, "created");
    const { name, description } = given;
    await project.must("pulumi", [
      "new",
      template,
      "--dir",
      created,
      "--name",
      name,
      "--description",
      description,
      "--generate-only",
      "--yes",
    ]);
    fillTemplate(expected);
    expect((await readdir(created)).sort()).to.deep.equal((await readdir(expected)).sort());
    for (const file of await readdir(expected)) {
      const [is, shouldBe] = await Promise.all([created, expected].map((folder) => readFile(join(folder, file), "utf8")));
      if (file !== "Pulumi.yaml") expect(is, file).to.equal(shouldBe);
    }
    // Pulumi removes the section that describes the template, and notes where it came from.
    const { config: origin, ...settings } = parse(await readFile(join(created, "Pulumi.yaml"), "utf8"));
    const { template: section, ...filled } = parse(await readFile(join(expected, "Pulumi.yaml"), "utf8"));
    expect(settings).to.deep.equal(filled);
  });
});
