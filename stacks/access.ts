import type { z } from "zod";
import * as v from "./kinds/index.ts";

export const access = v
  .block("AccessArgs", {
    namespaces: v
      .uniqueListOf(v.clientNamespace())
      .default([])
      .describe("Namespaces whose pods may connect; `*` means every namespace. Without any, only `kubectl port-forward` works."),
    cidrs: v
      .uniqueListOf(v.cidr())
      .default([])
      .describe("CIDR blocks that may connect: load balancers, nodes, machines outside the cluster."),
  })
  .describe("Which clients may connect to the service, as the network policies enforce it.")
  .prefault({});

export type Access = z.output<typeof access>;
