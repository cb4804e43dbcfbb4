import type { z } from "zod";
import { access } from "./access.ts";
import { authorities } from "./authorities.ts";
import { database } from "./database.ts";
import { dns } from "./dns.ts";
import { domains } from "./domains.ts";
import { egress } from "./egress.ts";
import { exposure } from "./exposure.ts";
import { gateway } from "./gateway.ts";
import { images } from "./images.ts";
import * as v from "./kinds/index.ts";
import { monitoring } from "./monitoring.ts";
import { namespace } from "./namespace.ts";
import { pods } from "./pods.ts";
import { proxy } from "./proxy.ts";
import { redis } from "./redis.ts";
import { registryScan } from "./registry-scan.ts";
import { scheduling } from "./scheduling.ts";
import { server } from "./server.ts";

/** Every setting of a stack: its key under `trivy-server:`, its kind, default and documentation. */
export const schema = v
  .block("SettingsArgs", {
    namespace,
    images,
    server,
    gateway,
    domains,
    database,
    proxy,
    egress,
    dns,
    redis,
    access,
    exposure,
    registryScan,
    monitoring,
    scheduling,
    pods,
    protect: v
      .plain(v.flag())
      .default(true)
      .describe(
        "Protects the namespace and the volume claims: Pulumi refuses to delete or replace them, and keeps them in the cluster if they leave the state. Set it to false and run `up` before you destroy the stack.",
      ),
    authorities,
    clusterDomain: v.dnsName().default("cluster.local").describe("DNS domain of the cluster."),
    labels: v.tableOf(v.labelKey(), v.labelValue()).default({}).describe("Labels of every object, such as team or cost centre."),
    podAnnotations: v
      .tableOf(v.labelKey())
      .default({})
      .describe("Annotations of every pod, such as for a service mesh or a log collector."),
  })
  .describe("Everything that can be set about a service.");

/** The settings of a stack, checked, with their defaults. */
export type Settings = z.output<typeof schema>;
