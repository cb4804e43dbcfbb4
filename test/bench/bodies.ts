import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { must } from "../e2e/support/command.ts";
import type { Service } from "./services.ts";

export interface Upload {
  readonly image: string;
  readonly packages: number;
  /** Bytes of the largest request that a layer is uploaded with. */
  readonly largest: number;
}

const report = z.object({ Results: z.array(z.object({ Packages: z.array(z.unknown()).nullish() })).nullish() });

/** Scans an image as if nobody had before, through a proxy that takes the measure of what is uploaded. */
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
    const file = join(folder, "report");
    const args = ["image", "--quiet", "--cache-dir", folder, "--server", address, "--scanners", "vuln", "--image-src", "remote"];
    args.push("--skip-version-check", "--disable-telemetry", "--skip-files", `/never/${randomUUID()}`);
    args.push("--list-all-pkgs", "--format", "json", "--output", file, image);
    await must("trivy", args, { env: { ...process.env, TRIVY_TOKEN: token } });
    const { Results } = report.parse(JSON.parse(await readFile(file, "utf8")));
    const packages = Results?.reduce((sum, { Packages }) => sum + (Packages?.length ?? 0), 0) ?? 0;
    return { image, packages, largest };
  } finally {
    proxy.close();
    await rm(folder, { recursive: true, force: true });
  }
}
