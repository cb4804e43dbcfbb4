import * as v from "./kinds/index.ts";

export const dns = v
  .block("DnsArgs", {
    namespaces: v.uniqueListOf(v.clientNamespace()).default([]).describe("Namespaces of the resolvers' pods; `*` means every namespace."),
    cidrs: v
      .uniqueListOf(v.cidr())
      .default([])
      .describe("CIDR blocks of resolvers that are not pods, such as a cache on each node or a cloud's resolver."),
    ports: v
      .uniqueListOf(v.count(1, 65535))
      .default([])
      .describe("Ports on which the resolvers listen, in addition to 53; of pods those of the containers, not the Service's."),
  })
  .describe(
    "The cluster's DNS, if it is none that is known: pods in kube-system or openshift-dns on the ports 53, 5353, 8053 and 1053; the caches on nodes of Kubernetes' add-on, Kubespray and AKS; Cloud DNS of GKE.",
  )
  .prefault({});
