import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { Component, optional, several, type Transforms } from "../../../components/shared/component.ts";
import { isSecret, plain, type RecordedResource, record } from "../../../recorder/record.ts";

const leaves = { config: k8s.core.v1.ConfigMap };

class Leaf extends Component<{ readonly transform?: Transforms<typeof leaves> }, typeof leaves> {
  constructor(name: string, args: { readonly transform?: Transforms<typeof leaves> }, options?: pulumi.ComponentResourceOptions) {
    super("Leaf", name, args, { children: leaves, settings: [] }, options);
    this.create("config", { data: { a: "1" } });
    this.registerOutputs({});
  }
}

const children = {
  firstMap: k8s.core.v1.ConfigMap,
  secondMap: k8s.core.v1.ConfigMap,
  maps: several(k8s.core.v1.ConfigMap),
  secret: optional(k8s.core.v1.Secret),
  leaf: optional(Leaf),
};

interface TreeArgs {
  readonly gateway?: { readonly clients?: readonly { readonly name: string; readonly token?: pulumi.Input<string> }[] };
  readonly internal?: string;
  readonly leaf?: boolean;
  readonly incomplete?: boolean;
  readonly transform?: Transforms<typeof children>;
}

/** A component with every kind of child; two of them share their labels. */
class Tree extends Component<TreeArgs, typeof children> {
  constructor(name: string, args: TreeArgs, options?: pulumi.ComponentResourceOptions) {
    super("Tree", name, args, { children, settings: ["gateway"] }, options);
    const metadata = { labels: { team: "a" } };
    this.create("firstMap", { metadata, data: { list: "x" } });
    if (!args.incomplete) this.create("secondMap", { metadata });
    for (const number of [1, 2]) this.create("maps", { metadata }, { dependsOn: [...this.dependencies] }, `map-${number}`);
    if (args.leaf) this.create("leaf", {}, {}, "");
    this.registerOutputs({});
  }
}

const tree = async (args: TreeArgs = {}) => {
  const { resources, result } = await record(() => new Tree("oak", args));
  const named = (name: string) => resources.find((resource) => resource.custom && resource.name === name) as RecordedResource;
  const metadata = (name: string) => plain(named(name).inputs["metadata"]);
  return { resources, result, named, metadata };
};

describe("the base of all components", () => {
  it("children are named after their component and their key, and belong to the component", async () => {
    const { resources } = await tree({ leaf: true });
    expect(
      resources.map(({ type, name, parent }) => `${parent?.split("::").at(-1) ?? ""} > ${type.split(":").at(-1)} ${name}`),
    ).to.have.members([
      " > Tree oak",
      "oak > ConfigMap oak-first-map",
      "oak > ConfigMap oak-second-map",
      "oak > ConfigMap oak-map-1",
      "oak > ConfigMap oak-map-2",
      "oak > Leaf oak",
      "oak > ConfigMap oak-config",
    ]);
    expect(resources[0]?.type).to.equal("trivy-server:index:Tree");
  });

  it("nodes contain each child under its key, several of a kind in a list, and undefined for one that was not created", async () => {
    const { nodes } = (await tree({ leaf: true })).result;
    expect(nodes.firstMap).to.be.instanceOf(k8s.core.v1.ConfigMap);
    expect(nodes.maps).to.have.length(2);
    expect(nodes.secret).to.equal(undefined);
    expect(nodes.leaf?.nodes.config).to.be.instanceOf(k8s.core.v1.ConfigMap);
  });

  it("a component that does not create one of its children fails", async () => {
    const error = await tree({ incomplete: true }).catch((reason: Error) => reason);
    expect(error).to.be.instanceOf(Error).with.property("message", "Tree has not created its secondMap");
  });

  it("a transform that is an object is merged into the arguments of its child", async () => {
    const { metadata, named } = await tree({ transform: { firstMap: { metadata: { labels: { more: "b" } }, data: { list: "y" } } } });
    expect(metadata("oak-first-map")).to.deep.equal({ labels: { team: "a", more: "b" } });
    expect(plain(named("oak-first-map").inputs["data"])).to.deep.equal({ list: "y" });
    expect(metadata("oak-second-map")).to.deep.equal({ labels: { team: "a" } });
  });

  it("a transform that is a function may change the arguments in place, of its own child only", async () => {
    const { metadata } = await tree({
      transform: {
        firstMap: ({ metadata: own }) => {
          Object.assign((own as { labels: object }).labels, { more: "b" });
        },
      },
    });
    expect(metadata("oak-first-map")).to.deep.equal({ labels: { team: "a", more: "b" } });
    expect(metadata("oak-second-map")).to.deep.equal({ labels: { team: "a" } });
  });

  it("a transform that is a function may return other arguments", async () => {
    const { metadata } = await tree({ transform: { firstMap: () => ({ metadata: { name: "other" } }) } });
    expect(metadata("oak-first-map")).to.deep.equal({ name: "other" });
  });

  it("a transform that is a function may change the resource options, and gets the logical name", async () => {
    const names: string[] = [];
    const { named } = await tree({
      transform: {
        maps: (_args, options, name) => {
          names.push(name);
          options.protect = name === "oak-map-2";
        },
      },
    });
    expect(names).to.deep.equal(["oak-map-1", "oak-map-2"]);
    expect(["oak-map-1", "oak-map-2", "oak-first-map"].map((name) => named(name).protect ?? false)).to.deep.equal([false, true, false]);
  });

  it("the transform of a child that is a component changes that component's children", async () => {
    const { named } = await tree({ leaf: true, transform: { leaf: { config: { data: { b: "2" } } } } });
    expect(plain(named("oak-config").inputs["data"])).to.deep.equal({ a: "1", b: "2" });
  });

  it("the state contains the settings of a component, secrets marked, and no other argument", async () => {
    const { resources } = await tree({
      internal: "wiring",
      gateway: { clients: [{ name: "a", token: "a-plain-token" }, { name: "b" }] },
      transform: { firstMap: {} },
    });
    const { inputs } = resources.find(({ custom }) => !custom) as RecordedResource;
    expect(plain(inputs)).to.deep.equal({ gateway: { clients: [{ name: "a", token: "a-plain-token" }, { name: "b" }] } });
    const [first] = (inputs["gateway"] as { clients: { token: unknown }[] }).clients;
    expect(isSecret(first?.token)).to.equal(true);
  });
});
