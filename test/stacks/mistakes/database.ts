import type { Mistakes } from "./mistake.ts";

const login = { credentials: [{ registry: "registry.example.com", username: "u", password: "p" }] };
const mirror = (settings: object, database: object = {}) => ({ database: { ...database, mirror: { enabled: true, ...settings } } });
const copy = (settings: object = {}) => mirror({ to: "registry.example.com/security/trivy-db:2", ...login, ...settings });

export const database: Mistakes = {
  inSchema: [
    ["a mirror as a plain value", { database: { mirror: true } }, "database.mirror", /is true; use the block \{ enabled: true \}/],
    ["settings of a mirror that is not enabled", { database: { mirror: { keep: 5 } } }, "database.mirror.keep", /has no effect because/],
    ["a mirror in both modes", copy({ size: "4Gi" }), "database.mirror.size", /conflicts with database\.mirror\.to; remove one of the two/],
    [
      "a pin of a registry's build",
      copy({ pin: `sha256:${"0".repeat(64)}` }),
      "database.mirror.pin",
      /conflicts with database\.mirror\.to/,
    ],
    ["a mirror that copies without a source", copy({ offline: true }), "database.mirror.offline", /conflicts with database\.mirror\.to/],
    ["a target with a scheme", mirror({ to: "https://registry.example.com/a", ...login }), "database.mirror.to", /leave the scheme out/],
    ["a target without a registry", mirror({ to: "trivy-db:2", ...login }), "database.mirror.to", /use an OCI repository/],
    [
      "a Java repository with a scheme",
      mirror({ java: { enabled: true, repositories: ["oci://a.b/c"] } }),
      "database.mirror.java.repositories[0]",
      /leave the scheme out/,
    ],
    ["a tag as the pin", mirror({ pin: "2" }), "database.mirror.pin", /is "2"; use a digest/],
    ["one build to keep, so that none is left to roll back to", mirror({ keep: 1 }), "database.mirror.keep", /whole number from 2/],
  ],
  beyondSchema: [
    [
      "the Java database for servers",
      { database: { repositories: ["ghcr.io/aquasecurity/trivy-java-db:1"] } },
      "database.repositories[0]",
      /the Java database; use a repository of trivy-db/,
    ],
    [
      "a database of another schema",
      { database: { repositories: ["ghcr.io/aquasecurity/trivy-db:1"] } },
      "database.repositories[0]",
      /use the tag 2/,
    ],
    [
      "a target without a login",
      mirror({ to: "registry.example.com/a/trivy-db:2" }),
      "database.mirror.to",
      /needs a login that can push; set database\.mirror\.credentials/,
    ],
    [
      "a Java database that is copied nowhere",
      copy({ java: { enabled: true } }),
      "database.mirror.java.to",
      /is missing; use the repository/,
    ],
    [
      "a target of the Java database without one of the other",
      mirror({ java: { enabled: true, to: "example.com/c:1" } }),
      "database.mirror.java.to",
      /has no effect without database\.mirror\.to/,
    ],
    [
      "a volume that is too small",
      mirror({ size: "512Mi" }),
      "database.mirror.size",
      /is 512Mi, too small for 3 builds and a new one; use at least 768Mi or lower/,
    ],
    [
      "a volume that is too small for the Java database",
      mirror({ size: "2Gi", java: { enabled: true } }),
      "database.mirror.size",
      /use at least 4864Mi/,
    ],
    [
      "queries faster than the public registries allow",
      mirror({ interval: "30s" }),
      "database.mirror.interval",
      /is 30s, faster than public registries such as that of mirror\.gcr\.io.* allow; use at least 15 minutes/,
    ],
    [
      "a schedule faster than the public registries allow",
      copy({ schedule: "*/5 * * * *" }),
      "database.mirror.schedule",
      /is \*\/5 \* \* \* \*, faster than public registries/,
    ],
    [
      "a schedule of a mirror in the stack",
      mirror({ schedule: "@hourly" }),
      "database.mirror.schedule",
      /has no effect without database\.mirror\.to; remove it, or set database\.mirror\.interval/,
    ],
    [
      "a fallback of a mirror without a source",
      mirror({ offline: true, fallback: true }),
      "database.mirror.fallback",
      /has no effect because database\.mirror\.offline is true/,
    ],
    [
      "repositories of a mirror without a source",
      mirror({ offline: true }, { repositories: ["example.com/trivy-db:2"] }),
      "database.repositories",
      /has no effect because database\.mirror\.offline is true/,
    ],
    [
      "a memory request above the limit",
      mirror({ resources: { requests: { memory: "4Gi" } } }),
      "database.mirror.resources.requests.memory",
      /above the limit of 1Gi/,
    ],
  ],
};
