import fc, { type Arbitrary } from "fast-check";
import { type Block, type Field, fieldOf, type Leaf, type List, modelOf, type Node } from "../../stacks/model.ts";
import { schema } from "../../stacks/schema.ts";
import { nonsense, valuesOf } from "./arbitrary-values.ts";

const model = modelOf(schema);

/**
 * Keys of blocks that fit together: one with `!` must be given, `*` stands for all others. Without an entry, any key may be given. Of conflicting
 * keys, and of those of a block that is not enabled, the schema itself knows.
 */
const shapes: Readonly<Record<string, readonly string[]>> = {
  AuthoritiesArgs: ["", "generation! retire"],
  ProbeArgs: ["enabled schedule", "* generation! retire"],
  ClientArgs: ["name!", "name! generation! retire", "name! token!", "name! token! previousToken!"],
  GatewayTlsArgs: ["names plainHttp", "existingSecret! caCertificates plainHttp", "certificate! key! caCertificates plainHttp"],
  EmbeddedRedisArgs: ["mode ttl maxMemory cpu persistence monitors tls", "* generation! retire"],
  DatabaseMirrorArgs: [
    "fallback interval keep pin size storageClass workVolume credentials monitors resources java",
    "fallback existingSecret",
    "to! fallback schedule workVolume credentials! resources",
  ],
  JavaDatabaseArgs: ["repositories"],
  RedisTlsArgs: ["", "existingSecret!", "caCertificates!", "caCertificates! clientCertificate! clientKey!"],
  RegistryScanArgs: ["* targets!"],
  RepositoryTargetArgs: ["repository! tags versions exclude", "repository! tags versions exclude newest! order"],
  MonitoringArgs: ["* namespaces!"],
  ReceiverArgs: ["name! type! url! authorization", "name! type! existingSecret! authorization"],
  EgressArgs: ["hosts! namespaces! podLabels ports", "hosts! cidrs! ports"],
  TolerationArgs: ["key! operator effect", "key! value effect", "operator! effect"],
};

interface Options {
  /** Whether any value may be nonsense, and blocks may have unknown keys. */
  readonly mistakes: boolean;
}

/** Settings of a stack. Without mistakes every value is of the right kind, though the values need not fit each other. */
export function arbitrarySettings(options: Options): Arbitrary<Record<string, unknown>> {
  const server = fieldOf(model, "server") as Field & { readonly node: Block };
  const behindGateway: Field = { ...server, node: without(server.node, "token") };
  const fronts = [
    without(without(model, "gateway"), "domains"),
    { ...model, fields: model.fields.map((field) => (field.key === "server" ? behindGateway : field)) },
  ];
  const known = fc
    .oneof(...fronts.map((root) => fc.oneof(...keySets(root).map((keys) => record(root, keys, options)))))
    .map(withFittingDomains)
    .map(withFittingEgress);
  const unknown = fc.dictionary(fc.constantFrom("sever", "constructor", "image"), nonsense, { maxKeys: 1 });
  return options.mistakes ? fc.oneof({ weight: 9, arbitrary: known }, { weight: 1, arbitrary: withOthers(unknown, known) }) : known;
}

const isBlock = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

/** Gives each trust domain a client of the gateway and a Redis database of its own; drops the domains for which there is no client. */
function withFittingDomains({ domains, ...settings }: Record<string, unknown>): Record<string, unknown> {
  if (!Array.isArray(domains)) return domains === undefined ? settings : { ...settings, domains };
  const { gateway } = settings;
  const clients = isBlock(gateway) && Array.isArray(gateway["clients"]) ? gateway["clients"].filter(isBlock) : [];
  const fitting = domains.slice(0, clients.length).map((domain, index) => {
    const own = { clients: [clients[index]?.["name"]], cacheDatabase: index + 1 };
    return isBlock(domain) && Array.isArray(domain["clients"]) ? { ...domain, ...own } : domain;
  });
  return { ...settings, ...(fitting.length > 0 && { domains: fitting }) };
}

/** Gives each entry of `egress` a host of a repository, which must not be reached through a proxy; drops the entries for which there is none. */
function withFittingEgress({ egress, ...settings }: Record<string, unknown>): Record<string, unknown> {
  if (!Array.isArray(egress)) return egress === undefined ? settings : { ...settings, egress };
  const { database, proxy } = settings;
  const named = isBlock(database) && proxy === undefined && Array.isArray(database["repositories"]) ? database["repositories"] : [];
  const hosts = [...new Set(named.map((repository) => /^[a-z.]+(?=[:/])/.exec(String(repository))?.[0]))].filter(Boolean);
  const offline = isBlock(database) && isBlock(database["mirror"]) && database["mirror"]["offline"] !== undefined;
  const fitting = offline
    ? []
    : egress
        .slice(0, hosts.length)
        .map((entry, index) => (isBlock(entry) && Array.isArray(entry["hosts"]) ? { ...entry, hosts: [hosts[index]] } : entry));
  return { ...settings, ...(fitting.length > 0 && { egress: fitting }) };
}

