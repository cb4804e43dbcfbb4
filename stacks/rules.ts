import { databaseRules } from "./database.ts";
import type { SettingProblem } from "./errors.ts";
import { exposureRules } from "./exposure.ts";
import { gatewayRules, gatewayWarnings } from "./gateway.ts";
import { monitoringRules } from "./monitoring.ts";
import { redisRules } from "./redis.ts";
import { registryScanRules } from "./registry-scan.ts";
import type { Given, RuleProblem } from "./rule.ts";
import { schedulingRules } from "./scheduling.ts";
import type { Settings } from "./schema.ts";
import { serverRules } from "./server.ts";

/** Checks settings against each other, block by block. */
export function* rules(settings: Settings, given: Given): Generator<RuleProblem> {
  const { server, gateway, database, redis, registryScan, monitoring, scheduling } = settings;
  yield* serverRules(server, gateway.enabled, given);
  yield* gatewayRules(gateway, given);
  yield* databaseRules(database, given);
  yield* redisRules(redis, given);
  yield* schedulingRules(scheduling);
  yield* exposureRules(settings);
  yield* registryScanRules(registryScan, gateway);
  yield* monitoringRules(monitoring, gateway);
}

/** Returns what works, but hardly as intended. */
export function warnings({ gateway, server, namespace }: Settings): SettingProblem[] {
  return [...gatewayWarnings(gateway, server, namespace.name)];
}
