import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Endpoint } from "./network.ts";
import { type Transform, transformed } from "./transform.ts";

/** A login for one registry. */
export interface LoginArgs {
  /** The registry's host, with its port. */
  readonly registry: string;
  readonly username: string;
  readonly password: pulumi.Input<string>;
}

/** The logins as the state may hold them: what is secret marked as such. */
export function sealedLogins(logins: readonly LoginArgs[]): LoginArgs[] {
  return logins.map((login) => ({ ...login, password: pulumi.secret(login.password) }));
}

/** Name of the Secret with the logins, if there are any. */
export function registryLogin(
  name: string,
  parent: pulumi.Resource,
  metadata: k8s.types.input.meta.v1.ObjectMeta,
  { credentials = [], existingSecret }: { readonly credentials?: readonly LoginArgs[]; readonly existingSecret?: string },
  transform: Transform<k8s.types.input.core.v1.Secret> | undefined,
): pulumi.Input<string> | undefined {
  if (existingSecret !== undefined || credentials.length === 0) return existingSecret;
  const json = pulumi.output(credentials.map((login) => ({ ...login }))).apply(dockerConfig);
  return new k8s.core.v1.Secret(
    `${name}-registry-login`,
    transformed(transform, { metadata, type: "kubernetes.io/dockerconfigjson", stringData: { ".dockerconfigjson": json } }),
    { parent },
  ).metadata.name;
}

/** The key of such a Secret, and the file that clients look for. */
export const loginItems = [{ key: ".dockerconfigjson", path: "config.json" }];

function dockerConfig(logins: readonly pulumi.Unwrap<LoginArgs>[]): string {
  const auth = (username: string, password: string) => Buffer.from(`${username}:${password}`).toString("base64");
  return JSON.stringify({
    auths: Object.fromEntries(logins.map(({ registry, username, password }) => [loginKey(registry), { auth: auth(username, password) }])),
  });
}

/** Docker's own registry has a name of its own in these files. */
const loginKey = (registry: string) => (/^(index\.)?docker\.io$/.test(registry) ? "https://index.docker.io/v1/" : registry);

/** Where an image's or repository's registry listens; plain HTTP is a second try. Without a host it is Docker's. */
export function registryEndpoints(reference: string, plainHttp: boolean): Endpoint[] {
  const [first = "", ...path] = reference.split("/");
  const authority = path.length > 0 && (/[.:]/.test(first) || first === "localhost") ? first : "index.docker.io";
  const { host = authority, port: explicit } = /^(?<host>.*?)(?::(?<port>\d+))?$/.exec(authority)?.groups ?? {};
  const ports = explicit ? [Number(explicit)] : plainHttp ? [443, 80] : [443];
  return ports.map((number) => ({ host: host.replace(/^\[|\]$/g, ""), port: number }));
}