const withOthers = (others: Arbitrary<object>, known: Arbitrary<Record<string, unknown>>) =>
  fc.tuple(others, known).map(([other, own]) => ({ ...other, ...own }));

const without = (block: Block, key: string): Block => ({ ...block, fields: block.fields.filter((field) => field.key !== key) });

/** Keys that may be given together, and whether each must be. */
type KeySet = ReadonlyMap<string, boolean>;

/** Returns sets of keys, of which each gives a block whose keys fit together. */
function keySets(block: Block): KeySet[] {
  const all = block.fields.map((field) => field.key).filter((key) => key !== "enabled");
  const shaped = (shapes[block.interface] ?? ["*"]).map((shape) => {
    const words = shape.split(" ").filter((word) => word !== "");
    const named = words.filter((word) => word !== "*").map((word) => [word.replace("!", ""), word.endsWith("!")] as const);
    return new Map([...(words.includes("*") ? all : []).map((key) => [key, isRequired(block, key)] as const), ...named]);
  });
  const consistent = block.conflicts.reduce(
    (sets, [key, other]) => sets.flatMap((set) => (set.has(key) && set.has(other) ? [omit(set, key), omit(set, other)] : [set])),
    shaped,
  );
  const enabled = fieldOf(block, "enabled");
  return enabled ? consistent.map((set) => new Map([...set, ["enabled", enabled.default === false] as const])) : consistent;
}

const isRequired = (block: Block, key: string) => fieldOf(block, key)?.presence === "required";
const omit = (set: Map<string, boolean>, key: string) => new Map([...set].filter(([other]) => other !== key));

function record(block: Block, keys: KeySet, options: Options): Arbitrary<Record<string, unknown>> {
  const values = [...keys].map(([key, needed]) => {
    const { node } = fieldOf(block, key) as Field;
    return [key, key === "enabled" ? leaf(fc.constant(true), options) : value(node, `${block.interface}.${key}`, needed, options)] as const;
  });
  return fc.record(Object.fromEntries(values), { requiredKeys: [...keys].flatMap(([key, needed]) => (needed ? [key] : [])) });
}

function value(node: Node, owner: string, needed: boolean, options: Options): Arbitrary<unknown> {
  switch (node.type) {
    case "block":
      return blockValue(node, options);
    case "union":
      return fc.oneof(...node.variants.map((variant) => blockValue(variant, options)));
    case "list":
      return leaf(list(node, owner, needed, options), options);
    case "table":
      return leaf(fc.dictionary(texts(node.key, owner), texts(node.value, owner), { maxKeys: 3 }), options);
    default:
      return leaf(leafValue(node, owner), options);
  }
}

function blockValue(block: Block, options: Options): Arbitrary<unknown> {
  const disabled = fieldOf(block, "enabled") ? [fc.record({ enabled: leaf(fc.constant(false), options) })] : [];
  const known = fc.oneof(...disabled, ...keySets(block).map((keys) => record(block, keys, options)));
  if (!options.mistakes) return known;
  const unknown = fc.dictionary(fc.oneof(fc.string({ maxLength: 20 }), fc.constantFrom("replcas", "constructor", "toString")), nonsense, {
    maxKeys: 1,
  });
  return fc.oneof(
    { weight: 60, arbitrary: known },
    { weight: 1, arbitrary: withOthers(unknown, known) },
    { weight: 1, arbitrary: nonsense },
  );
}

/** A value by itself: sometimes nonsense, if there are mistakes. */
const leaf = (valid: Arbitrary<unknown>, { mistakes }: Options): Arbitrary<unknown> =>
  mistakes ? fc.oneof({ weight: 60, arbitrary: valid }, { weight: 1, arbitrary: nonsense }) : valid;

function list({ item, atLeastOne, unique }: List, owner: string, needed: boolean, options: Options): Arbitrary<unknown[]> {
  const items = value(item, owner, true, options);
  const length = { minLength: atLeastOne || needed ? 1 : 0, maxLength: 3 };
  if (unique === false) return fc.array(items, length);
  return fc.uniqueArray(items, {
    ...length,
    selector: (one) => JSON.stringify(unique === true ? one : (one as Record<string, unknown> | null)?.[unique]),
  });
}

const texts = ({ kind }: Leaf, owner: string) => valuesOf(kind, owner) as Arbitrary<string>;

function leafValue({ type, kind, values = [], minimum = 0, maximum = 0 }: Leaf, owner: string): Arbitrary<unknown> {
  switch (type) {
    case "boolean":
      return fc.boolean();
    case "choice":
      return valuesOf(kind, owner, fc.constantFrom(...values));
    case "number": {
      const usual = fc.integer({ min: minimum, max: Math.min(minimum + 9, maximum) });
      return valuesOf(kind, owner, fc.oneof({ weight: 9, arbitrary: usual }, { weight: 1, arbitrary: fc.constant(maximum) }));
    }
    default:
      return valuesOf(kind, owner);
  }
}
