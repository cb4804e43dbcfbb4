import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { type DnsArgs, defaults, type NamespaceSettings } from "../args.ts";
import { Component, optional, type Transforms } from "../shared/component.ts";
import type { Identity } from "../shared/context.ts";
import { labels, partOf } from "../shared/labels.ts";
import { withDefaults } from "../shared/merge.ts";
import { dnsEgress } from "../shared/network.ts";
import { protection } from "../shared/objects.ts";
import { objectsName } from "../shared/parts.ts";

/** Fixed, so that an upgrade of the cluster does not change which pods are admitted. Version 1.34 was the last one that added a rule. */
const podSecurityVersion = "v1.35";

const children = {
  namespace: optional(k8s.core.v1.Namespace),
  /** The policy that allows no connection. */
  defaultDeny: k8s.networking.v1.NetworkPolicy,
  /** The policy that allows connections to the cluster's DNS. */
  allowDns: k8s.networking.v1.NetworkPolicy,
};

export interface NamespaceArgs {
  readonly identity: Identity;
  readonly namespace?: NamespaceSettings;
  /** Further resolvers of the cluster. @default the known ones only */
  readonly dns?: DnsArgs;
  readonly transform?: Transforms<typeof children> | undefined;
}

/**
 * A namespace with Pod Security `restricted`, whose pods can connect only to DNS until a policy allows more. In a namespace that exists
 * already, this applies to the service's own pods only.
 *
 * @example
 * const namespace = new Namespace("scanning", { identity: { instance: "prod" }, namespace: { name: "scanning" } });
 * export const name = namespace.name;
 */
export class Namespace extends Component<NamespaceArgs, typeof children> {
  /** Name of the namespace, known when it exists. */
  readonly name: pulumi.Output<string>;
  /** The policies. Pods that use the network must wait for them, because without them a pod could start before its DNS is allowed. */
  readonly policies: readonly pulumi.Resource[];

  constructor(name: string, args: NamespaceArgs, options?: pulumi.ComponentResourceOptions) {
    super("Namespace", name, args, { children, settings: ["namespace", "dns"] }, options);
    const { name: given, create } = withDefaults(defaults.namespace, this.args.namespace);
    this.name = create ? this.createNamespace(given) : pulumi.output(given);
    const podSelector = create ? {} : { matchLabels: { "app.kubernetes.io/part-of": partOf } };
    const named = (objectName: string) => objectsName({ objectName }, !create);
    this.policies = [
      this.create("defaultDeny", this.policy(named("default-deny"), { podSelector, policyTypes: ["Ingress", "Egress"] })),
      this.create("allowDns", this.policy(named("allow-dns"), { podSelector, policyTypes: ["Egress"], egress: dnsEgress(this.args.dns) })),
    ];
    this.registerOutputs({ name: this.name });
  }

  private createNamespace(name: pulumi.Input<string>): pulumi.Output<string> {
    const podSecurity = ["enforce", "audit", "warn"].flatMap((mode) => [
      [`pod-security.kubernetes.io/${mode}`, "restricted"],
      [`pod-security.kubernetes.io/${mode}-version`, podSecurityVersion],
    ]);
    const metadata = { name, labels: { ...this.labels(), ...Object.fromEntries(podSecurity) } };
    return this.create("namespace", { metadata }, protection(this.args.identity)).metadata.name;
  }

  private policy(name: string, spec: k8s.types.input.networking.v1.NetworkPolicySpec): k8s.networking.v1.NetworkPolicyArgs {
    return { metadata: { labels: this.labels(), name, namespace: this.name }, spec };
  }

  private labels() {
    return labels(this.args.identity, { component: "namespace" });
  }
}
