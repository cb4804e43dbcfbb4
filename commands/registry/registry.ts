/** Reads manifests from registries by the OCI distribution API, without credentials. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { dockerHub, type ImageReference } from "../../registry-scan/index.ts";

/** A registry did not answer as it should, so nothing is known about an image. */
export class RegistryError extends Error {}

export interface Manifest {
  readonly digest: string;
  /** Platforms of an index, such as `linux/arm64`; undefined for the manifest of a single image. */
  readonly platforms: readonly string[] | undefined;
}

export interface RegistryOptions {
  /** Uses HTTP for every registry. @default false */
  readonly plainHttp?: boolean;
  /** Milliseconds for one request. @default 30,000 */
  readonly timeout?: number;
}

const accept = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

const index = z.object({
  manifests: z.array(z.object({ platform: z.object({ os: z.string(), architecture: z.string() }).optional() })).optional(),
});
const tokenAnswer = z.object({ token: z.string(), access_token: z.string() }).partial();

export class RegistryClient {
  readonly #plainHttp: boolean;
  readonly #timeout: number;
  /** Tokens by registry and repository. */
  readonly #tokens = new Map<string, string>();

  constructor({ plainHttp = false, timeout = 30_000 }: RegistryOptions = {}) {
    this.#plainHttp = plainHttp;
    this.#timeout = timeout;
  }

  /** Returns the digest of a tag; undefined if the tag or the repository does not exist. @throws RegistryError */
  async digestOf(image: ImageReference, tag: string): Promise<string | undefined> {
    // Docker Hub counts only GET as a pull.
    const response = await this.#request(image, "HEAD", tag);
    const digest = response?.headers.get("docker-content-digest");
    return response && (digest ?? (await this.manifest(image, tag))?.digest);
  }

  /** Returns the manifest of a tag or digest, with the digest of its content; undefined if it does not exist. @throws RegistryError */
  async manifest(image: ImageReference, reference: string): Promise<Manifest | undefined> {
    const response = await this.#request(image, "GET", reference);
    if (!response) return undefined;
    const body = Buffer.from(await response.arrayBuffer());
    const digest = `sha256:${createHash("sha256").update(body).digest("hex")}`;
    if (reference.includes(":") && reference !== digest)
      throw new RegistryError(`${image.registry} answers ${reference} with content of the digest ${digest}`);
    const { manifests } = index.safeParse(parseJson(body.toString())).data ?? {};
    const platforms = manifests?.flatMap(({ platform }) =>
      platform && platform.os !== "unknown" ? [`${platform.os}/${platform.architecture}`] : [],
    );
    return { digest, platforms };
  }

  async #request(image: ImageReference, method: "HEAD" | "GET", reference: string): Promise<Response | undefined> {
    const { registry, repository } = image;
    const host = registry === dockerHub ? "registry-1.docker.io" : registry;
    const url = `${this.#plainHttp ? "http" : "https"}://${host}/v2/${repository}/manifests/${reference}`;
    const key = `${registry}/${repository}`;
    const send = () => {
      const token = this.#tokens.get(key);
      return this.#fetch(url, method, { accept, ...(token !== undefined && { authorization: `Bearer ${token}` }) });
    };
    let response = await send();
    if (response.status === 401) {
      this.#tokens.set(key, await this.#token(registry, response.headers.get("www-authenticate") ?? ""));
      response = await send();
    }
    if (response.ok) return response;
    if (response.status === 404) return undefined;
    const advice = {
      401: "; the image is not public",
      403: "; the image is not public",
      429: "; its limit for pulls without a login is reached, try again later",
    }[response.status];
    throw new RegistryError(`${registry} answers ${response.status}${advice ?? ""}`);
  }

  /** Gets a token without a login, as the registry's challenge describes. */
  async #token(registry: string, challenge: string): Promise<string> {
    const values = Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = "", value = ""]) => [key, value]));
    const { realm, service, scope } = values;
    if (!/^bearer /i.test(challenge) || realm === undefined || !URL.canParse(realm))
      throw new RegistryError(`${registry} answers 401; the image is not public`);
    const url = new URL(realm);
    if (url.protocol !== "https:" && !this.#plainHttp)
      throw new RegistryError(`${registry} names a place for tokens without TLS: ${url.host}`);
    if (service !== undefined) url.searchParams.set("service", service);
    if (scope !== undefined) url.searchParams.set("scope", scope);
    const response = await this.#fetch(url.href, "GET", {});
    if (!response.ok) throw new RegistryError(`${url.host} gives no token for ${registry}: it answers ${response.status}`);
    const { token, access_token: access } = tokenAnswer.safeParse(parseJson(await response.text())).data ?? {};
    if ((token ?? access) === undefined) throw new RegistryError(`${url.host} gives no token for ${registry}`);
    return token ?? access ?? "";
  }

  async #fetch(url: string, method: string, headers: Record<string, string>): Promise<Response> {
    try {
      return await fetch(url, { method, headers, signal: AbortSignal.timeout(this.#timeout) });
    } catch (error) {
      const { message, cause } = error as Error;
      throw new RegistryError(
        `${new URL(url).host} cannot be reached: ${cause instanceof Error ? cause.message || String(cause) : message}`,
      );
    }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
