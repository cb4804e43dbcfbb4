import type { z } from "zod";
import { managedVariables } from "../components/server/environment.ts";
import { resourceRules, resources, secretKeyRef } from "./common.ts";
import * as v from "./kinds/index.ts";
import { type Given, type RuleProblem, withoutEffect } from "./rule.ts";

export const autoscaling = v
  .block("AutoscalingArgs", {
    minReplicas: v.count(1, 100).default(2).describe("Minimum number of servers."),
    maxReplicas: v.count(1, 100).describe("Maximum number of servers."),
    targetCpuUtilization: v
      .count(1, 1000)
      .default(70)
      .describe("Average CPU utilization to aim at, in percent of the servers' CPU request."),
  })
  .describe("Scales the number of servers with their CPU utilization, instead of `replicas`.")
  .optional();

const token = v
  .block("TokenArgs", {
    enabled: v.plain(v.flag()).default(true).describe("Whether clients must send a token."),
    value: v.token().optional().meta({ description: "The token, as a secret.", otherwise: "32 generated letters and digits" }),
    generation: v
      .plain(v.count(1, 1_000_000))
      .default(1)
      .describe("Number of the generated token. Another number generates another token, which every client needs at once."),
    existingSecret: secretKeyRef("TokenSecretRef", "token")
      .optional()
      .describe("An existing Secret that holds the token, instead of `value`."),
  })
  .meta({
    description: "The token that clients must send. It has no effect with the gateway, which has a token for each client.",
    conflicts: [
      ["existingSecret", "value"],
      ["generation", "value"],
      ["generation", "existingSecret"],
    ],
  })
  .prefault({});

export const server = v
  .block("ServerArgs", {
    replicas: v.count(1, 100).default(2).describe("Number of servers."),
    autoscaling,
    token,
    resources: resources(
      { requests: { cpu: "200m", memory: "512Mi" }, limits: { memory: "2Gi" } },
      "CPU and memory of each server. The vulnerability database is mapped into the memory, and read from disk again when memory is short.",
    ),
    databaseVolume: v
      .size({ least: "1536Mi", because: "the vulnerability database needs" })
      .default("2Gi")
      .describe(
        "Size limit of each of two volumes: one for the vulnerability database (1.2 GB in 2026, doubling every two years), one for unpacking an update.",
      ),
    drainSeconds: v
      .count(0, 3600)
      .default(15)
      .describe("Seconds for which a server keeps answering after it has been removed from the Service's endpoints."),
    debug: v.flag().default(false).describe("Whether the servers log verbosely."),
    caCertificates: v
      .certificates()
      .optional()
      .describe("Certificate authorities, PEM, to trust in addition to the system's: for registries, proxies and Redis."),
    env: v.tableOf(v.variableName()).default({}).describe("Additional environment variables."),
    envFromSecrets: v
      .uniqueListOf(v.objectName())
      .default([])
      .describe("Names of existing Secrets whose keys become environment variables."),
  })
  .meta({ description: "The Trivy servers.", conflicts: [["replicas", "autoscaling"]] })
  .prefault({});

export type Server = z.output<typeof server>;

export function* autoscalingRules(path: string, scaling: Server["autoscaling"]): Generator<RuleProblem> {
  if (scaling && scaling.minReplicas > scaling.maxReplicas)
    yield {
      path: `${path}.minReplicas`,
      message: `is ${scaling.minReplicas}, above maxReplicas (${scaling.maxReplicas}); use at most that`,
      concerns: [`${path}.maxReplicas`],
    };
}

export function* serverRules({ autoscaling, token, resources, env }: Server, hasGateway: boolean, given: Given): Generator<RuleProblem> {
  yield* autoscalingRules("server.autoscaling", autoscaling);
  if (hasGateway) {
    const message = "has no effect because gateway.enabled is true; remove it and name the clients in gateway.clients";
    yield* withoutEffect(given, "server.token", Object.keys(token), message, ["gateway.enabled"]);
  }
  yield* resourceRules("server.resources", resources);
  for (const name of Object.keys(env)) {
    const setting = managedVariables[name.toUpperCase()];
    if (setting) yield { path: `server.env.${name}`, message: `is set by ${setting}; remove it here` };
    else if (/(^|_)(TOKEN|PASSWORD|PASSWD|SECRET|API_?KEY|ACCESS_KEY|PRIVATE_KEY)$/i.test(name))
      yield {
        path: `server.env.${name}`,
        message: "would be readable in the manifests; put it into a Secret and name that in server.envFromSecrets",
      };
  }
}
