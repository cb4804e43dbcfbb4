import { readFileSync } from "node:fs";
import type { ArtifactName } from "./artifacts.ts";

/** Where a database comes from, in the order in which the repositories are tried; none if builds are only pushed by hand. */
export interface Source {
  readonly artifact: ArtifactName;
  readonly repositories: readonly string[];
}

interface Upstream {
  readonly sources: readonly Source[];
  /** Whether plain HTTP is tried when HTTPS fails. */
  readonly plainHttp: boolean;
}

/** The configuration of the mirror, `mirror.json`. Registry logins are in the folder DOCKER_CONFIG. */
export interface MirrorConfiguration extends Upstream {
  /** Seconds between two queries for a new build. */
  readonly interval: number;
  /** Number of builds to keep of each database. */
  readonly keep: number;
  /** Digest of the build of the vulnerability database to serve. @default the newest */
  readonly pin?: string;
}

/** The configuration of the job that copies to a registry, `copy.json`. */
export interface CopyConfiguration extends Upstream {
  /** Where each database is copied to, with its tag. */
  readonly to: Readonly<Partial<Record<ArtifactName, string>>>;
}

export const readConfiguration = <Configuration>(path: string): Configuration => JSON.parse(readFileSync(path, "utf8")) as Configuration;
