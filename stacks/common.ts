import { bytes, cores } from "../components/shared/quantity.ts";
import * as v from "./kinds/index.ts";
import type { RuleProblem } from "./rule.ts";

/** Blocks that several others contain. */

/** A reference to an existing Secret; `key` is the default of its key. */
export const secretKeyRef = (name: string, key: string) =>
  v
    .block(name, {
      name: v.objectName().describe("Name of the Secret, in the service's namespace."),
      key: v.dataKey().default(key).describe("Key in the Secret."),
    })
    .describe("A value in an existing Secret.");

interface ResourceDefaults {
  readonly requests: { readonly cpu: string; readonly memory: string };
  readonly limits: { readonly memory: string };
}

/** CPU and memory of a container. */
export const resources = ({ requests, limits }: ResourceDefaults, description: string) =>
  v
    .block("Resources", {
      requests: v
        .block("ResourceRequests", {
          cpu: v.cpu().default(requests.cpu).describe("CPU that the scheduler reserves."),
          memory: v.size().default(requests.memory).describe("Memory that the scheduler reserves."),
        })
        .describe("What the scheduler reserves for each pod.")
        .prefault({}),
      limits: v
        .block("ResourceLimits", {
          cpu: v.cpu({ least: "50m" }).optional().describe("Maximum CPU."),
          memory: v
            .size({ least: "32Mi", because: "any container of the service needs" })
            .default(limits.memory)
            .describe("Maximum memory."),
        })
        .describe("The maximum for each pod.")
        .prefault({}),
    })
    .describe("CPU and memory of a container, as Kubernetes quantities.")
    .prefault({})
    .describe(description);

interface ResourceValues {
  readonly requests: { readonly cpu: string; readonly memory: string };
  readonly limits: { readonly cpu?: string | undefined; readonly memory: string };
}

/** Checks that the block at `path` requests no more than its limits. */
export function* resourceRules(path: string, { requests, limits }: ResourceValues): Generator<RuleProblem> {
  const above = (resource: string, request: string, limit: string): RuleProblem => ({
    path: `${path}.requests.${resource}`,
    message: `is ${request}, above the limit of ${limit}; use at most that or raise ${path}.limits.${resource}`,
    concerns: [`${path}.limits.${resource}`],
  });
  if (bytes(requests.memory) > bytes(limits.memory)) yield above("memory", requests.memory, limits.memory);
  if (limits.cpu !== undefined && cores(requests.cpu) > cores(limits.cpu)) yield above("cpu", requests.cpu, limits.cpu);
}

/** Logins of registries. */
export const credentials = () =>
  v
    .uniqueListOf(
      v
        .block("LoginArgs", {
          registry: v.registry().describe("Host of the registry, with its port if it has one."),
          username: v.anyText().describe("User name."),
          password: v.secretText("use the password or access token").describe("Password or access token, as a secret."),
        })
        .describe("The login for one registry."),
      "registry",
    )
    .default([])
    .describe("Logins for registries, at most one for each.");

/** An existing Secret instead of `credentials`. */
export const credentialsSecret = () =>
  v
    .objectName()
    .optional()
    .describe("Name of an existing Secret of type kubernetes.io/dockerconfigjson with the logins, instead of `credentials`.");

/** Number of a generated secret. */
export const generation = (what: string) =>
  v
    .plain(v.count(1, 1_000_000))
    .default(1)
    .describe(
      `Number of the generated ${what}. Increase it by one to generate a new ${what}; the previous one stays valid until \`retire\`.`,
    );

/** Number of the last generated secret that is no longer valid. */
export const retire = (what: string) =>
  v
    .plain(v.count(0, 1_000_000))
    .default(0)
    .describe(
      `Generated ${what}s up to this number are no longer valid. Set it to the previous number when the new ${what} is in use everywhere.`,
    );

/** Checks that the current generation of the secret in the block at `path` is not retired. */
export function* generationRules(
  path: string,
  { generation: current, retire: retired }: { readonly generation: number; readonly retire: number },
): Generator<RuleProblem> {
  if (retired >= current)
    yield {
      path: `${path}.retire`,
      message: `is ${retired}, but generation ${current} is the current one; ${current === 1 ? "remove it" : `use at most ${current - 1}`}`,
      concerns: [`${path}.generation`],
    };
}
