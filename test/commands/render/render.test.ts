import { spawnSync } from "node:child_process";
import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { expect } from "chai";
import { parseAllDocuments, stringify } from "yaml";
import { parseArguments, type RenderOptions, render } from "../../../commands/render/render.ts";
import { UserError } from "../../../commands/user-error.ts";
import { serverCertificate } from "../../support/certificate.ts";

const root = join(import.meta.dirname, "../../..");

/** A program with named and unnamed objects, a generated and an encrypted password, and text that YAML 1.1 reads as another type. */
const program = `
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

const config = new pulumi.Config();
const { size, colour, pin, open } = config.requireObject("shop");
if (size < 0) throw new pulumi.RunError(\`size is \${size}; write 0 or more\`);

class Shop extends pulumi.ComponentResource {
  constructor(name, args) {
    super("small:index:Shop", name, { ...args, pin: args.pin && pulumi.secret(args.pin) });
    const parent = { parent: this };
    const metadata = { namespace: new k8s.core.v1.Namespace(name + "-namespace", { metadata: { name: "mall" } }, parent).metadata.name };
    const goods = new k8s.core.v1.ConfigMap(name + "-goods", { metadata, data: { colour, answer: "yes", octal: "0777", time: "1:30" } }, parent);
    const password = new random.RandomPassword(name + "-password", { length: size, special: false }, parent).result;
    const till = new k8s.core.v1.Secret(name + "-till", { metadata, stringData: { password, url: pulumi.interpolate\`http://a:\${password}@b\` } }, parent);
    const safe = args.pin && new k8s.core.v1.Secret(name + "-safe", { metadata, stringData: { pin: args.pin, uri: encodeURIComponent(args.pin) } }, parent);
    new k8s.core.v1.Service(name + "-service", {
      metadata: { ...metadata, name: "shop", annotations: { "pulumi.com/skipAwait": "true", ...(open && { sign: open }) } },
      spec: { ports: [{ port: 80, name: "http" }], selector: { goods: goods.metadata.name, till: till.metadata.name, safe: safe?.metadata.name } },
    }, parent);
    this.password = password;
    this.registerOutputs();
  }
}

const shop = new Shop("shop", { size, colour, pin });
export const greeting = "hello", password = shop.password, nothing = undefined;
`;

/** A program that needs certificates and stores hashes of tokens. */
const gate = `
import { createHash } from "node:crypto";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { PrivateAuthority } from "${pathToFileURL(join(root, "components/shared/private-authority.ts")).href}";

const { size, pin, tokens = [] } = new pulumi.Config().requireObject("shop");
const authority = new PrivateAuthority("authority", { commonName: "mall" });
const { certificate, key } = authority.issue("gate", { commonName: "gate", dnsNames: ["gate-" + size], ipAddresses: ["10.0.0.1"], use: "server" });
const metadata = { namespace: "mall" };
new k8s.core.v1.Secret("gate-tls", { metadata, stringData: { "ca.crt": authority.certificate, "tls.crt": certificate, "tls.key": key } });
const hash = (text) => createHash("sha256").update(text).digest("hex");
if (pin) new k8s.core.v1.Secret("gate-clients", { metadata, stringData: { "clients.map": [pin, ...tokens].map((token, index) => hash(token) + " team-" + index + "\\n").join("") } });
new k8s.core.v1.ConfigMap("map", { metadata: { ...metadata, name: "map" }, data: { a: "b" } });
export const caCertificate = authority.certificate;
`;

