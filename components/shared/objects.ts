import type * as k8s from "@pulumi/kubernetes";
import type { CustomResourceOptions, Input } from "@pulumi/pulumi";
import { defaults } from "../args.ts";
import type { Context, Identity } from "./context.ts";
import { labels, selector } from "./labels.ts";
import type { EgressRule, IngressRule } from "./network.ts";
import { objectsName, type Part } from "./parts.ts";

type Data = Readonly<Record<string, Input<string>>>;

/**
 * Returns the metadata of an object for which the provider generates a name, so that pods that use it are replaced when its content
 * changes.
 */
export function generatedMetadata(context: Context, part: Part) {
  return { namespace: context.namespace, labels: labels(context, part) };
}

/** Returns the metadata of an object that has the part's name. */
export function namedMetadata(context: Context, part: Part) {
  return { ...generatedMetadata(context, part), name: objectsName(part, context.sharedNamespace) };
}

/** Returns a ConfigMap with a generated name. */
export function configMap(context: Context, part: Part, data: Data): k8s.core.v1.ConfigMapArgs {
  return { metadata: generatedMetadata(context, part), data };
}

/** Returns a Secret with a generated name; `type` is Opaque unless it is given. */
export function secret(context: Context, part: Part, stringData: Data, type?: string): k8s.core.v1.SecretArgs {
  return { metadata: generatedMetadata(context, part), ...(type !== undefined && { type }), stringData };
}

/**
 * Returns the policy of a part's pods. Without `egress` it does not restrict what they connect to; without rules in a list nothing is
 * allowed.
 */
export function networkPolicy(
  context: Context,
  part: Part,
  { ingress, egress }: { readonly ingress: Input<IngressRule[]>; readonly egress?: Input<Input<EgressRule>[]> },
): k8s.networking.v1.NetworkPolicyArgs {
  return {
    metadata: namedMetadata(context, part),
    spec: {
      podSelector: { matchLabels: selector(part) },
      policyTypes: egress === undefined ? ["Ingress"] : ["Ingress", "Egress"],
      ingress,
      ...(egress !== undefined && { egress }),
    },
  };
}

/**
 * Returns the options of an object whose deletion loses data: a volume claim, or the namespace that holds them. The engine refuses to
 * delete or replace it; `retainOnDelete` keeps it in the cluster if its protection is removed from the state only, with
 * `pulumi state unprotect`. Without protection the options of the parent apply.
 */
export function protection({ protect = defaults.protect }: Pick<Identity, "protect">): CustomResourceOptions {
  return protect ? { protect: true, retainOnDelete: true } : {};
}

/** Returns a claim of its own, not a StatefulSet's template, so that it can grow in place and is deleted with the stack. */
export function volumeClaim(
  context: Context,
  part: Part,
  { size, storageClass }: { readonly size: Input<string>; readonly storageClass?: Input<string> | undefined },
): k8s.core.v1.PersistentVolumeClaimArgs {
  return {
    // A storage class that waits for the first consumer binds the claim only when the pod exists, and the pod waits for the claim.
    metadata: { ...namedMetadata(context, part), annotations: { "pulumi.com/skipAwait": "true" } },
    spec: {
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: size } },
      ...(storageClass !== undefined && { storageClassName: storageClass }),
    },
  };
}

/**
 * Returns a budget that lets one pod at a time be drained. A pod that is not ready serves no request, so it does not block the drain of a
 * node.
 */
export function disruptionBudget(context: Context, part: Part): k8s.policy.v1.PodDisruptionBudgetArgs {
  return {
    metadata: namedMetadata(context, part),
    spec: { maxUnavailable: 1, selector: { matchLabels: selector(part) }, unhealthyPodEvictionPolicy: "AlwaysAllow" },
  };
}
