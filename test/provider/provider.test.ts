import { join } from "node:path";
import { expect } from "chai";
import { recordStack, stackConfig } from "../../commands/program.ts";
import { readProject, readStackFile } from "../../commands/stack-file.ts";
import { type Answer, markSecret, plain, type RecordedResource, unknownValue } from "../../recorder/record.ts";
import { checkSettings, SettingsError } from "../../stacks/index.ts";
import { modelOf, type Node } from "../../stacks/model.ts";
import { schema as settings } from "../../stacks/schema.ts";
import { Plugin } from "../support/plugin.ts";

const root = join(import.meta.dirname, "../..");
const model = modelOf(settings);

/** Fixed values for what providers generate, so that two runs can be compared. */
function answer({ type, name, inputs }: RecordedResource): Answer | undefined {
  const generated: Record<string, object> = {
    "random:index/randomPassword:RandomPassword": { result: markSecret(name.padEnd(32, "x").replaceAll("-", "")) },
    "tls:index/privateKey:PrivateKey": { privateKeyPem: markSecret(`key of ${name}`) },
    "tls:index/selfSignedCert:SelfSignedCert": { certPem: `certificate of ${name}` },
    "tls:index/certRequest:CertRequest": { certRequestPem: `request of ${name}` },
    "tls:index/locallySignedCert:LocallySignedCert": { certPem: `certificate of ${name}` },
  };
  const metadata = plain(inputs["metadata"]) as { name?: string } | undefined;
  return { state: { ...generated[type], ...(metadata && { metadata: { ...metadata, name: metadata.name ?? `${name}-1` } }) } };
}

/** What counts of a registration. Whether a resource that is not protected says so does not. */
const essentials = ({ urn, custom, inputs, dependsOn, outputs, ...rest }: RecordedResource) => ({
  ...{ urn, custom, inputs, dependsOn: [...dependsOn].sort(), outputs },
  ...{ provider: rest.provider, aliases: rest.aliases, protect: rest.protect ?? false, retainOnDelete: rest.retainOnDelete ?? false },
});
const byUrn = (resources: readonly RecordedResource[]) => resources.map(essentials).sort((one, other) => one.urn.localeCompare(other.urn));

/** Returns the settings of a stack's file by block. */
function stackSettings(stack: string): Record<string, unknown> {
  const { config } = stackConfig(readProject(root), readStackFile(root, stack));
  return Object.fromEntries(Object.entries(config).map(([key, value]) => [key.replace(/^trivy-server:/, ""), value]));
}

/** Returns the message for settings that cannot be used. */
function messageFor(given: Record<string, unknown>): string {
  try {
    checkSettings(given);
  } catch (error) {
    if (error instanceof SettingsError) return error.message;
  }
  throw new Error("these settings can be used");
}

/** Returns the settings of Redis that the component has registered. */
const redisOf = (resources: readonly RecordedResource[]) => {
  const service = resources.find(({ type }) => type === "trivy-server:index:ScanService");
  return service?.inputs["redis"] as Record<string, unknown>;
};

const message = (promise: Promise<unknown>) =>
  promise.then(
    () => "it was accepted",
    (error: Error) => error.message,
  );

