import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { stackNamespace } from "../../commands/namespace.ts";
import { stackSettings } from "../../commands/settings.ts";
import { readProject, readStackFile } from "../../commands/stack-file.ts";
import { UserError } from "../../commands/user-error.ts";

describe("a stack's file", () => {
  let project: string;
  beforeEach(() => {
    project = mkdtempSync(join(tmpdir(), "project-"));
    writeFileSync(join(project, "Pulumi.yaml"), "name: trivy-server\nruntime: nodejs\n");
  });
  afterEach(() => rmSync(project, { recursive: true }));

  const read = (text: string) => {
    writeFileSync(join(project, "Pulumi.dev.yaml"), text);
    return readStackFile(project, "dev");
  };
  const namespace = (text: string) => stackNamespace(read(text));

  it("a stack's file gives the configuration by qualified key", () => {
    expect(read("config:\n  namespace: {name: short}\n  kubernetes:context: c\n  kubernetes:kubeconfig: {secure: v1:x}\n")).to.deep.include(
      {
        project: "trivy-server",
        encrypted: true,
        config: {
          "trivy-server:namespace": { name: "short" },
          "kubernetes:context": "c",
          "kubernetes:kubeconfig": { secure: "v1:x" },
        },
      },
    );
    expect(read("")).to.deep.include({ stack: "dev", name: "dev", encrypted: false, config: {} });
    expect(readStackFile(project, "acme/dev")).to.include({ stack: "acme/dev", name: "dev" });
  });

  it("a file with an extension that Pulumi does not read is no stack, and is named", () => {
    writeFileSync(join(project, "Pulumi.dev.yml"), "");
    expect(() => readStackFile(project, "dev")).to.throw(UserError, "Pulumi does not read Pulumi.dev.yml; rename it to Pulumi.dev.yaml.");
    expect(() => readStackFile(project, "test")).to.throw(UserError, "Stacks: none.");
  });

  it("the namespace comes from the stack's file, or from the defaults where the file sets none", () => {
    expect(namespace("")).to.deep.equal({ name: "trivy", create: true });
    expect(namespace("config:\n  namespace: {name: short}\n")).to.deep.equal({ name: "short", create: true });
    expect(namespace("config:\n  trivy-server:namespace: {name: scan, create: false}\n")).to.deep.equal({ name: "scan", create: false });
    expect(namespace(`config:\n  trivy-server:namespace: '{"name": "json"}'\n`).name).to.equal("json");
  });

  it("settings that `pulumi config set` writes as texts are what they mean", () => {
    expect(stackSettings(read(`config:\n  trivy-server:protect: "false"\n  trivy-server:server: '{"replicas": 3}'\n`))).to.deep.include({
      protect: false,
    });
  });

  it("the namespace is known even if other settings are invalid, and an invalid namespace gives the default", () => {
    expect(namespace("config:\n  trivy-server:namespace: 7\n").name).to.equal("trivy");
    expect(namespace("config:\n  trivy-server:namespace: {name: Not_Valid}\n").name).to.equal("trivy");
    expect(namespace("config:\n  trivy-server:namespace: {name: scan}\n  trivy-server:redis: {ttl: 7d}\n").name).to.equal("scan");
  });

  it("a missing stack's file is reported with the existing stacks, and one with invalid YAML by name", () => {
    read("");
    expect(() => readStackFile(project, "prod")).to.throw(UserError, "Stacks: dev.");
    expect(() => read("config: {")).to.throw(UserError, /^Pulumi\.dev\.yaml, line 1: is not valid YAML: Flow map/);
  });

  const refused: readonly (readonly [string, string, RegExp])[] = [
    [
      "settings without `config:`",
      "server: {replicas: 3}\n",
      /^ {2}server is not a key of a stack's file; .* write settings below `config:`$/m,
    ],
    ["a misspelt `config:`", "Config:\n  a: 1\n", /^ {2}Config is not a key of a stack's file; use one of config, /m],
    ["a list", "- a\n", /^ {2}use `config:` with the settings below it$/m],
    ["a text", "a\n", /^ {2}use `config:` with the settings below it$/m],
    ["a list of settings", "config: []\n", /^ {2}config is not a block/m],
    ["a text in place of the settings", "config: text\n", /^ {2}config is not a block/m],
    [
      "a misspelt project",
      "config:\n  trivy-servr:server: {}\n",
      /config\.trivy-servr:server is not a setting of trivy-server; did you mean trivy-server:server\?/,
    ],
    [
      "a setting twice",
      "config:\n  server: {}\n  trivy-server:server: {}\n",
      /config\.server and config\.trivy-server:server are the same/,
    ],
    [
      "a glob without quotes",
      "config:\n  a:\n    - *-alpine\n",
      /^Pulumi\.dev\.yaml, line 3: \*-alpine reads as a YAML alias; quote it: "\*-alpine"$/,
    ],
    ["an unknown tag", "config:\n  a: !x 1\n", /^Pulumi\.dev\.yaml, line 2: has a tag that is not known/],
    ["two documents", "config: {}\n---\nconfig: {}\n", /^Pulumi\.dev\.yaml, line 2: a second document begins/],
  ];
  for (const [what, text, message] of refused)
    it(`${what} is refused`, () => {
      expect(() => read(text)).to.throw(UserError, message);
    });

  it("anchors, aliases and merge keys are read as Pulumi reads them", () => {
    const { config } = read("config:\n  a: &base {x: 1, y: 2}\n  b: *base\n  c: {<<: *base, y: 3}\n");
    expect(config).to.deep.equal({ "trivy-server:a": { x: 1, y: 2 }, "trivy-server:b": { x: 1, y: 2 }, "trivy-server:c": { x: 1, y: 3 } });
  });

  it("no message about invalid YAML repeats the file's text", () => {
    expect(() => read("config:\n  server: {token: {value: hunter2hunter2\n"))
      .to.throw(UserError)
      .with.property("message")
      .not.include("hunter2");
  });
});

describe("Pulumi.yaml", () => {
  it("Pulumi.yaml gives the program and the default configuration by qualified key", () => {
    const project = mkdtempSync(join(tmpdir(), "project-"));
    writeFileSync(
      join(project, "Pulumi.yaml"),
      "name: small\nmain: program.ts\nbackend: {url: s3://state}\nconfig:\n  shop: {type: object, default: {size: 2}}\n  kubernetes:context: {value: kind}\n  plain: text\n  empty:\n",
    );
    expect(readProject(project)).to.deep.equal({
      name: "small",
      program: join(project, "program.ts"),
      backend: "s3://state",
      config: { "small:shop": { size: 2 }, "kubernetes:context": "kind", "small:plain": undefined, "small:empty": undefined },
    });
    rmSync(project, { recursive: true });
  });

  it("a project's file without a name is refused", () => {
    const project = mkdtempSync(join(tmpdir(), "project-"));
    writeFileSync(join(project, "Pulumi.yaml"), "runtime: nodejs\n");
    expect(() => readProject(project)).to.throw(UserError, "Pulumi.yaml is not a project's file: name");
    rmSync(project, { recursive: true });
  });
});
