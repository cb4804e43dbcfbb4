import type { z } from "zod";
import { minimumVolume } from "../components/database-mirror/volume.ts";
import { bytes, seconds } from "../components/shared/quantity.ts";
import { parseImageReference } from "../registry-scan/index.ts";
import { credentials, credentialsSecret, resourceRules, resources } from "./common.ts";
import * as v from "./kinds/index.ts";
import { type Given, type RuleProblem, withoutEffect } from "./rule.ts";

const java = v
  .block("JavaDatabaseArgs", {
    enabled: v.plain(v.flag()).default(false).describe("Mirrors the Java database too."),
    repositories: v
      .uniqueListOf(v.repository())
      .min(1, { error: "is empty; use at least one repository, or remove the setting for the public ones" })
      .default(["mirror.gcr.io/aquasec/trivy-java-db:1", "ghcr.io/aquasecurity/trivy-java-db:1"])
      .describe("OCI repositories of the Java database, in the order in which they are tried."),
    to: v
      .repository()
      .optional()
      .meta({ description: "With `database.mirror.to`: the repository that the Java database is copied to.", otherwise: "not copied" }),
  })
  .describe("The database by which clients identify Java archives (trivy-java-db).")
  .prefault({});

const mirror = v
  .block("DatabaseMirrorArgs", {
    enabled: v
      .plain(v.flag())
      .default(false)
      .describe("Downloads and verifies each new build once, for all servers: in a pod of the stack, or with `to` into your registry."),
    to: v.plain(v.repository()).optional().meta({
      description:
        "OCI repository of your registry, such as registry.example.com/security/trivy-db:2, into which a CronJob copies each new build.",
      otherwise: "a pod of the stack keeps the builds and serves them",
    }),
    fallback: v
      .plain(v.flag())
      .default(true)
      .describe("Whether servers may use `database.repositories` while the mirror cannot be reached or has no build."),
    offline: v
      .plain(v.flag())
      .default(false)
      .describe("Queries no repository. Builds are pushed with `npm run database`, and the servers use only the mirror."),
    interval: v.duration().default("1h").describe("Time between two queries for a new build, which is varied by a tenth."),
    schedule: v
      .schedule()
      .optional()
      .meta({ description: "With `to`: when to query for a new build, a cron expression.", otherwise: "17 * * * *" }),
    keep: v.count(2, 30).default(3).describe("Number of builds to keep of each database."),
    pin: v.digest().optional().meta({
      description: "Digest of a kept build of the vulnerability database to serve, to stay on it or to roll back to it.",
      otherwise: "the newest",
    }),
    java,
    size: v.size().optional().meta({ description: "Size of the volume claim for the builds.", otherwise: "2Gi, with `java` 8Gi" }),
    storageClass: v.objectName().optional().meta({ description: "StorageClass of the claim.", otherwise: "the cluster's default" }),
    workVolume: v
      .size()
      .default("4Gi")
      .describe("Size limit of the volume on which a new build is unpacked, to verify it: 1.4Gi for the vulnerability database in 2026."),
    credentials: credentials().meta({ otherwise: "`database.credentials`" }),
    existingSecret: credentialsSecret(),
    monitors: v
      .uniqueListOf(v.clientNamespace())
      .default([])
      .describe("Namespaces whose pods may read the mirror's metrics, on port 8080; `*` means every namespace."),
    resources: resources(
      { requests: { cpu: "50m", memory: "128Mi" }, limits: { memory: "1Gi" } },
      "CPU and memory of the mirror, and of the job that copies. A new build is verified with Trivy, which maps it into the memory.",
    ),
  })
  .meta({
    description: "One download of the databases for everyone.",
    conflicts: [
      ["existingSecret", "credentials"],
      ["offline", "to"],
      ["interval", "to"],
      ["keep", "to"],
      ["pin", "to"],
      ["size", "to"],
      ["storageClass", "to"],
      ["monitors", "to"],
    ],
  })
  .prefault({});

export const database = v
  .block("DatabaseArgs", {
    repositories: v
      .uniqueListOf(v.repository())
      .min(1, { error: "is empty; use at least one repository, or remove the setting for the public ones" })
      // Upstream's order, then Amazon's copy.
      .default(["mirror.gcr.io/aquasec/trivy-db:2", "ghcr.io/aquasecurity/trivy-db:2", "public.ecr.aws/aquasecurity/trivy-db:2"])
      .describe(
        "OCI repositories of the vulnerability database, in the order in which they are tried. The next one is tried when one answers 408, 429 or 5xx, not when it cannot be reached.",
      ),
    mirror,
    plainHttp: v
      .flag()
      .default(false)
      .describe("Tries plain HTTP when HTTPS fails. Trivy then verifies the certificate of no registry; prefer `server.caCertificates`."),
    credentials: credentials(),
    existingSecret: credentialsSecret(),
    cidrs: v
      .uniqueListOf(v.cidr())
      .default([])
      .describe(
        "CIDR blocks that the servers and the mirror may reach on any port, in addition to the repositories' hosts: for private addresses behind public names, or blobs stored on other hosts.",
      ),
  })
  .meta({ description: "Where the servers get the vulnerability database.", conflicts: [["existingSecret", "credentials"]] })
  .prefault({});

