import * as v from "./kinds/index.ts";

export const egress = v
  .listOf(
    v
      .block("EgressArgs", {
        hosts: v
          .uniqueListOf(v.hostName())
          .min(1, { error: "is empty; name at least one host that a setting contains" })
          .describe("Hosts as other settings name them: of registries, an external Redis, receivers, a bucket or a proxy."),
        namespaces: v
          .uniqueListOf(v.clientNamespace())
          .default([])
          .describe("Namespaces of the pods that answer, such as those of an Ingress controller; `*` means every namespace."),
        podLabels: v
          .tableOf(v.labelKey(), v.labelValue())
          .default({})
          .describe("Labels of the pods that answer; without `namespaces`, of pods in the service's own namespace."),
        cidrs: v.uniqueListOf(v.cidr()).default([]).describe("CIDR blocks of the hosts' addresses."),
        ports: v
          .uniqueListOf(v.count(1, 65535))
          .default([])
          .meta({ description: "Ports on which those pods or addresses listen.", otherwise: "the port in the other setting" }),
      })
      .describe("Where hosts are, for the network policies."),
  )
  .default([])
  .describe(
    "Where hosts are that the pods connect to, for the network policies, which know pods and addresses but no names. Needed for private names, and for Services on a port that is not their pods'.",
  );
