import { certificate } from "../../support/certificate.ts";
import type { Mistakes } from "./mistake.ts";

export const server: Mistakes = {
  inSchema: [
    [
      "a secret variable in a name of a Secret",
      { server: { envFromSecrets: ["TOKEN=abc"] } },
      "server.envFromSecrets[0]",
      /is \[hidden\]; use a DNS name/,
    ],
    ["a text in place of a number", { server: { replicas: "three" } }, "server.replicas", /is "three"; use a whole number from 1 to 100/],
    ["zero replicas", { server: { replicas: 0 } }, "server.replicas", /is 0; use a whole number from 1/],
    ["a negative number of replicas", { server: { replicas: -1 } }, "server.replicas", /use a whole number from 1/],
    ["a fraction of replicas", { server: { replicas: 1.5 } }, "server.replicas", /use a whole number/],
    [
      "autoscaling without a maximum",
      { server: { autoscaling: { minReplicas: 5 } } },
      "server.autoscaling.maxReplicas",
      /is missing; use a whole number/,
    ],
    [
      "replicas in addition to autoscaling",
      { server: { replicas: 3, autoscaling: { maxReplicas: 5 } } },
      "server.replicas",
      /conflicts with server\.autoscaling; remove one of the two/,
    ],
    ["an invalid name of a variable", { server: { env: { "a-b": "x" } } }, "server.env.a-b", /letters, digits and underscores/],
    ["a number in place of a text", { server: { env: { A: 1 } } }, "server.env.A", /in quotes/],
    [
      "the Secret of a token that is disabled",
      { server: { token: { enabled: false, existingSecret: { name: "a" } } } },
      "server.token.existingSecret",
      /has no effect because server\.token\.enabled is false; remove it or set server\.token\.enabled: true/,
    ],
    [
      "two sources of the token",
      { server: { token: { value: "0123456789abcdef", existingSecret: { name: "a" } } } },
      "server.token.existingSecret",
      /conflicts with server\.token\.value; remove one of the two/,
    ],
    [
      "the generation of a token that is given",
      { server: { token: { value: "0123456789abcdef", generation: 2 } } },
      "server.token.generation",
      /conflicts with server\.token\.value; remove one of the two/,
    ],
    [
      "a repository with a scheme",
      { database: { repositories: ["oci://ghcr.io/a/b"] } },
      "database.repositories[0]",
      /leave the scheme out/,
    ],
    ["an empty list of repositories", { database: { repositories: [] } }, "database.repositories", /at least one/],
    [
      "logins in addition to a Secret that holds them",
      { database: { existingSecret: "a", credentials: [{ registry: "ghcr.io", username: "u", password: "p" }] } },
      "database.existingSecret",
      /conflicts with database\.credentials; remove one/,
    ],
  ],
  beyondSchema: [
    [
      "a volume smaller than the database",
      { server: { databaseVolume: "100Mi" } },
      "server.databaseVolume",
      /less than .* use at least 1536Mi/,
    ],
    [
      "memory for no program",
      { server: { resources: { limits: { memory: "1Mi" } } } },
      "server.resources.limits.memory",
      /use at least 32Mi/,
    ],
    [
      "CPU for no program",
      { server: { resources: { limits: { cpu: "1m" }, requests: { cpu: "1m" } } } },
      "server.resources.limits.cpu",
      /use at least 50m/,
    ],
    [
      "a variable that servers cannot start with",
      { server: { env: { TRIVY_SKIP_DB_UPDATE: "true" } } },
      "server.env.TRIVY_SKIP_DB_UPDATE",
      /is set by the service/,
    ],
    [
      "a secret in a variable",
      { server: { env: { AWS_SECRET_ACCESS_KEY: "abc" } } },
      "server.env.AWS_SECRET_ACCESS_KEY",
      /put it into a Secret and name that in server\.envFromSecrets/,
    ],
    [
      "a minimum above the maximum of replicas",
      { server: { autoscaling: { minReplicas: 5, maxReplicas: 2 } } },
      "server.autoscaling.minReplicas",
      /above maxReplicas \(2\)/,
    ],
    [
      "a memory request above the limit",
      { server: { resources: { requests: { memory: "4Gi" } } } },
      "server.resources.requests.memory",
      /above the limit of 2Gi/,
    ],
    [
      "a CPU request above the limit",
      { server: { resources: { requests: { cpu: 2 }, limits: { cpu: "1500m" } } } },
      "server.resources.requests.cpu",
      /above the limit of 1500m/,
    ],
    [
      "a variable that a setting sets",
      { server: { env: { TRIVY_TOKEN: "x" } } },
      "server.env.TRIVY_TOKEN",
      /is set by server\.token; remove it/,
    ],
    [
      "a certificate that cannot be read",
      { server: { caCertificates: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----" } },
      "server.caCertificates",
      /certificate 1 of 1 cannot be read/,
    ],
    [
      "a certificate of several that cannot be read",
      { server: { caCertificates: `${certificate}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----` } },
      "server.caCertificates",
      /certificate 2 of 2 cannot be read; use/,
    ],
    [
      "the servers' token in addition to the gateway",
      { gateway: { enabled: true }, server: { token: { value: "0123456789abcdef" } } },
      "server.token.value",
      /has no effect because gateway\.enabled is true; .*gateway\.clients/,
    ],
    [
      "a disabled token of servers behind the gateway",
      { gateway: { enabled: true }, server: { token: { enabled: false } } },
      "server.token.enabled",
      /has no effect because gateway\.enabled is true/,
    ],
    [
      "two logins for one registry",
      { database: { credentials: [1, 2].map(() => ({ registry: "ghcr.io", username: "u", password: "p" })) } },
      "database.credentials[1].registry",
      /is ghcr\.io, the same as database\.credentials\[0\]\.registry; keep one/,
    ],
  ],
};
