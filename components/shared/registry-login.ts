import * as pulumi from "@pulumi/pulumi";
import { dockerHub, imageReferenceProblem, parseImageReference } from "../../registry-scan/index.ts";
import type { LoginArgs } from "../args.ts";
import type { Endpoint } from "./network.ts";
import { type Mount, secretVolume } from "./pod.ts";

/** Type of the Secrets that hold logins for registries. */
export const loginSecretType = "kubernetes.io/dockerconfigjson";

const loginKey = ".dockerconfigjson";

/** Returns the data of such a Secret. */
export function loginData(credentials: readonly LoginArgs[]): Record<string, pulumi.Output<string>> {
  return { [loginKey]: pulumi.output(credentials).apply(dockerConfig) };
}

/** Returns the volume of such a Secret, with the file that Trivy and crane look for in `DOCKER_CONFIG`. */
export function loginVolume(secretName: pulumi.Input<string>): Mount["volume"] {
  return secretVolume(secretName, [{ key: loginKey, path: "config.json" }]);
}

function dockerConfig(logins: readonly pulumi.Unwrap<LoginArgs>[]): string {
  const auth = (username: string, password: string) => Buffer.from(`${username}:${password}`).toString("base64");
  return JSON.stringify({
    auths: Object.fromEntries(logins.map(({ registry, username, password }) => [authKey(registry), { auth: auth(username, password) }])),
  });
}

/** Where the API of Docker Hub listens. */
const dockerHubHost = "index.docker.io";

/** Docker Hub has a key of its own in these files. */
const authKey = (registry: string) => ([dockerHub, dockerHubHost].includes(registry) ? `https://${dockerHubHost}/v1/` : registry);

/**
 * Returns where the registry of an image or repository listens; with plain HTTP, which is tried when HTTPS fails, on its port as well.
 *
 * @throws RangeError if the text is not a valid reference
 */
export function registryEndpoints(reference: string, plainHttp: boolean): Endpoint[] {
  const parsed = parseImageReference(reference);
  if (!parsed) throw new RangeError(`${reference} ${imageReferenceProblem(reference)}`);
  const authority = parsed.registry === dockerHub ? dockerHubHost : parsed.registry;
  const { host = authority, port } = /^(?<host>.*?)(?::(?<port>\d+))?$/.exec(authority)?.groups ?? {};
  const ports = port ? [Number(port)] : plainHttp ? [443, 80] : [443];
  return ports.map((number) => ({ host: host.replace(/^\[|\]$/g, ""), port: number }));
}
