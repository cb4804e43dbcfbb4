import { expect } from "chai";
import { blockDefaults, defaults } from "../../components/args.ts";
import { checkSettings } from "../../stacks/index.ts";
import { exampleOf, modelOf, type Node } from "../../stacks/model.ts";
import { schema } from "../../stacks/schema.ts";

const model = modelOf(schema);

/** Returns the nodes of the schema, with the paths that lead to them. */
function* nodesOf(node: Node, path: string): Generator<{ readonly path: string; readonly node: Node }> {
  yield { path, node };
  if (node.type === "list") yield* nodesOf(node.item, `${path}[]`);
  if (node.type === "union") for (const variant of node.variants) yield* nodesOf(variant, `${path}(${variant.selector})`);
  if (node.type === "block") for (const field of node.fields) yield* nodesOf(field.node, `${path}.${field.key}`);
}

/** Settings in which every optional block is given with its example, and every list has one. */
function exampleWithLists(node: Node): unknown {
  if (node.type === "list") return [exampleOf(node.item)];
  if (node.type === "union") return exampleWithLists(node.variants.at(-1) as Node);
  if (node.type !== "block") return exampleOf(node);
  const given = node.fields.filter((field) => field.presence === "required" || ["list", "block", "union"].includes(field.node.type));
  return Object.fromEntries(given.map((field) => [field.key, exampleWithLists(field.node)]));
}

describe("the model of the settings' schema", () => {
  it("examples of required settings and of items of lists are valid, because they replace invalid ones", () => {
    const { error } = schema.safeParse(exampleWithLists(model));
    expect(error?.issues ?? []).to.deep.equal([]);
  });

  it("every number has bounds, and every choice has values", () => {
    for (const { path, node } of nodesOf(model, "")) {
      if (node.type === "number") expect(node.minimum, path).to.be.below(node.maximum ?? 0);
      if (node.type === "choice") expect(node.values, path).to.not.be.empty;
    }
  });

  it("secrets are those kinds that become secret outputs", () => {
    const secrets = [...nodesOf(model, "")].filter(({ node }) => "secret" in node && node.secret).map(({ path }) => path);
    expect(secrets).to.deep.equal([
      ".server.token.value",
      ".gateway.clients[].token",
      ".gateway.clients[].previousToken",
      ".gateway.tls.key",
      ".database.mirror.credentials[].password",
      ".database.credentials[].password",
      ".redis(external).password",
      ".redis(external).tls.clientKey",
      ".registryScan.credentials[].password",
      ".registryScan.alerts[].url",
      ".registryScan.alerts[].authorization",
    ]);
  });

  it("patterns of the JSON schema accept the defaults and the examples of required settings", () => {
    for (const { path, node } of nodesOf(model, ""))
      if (node.type === "block")
        for (const { key, node: child, presence, default: value } of node.fields)
          if (child.type === "text" && child.pattern !== undefined)
            for (const text of [value, presence === "required" ? child.example : undefined].filter((one) => typeof one === "string"))
              expect(text, `${path}.${key}`).to.match(new RegExp(child.pattern));
  });
});

describe("the generated defaults of the components", () => {
  it("the generated defaults are the settings of a stack that sets nothing", () => {
    expect(JSON.parse(JSON.stringify(checkSettings({})))).to.deep.equal(defaults);
  });

  it("the generated defaults of an optional block are those of a stack that sets only its required settings", () => {
    const { server, redis, registryScan } = checkSettings({
      server: { autoscaling: { maxReplicas: 9 }, token: { existingSecret: { name: "a" } } },
      redis: { mode: "external", host: "r.example.com" },
      registryScan: {
        enabled: true,
        targets: [{ image: "a:1" }],
        reports: { bucket: { name: "reports", existingSecret: "b" } },
        alerts: [{ name: "a", type: "json", existingSecret: { name: "c" } }],
      },
    });
    expect(server.autoscaling).to.deep.equal({ ...blockDefaults.AutoscalingArgs, maxReplicas: 9 });
    expect(server.token.existingSecret).to.deep.equal({ ...blockDefaults.TokenSecretRef, name: "a" });
    expect(redis).to.deep.equal({ ...blockDefaults.ExternalRedisArgs, mode: "external", host: "r.example.com" });
    expect(registryScan.reports.bucket).to.deep.equal({ ...blockDefaults.BucketArgs, name: "reports", existingSecret: "b" });
    expect(registryScan.alerts[0]?.existingSecret).to.deep.equal({ ...blockDefaults.UrlSecretRef, name: "c" });
  });
});
