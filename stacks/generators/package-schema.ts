import { isDeepStrictEqual } from "node:util";
import { project } from "../errors.ts";
import type { Block, Field, Node, Union } from "../model.ts";
import { defaultText, variedBlocks } from "./arguments.ts";

type JsonSchema = Readonly<Record<string, unknown>>;

/** The type token of the component that the package offers. */
export const scanServiceType = `${project}:index:ScanService`;

const instance = {
  type: "string",
  description: "The installation that the objects belong to: their label `app.kubernetes.io/instance`. Default: the stack.",
};

/** What a ScanService returns. Those of which a description says when they are missing are optional. */
const outputs: Readonly<Record<string, JsonSchema>> = {
  namespace: { type: "string", description: "Name of the namespace." },
  address: { type: "string", description: "URL for clients in the cluster." },
  externalAddress: { type: "string", description: "URL for clients outside the cluster. Missing if the service is not exposed." },
  portForward: { type: "string", description: "The command that makes the service reachable on your machine, at http://localhost:8080." },
  scan: { type: "string", description: "The command that scans an image through the port-forward." },
  token: {
    type: "string",
    secret: true,
    description:
      "The token that clients send, with several clients the first one's. Missing if it is switched off or in an existing Secret.",
  },
  tokens: {
    type: "object",
    additionalProperties: { type: "string" },
    secret: true,
    description: "The token of each client of the gateway, by its name. Missing without a gateway.",
  },
  caCertificate: {
    type: "string",
    description: "The certificate authority that clients must trust, PEM. Missing if there is none, or it is not known here.",
  },
  reports: {
    type: "string",
    description: "The command that makes the reports of the registry scan reachable on your machine. Missing without a registry scan.",
  },
};

/**
 * Returns the schema of the package for all of Pulumi's languages. Many of them have no unions of types, so that a block with several variants has the
 * settings of all of them, and the check of the arguments reports those that do not fit. The defaults are in the descriptions only: SDKs would fill
 * them in, also in blocks that are not enabled, where the check refuses every setting.
 */
export function packageSchemaFile(root: Block, version: string): string {
  const writer = new TypeWriter(variedBlocks(root));
  const { properties } = writer.object(root);
  const schema = {
    name: project,
    version,
    displayName: "Trivy Server",
    description: "A vulnerability-scanning service on Kubernetes: Trivy servers that share a Redis cache",
    keywords: ["pulumi", "kubernetes", "trivy", "category/infrastructure", "kind/component"],
    license: "Apache-2.0",
    meta: { moduleFormat: "(.*)" },
    language: {
      csharp: { respectSchemaVersion: true },
      go: { respectSchemaVersion: true, generateResourceContainerTypes: true },
      java: { buildFiles: "gradle" },
      nodejs: { respectSchemaVersion: true },
      python: { respectSchemaVersion: true, pyproject: { enabled: true } },
    },
    types: writer.types,
    resources: {
      [scanServiceType]: {
        isComponent: true,
        description: "A vulnerability-scanning service: Trivy servers behind one Service, which share a cache.",
        inputProperties: { instance, ...(properties as object) },
        properties: outputs,
        required: Object.keys(outputs).filter((key) => !String(outputs[key]?.["description"]).includes("Missing")),
      },
    },
  };
  return `${JSON.stringify(schema, undefined, 1)}\n`;
}

/** Writes blocks and choices as types of their own. */
class TypeWriter {
  readonly types: Record<string, JsonSchema> = {};
  readonly #varied: ReadonlySet<string>;

  constructor(varied: ReadonlySet<string>) {
    this.#varied = varied;
  }

