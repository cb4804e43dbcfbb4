import type { types } from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { DatabaseArgs, defaults, ServerArgs } from "../args.ts";
import { type CacheConnection, tlsKeys } from "../cache/connection.ts";
import type { Context } from "../shared/context.ts";
import type { WithDefaults } from "../shared/merge.ts";
import { flag, fromSecret, type SecretKey, variables } from "../shared/pod.ts";
import { proxyVariables } from "../shared/proxy.ts";

/** Port on which the servers listen. */
export const serverPort = 4954;

export const serverPaths = {
  database: "/var/lib/trivy",
  temporary: "/tmp",
  authorities: "/etc/trivy-server/certificate-authorities",
  login: "/etc/trivy-server/registry-login",
  repositories: "/etc/trivy-server/repositories",
  mirrorAuthority: "/etc/trivy-server/database-authority",
  waitProgram: "/etc/trivy-server/wait",
  cacheCertificate: "/etc/trivy-server/redis-client",
} as const;

/** The environment variables that other settings decide, each with that setting; `server.env` must not set them. */
export const managedVariables: Readonly<Record<string, string>> = {
  TRIVY_LISTEN: "the service itself, which needs this port",
  TRIVY_CACHE_DIR: "server.databaseVolume",
  TMPDIR: "server.databaseVolume",
  TRIVY_CACHE_BACKEND: "redis",
  TRIVY_CACHE_TTL: "redis.ttl",
  TRIVY_REDIS_TLS: "redis.tls",
  TRIVY_REDIS_CA: "redis.tls",
  TRIVY_REDIS_CERT: "redis.tls",
  TRIVY_REDIS_KEY: "redis.tls",
  REDIS_PASSWORD: "redis.password",
  TRIVY_TOKEN: "server.token",
  TRIVY_DB_REPOSITORY: "database.repositories",
  TRIVY_CONFIG: "database.mirror",
  TRIVY_SKIP_DB_UPDATE: "the service itself, because servers start without a database",
  TRIVY_DOWNLOAD_DB_ONLY: "the service itself, because servers must serve",
  TRIVY_INSECURE: "database.plainHttp",
  DOCKER_CONFIG: "database.credentials",
  SSL_CERT_DIR: "server.caCertificates",
  SSL_CERT_FILE: "server.caCertificates",
  TRIVY_DEBUG: "server.debug",
  HTTP_PROXY: "proxy.http",
  HTTPS_PROXY: "proxy.https",
  NO_PROXY: "proxy.noProxy",
};

/** The file with the repositories of the database in the order that an init container has found. */
export const repositoriesFile = `${serverPaths.repositories}/trivy.yaml`;

interface EnvironmentOptions {
  readonly context: Context;
  readonly server: WithDefaults<ServerArgs, typeof defaults.server>;
  readonly database: WithDefaults<DatabaseArgs, typeof defaults.database>;
  readonly cache: CacheConnection;
  /** Where the servers' token is. @default no token */
  readonly token: SecretKey | undefined;
  /** The repositories of the database. @default those in the file that the mirror's init container has written */
  readonly repositories: pulumi.Input<readonly string[]> | undefined;
  /** Whether the pod has a file with logins for registries. */
  readonly login: boolean;
  /** Folders with certificate authorities. */
  readonly authorities: readonly string[];
}

/**
 * Returns the environment of the servers. Trivy is configured only by its environment, because every user of the node can read a program's
 * arguments.
 */
export function serverEnvironment({ context, server, database, cache, token, repositories, login, authorities }: EnvironmentOptions) {
  return [
    // Secrets come first, because a reference such as $(REDIS_PASSWORD) sees only variables in front of it.
    ...(cache.password ? [fromSecret("REDIS_PASSWORD", cache.password)] : []),
    ...(token ? [fromSecret("TRIVY_TOKEN", token)] : []),
    ...variables({
      TRIVY_LISTEN: `:${serverPort}`,
      TRIVY_CACHE_DIR: serverPaths.database,
      TMPDIR: serverPaths.temporary,
      ...cacheVariables(cache),
      TRIVY_DB_REPOSITORY: repositories && pulumi.output(repositories).apply((all) => all.join(",")),
      TRIVY_CONFIG: repositories === undefined && repositoriesFile,
      TRIVY_INSECURE: flag(database.plainHttp),
      TRIVY_DEBUG: flag(server.debug),
      DOCKER_CONFIG: login && serverPaths.login,
      SSL_CERT_DIR: authorities.length > 0 && ["/etc/ssl/certs", ...authorities].join(":"),
      ...proxyVariables(context),
      ...server.env,
    }),
  ] satisfies types.input.core.v1.EnvVar[];
}

const cacheVariables = ({ backend, ttl, tls, clientCertificate }: CacheConnection) => ({
  TRIVY_CACHE_BACKEND: backend,
  TRIVY_CACHE_TTL: ttl,
  // With a client certificate, Trivy speaks TLS without this.
  TRIVY_REDIS_TLS: tls && clientCertificate === undefined && "true",
  ...(clientCertificate !== undefined && {
    TRIVY_REDIS_CA: `${serverPaths.cacheCertificate}/${tlsKeys.ca}`,
    TRIVY_REDIS_CERT: `${serverPaths.cacheCertificate}/${tlsKeys.certificate}`,
    TRIVY_REDIS_KEY: `${serverPaths.cacheCertificate}/${tlsKeys.key}`,
  }),
});
