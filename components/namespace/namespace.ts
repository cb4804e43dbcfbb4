import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { type Identity, labels, partOf } from "../shared/labels.ts";
import { toDns } from "../shared/network.ts";
import { type Transform, transformed } from "../shared/transform.ts";

export const namespaceDefaults = { name: "trivy", create: true } as const;

/** Fixed, so that an upgrade of the cluster does not change what is admitted; 1.34 was the last version that added a rule. */
const podSecurityVersion = "v1.35";

export interface NamespaceSettings {
  /** Name of the namespace. @default trivy */
  readonly name?: string;
  /** Whether to create it; otherwise it must exist, and only the service's own pods are isolated in it. @default true */
  readonly create?: boolean;
}

export interface NamespaceArgs extends Identity {
  readonly namespace?: NamespaceSettings;
  readonly transform?: {
    readonly namespace?: Transform<k8s.types.input.core.v1.Namespace>;
    readonly defaultDeny?: Transform<k8s.types.input.networking.v1.NetworkPolicy>;
    readonly allowDns?: Transform<k8s.types.input.networking.v1.NetworkPolicy>;
  };
}

/** A namespace under Pod Security `restricted` in which no pod reaches or is reached by anything but DNS, until another policy allows it. */
export class Namespace extends pulumi.ComponentResource {
  /** Name of the namespace, known when it is there. */
  readonly name: pulumi.Output<string>;
  /** What pods that need the network must wait for: without it a pod could start before its DNS is allowed. */
  readonly policies: readonly pulumi.Resource[];

  constructor(name: string, args: NamespaceArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform, ...inputs } = args;
    super("trivy-server:index:Namespace", name, inputs, opts);
    const { name: namespace, create } = { ...namespaceDefaults, ...args.namespace };
    const metadata = { labels: labels(args, "namespace") };
    this.name = create
      ? new k8s.core.v1.Namespace(
          `${name}-namespace`,
          transformed(transform?.namespace, {
            metadata: {
              name: namespace,
              labels: {
                ...metadata.labels,
                ...Object.fromEntries(
                  ["enforce", "audit", "warn"].flatMap((mode) => [
                    [`pod-security.kubernetes.io/${mode}`, "restricted"],
                    [`pod-security.kubernetes.io/${mode}-version`, podSecurityVersion],
                  ]),
                ),
              },
            },
          }),
          { parent: this },
        ).metadata.name
      : pulumi.output(namespace);
    const podSelector = create ? {} : { matchLabels: { "app.kubernetes.io/part-of": partOf } };
    const policy = (
      suffix: string,
      spec: Omit<k8s.types.input.networking.v1.NetworkPolicySpec, "podSelector">,
      change: Transform<k8s.types.input.networking.v1.NetworkPolicy> | undefined,
    ) =>
      new k8s.networking.v1.NetworkPolicy(
        `${name}-${suffix}`,
        transformed(change, { metadata: { ...metadata, name: suffix, namespace: this.name }, spec: { ...spec, podSelector } }),
        { parent: this },
      );
    this.policies = [
      policy("default-deny", { policyTypes: ["Ingress", "Egress"] }, transform?.defaultDeny),
      policy("allow-dns", { policyTypes: ["Egress"], egress: [toDns] }, transform?.allowDns),
    ];
    this.registerOutputs({ name: this.name });
  }
}
