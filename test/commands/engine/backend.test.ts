import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { chooseBackend, localStackFile } from "../../../commands/engine/backend.ts";
import { readStackFile } from "../../../commands/stack-file.ts";
import { UserError } from "../../../commands/user-error.ts";

describe("the backend", () => {
  let project: string;
  let notices: string[];
  let env: NodeJS.ProcessEnv;
  beforeEach(() => {
    project = mkdtempSync(join(tmpdir(), "project-"));
    writeFileSync(join(project, "Pulumi.yaml"), "name: trivy-server\nruntime: nodejs\n");
    notices = [];
    env = { PULUMI_HOME: join(project, "home") };
  });
  afterEach(() => rmSync(project, { recursive: true }));

  const choose = () => chooseBackend(project, env, (line) => notices.push(line));
  const passphrase = () => join(project, ".pulumi-local", "passphrase");

  it("a project without a login gets a local state, with a passphrase that only its owner can read", () => {
    const backend = choose();
    expect(backend.url).to.equal(`file://${project}/.pulumi-local/state`);
    expect(backend.env).to.include({ PULUMI_BACKEND_URL: backend.url, PULUMI_CONFIG_PASSPHRASE_FILE: passphrase() });
    expect(statSync(passphrase()).mode & 0o777).to.equal(0o600);
    expect(statSync(join(project, ".pulumi-local")).mode & 0o777).to.equal(0o700);
    const text = readFileSync(passphrase(), "utf8").trim();
    expect(text).to.have.length.at.least(32);
    expect(notices.join()).to.contain(passphrase()).and.not.contain(text);
  });

  it("a local state keeps its passphrase, and its path is printed only once", () => {
    choose();
    const before = readFileSync(passphrase(), "utf8");
    choose();
    expect(readFileSync(passphrase(), "utf8")).to.equal(before);
    expect(notices).to.have.length(1);
  });

  it("a passphrase of the user is used, even an empty one", () => {
    for (const own of [{ PULUMI_CONFIG_PASSPHRASE: "" }, { PULUMI_CONFIG_PASSPHRASE_FILE: "/some/file" }]) {
      env = { ...env, ...own };
      expect(choose().env).not.to.have.property("PULUMI_CONFIG_PASSPHRASE_FILE");
      expect(existsSync(passphrase())).to.equal(false);
    }
  });

  it("a local state whose passphrase is missing is refused instead of getting another one", () => {
    choose();
    rmSync(passphrase());
    mkdirSync(join(project, ".pulumi-local/state/.pulumi/stacks"), { recursive: true });
    expect(choose).to.throw(UserError, `missing: ${passphrase()} does not exist`);
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
    it(`the backend of ${from} is used, and nothing is created in the project`, () => {
      login();
      expect(choose()).to.deep.equal({ env: {}, local: undefined, url });
      expect(existsSync(join(project, ".pulumi-local"))).to.equal(false);
    });
  }

  it("after a logout, the local state is used", () => {
    mkdirSync(join(project, "home"));
    writeFileSync(join(project, "home", "credentials.json"), '{"current": ""}');
    expect(choose().local).to.equal(join(project, ".pulumi-local"));
  });
});

describe("localStackFile", () => {
  let project: string;
  beforeEach(() => {
    project = mkdtempSync(join(tmpdir(), "project-"));
    writeFileSync(join(project, "Pulumi.yaml"), "name: trivy-server\nruntime: nodejs\n");
  });
  afterEach(() => rmSync(project, { recursive: true }));

  const copyOf = (text: string) => {
    writeFileSync(join(project, "Pulumi.dev.yaml"), text);
    mkdirSync(join(project, ".pulumi-local"), { recursive: true });
    return localStackFile(join(project, ".pulumi-local"), readStackFile(project, "dev"));
  };

  it("the local copy of a stack's file has no salt of another passphrase, and the original is unchanged", () => {
    const text = "# why\nencryptionsalt: v1:x=:v1:y:z==\nconfig:\n  trivy-server:server: {replicas: 2}\n";
    const copy = copyOf(text) ?? "";
    expect(parse(readFileSync(copy, "utf8"))).to.deep.equal({ config: { "trivy-server:server": { replicas: 2 } } });
    expect(readFileSync(join(project, "Pulumi.dev.yaml"), "utf8")).to.equal(text);
    copyOf("config:\n  trivy-server:server: {replicas: 3}\nsecretsprovider: awskms://k\nencryptedkey: k\n");
    expect(parse(readFileSync(copy, "utf8"))).to.deep.equal({ config: { "trivy-server:server": { replicas: 3 } } });
  });

  it("the local copy of an empty stack's file is empty", () => {
    expect(readFileSync(copyOf("") ?? "", "utf8")).to.equal("");
  });

  it("a stack's file with encrypted values, which need the salt in the same file, is not copied", () => {
    for (const value of ["{secure: v1:a:b}", "\n    password:\n      secure: v1:a:b", "[{secure: v1:a:b}]"]) {
      expect(copyOf(`encryptionsalt: s\nconfig:\n  trivy-server:redis: ${value}\n`)).to.equal(undefined);
    }
  });
});
