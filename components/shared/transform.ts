import type * as pulumi from "@pulumi/pulumi";
import { merge, type Patch } from "./merge.ts";

/**
 * Changes a child resource before it is created: the way to fields and resource options that no argument of the component covers.
 *
 * An object is merged into the child's arguments, at any depth; lists are replaced. A function gets the arguments, the resource options and
 * the logical name. It may change both in place, or return other arguments.
 *
 * @example
 * const byObject: Transform<k8s.apps.v1.DeploymentArgs> = { spec: { revisionHistoryLimit: 3 } };
 * const byFunction: Transform<k8s.core.v1.PersistentVolumeClaimArgs> = (_args, options) => {
 *   options.ignoreChanges = ["spec.resources.requests.storage"];
 * };
 */
export type Transform<Args> = Patch<Args> | ((args: Args, options: pulumi.CustomResourceOptions, name: string) => Args | undefined);

/** Returns the arguments of a child with its transform applied. The function of a transform may change `options`. */
export function transformed<Args extends object>(
  transform: Transform<Args> | undefined,
  name: string,
  args: Args,
  options: pulumi.CustomResourceOptions,
): Args {
  if (typeof transform !== "function") return merge(args, transform) as Args;
  // A copy, because children share parts of their arguments, such as labels.
  const own = merge(args, undefined) as Args;
  return transform(own, options, name) ?? own;
}
