import { generationRules } from "./common.ts";
import { databaseRules } from "./database.ts";
import { domainRules, domainWarnings } from "./domains.ts";
import { egressRules } from "./egress-rules.ts";
import type { SettingProblem } from "./errors.ts";
import { exposureRules } from "./exposure.ts";
import { gatewayRules, gatewayWarnings } from "./gateway.ts";
import { monitoringRules } from "./monitoring.ts";
import { proxyRules } from "./proxy.ts";
import { redisRules } from "./redis.ts";
import { registryScanRules } from "./registry-scan.ts";
import type { Given, RuleProblem } from "./rule.ts";
import { schedulingRules } from "./scheduling.ts";
import type { Settings } from "./schema.ts";
import { serverRules } from "./server.ts";

/** Checks settings against each other, block by block. */
export function* rules(settings: Settings, given: Given): Generator<RuleProblem> {
  const { server, gateway, domains, database, redis, registryScan, monitoring, scheduling, authorities } = settings;
  yield* serverRules(server, gateway.enabled, given);
  yield* gatewayRules(gateway, given);
  yield* domainRules(domains, gateway, redis);
  yield* databaseRules(database, given);
  yield* redisRules(redis, given);
  yield* proxyRules(settings.proxy);
  yield* egressRules(settings, given);
  yield* labelRules(settings.labels);
  yield* schedulingRules(scheduling);
  yield* exposureRules(settings);
  yield* registryScanRules(registryScan, gateway);
  yield* generationRules("authorities", authorities);
  yield* monitoringRules(monitoring, gateway);
}

/** Returns what works, but hardly as intended. */
export function warnings({ gateway, server, domains, registryScan, namespace }: Settings): SettingProblem[] {
  return [...gatewayWarnings(gateway, server, namespace.name), ...domainWarnings(domains, gateway, registryScan)];
}

/** Labels that the program sets itself, or that would weaken the namespace. */
const reservedLabels = /^(app\.kubernetes\.io\/(component|part-of|instance|managed-by)|pod-security\.kubernetes\.io\/.*)$/;

function* labelRules(labels: Settings["labels"]): Generator<RuleProblem> {
  for (const name of Object.keys(labels))
    if (reservedLabels.test(name)) yield { path: `labels.${name}`, message: "is set by the service itself; remove it" };
}
