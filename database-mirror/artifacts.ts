/** A kind of database that Trivy downloads as an OCI artifact. */
export interface Artifact {
  /** Name of the repository in the mirror. */
  readonly repository: string;
  /** The tag that Trivy asks for: the version of the schema. */
  readonly tag: string;
  /** `Version` in the database's metadata.json. */
  readonly schema: number;
  /** Media type of the artifact's only layer. */
  readonly layerType: string;
  /** Name of the layer's file. */
  readonly file: string;
  /** Folder of the database in Trivy's cache. */
  readonly folder: string;
  /** Number of downloads at a time. */
  readonly parallelDownloads: number;
  /** Seconds between the end of a download and the start of the next one. */
  readonly pause: number;
}

/** Artifact type of all of Trivy's databases. */
export const artifactType = "application/vnd.aquasec.trivy.config.v1+json";

export const artifacts = {
  vulnerabilities: {
    repository: "trivy-db",
    tag: "2",
    schema: 2,
    layerType: "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip",
    file: "db.tar.gz",
    folder: "db",
    // A server answers no request while it replaces its database, some seconds after the download. One at a time, they never do so together.
    parallelDownloads: 1,
    pause: 30,
  },
  java: {
    repository: "trivy-java-db",
    tag: "1",
    schema: 1,
    layerType: "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip",
    file: "javadb.tar.gz",
    folder: "java-db",
    // Clients download it: the limit is for the network, not for anything that would stall.
    parallelDownloads: 8,
    pause: 0,
  },
} as const satisfies Readonly<Record<string, Artifact>>;

export type ArtifactName = keyof typeof artifacts;