describe("the component package", () => {
  let plugin: Plugin;
  before(async () => {
    plugin = await Plugin.start();
  });
  after(() => plugin?.stop());

  describe("its schema", () => {
    interface Property {
      readonly $ref?: string;
      readonly items?: Property;
      readonly description?: string;
      readonly secret?: boolean;
      readonly plain?: boolean;
    }
    interface ObjectType {
      readonly properties?: Record<string, Property>;
      readonly required?: string[];
    }
    let types: Record<string, ObjectType>;
    let service: { inputProperties: Record<string, Property>; properties: Record<string, Property>; required: string[] };
    before(async () => {
      const schema = (await plugin.schema()) as { types: typeof types; resources: Record<string, typeof service> };
      types = schema.types;
      service = schema.resources["trivy-server:index:ScanService"] as typeof service;
    });

    /** Visits each setting with its property of the schema. */
    function visit(
      node: Node,
      properties: Record<string, Property>,
      path: string,
      see: (path: string, field: object, property: Property) => void,
    ) {
      if (node.type === "union") for (const variant of node.variants) visit(variant, properties, path, see);
      if (node.type !== "block") return;
      for (const field of node.fields) {
        const at = path === "" ? field.key : `${path}.${field.key}`;
        const property = properties[field.key];
        expect(property, at).to.be.an("object");
        see(at, field, property as Property);
        const inner = field.node.type === "list" ? field.node.item : field.node;
        const reference = (property as Property).$ref ?? (property as Property).items?.$ref;
        if (inner.type === "block" || inner.type === "union")
          visit(inner, types[reference?.replace("#/types/", "") ?? ""]?.properties ?? {}, at, see);
      }
    }

    it("the schema has every setting, with its description, its default and whether it is a secret", () => {
      const seen: string[] = [];
      visit(model, service.inputProperties, "", (path, field, property) => {
        const {
          description,
          default: value,
          otherwise,
          node,
        } = field as { description: string; default?: unknown; otherwise?: string; node: Node };
        seen.push(path);
        // The description of a block that has variants is that of one of them.
        if (!path.startsWith("redis.tls.")) expect(property.description, path).to.contain(description);
        // These blocks have several defaults, which the descriptions of the blocks' settings give.
        if (/\.(requests|limits)\b/.test(path)) return;
        const words = otherwise ?? (typeof value === "object" || value === "" || value === undefined ? undefined : String(value));
        if (words !== undefined && !("values" in node && node.values?.length === 1))
          expect(property.description, path).to.contain(`Default: ${words}.`);
        expect(property.secret ?? false, path).to.equal("secret" in node && node.secret);
      });
      expect(seen)
        .to.have.length.above(120)
        .and.include.members(["redis.host", "redis.maxMemory", "gateway.clients.token", "exposure.gateway.name"]);
    });

    it("the schema has no defaults that an SDK would fill in, also in blocks that are not enabled", () => {
      const all = [service.inputProperties, ...Object.values(types).map(({ properties = {} }) => properties)].flatMap((properties) =>
        Object.values(properties),
      );
      expect(all.filter((property) => "default" in property)).to.deep.equal([]);
    });

    it("the outputs are those of index.ts, and the tokens are secrets", async () => {
      const { result } = await recordStack(root, readStackFile(root, "prod"), stackConfig(readProject(root), readStackFile(root, "prod")));
      expect(Object.keys(service.properties)).to.include.members(Object.keys(result));
      expect(Object.keys(service.properties).filter((key) => service.properties[key]?.secret)).to.deep.equal(["token", "tokens"]);
      expect(service.required).to.deep.equal(["namespace", "address", "portForward", "scan"]);
    });
  });

  for (const stack of ["dev", "staging", "prod"])
    it(`the settings of ${stack} register what index.ts registers for it`, async () => {
      const file = readStackFile(root, stack);
      const program = await recordStack(root, file, stackConfig(readProject(root), file), answer);
      const { resources, state } = await plugin.construct(stackSettings(stack), { stack, answer });
      expect(resources).to.have.length.above(10);
      expect(byUrn(resources)).to.deep.equal(byUrn(program.resources));
      expect(Object.keys(state)).to.include.members(Object.keys(program.result));
    });

  it("mistakes are reported with the message that a stack gets, all of them at once", async () => {
    const mistakes = { server: { replicas: 0, drain: 5 }, redis: { mode: "external", maxMemory: "1Gi" }, gatway: {} };
    const expected = messageFor(structuredClone(mistakes));
    expect(expected.split("\n")).to.have.length(6);
    expect(await message(plugin.construct(mistakes))).to.equal(expected);
  });

  it("rules between settings apply", async () => {
    const conflicting = { gateway: { enabled: true, clients: [{ name: "ci" }, { name: "ci" }] }, server: { token: { enabled: false } } };
    expect(await message(plugin.construct(conflicting))).to.equal(messageFor(structuredClone(conflicting)));
  });

  it("settings that work, but hardly as intended, are warned of", async () => {
    const { warnings } = await plugin.construct({ gateway: { enabled: true, rateLimit: 1_000_000 } });
    expect(warnings.join("\n")).to.contain("trivy-server:gateway.rateLimit is 1000000, which allows");
  });

  it("another type is refused", async () => {
    expect(await message(plugin.construct({}, { type: "trivy-server:index:Gateway" }))).to.equal(
      "trivy-server:index:Gateway is not a resource of this package; use trivy-server:index:ScanService",
    );
  });

  it("a secret is in no message, and marked wherever the component passes it on", async () => {
    const password = "hunter2hunter2hunter2";
    const redis = { mode: "external", host: "redis.example.com", password: markSecret(password) };
    expect(await message(plugin.construct({ redis: { ...redis, port: -1 } })))
      .to.contain("redis.port")
      .and.not.contain(password);
    const { resources } = await plugin.construct({ redis });
    const unmarked = JSON.stringify(
      resources.map(({ inputs, outputs }) => [inputs, outputs]),
      (_, value) => (value?.["4dabf18193072939515e22adb298388d"] ? "a secret" : value),
    );
    expect(unmarked).to.not.contain(password);
    expect(JSON.stringify(resources)).to.contain(password);
  });

  it("a secret that a program gives in plain text is marked as one", async () => {
    const { resources } = await plugin.construct({ redis: { mode: "external", host: "redis.example.com", password: "hunter2hunter2" } });
    expect(redisOf(resources)["password"]).to.deep.equal(markSecret("hunter2hunter2"));
  });

  it("a setting that another resource determines may be unknown in a preview, and its dependents are", async () => {
    const { resources } = await plugin.construct({ redis: { mode: "external", host: unknownValue } }, { preview: true });
    expect(redisOf(resources)["host"]).to.equal(unknownValue);
  });

  it("a setting that decides which resources exist must be known in a preview", async () => {
    const inputs = { gateway: { enabled: unknownValue }, access: { namespaces: unknownValue } };
    expect(await message(plugin.construct(inputs, { preview: true }))).to.equal(
      [
        "2 settings of this stack cannot be used:",
        "  trivy-server:access.namespaces is not known during the preview; use a value that no resource determines",
        "  trivy-server:gateway.enabled is not known during the preview; use a value that no resource determines",
      ].join("\n"),
    );
  });

  it("a setting whose value is not known hides no mistake elsewhere", async () => {
    const inputs = { redis: { mode: "external", host: unknownValue }, server: { replicas: 0 } };
    expect(await message(plugin.construct(inputs, { preview: true }))).to.equal(messageFor({ server: { replicas: 0 } }));
  });
});
