import type * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import type { ScanServiceArgs } from "../../components/scan-service.ts";
import { Component } from "../../components/shared/component.ts";
import { settled } from "../../recorder/record.ts";
import { deploy } from "../support/service.ts";
import { services } from "../support/services.ts";

/** Stands for the transforms of every component: each of its properties is a transform that is a function, with the same properties. */
function transformEverything(
  transform: (options: pulumi.CustomResourceOptions, name: string) => void,
): NonNullable<ScanServiceArgs["transform"]> {
  const everything: object = new Proxy((_args: object, options: pulumi.CustomResourceOptions, name: string) => transform(options, name), {
    get: () => everything,
  });
  return everything;
}

/** Returns all resources that can be reached through the nodes of a component. */
function reachable(component: { readonly nodes: object }): pulumi.Resource[] {
  const nodes = Object.values(component.nodes).flat() as (pulumi.Resource | undefined)[];
  return nodes.flatMap((node) => (node === undefined ? [] : node instanceof Component ? [node, ...reachable(node)] : [node]));
}

for (const [kind, args] of Object.entries(services))
  describe(`a service with ${kind}`, () => {
    it("every resource can be transformed, exactly once", async () => {
      const names: string[] = [];
      const transform = transformEverything((options, name) => {
        names.push(name);
        options.protect = false;
      });
      const { resources } = await deploy({ ...args, transform });
      const custom = resources.filter((resource) => resource.custom);
      expect(names).to.have.members(custom.map(({ name }) => name));
      for (const { name, protect } of custom) expect(protect, name).to.equal(false);
    });

    it("every resource can be reached through the nodes", async () => {
      const { resources, service } = await deploy(args);
      const urns = await settled(reachable(service).map(({ urn }) => urn));
      expect(urns).to.have.members(resources.slice(1).map(({ urn }) => urn));
    });

    it("every resource is named after the component that it belongs to", async () => {
      const { resources } = await deploy(args);
      for (const { name, parent, custom } of resources.slice(1)) {
        const component = parent?.split("::").at(-1);
        if (custom || name !== component) expect(name).to.satisfy((text: string) => text.startsWith(`${component}-`));
      }
    });
  });

it("the services in test/support/services.ts have every child that a component can create", async () => {
  const found = new Map<string, boolean>();
  const visit = (component: { readonly nodes: object }) => {
    for (const [child, node] of Object.entries(component.nodes)) {
      const created = [node].flat().filter((one) => one !== undefined) as pulumi.Resource[];
      const key = `${component.constructor.name}.${child}`;
      found.set(key, found.get(key) || created.length > 0);
      for (const one of created) if (one instanceof Component) visit(one);
    }
  };
  for (const args of Object.values(services)) visit((await deploy(args)).service);
  expect(found.size).to.be.above(50);
  expect([...found].filter(([, created]) => !created).map(([key]) => key)).to.deep.equal([]);
});