describe("npm start", () => {
  let project: string;
  const write = (text: string) => writeFileSync(join(project, "program.ts"), text);
  const stackFile = (shop: string) => writeFileSync(join(project, "Pulumi.dev.yaml"), `config:\n  shop: ${shop}\n`);
  const out = (...path: string[]) => join(project, "out", ...path);
  const files = (stack = "dev"): Record<string, string> =>
    Object.fromEntries(
      readdirSync(out(stack))
        .sort()
        .map((file) => [file, readFileSync(out(stack, file), "utf8")]),
    );
  const objects = (stack = "dev") =>
    Object.values(files(stack)).flatMap((text) => parseAllDocuments(text, { version: "1.1" }).map((document) => document.toJS()));
  const object = (kind: string, name = "") => objects().find((found) => found.kind === kind && found.metadata.name.startsWith(name));
  const show = (options: Partial<RenderOptions> = {}) => render({ project, stack: "dev", ...options });

  before(() => {
    project = mkdtempSync(join(tmpdir(), "render-"));
    symlinkSync(join(root, "node_modules"), join(project, "node_modules"));
    writeFileSync(join(project, "package.json"), '{ "type": "module" }');
    writeFileSync(
      join(project, "Pulumi.yaml"),
      "name: small\nruntime: nodejs\nmain: program.ts\nconfig:\n  shop: { type: object, default: { size: 20, colour: red } }\n",
    );
    write(program);
  });
  after(() => rmSync(project, { recursive: true }));
  beforeEach(() => {
    rmSync(out(), { recursive: true, force: true });
    stackFile("{ size: 32, colour: green }");
  });

  it("npm start shows the components and resources as a tree, their settings and the outputs, without secrets", async () => {
    stackFile("{ size: 32, colour: green, pin: { secure: v1:AAAA } }");
    const shown = await show();
    const map = object("ConfigMap").metadata.name;
    const till = object("Secret").metadata.name;
    expect(shown.replaceAll(/ {2,}/g, "  ")).to.contain(`small, stack dev
└─ Shop shop
  │  colour=green  pin=[secret]  size=32
  ├─ RandomPassword  shop-password
  ├─ Namespace  mall  00-namespace-mall.yaml
  ├─ Secret  ${till}  10-secrets.yaml
  ├─ ConfigMap  ${map}  20-configmap-shop-goods.yaml
  ├─ Service  shop  50-service-shop.yaml
  └─ Secret  shop-safe  not written
`);
    expect(new Set([...shown.matchAll(/^ .*(?= \d\d-| not written)/gm)].map(([line]) => line.length)), "aligned").to.have.property(
      "size",
      1,
    );
    expect(shown).to.match(/Outputs\n {2}greeting {2}hello\n {2}password {2}\[secret\]\n\n/);
    expect(shown)
      .to.match(/kubectl apply --server-side -f \S*out\/dev\/\n/)
      .and.contain("npm run up -- dev");
    expect(shown).not.to.contain(object("Secret").stringData.password);
  });

  it("npm start wraps lines at the width of the terminal, except single words", async () => {
    stackFile("{ size: 32, colour: [one, two, three], pin: 1 }");
    const lines = (await show({ width: 30 })).split("\n");
    expect(lines.find((line) => line.includes("colour="))).to.match(/^.{3}│ {2}colour=one,two,three$/);
    expect(lines.find((line) => line.includes("size="))).to.contain("pin=[secret]  size=32");
  });

  it("npm start writes one manifest per object, named so that kubectl applies them in the right order", async () => {
    await show();
    expect(Object.keys(files())).to.deep.equal([
      "00-namespace-mall.yaml",
      "10-secrets.yaml",
      "20-configmap-shop-goods.yaml",
      "50-service-shop.yaml",
    ]);
    const till = object("Secret", "shop-till-").metadata.name;
    const goods = object("ConfigMap", "shop-goods-").metadata.name;
    expect(till).to.match(/^shop-till-[0-9a-f]{8}$/);
    expect(files()["50-service-shop.yaml"]).to.equal(`# Written by npm start -- dev; the next run overwrites it.
apiVersion: v1
kind: Service
metadata:
  name: shop
  namespace: mall
spec:
  ports:
    - name: http
      port: 80
  selector:
    goods: ${goods}
    till: ${till}
`);
  });

  it("manifests quote text that YAML 1.1, which Kubernetes reads, would read as another type", async () => {
    await show();
    expect(object("ConfigMap").data).to.deep.equal({ answer: "yes", colour: "green", octal: "0777", time: "1:30" });
  });

  it("manifests omit Pulumi's annotations, and only those", async () => {
    stackFile("{ size: 32, colour: green, open: daily }");
    await show();
    expect(object("Service").metadata.annotations).to.deep.equal({ sign: "daily" });
  });

  it("npm start uses the project's defaults for settings that the stack does not have", async () => {
    writeFileSync(join(project, "Pulumi.dev.yaml"), "");
    await show();
    expect(object("ConfigMap").data.colour).to.equal("red");
    expect(object("Secret").stringData.password).to.have.length(20);
  });

  it("a second npm start writes the same bytes, including generated passwords and names", async () => {
    const shown = await show();
    const before = files();
    expect(await show()).to.equal(shown);
    expect(files()).to.deep.equal(before);
  });

  it("a ConfigMap and a Secret are renamed when their content changes, and references to them are updated", async () => {
    await show();
    const [map, secret] = [object("ConfigMap").metadata.name, object("Secret").metadata.name];
    stackFile("{ size: 32, colour: blue }");
    await show();
    expect(object("ConfigMap").metadata.name).not.to.equal(map);
    expect(object("Secret").metadata.name).to.equal(secret);
    stackFile("{ size: 33, colour: blue }");
    await show();
    expect(object("Secret").metadata.name).not.to.equal(secret);
    expect(object("Secret").stringData.password).to.have.length(33);
    expect(object("Service").spec.selector).to.deep.equal({
      goods: object("ConfigMap").metadata.name,
      till: object("Secret").metadata.name,
    });
  });

  it("secrets are written to one file, which has a warning and which only its owner can read", async () => {
    await show();
    writeFileSync(out("dev", "10-secrets.yaml"), files()["10-secrets.yaml"] ?? "", { mode: 0o644 });
    await show();
    expect(statSync(out("dev", "10-secrets.yaml")).mode & 0o777).to.equal(0o600);
    const { "10-secrets.yaml": secrets = "", ...others } = files();
    expect(secrets).to.match(/^(#.*\n)*# SECRETS IN PLAIN TEXT\. Do not commit/);
    expect(JSON.stringify(others)).not.to.contain(object("Secret").stringData.password);
  });

  it("a file with an earlier run's secrets that cannot be read is reported by name", async () => {
    await show();
    writeFileSync(out("dev", "10-secrets.yaml"), `${files()["10-secrets.yaml"]}\n  broken: [`);
    const before = files();
    expect(await failure(show())).to.match(/10-secrets\.yaml cannot be read: /);
    expect(files()).to.deep.equal(before);
  });

  describe("with --secrets=omit", () => {
    it("--secrets=omit writes no secrets and describes what to create instead", async () => {
      const shown = await show({ omitSecrets: true });
      expect(Object.keys(files())).not.to.contain("10-secrets.yaml");
      expect(object("Service").spec.selector.till).to.equal("shop-till");
      expect(shown).to.contain(`
  kubectl create secret generic shop-till -n mall --from-file=password=FILE --from-file=url=FILE
    password: <shop-password>
    url: http://a:<shop-password>@b
  where <shop-password> is 32 random letters and digits
`);
    });

    it("--secrets=omit removes the secrets of an earlier run, and reports it", async () => {
      await show();
      const shown = await show({ omitSecrets: true });
      expect(Object.keys(files())).not.to.contain("10-secrets.yaml");
      expect(shown).to.match(/10-secrets\.yaml of an earlier run has been removed/);
      expect(await show({ omitSecrets: true })).not.to.match(/removed/);
    });
  });

  describe("with encrypted settings", () => {
    it("Secrets that need encrypted settings are described instead of written; the others are written", async () => {
      stackFile("{ size: 32, colour: green, pin: { secure: v1:AAAA } }");
      const shown = await show();
      expect(object("Secret", "shop-safe")).to.equal(undefined);
      expect(object("Secret", "shop-till-")).to.have.nested.property("stringData.password");
      expect(object("Service").spec.selector.safe).to.equal("shop-safe");
      expect(shown).to.contain(`
  kubectl create secret generic shop-safe -n mall --from-file=pin=FILE --from-file=uri=FILE
    pin: <small:shop.pin>
    uri: <small:shop.pin, percent-encoded>
  where <small:shop.pin> is the encrypted setting
`);
      expect(`${shown}${JSON.stringify(files())}`).not.to.match(/encrypted[0-9a-f]|v1:AAAA/);
    });

    it("a program that needs encrypted settings in plain text is refused", async () => {
      stackFile("{ size: 32, colour: { secure: v1:AAAA } }");
      const message = await failure(show());
      expect(message).to.contain("small:shop.colour is used in ConfigMap shop-goods-").and.contain("npm run preview");
      expect(existsSync(out("dev"))).to.equal(false);
    });

    it("a message about refused settings adds that encrypted settings cannot be decrypted", async () => {
      stackFile("{ size: -1, colour: green, pin: { secure: v1:AAAA } }");
      expect(await failure(show())).to.match(/^size is -1; write 0 or more\nThis command cannot decrypt settings, .*: small:shop\.pin$/);
    });
  });

  describe("with generated certificates", () => {
    beforeEach(() => write(gate));
    after(() => write(program));
    const secretsOf = () => files()["10-secrets.yaml"] ?? "";
    const material = () => object("Secret", "gate-tls").stringData as Record<"ca.crt" | "tls.crt" | "tls.key", string>;

    it("private keys of generated certificates, and the values to remember, are only in the file with the secrets", async () => {
      const shown = await show();
      const { "ca.crt": ca, "tls.crt": certificate, "tls.key": key } = material();
      const leaf = new X509Certificate(certificate);
      expect(leaf.verify(new X509Certificate(ca).publicKey) && leaf.checkPrivateKey(createPrivateKey(key))).to.equal(true);
      expect(leaf.subjectAltName).to.equal("DNS:gate-32, IP Address:10.0.0.1");
      const generated = [...secretsOf().matchAll(/^# generated (\S+) [0-9a-f]{8}: -----BEGIN/gm)].map(([, name]) => name);
      expect(generated).to.have.members(["authority-key", "authority-certificate", "authority-gate-key", "authority-gate-certificate"]);
      const { "10-secrets.yaml": _, ...others } = files();
      for (const [, line = ""] of secretsOf().matchAll(/PRIVATE KEY-----(?:\\n|\n *)(\S{40})/g))
        expect(`${shown}${JSON.stringify(others)}`).not.to.contain(line);
      expect(shown).to.match(/caCertificate {2}-----BEGIN CERTIFICATE----- … \(\d+ lines\)\n/);
    });

    it("a second npm start writes the same certificates", async () => {
      const shown = await show();
      const before = files();
      expect(await show()).to.equal(shown);
      expect(files()).to.deep.equal(before);
    });

    it("a certificate whose names change is generated again, with the same authority and key", async () => {
      await show();
      const before = material();
      stackFile("{ size: 33, colour: green }");
      await show();
      const renamed = material();
      expect(new X509Certificate(renamed["tls.crt"]).subjectAltName).to.contain("DNS:gate-33");
      expect([renamed["ca.crt"], renamed["tls.key"]]).to.deep.equal([before["ca.crt"], before["tls.key"]]);
    });

    it("a certificate is renewed as early as its provider does, and the others are unchanged", async () => {
      write(`
        import * as k8s from "@pulumi/kubernetes";
        import * as tls from "@pulumi/tls";
        const key = new tls.PrivateKey("key", { algorithm: "ECDSA", ecdsaCurve: "P256" }).privateKeyPem;
        const certificate = (name, earlyRenewalHours) =>
          new tls.SelfSignedCert(name, { privateKeyPem: key, validityPeriodHours: 2, earlyRenewalHours, allowedUses: [] }).certPem;
        new k8s.core.v1.Secret("gate-tls", { metadata: { namespace: "mall" }, stringData: { key, fresh: certificate("fresh", 1), due: certificate("due", 2) } });
      `);
      await show();
      const before = object("Secret", "gate-tls").stringData;
      await show();
      const { due: renewed, ...kept } = object("Secret", "gate-tls").stringData;
      expect(renewed).not.to.equal(before.due);
      expect({ ...kept, due: before.due }).to.deep.equal(before);
    });

    it("npm start describes how to create the Secrets with certificates by hand", async () => {
      const shown = await show({ omitSecrets: true });
      expect(shown).to.contain(`
  kubectl create secret generic gate-tls -n mall --from-file=ca.crt=FILE --from-file=tls.crt=FILE --from-file=tls.key=FILE
    ca.crt: <authority-certificate>
    tls.crt: <authority-gate-certificate>
    tls.key: <authority-gate-key>
  where <authority-certificate> is the certificate of your own authority, PEM: CN=mall
  where <authority-gate-certificate> is a server certificate for the key next to it, signed by the authority of <authority-certificate>, PEM: CN=gate, DNS:gate-32, IP:10.0.0.1
  where <authority-gate-key> is a private key, ECDSA P256, PEM
`);
    });

    it("hashes of encrypted settings are recognised, and each is described by its setting", async () => {
      stackFile("{ size: 32, pin: { secure: v1:AAAA }, tokens: [a, { secure: v1:BBBB }, c, d, e, f, g, h] }");
      const shown = await show();
      expect(object("Secret", "gate-clients")).to.equal(undefined);
      expect(object("Secret", "gate-tls")).to.have.nested.property("stringData");
      expect(shown).to.contain(`
  kubectl create secret generic gate-clients -n mall --from-file=clients.map=FILE
    clients.map: |
      <SHA-256 of small:shop.pin, hexadecimal> team-0
      ${createHash("sha256").update("a").digest("hex")} team-1
      <SHA-256 of small:shop.tokens[1], hexadecimal> team-2
`);
      expect(shown).to.contain(" team-8\n  where <small:shop.");
    });
  });

  it("files that only an earlier run wrote are removed, and other files are unchanged", async () => {
    await show();
    writeFileSync(out("dev", "mine.yaml"), "mine: true\n");
    writeFileSync(out("dev", "50-service-gone.yaml"), files()["50-service-shop.yaml"] ?? "");
    mkdirSync(out("dev", "folder"));
    await show();
    expect(readdirSync(out("dev")).sort()).to.deep.equal([
      "00-namespace-mall.yaml",
      "10-secrets.yaml",
      "20-configmap-shop-goods.yaml",
      "50-service-shop.yaml",
      "folder",
      "mine.yaml",
    ]);
  });

  it("npm start refuses to overwrite a file that it has not written", async () => {
    mkdirSync(out("dev"), { recursive: true });
    writeFileSync(out("dev", "50-service-shop.yaml"), "mine: true\n");
    expect(await failure(show())).to.match(/out\/dev\/50-service-shop\.yaml was not written by npm start/);
    expect(files()).to.deep.equal({ "50-service-shop.yaml": "mine: true\n" });
  });

  it("npm start leaves all files unchanged if the settings are invalid", async () => {
    await show();
    const before = files();
    stackFile("{ size: -1, colour: green }");
    expect(await failure(show())).to.equal("size is -1; write 0 or more");
    expect(files()).to.deep.equal(before);
  });

  it("a stack that does not exist is reported with the existing stacks", async () => {
    expect(await failure(show({ stack: "nowhere" }))).to.match(/no stack nowhere(.|\n)*dev/);
  });

  async function failure(rendering: Promise<string>): Promise<string> {
    try {
      await rendering;
    } catch (error) {
      if (error instanceof UserError) return error.message;
      throw error;
    }
    throw new Error("it succeeded");
  }

  describe("with this project's stacks", () => {
    let project: string;
    const stacks = ["dev", "staging", "prod"];
    before(() => {
      project = mkdtempSync(join(tmpdir(), "stacks-"));
      symlinkSync(join(root, "node_modules"), join(project, "node_modules"));
      for (const part of [
        "package.json",
        "index.ts",
        "components",
        "database-mirror",
        "registry-scan",
        "monitoring",
        "stacks",
        "Pulumi.yaml",
        ...stacks.map((stack) => `Pulumi.${stack}.yaml`),
      ])
        cpSync(join(root, part), join(project, part), { recursive: true });
    });
    after(() => rmSync(project, { recursive: true }));

    for (const stack of stacks) {
      it(`npm start writes ${stack} as the same bytes twice, with generated secrets only in the file for them`, async () => {
        const folder = join(project, "out", stack);
        const read = () => Object.fromEntries(readdirSync(folder).map((file) => [file, readFileSync(join(folder, file), "utf8")]));
        const shown = await render({ project, stack });
        const first = read();
        expect(await render({ project, stack })).to.equal(shown);
        expect(read()).to.deep.equal(first);

        const { "10-secrets.yaml": secrets = "", ...others } = first;
        const generated = [...secrets.matchAll(/^# generated .*: (.*)$/gm)].map(([, value = ""]) => value);
        expect(generated.length).to.be.above(stack === "dev" ? 0 : 3);
        // The first line of PEM is the same for all keys and certificates.
        for (const secret of generated.map((value) => value.split("\\n")[1] ?? value))
          expect(`${shown}${JSON.stringify(others)}`).not.to.contain(secret);
        expect(Object.keys(others).some((file) => file.startsWith("60-deployment"))).to.equal(true);
        expect(shown).to.contain("ScanService trivy").and.contain(`out/${stack}/`);
      });
    }

    it("npm start renders a stack whose secrets are all encrypted, and describes the Secrets to create", async () => {
      const secure = (text: string) => ({ secure: `v1:${text}` });
      const settings = {
        gateway: {
          enabled: true,
          clients: [{ name: "ci", token: secure("AAAA") }],
          tls: { enabled: true, certificate: serverCertificate.leaf, key: secure("BBBB") },
        },
        registryScan: {
          enabled: true,
          targets: [{ image: "registry.example.com/team/app:1.0" }],
          credentials: [{ registry: "registry.example.com", username: "robot", password: secure("CCCC") }],
          alerts: [
            { name: "chat", type: "slack", url: secure("DDDD") },
            { name: "on-call", type: "alertmanager", url: "http://alertmanager.monitoring.svc:9093", authorization: secure("EEEE") },
            { name: "archive", type: "json", existingSecret: { name: "archive-hook" } },
          ],
        },
      };
      const prefixed = Object.fromEntries(Object.entries(settings).map(([key, value]) => [`trivy-server:${key}`, value]));
      writeFileSync(join(project, "Pulumi.secret.yaml"), stringify({ config: prefixed }));
      const shown = await render({ project, stack: "secret" });
      const folder = join(project, "out", "secret");
      const written = readdirSync(folder).map((file) => readFileSync(join(folder, file), "utf8"));
      expect(`${shown}${written.join("")}`).not.to.match(/encrypted[0-9a-f]|v1:[A-E]{4}/);
      const scan = "trivy-server:registryScan";
      for (const secret of [
        `trivy-registry-scan-receivers -n trivy --from-file=chat.url=FILE --from-file=on-call.authorization=FILE --from-file=on-call.url=FILE
    chat.url: <${scan}.alerts[0].url>
    on-call.authorization: <${scan}.alerts[1].authorization>
    on-call.url: http://alertmanager.monitoring.svc:9093
`,
        `trivy-registry-scan-registry-login -n trivy --type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson=FILE
    .dockerconfigjson: <made with ${scan}.credentials[0].password, in base64>
`,
        "    tls.key: <trivy-server:gateway.tls.key>\n",
        // The scan's own Secret, which is written, has the same token.
        `where <trivy-gateway-token-registry-scan-1> is the generated one in ${relative(process.cwd(), folder)}/10-secrets.yaml\n`,
      ])
        expect(shown.slice(shown.indexOf("Secrets to create"))).to.contain(secret);
      // The pod refers to the Secret by the name in the instructions.
      const reports = written.find((text) => text.includes("kind: StatefulSet") && text.includes("name: trivy-reports"));
      expect(reports).to.match(/name: trivy-registry-scan-receivers\n/);
    });
  });

  describe("on the command line", () => {
    it("npm start accepts a stack and --secrets=omit; other arguments are refused with the usage and exit code 2", () => {
      expect(parseArguments([])).to.deep.equal({ stack: "dev", omitSecrets: false });
      expect(parseArguments(["prod", "--secrets=omit"])).to.deep.equal({ stack: "prod", omitSecrets: true });
      process.env["npm_config_secrets"] = "omit";
      try {
        expect(parseArguments([]), "without -- before the option").to.deep.equal({ stack: "dev", omitSecrets: true });
      } finally {
        delete process.env["npm_config_secrets"];
      }
      for (const args of [["--nonsense"], ["dev", "prod"], ["--secrets=show"], ["--secrets"]])
        expect(() => parseArguments(args))
          .to.throw(UserError, "Usage: npm start")
          .with.property("status", 2);
    });

    it("npm start reports a user's mistake without a stack trace", () => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "commands/render/render.ts"), "nowhere"], {
        encoding: "utf8",
      });
      expect({ status, stdout }).to.deep.equal({ status: 1, stdout: "" });
      expect(stderr)
        .to.contain("no stack nowhere")
        .and.not.match(/^ +at /m);
    }).timeout(20_000);
  });
});
