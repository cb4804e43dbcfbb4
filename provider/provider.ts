import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { ScanService } from "../components/index.ts";
import { plain, settled } from "../recorder/sdk.ts";
import { checkArguments } from "../stacks/arguments.ts";
import { scanServiceType } from "../stacks/generators/package-schema.ts";
import type { Raw } from "../stacks/paths.ts";

const schema = readFileSync(join(import.meta.dirname, "schema.json"), "utf8");

/** Creates a ScanService for a program in any of Pulumi's languages. Its arguments are the settings of a stack, with the same checks. */
export const provider: pulumi.provider.Provider = {
  version: JSON.parse(schema).version,
  schema,
  async construct(name, type, { instance = pulumi.getStack(), ...inputs }, options) {
    if (type !== scanServiceType) throw new Error(`${type} is not a resource of this package; use ${scanServiceType}`);
    const service = new ScanService(name, { ...checkArguments(inputs, plain(await settled(inputs)) as Raw), instance }, options);
    const { namespace, address, externalAddress, portForward, scan, token, tokens, caCertificate, reports } = service;
    return { urn: service.urn, state: { namespace, address, externalAddress, portForward, scan, token, tokens, caCertificate, reports } };
  },
};
