import { createHash } from "node:crypto";
import { createServer, request as forward, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync, gzipSync } from "node:zlib";

/** How the upstream registry fails. */
export type Trouble = "refuses" | "hangs" | "429" | "404" | "garbage";

const layerType = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip";

/** A registry that records its requests and can fail. It passes them on to a real registry, which speaks plain HTTP. */
export class Upstream {
  /** `METHOD PATH` of every request. */
  readonly requests: string[] = [];
  trouble: Trouble | undefined;
  private readonly registry: string;
  private readonly server: Server;
  private host = "";
  private port = 0;

  constructor(registry: string) {
    this.registry = registry;
    this.server = createServer((request, response) => {
      this.requests.push(`${request.method} ${request.url}`);
      if (this.trouble === "hangs") return;
      if (this.trouble === "garbage") response.writeHead(200, { "content-type": "text/html" }).end("<html>sign in</html>");
      else if (this.trouble !== undefined) response.writeHead(Number(this.trouble)).end();
      else {
        const { method = "", url = "", headers } = request;
        const target = forward(`http://${this.registry}${url}`, { method, headers: { ...headers, host: this.registry } }, (answer) => {
          response.writeHead(answer.statusCode ?? 500, answer.headers);
          answer.pipe(response);
        });
        target.on("error", () => response.destroy());
        request.pipe(target);
      }
    });
  }

  /** Listens on `host`, the address by which pods reach this machine. */
  async open(host: string): Promise<void> {
    this.host = host;
    await new Promise<void>((resolve, reject) => this.server.once("error", reject).listen(this.port, host, resolve));
    this.port = (this.server.address() as AddressInfo).port;
  }

  /** The registry as pods reach it. */
  get address(): string {
    return `${this.host}:${this.port}`;
  }

  async fail(trouble: Trouble | undefined): Promise<void> {
    if (this.trouble === "refuses" && trouble !== "refuses") await this.open(this.host);
    if (trouble === "refuses" && this.trouble !== "refuses") await this.close();
    this.trouble = trouble;
    this.server.closeAllConnections();
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** Number of GETs of a blob. */
  downloads(digest: string): number {
    return this.requests.filter((request) => request.startsWith("GET ") && request.endsWith(`/blobs/${digest}`)).length;
  }
}

/** A build in a registry. */
export interface PushedBuild {
  readonly digest: string;
  readonly layer: string;
}

interface Manifest {
  readonly layers: readonly { readonly digest: string }[];
}

/** A repository with plain HTTP, `HOST:PORT/PATH`, to which builds are pushed with the registry's API. */
export class DatabaseRepository {
  private readonly api: string;
  private readonly tag: string;

  constructor(repository: string, tag = "2") {
    const [registry, ...path] = repository.split("/");
    this.api = `http://${registry}/v2/${path.join("/")}`;
    this.tag = tag;
  }

  /** Returns the build that the tag names. */
  async current(): Promise<PushedBuild & { readonly data: Buffer }> {
    const response = await this.request("GET", `${this.api}/manifests/${this.tag}`, undefined, {
      accept: "application/vnd.oci.image.manifest.v1+json",
    });
    const text = await response.text();
    const { layers } = JSON.parse(text) as Manifest;
    const layer = layers[0]?.digest ?? "";
    const data = Buffer.from(await (await this.request("GET", `${this.api}/blobs/${layer}`)).arrayBuffer());
    return { digest: sha256(Buffer.from(text)), layer, data };
  }

  async tags(): Promise<string[]> {
    return ((await (await this.request("GET", `${this.api}/tags/list`)).json()) as { tags: string[] }).tags;
  }

  /** Lets the tag name an artifact with this layer. */
  async push(
    layer: Buffer,
    { type = layerType, file = "db.tar.gz", artifactType = "application/vnd.aquasec.trivy.config.v1+json" } = {},
  ): Promise<PushedBuild> {
    const config = Buffer.from("{}");
    for (const blob of [layer, config]) await this.upload(blob);
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      artifactType,
      config: { mediaType: "application/vnd.oci.empty.v1+json", digest: sha256(config), size: config.length },
      layers: [{ mediaType: type, digest: sha256(layer), size: layer.length, annotations: { "org.opencontainers.image.title": file } }],
    });
    await this.pushManifest(manifest);
    return { digest: sha256(Buffer.from(manifest)), layer: sha256(layer) };
  }

  async pushManifest(manifest: string): Promise<void> {
    await this.request("PUT", `${this.api}/manifests/${this.tag}`, manifest, {
      "content-type": "application/vnd.oci.image.manifest.v1+json",
    });
  }

  private async upload(blob: Buffer): Promise<void> {
    const started = await this.request("POST", `${this.api}/blobs/uploads/`);
    const location = new URL(started.headers.get("location") ?? "", this.api);
    location.searchParams.set("digest", sha256(blob));
    await this.request("PUT", location.href, blob);
  }

  private async request(method: string, url: string, body?: string | Buffer, headers: Record<string, string> = {}): Promise<Response> {
    const response = await fetch(url, {
      method,
      headers,
      ...(body !== undefined && { body: typeof body === "string" ? body : new Uint8Array(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${await response.text()}`);
    return response;
  }
}

const sha256 = (data: Buffer) => `sha256:${createHash("sha256").update(data).digest("hex")}`;

/** Returns the layer of a database with other bytes in it; both texts must have the same length. */
export function changed(layer: Buffer, from: string, to: string): Buffer {
  const archive = gunzipSync(layer).toString("latin1");
  if (!archive.includes(from) || from.length !== to.length) throw new Error(`${from} cannot be replaced by ${to}`);
  return gzipSync(Buffer.from(archive.replaceAll(from, to), "latin1"));
}