  object({ interface: name, description, fields }: Block): JsonSchema {
    const required = fields.filter(({ presence }) => presence === "required").map(({ key }) => key);
    return {
      type: "object",
      description,
      properties: Object.fromEntries(fields.map((field) => [field.key, this.#property(field, name)])),
      ...(required.length > 0 && { required }),
    };
  }

  #property(field: Field, block: string): JsonSchema {
    const { node, key, description } = field;
    const values = this.#varied.has(block) ? undefined : defaultText(field, this.#varied);
    return {
      ...this.#type(node, `${typeName(block)}${key[0]?.toUpperCase()}${key.slice(1)}`),
      description: values === undefined || values === "none" ? description : `${description} Default: ${values}.`,
      ...("secret" in node && node.secret && { secret: true }),
      ...("plain" in node && node.plain && { plain: true }),
    };
  }

  /** `name`: of the type, if it needs one and has none. */
  #type(node: Node, name: string): JsonSchema {
    switch (node.type) {
      case "union": {
        const merged = mergeVariants(node);
        return this.#define(typeName(merged.interface), this.object(merged));
      }
      case "block":
        return this.#define(typeName(node.interface), this.object(node));
      case "list":
        return { type: "array", items: this.#type(node.item, name) };
      case "table":
        return { type: "object", additionalProperties: { type: "string" } };
      case "choice":
        return this.#define(name, { type: "string", enum: (node.values ?? []).map((value) => ({ name: value, value })) });
      case "text":
        return { type: "string" };
      default:
        return { type: node.type === "number" ? "integer" : node.type };
    }
  }

  #define(name: string, schema: JsonSchema): JsonSchema {
    const token = `${project}:index:${name}`;
    if (!isDeepStrictEqual(this.types[token] ?? schema, schema)) throw new Error(`two different types of the package are called ${name}`);
    this.types[token] = schema;
    return { $ref: `#/types/${token}` };
  }
}

/** Returns the name of a type. SDKs append `Args` themselves. */
const typeName = (name: string) => name.replace(/(Args|Settings)$/, "");

/** Returns a block with the fields of all variants. A field is only required if it is required in each of them. */
function mergeVariants({ interface: name, description, variants }: Union): Block {
  const keys = new Set(variants.flatMap(({ fields }) => fields.map(({ key }) => key)));
  const fields = [...keys].map((key): Field => {
    const uses = variants.flatMap((variant) => variant.fields.filter((field) => field.key === key).map((field) => ({ field, variant })));
    const [first] = uses;
    if (!first) throw new TypeError(`${name}.${key} is in no variant`);
    const isCommon = uses.length === variants.length;
    const isRequired = isCommon && uses.every(({ field }) => field.presence === "required");
    const descriptions = new Set(uses.map(({ field }) => field.description));
    const only = uses.map(({ variant }) => variant.selector).join(" or ");
    const text =
      descriptions.size > 1
        ? uses.map(({ field, variant }) => `${variant.selector}: ${field.description}`).join(" ")
        : first.field.description;
    return {
      ...first.field,
      node: uses.map(({ field }) => field.node).reduce((one, other) => mergeNodes(one, other, `${name}.${key}`)),
      description: isCommon || only === key ? text : `${text} Only with ${only}.`,
      presence: isRequired ? "required" : first.field.presence === "required" ? "optional" : first.field.presence,
    };
  });
  return { type: "block", interface: name, description, fields, conflicts: [] };
}

/** Returns a node that has the type of both. */
function mergeNodes(one: Node, other: Node, path: string): Node {
  if (isDeepStrictEqual(one, other)) return one;
  if (one.type === "choice" && other.type === "choice")
    return { ...one, values: [...new Set([...(one.values ?? []), ...(other.values ?? [])])] };
  if (one.type === "text" && other.type === "text" && one.secret === other.secret && one.plain === other.plain) return one;
  if (one.type === "block" && other.type === "block") {
    const [small, large] = one.fields.length < other.fields.length ? [one, other] : [other, one];
    if (small.fields.every(({ key, node }) => large.fields.some((field) => field.key === key && field.node.type === node.type)))
      return large;
  }
  throw new Error(`the package cannot have one type for the variants of ${path}`);
}