type Database = z.output<typeof database>;

/** Registries that limit how often each address may query them. */
const publicRegistries = ["mirror.gcr.io", "ghcr.io", "public.ecr.aws", "docker.io"];

/** Minutes. */
const shortestInterval = 15;

export function* databaseRules({ repositories, mirror }: Database, given: Given): Generator<RuleProblem> {
  yield* repositoryProblems(repositories);
  const path = "database.mirror";
  if (!mirror.enabled) return;
  yield* resourceRules(`${path}.resources`, mirror.resources);
  if (mirror.to === undefined) yield* podRules(mirror);
  else yield* copyRules(mirror, given);
  if (mirror.offline) {
    const message = `has no effect because ${path}.offline is true; remove one of the two`;
    yield* withoutEffect(given, path, ["fallback", "interval"], message, [`${path}.offline`]);
    yield* withoutEffect(given, "database", ["repositories"], message, [`${path}.offline`]);
    yield* withoutEffect(given, `${path}.java`, ["repositories"], message, [`${path}.offline`]);
    return;
  }
  const sources = [...repositories, ...(mirror.java.enabled ? mirror.java.repositories : [])];
  const limited = sources.find((repository) => publicRegistries.includes(parseImageReference(repository)?.registry ?? ""));
  if (limited === undefined) return;
  const advice = `faster than public registries such as that of ${limited} allow; use at least ${shortestInterval} minutes, because a build appears once a day`;
  if (mirror.to === undefined && seconds(mirror.interval) < shortestInterval * 60)
    yield { path: `${path}.interval`, message: `is ${mirror.interval}, ${advice}`, concerns: ["database.repositories"] };
  if (mirror.schedule !== undefined && minutesBetween(mirror.schedule) < shortestInterval)
    yield { path: `${path}.schedule`, message: `is ${mirror.schedule}, ${advice}`, concerns: ["database.repositories"] };
}

/** The database has a tag for its schema, which is 2 for all versions of Trivy that the service works with. */
function* repositoryProblems(repositories: readonly string[]): Generator<RuleProblem> {
  for (const [index, text] of repositories.entries()) {
    const [name, tag] = text.slice(text.lastIndexOf("/") + 1).split(":");
    const path = `database.repositories[${index}]`;
    if (name === "trivy-java-db")
      yield { path, message: `is ${text}, the Java database; use a repository of trivy-db, and database.mirror.java for this one` };
    else if (name === "trivy-db" && (tag === "latest" || tag === "1"))
      yield { path, message: `is ${text}, of a schema that Trivy does not read; use the tag 2` };
  }
}

function* podRules({ size, keep, java, schedule }: Database["mirror"]): Generator<RuleProblem> {
  const path = "database.mirror";
  const minimum = minimumVolume(keep, java.enabled);
  if (size !== undefined && bytes(size) < bytes(minimum))
    yield {
      path: `${path}.size`,
      message: `is ${size}, too small for ${keep} builds and a new one; use at least ${minimum} or lower ${path}.keep`,
      concerns: [`${path}.keep`],
    };
  if (schedule !== undefined)
    yield { path: `${path}.schedule`, message: `has no effect without ${path}.to; remove it, or set ${path}.interval` };
  if (java.to !== undefined) yield { path: `${path}.java.to`, message: `has no effect without ${path}.to; remove it` };
}

function* copyRules({ java }: Database["mirror"], given: Given): Generator<RuleProblem> {
  const path = "database.mirror";
  if (java.enabled && java.to === undefined)
    yield {
      path: `${path}.java.to`,
      message: "is missing; use the repository that the Java database is copied to, such as registry.example.com/security/trivy-java-db:1",
    };
  const logins = ["database.mirror.credentials", "database.mirror.existingSecret", "database.credentials", "database.existingSecret"];
  if (logins.every((login) => given(login) === undefined))
    yield {
      path: `${path}.to`,
      message: `needs a login that can push; set ${path}.credentials or ${path}.existingSecret`,
      concerns: logins,
    };
}

/** Returns the fewest minutes between two times of a cron expression within an hour; 60 for all that are not more frequent. */
function minutesBetween(schedule: string): number {
  const [field = ""] = schedule.trim().split(/\s+/);
  const minutes = Array.from({ length: 60 }, (_, minute) => minute).filter((minute) =>
    field.split(",").some((part) => {
      const { from = "", to, step } = /^(?<from>[^-/]+)(?:-(?<to>\d+))?(?:\/(?<step>\d+))?$/.exec(part)?.groups ?? {};
      const isAny = from === "*" || from === "?";
      const first = isAny ? 0 : Number(from);
      const last = isAny || (step !== undefined && to === undefined) ? 59 : Number(to ?? from);
      return minute >= first && minute <= last && (minute - first) % Number(step ?? 1) === 0;
    }),
  );
  return Math.min(60, ...minutes.slice(1).map((minute, index) => minute - (minutes[index] ?? 0)));
}
