import type * as pulumi from "@pulumi/pulumi";
import { type ScanServiceArgs, ScanService as Unchecked } from "../components/index.ts";
import { checkArguments } from "../stacks/arguments.ts";

/**
 * A vulnerability-scanning service in a namespace of its own: Trivy servers that share a Redis cache, and everything around them. The
 * arguments are checked like the settings of a stack.
 *
 * @example
 * const service = new ScanService("trivy", { instance: pulumi.getStack(), access: { namespaces: ["ci"] } });
 * export const { address, token } = service;
 */
export class ScanService extends Unchecked {
  /** @throws RunError with everything that is wrong with the arguments, of which outputs are not checked */
  constructor(name: string, { instance, transform, ...settings }: ScanServiceArgs, options?: pulumi.ComponentResourceOptions) {
    super(name, { ...checkArguments(settings as pulumi.Inputs), instance, ...(transform && { transform }) }, options);
  }
}
