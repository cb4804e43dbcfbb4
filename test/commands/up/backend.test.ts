import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { readStackFile } from "../../../commands/stack-file.ts";
import { chooseBackend, localStackFile } from "../../../commands/up/backend.ts";
import { Problem } from "../../../commands/user-error.ts";

describe("the backend", () => {
  let project: string;
  let said: string[];
  let env: NodeJS.ProcessEnv;
  beforeEach(() => {
    project = mkdtempSync(join(tmpdir(), "project-"));
    writeFileSync(join(project, "Pulumi.yaml"), "name: trivy-server\nruntime: nodejs\n");
    said = [];
    env = { PULUMI_HOME: join(project, "home") };
  });
  afterEach(() => rmSync(project, { recursive: true }));

  const choose = () => chooseBackend(project, env, (line) => said.push(line));
  const passphrase = () => join(project, ".pulumi-local", "passphrase");

  it("is a folder of the project, with a passphrase that only its owner can read", () => {
    const backend = choose();
    expect(backend.url).to.equal(`file://${project}/.pulumi-local/state`);
    expect(backend.env).to.include({ PULUMI_BACKEND_URL: backend.url, PULUMI_CONFIG_PASSPHRASE_FILE: passphrase() });
    expect(statSync(passphrase()).mode & 0o777).to.equal(0o600);
    expect(statSync(join(project, ".pulumi-local")).mode & 0o777).to.equal(0o700);
    const text = readFileSync(passphrase(), "utf8").trim();
    expect(text).to.have.length.at.least(32);
    expect(said.join()).to.contain(passphrase()).and.not.contain(text);
  });

  it("keeps its passphrase, and says where it is only once", () => {
    choose();
    const before = readFileSync(passphrase(), "utf8");
    choose();
    expect(readFileSync(passphrase(), "utf8")).to.equal(before);
    expect(said).to.have.length(1);
  });

  it("uses a passphrase of the user's own, even an empty one", () => {
    for (const own of [{ PULUMI_CONFIG_PASSPHRASE: "" }, { PULUMI_CONFIG_PASSPHRASE_FILE: "/some/file" }]) {
      env = { ...env, ...own };
      expect(choose().env).not.to.have.property("PULUMI_CONFIG_PASSPHRASE_FILE");
      expect(existsSync(passphrase())).to.equal(false);
    }
  });

  it("never invents a second passphrase for a state that has one", () => {
    choose();
    rmSync(passphrase());
    mkdirSync(join(project, ".pulumi-local/state/.pulumi/stacks"), { recursive: true });
    expect(choose).to.throw(Problem, `gone: ${passphrase()}`);
    expect(existsSync(passphrase())).to.equal(false);
  });

  const own: [string, () => void, string][] = [
    ["PULUMI_BACKEND_URL", () => Object.assign(env, { PULUMI_BACKEND_URL: "s3://state" }), "s3://state"],
    ["PULUMI_ACCESS_TOKEN", () => Object.assign(env, { PULUMI_ACCESS_TOKEN: "pul-1" }), "https://api.pulumi.com"],
    [
      "pulumi login",
      () => {
        mkdirSync(join(project, "home"));
        writeFileSync(join(project, "home", "credentials.json"), '{"current": "gs://state"}');
      },
      "gs://state",
    ],
    [
      "Pulumi.yaml",
      () => writeFileSync(join(project, "Pulumi.yaml"), "name: trivy-server\nbackend: {url: azblob://state}\n"),
      "azblob://state",
    ],
  ];
  for (const [from, login, url] of own) {
    it(`is the user's own, from ${from}, and nothing is made in the project`, () => {
      login();
      expect(choose()).to.deep.equal({ env: {}, local: undefined, url });
      expect(existsSync(join(project, ".pulumi-local"))).to.equal(false);
    });
  }

  it("is the local one after a logout", () => {
    mkdirSync(join(project, "home"));
    writeFileSync(join(project, "home", "credentials.json"), '{"current": ""}');
    expect(choose().local).to.equal(join(project, ".pulumi-local"));
  });

  describe("with a stack's file", () => {
    const stackFile = (text: string) => {
      writeFileSync(join(project, "Pulumi.dev.yaml"), text);
      return readStackFile(project, "trivy-server", "dev");
    };
    const copyOf = (text: string) => {
      choose();
      const file = stackFile(text);
      return localStackFile(join(project, ".pulumi-local"), file);
    };

    it("lets Pulumi write into a copy, that has the settings and nobody else's salt", () => {
      const text = "# why\nencryptionsalt: v1:x=:v1:y:z==\nconfig:\n  trivy-server:server: {replicas: 2}\n";
      const copy = copyOf(text) ?? "";
      expect(parse(readFileSync(copy, "utf8"))).to.deep.equal({ config: { "trivy-server:server": { replicas: 2 } } });
      expect(readFileSync(join(project, "Pulumi.dev.yaml"), "utf8")).to.equal(text);
      copyOf("config:\n  trivy-server:server: {replicas: 3}\nsecretsprovider: awskms://k\nencryptedkey: k\n");
      expect(parse(readFileSync(copy, "utf8"))).to.deep.equal({ config: { "trivy-server:server": { replicas: 3 } } });
    });

    it("copies an empty file", () => {
      expect(readFileSync(copyOf("") ?? "", "utf8")).to.equal("");
    });

    it("lets encrypted values where their salt is", () => {
      for (const value of ["{secure: v1:a:b}", "\n    password:\n      secure: v1:a:b", "[{secure: v1:a:b}]"]) {
        expect(copyOf(`encryptionsalt: s\nconfig:\n  trivy-server:redis: ${value}\n`)).to.equal(undefined);
      }
    });

    it("knows where it goes, by its settings and their defaults", () => {
      expect(stackFile("").namespace).to.deep.equal({ name: "trivy", create: true });
      expect(stackFile("config:\n  trivy-server:namespace: {name: scan, create: false}\n").namespace).to.deep.equal({
        name: "scan",
        create: false,
      });
      expect(stackFile(`config:\n  trivy-server:namespace: '{"name": "json"}'\n`).namespace.name).to.equal("json");
      expect(
        stackFile("config:\n  namespace: {name: short}\n  kubernetes:context: c\n  kubernetes:kubeconfig: {secure: v1:x}\n"),
      ).to.deep.include({
        namespace: { name: "short", create: true },
        kubernetes: { context: "c", kubeconfig: { encrypted: "kubernetes:kubeconfig" } },
        encrypted: true,
      });
    });

    it("leaves wrong settings to the program", () => {
      expect(stackFile("config:\n  trivy-server:namespace: 7\n").namespace.name).to.equal("trivy");
    });

    it("names the stacks that there are, and what is no YAML", () => {
      stackFile("");
      expect(() => readStackFile(project, "trivy-server", "prod")).to.throw(Problem, "Stacks: dev.");
      expect(() => stackFile("config: {")).to.throw(Problem, "Pulumi.dev.yaml is no YAML");
    });
  });
});
