import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { placeholder } from "../../commands/program.ts";
import { imageReference, images } from "../../components/shared/images.ts";
import { type CheckOptions, checkSettings, type SettingProblem, SettingsError } from "../../stacks/index.ts";
import { certificate, serverCertificate } from "../support/certificate.ts";
import { mistakes } from "./mistakes/index.ts";

/** Returns what the settings are refused for. */
function problems(settings: Record<string, unknown>, isEncrypted?: CheckOptions["isEncrypted"]): readonly SettingProblem[] {
  try {
    checkSettings(settings, isEncrypted && { isEncrypted });
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  return [];
}

const paths = (...args: Parameters<typeof problems>) => problems(...args).map(({ path }) => path);

const { leaf, intermediate, authority, key, expiredAuthority } = serverCertificate;
const tokens = ["0123456789abcdef", "fedcba9876543210"];
const withGateway = (gateway: Record<string, unknown>) => ({ gateway: { enabled: true, ...gateway } });
const withClients = (...clients: Record<string, unknown>[]) => withGateway({ clients });
const withTls = (tls: Record<string, unknown>) => withGateway({ tls: { enabled: true, ...tls } });

describe("settings", () => {
  it("every setting has a default", () => {
    const settings = checkSettings({});
    expect(settings.server.replicas).to.equal(2);
    expect(settings.redis).to.include({ mode: "embedded", ttl: "168h" });
    expect(settings.server.token.enabled).to.equal(true);
    expect(imageReference("trivy", settings.images)).to.equal(images.trivy);
  });

  for (const [block, { inSchema, beyondSchema }] of Object.entries(mistakes))
    describe(block, () => {
      for (const [what, settings, path, message] of [...inSchema, ...beyondSchema])
        it(`${what} is refused (${path})`, () => {
          const found = problems(settings);
          expect(found.map((problem) => problem.path)).to.deep.equal([path]);
          expect(found[0]?.message).to.match(message);
        });
    });

  it("ignore files, VEX documents, schedules and ranges that Trivy and Kubernetes read are accepted", () => {
    const registryScan = {
      enabled: true,
      targets: [{ repository: "registry.example.com/app", versions: ">=1.4 <3" }],
      schedule: "0 3 29 2,JUN-AUG *",
      ignoreFile:
        "vulnerabilities:\n  - id: CVE-2021-36159\n  - id: CVE-2022-1\n    expired_at: 2027-01-31\n    statement: why\nsecrets: []\n",
      vex: ['{ "@context": "https://openvex.dev/ns/v0.2.0" }', '{ "bomFormat": "CycloneDX" }', '{ "document": { "csaf_version": "2.0" } }'],
    };
    expect(problems({ registryScan })).to.deep.equal([]);
    expect(problems({ registryScan: { ...registryScan, schedule: "0 3 31 */2 *", ignoreFile: "# nothing yet\n" } })).to.deep.equal([]);
  });

  it("an ignore file and VEX documents may be files of the project, whose content is used, but none outside of it", () => {
    const folder = mkdtempSync(join(tmpdir(), "documents-"));
    const before = process.cwd();
    try {
      mkdirSync(join(folder, "project/vex"), { recursive: true });
      process.chdir(join(folder, "project"));
      writeFileSync("trivyignore.yaml", "vulnerabilities: [{id: CVE-2021-1}]\n");
      writeFileSync("vex/app.json", '{"bomFormat": "CycloneDX"}');
      writeFileSync("../outside.json", '{"bomFormat": "CycloneDX"}');
      const scan = (more: object) => ({ registryScan: { enabled: true, targets: [{ image: "a:1" }], ...more } });
      const { registryScan } = checkSettings(scan({ ignoreFile: "trivyignore.yaml", vex: ["vex/app.json", '{"bomFormat":"CycloneDX"}'] }));
      expect(registryScan.ignoreFile).to.equal("vulnerabilities: [{id: CVE-2021-1}]\n");
      expect(registryScan.vex).to.deep.equal(['{"bomFormat": "CycloneDX"}', '{"bomFormat":"CycloneDX"}']);
      for (const path of ["../outside.json", "vex/../../outside.json", join(folder, "outside.json"), "vex"])
        expect(paths(scan({ vex: [path] })), path).to.deep.equal(["registryScan.vex[0]"]);
    } finally {
      process.chdir(before);
      rmSync(folder, { recursive: true });
    }
  });

  it("targets may be in a file of the project, and a mistake there is reported with its line", () => {
    const folder = mkdtempSync(join(tmpdir(), "targets-"));
    const before = process.cwd();
    try {
      process.chdir(folder);
      const scan = { registryScan: { enabled: true, targetsFile: "targets.yaml" } };
      const refusal = (text: string) => {
        writeFileSync("targets.yaml", text);
        return problems(scan);
      };
      const good = "# generated\n- image: r.example.com/a:1\n- repository: r.example.com/b\n  newest: 3\n";
      expect(refusal(good)).to.deep.equal([]);
      expect(checkSettings(scan).registryScan.targets).to.deep.equal([
        { image: "r.example.com/a:1" },
        { repository: "r.example.com/b", newest: 3 },
      ]);
      const place = "registryScan.targetsFile";
      expect(refusal(`${good}- image: r.example.com/c\n- repository: r.example.com/d\n  newest: none\n`)).to.deep.equal([
        {
          path: place,
          message:
            'is targets.yaml, where on line 5 target 3, image is "r.example.com/c", which has neither a tag nor a digest; use `r.example.com/c:latest` if that is meant',
        },
        { path: place, message: 'is targets.yaml, where on line 7 target 4, newest is "none"; use a whole number from 1 to 10000' },
      ]);
      for (const [text, message] of [
        ["- image: [", /whose line \d is not valid YAML/],
        ["image: r.example.com/a:1", /which has no list; use the path of a YAML file/],
        ["[]", /where on line 1 the list is missing or empty/],
      ] as const) {
        const found = refusal(text);
        expect(found.map(({ path }) => path)).to.deep.equal([place]);
        expect(found[0]?.message).to.match(message);
      }
      rmSync("targets.yaml");
      expect(problems(scan)[0]?.message).to.match(/a file that does not exist/);
      expect(paths({ registryScan: { ...scan.registryScan, targets: [{ image: "a:1" }] } })).to.deep.equal([place]);
      for (const path of ["../targets.yaml", "/etc/targets.yaml", "targets.txt"])
        expect(paths({ registryScan: { enabled: true, targetsFile: path } }), path).to.include(place);
    } finally {
      process.chdir(before);
      rmSync(folder, { recursive: true });
    }
  });

  it("private names and Services are accepted where another setting says where they are", () => {
    const repositories = (repository: string, more: object = {}) => ({ repositories: [repository], ...more });
    const harbor = { database: repositories("harbor.corp/trivy-db:2") };
    const https = "http://proxy.example.com:3128";
    for (const settings of [
      { ...harbor, egress: [{ hosts: ["harbor.corp"], namespaces: ["ingress-nginx"], podLabels: { app: "nginx" }, ports: [8443] }] },
      { ...harbor, egress: [{ hosts: ["harbor.corp"], cidrs: ["10.0.0.0/8"] }] },
      { ...harbor, proxy: { https } },
      { database: repositories("harbor.corp/trivy-db:2", { cidrs: ["10.0.0.0/8"] }) },
      { redis: { mode: "external", host: "redis.corp", cidrs: ["10.0.0.0/8"] }, proxy: { https } },
      { redis: { mode: "external", host: "redis.infra.svc" } },
      {
        redis: { mode: "external", host: "redis.infra.svc", port: 379 },
        egress: [{ hosts: ["redis.infra.svc"], podLabels: { app: "redis" } }],
      },
      { proxy: { https: "http://proxy.corp:3128" }, egress: [{ hosts: ["proxy.corp"], cidrs: ["10.0.0.0/8"] }] },
      { database: repositories("mirror.infra.svc.corp.example:5000/trivy-db:2"), clusterDomain: "corp.example" },
    ])
      expect(problems(settings), JSON.stringify(settings)).to.deep.equal([]);
  });

  it("the proxy does not reach a Redis, whose private name needs a place of its own", () => {
    const redis = { mode: "external", host: "redis.corp" };
    expect(paths({ redis, proxy: { https: "http://proxy.example.com:3128" } })).to.deep.equal(["redis.host"]);
  });

  it("all mistakes are reported at once, including those between settings", () => {
    const found = paths({
      server: { replicas: 0, replcas: 1, autoscaling: { minReplicas: 9, maxReplicas: 3 } },
      gateway: { clients: [{ name: "a" }], tls: { enabled: true } },
      redis: { maxMemory: "1GB", host: "r.example.com", tls: { enabled: true } },
      bogus: true,
      database: { repositories: ["x"] },
    });
    expect(found).to.have.members([
      "server.replicas",
      "server.replcas",
      "server.autoscaling.minReplicas",
      "redis.maxMemory",
      "gateway.clients",
      "gateway.tls",
      "redis.host",
      "bogus",
      "database.repositories[0]",
    ]);
  });

  describe("one mistake does not hide another", () => {
    it("a missing setting does not hide those of the same block", () => {
      const redis = { mode: "external", password: "p", existingSecret: { name: "a" }, tls: { caCertificates: certificate } };
      expect(paths({ redis })).to.have.members(["redis.host", "redis.existingSecret", "redis.tls.caCertificates"]);
    });

    it("settings that share a list, as aliases in YAML do, are checked separately", () => {
      const shared = [[]];
      const settings = { database: { mirror: { enabled: true, credentials: shared } }, access: { namespaces: shared } };
      expect(paths(settings)).to.have.members(["database.mirror.credentials[0]", "access.namespaces[0]"]);
    });

    it("an invalid item does not hide those of the same list", () => {
      const clients = [{ name: "A" }, { name: "b", generation: 1, retire: 1 }, {}, { name: "b" }];
      expect(paths(withGateway({ clients }))).to.have.members([
        "gateway.clients[0].name",
        "gateway.clients[1].retire",
        "gateway.clients[2].name",
        "gateway.clients[3].name",
      ]);
    });

    it("an unknown exposure type hides neither an invalid host nor an unknown key, and asks for no other keys", () => {
      const exposure = { type: "gatway", host: "https://x", gateway: { name: "public" }, sectoin: "a" };
      expect(paths({ exposure })).to.have.members(["exposure.type", "exposure.host", "exposure.sectoin"]);
      expect(paths({ exposure: { type: "ingres" } })).to.deep.equal(["exposure.type"]);
      expect(paths({ exposure: { type: "ingres", tlsSecret: "a", section: "b" } })).to.have.members(["exposure.type", "exposure.section"]);
    });

    it("two conflicting settings of which one is invalid are not reported as conflicting", () => {
      expect(paths({ server: { replicas: 0, autoscaling: { maxReplicas: 5 } } })).to.deep.equal(["server.replicas"]);
    });
  });

  it("a message says that a value is the default if the file does not have it", () => {
    const limits = { memory: "64Mi" };
    expect(problems({ server: { resources: { limits } } })).to.deep.equal([
      {
        path: "server.resources.requests.memory",
        message: "is 512Mi (the default), above the limit of 64Mi; use at most that or raise server.resources.limits.memory",
      },
    ]);
    const [written] = problems({ server: { resources: { requests: { memory: "512Mi" }, limits } } });
    expect(written?.message).to.match(/^is 512Mi, above/);
  });

  it("no message repeats a password, wherever it was written", () => {
    const secret = "pass-of-mine";
    const found = [
      ...problems({ proxy: { http: `http://me:${secret}@proxy.example.com:3128` } }),
      ...problems({ redis: { mode: "external", host: `redis://me:${secret}@r.example.com` } }),
      ...problems({ database: { repositories: [`https://me:${secret}@ghcr.io/a/b`] } }),
      ...problems({ server: { token: { value: `${secret} ` } } }),
      ...problems({ redis: { mode: "external", host: "r.example.com", tls: { enabled: true, clientKey: secret } } }),
      ...problems(withClients({ name: "a", token: secret })),
      ...problems(withClients(...["a", "b"].map((name) => ({ name, token: `${secret}-of-mine` })))),
    ];
    expect(found.map(({ path }) => path)).to.include.members([
      "proxy.http",
      "redis.host",
      "database.repositories[0]",
      "server.token.value",
      "redis.tls.clientKey",
      "gateway.clients[0].token",
      "gateway.clients[1].token",
    ]);
    expect(new SettingsError(found).message).not.to.contain(secret);
  });

  describe("secrets", () => {
    const receivers = (type: string) => ({
      registryScan: {
        enabled: true,
        targets: [{ image: "a:1" }],
        credentials: [{ registry: "ghcr.io", username: "u", password: "p" }],
        alerts: [{ name: "a", type, url: "https://h.example.com/x", authorization: "Bearer x" }],
      },
    });

    it("a secret in plain text is refused", () => {
      const settings = {
        server: { token: { value: "0123456789abcdef" } },
        redis: { mode: "external", host: "r.example.com", password: "p" },
        database: { credentials: [{ registry: "ghcr.io", username: "u", password: "p" }] },
      };
      const found = problems(settings, ([block]) => block === "redis");
      expect(found.map(({ path }) => path)).to.deep.equal(["server.token.value", "database.credentials[0].password"]);
      expect(found[0]?.message).to.contain("pulumi config set --path --secret 'trivy-server:server.token.value'");
      expect(problems(settings)).to.deep.equal([]);
    });

    it("every secret of the gateway must be encrypted", () => {
      const gateway = {
        enabled: true,
        clients: [{ name: "a" }, { name: "b", token: tokens[0], previousToken: tokens[1] }],
        tls: { enabled: true, certificate: leaf, key },
      };
      expect(paths({ gateway }, () => false)).to.deep.equal([
        "gateway.clients[1].token",
        "gateway.clients[1].previousToken",
        "gateway.tls.key",
      ]);
      expect(problems({ gateway })).to.deep.equal([]);
    });

    it("every secret of Redis must be encrypted", () => {
      const tls = { enabled: true, caCertificates: certificate, clientCertificate: leaf, clientKey: key };
      const settings = { redis: { mode: "external", host: "r.example.com", password: "p", tls } };
      expect(paths(settings, () => false)).to.deep.equal(["redis.password", "redis.tls.clientKey"]);
    });

    it("every secret of the registry scan must be encrypted, except the address of an Alertmanager", () => {
      const [password, url, authorization] = ["credentials[0].password", "alerts[0].url", "alerts[0].authorization"];
      const inScan = (keys: (string | undefined)[]) => keys.map((text) => `registryScan.${text}`);
      expect(paths(receivers("slack"), () => false)).to.deep.equal(inScan([password, url, authorization]));
      expect(paths(receivers("alertmanager"), () => false)).to.deep.equal(inScan([password, authorization]));
      const withUser = {
        registryScan: {
          enabled: true,
          targets: [{ image: "a:1" }],
          alerts: [{ name: "a", type: "alertmanager", url: "http://u:hunter2@a.example.com" }],
        },
      };
      expect(paths(withUser, () => false)).to.deep.equal(inScan([url]));
    });

    it("the secrets of a block that is disabled must be encrypted too", () => {
      expect(paths({ gateway: { clients: [{ name: "a", token: tokens[0] }] } }, () => false)).to.have.members([
        "gateway.clients",
        "gateway.clients[0].token",
      ]);
    });

    it("the placeholder of a key or token that npm start cannot read is accepted", () => {
      const stand = placeholder("trivy-server:gateway.tls.key");
      expect(problems(withTls({ certificate: leaf, key: stand }))).to.deep.equal([]);
      expect(problems(withClients(...["a", "b"].map((name) => ({ name, token: placeholder(name) }))))).to.deep.equal([]);
    });
  });

  it("a CPU setting may be a number of cores", () => {
    expect(checkSettings({ redis: { cpu: 0.5 } }).redis).to.include({ cpu: "500m" });
  });

  it("quantities are spelt as the API server does, so that previews show no false difference", () => {
    const settings = checkSettings({ redis: { maxMemory: "1024Mi", cpu: "1000m" }, server: { databaseVolume: "2048Mi" } });
    expect(settings.redis).to.include({ maxMemory: "1Gi", cpu: "1" });
    expect(settings.server.databaseVolume).to.equal("2Gi");
  });

  it("images and repositories of private registries, and digests, are accepted", () => {
    const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
    expect(
      problems({
        images: { trivy: `registry.example.com:5000/team/trivy:0.74.0@${digest}`, redis: `valkey@${digest}`, registry: "localhost:5000/x" },
      }),
    ).to.deep.equal([]);
    expect(problems({ database: { repositories: ["10.0.0.1:5000/trivy-db:2", "registry.example.com/trivy-db"] } })).to.deep.equal([]);
  });

  it("a certificate chain is accepted with its root authority, or with an intermediate one only", () => {
    const chain = `${leaf}\n${intermediate}`;
    for (const caCertificates of [authority, `${certificate}\n${expiredAuthority}\n${authority}`, intermediate])
      expect(problems(withTls({ certificate: chain, key, caCertificates }))).to.deep.equal([]);
  });
});
