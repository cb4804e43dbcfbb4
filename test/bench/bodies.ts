import { mkdtemp, rm } from "node:fs/promises";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { trivy, unseen } from "../e2e/support/load.ts";
import type { Service } from "./services.ts";

export interface Upload {
  readonly image: string;
  readonly packages: number;
  /** Size of the largest request that uploads a layer, in bytes. */
  readonly largest: number;
}

/** Scans an image without the cache, through a proxy that measures the uploads. */
export async function measureUpload({ server, token = "" }: Service, image: string): Promise<Upload> {
  let largest = 0;
  const proxy = createServer((incoming, answer) => {
    const { method, headers, url = "/" } = incoming;
    let bytes = 0;
    incoming.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (url.endsWith("/PutBlob")) largest = Math.max(largest, bytes);
    });
    const outgoing = request(new URL(url, server), { method, headers }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    outgoing.on("error", () => answer.destroy());
    incoming.pipe(outgoing);
  });
  const folder = await mkdtemp(join(tmpdir(), "upload-"));
  try {
    await new Promise<void>((listening) => proxy.listen(0, "127.0.0.1", listening));
    const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const results = await trivy(image, folder, ["--server", address, ...unseen(), "--list-all-pkgs"], { TRIVY_TOKEN: token });
    return { image, packages: results.reduce((sum, { Packages }) => sum + (Packages?.length ?? 0), 0), largest };
  } finally {
    proxy.close();
    await rm(folder, { recursive: true, force: true });
  }
}
