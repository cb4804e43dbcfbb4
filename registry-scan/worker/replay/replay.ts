import type { KnownScan, SentResult } from "../../protocol/api.ts";
import type { ScanConfiguration } from "../../protocol/configuration.ts";
import type { Scanned, ScanResult } from "../../protocol/findings.ts";
import { fingerprint } from "./fingerprint.ts";
import { RecordingProxy, scanPath, servicePath } from "./recording-proxy.ts";

/**
 * Saves starting a client for an image that has not changed. While a client scans, its last request to the scan service is recorded; in the
 * next run the same request is sent again. If the answer is the same, so are the findings, and the service has still consulted its present
 * database.
 */
export class Replay {
  readonly #proxy: RecordingProxy;
  readonly #configuration: Pick<ScanConfiguration, "service" | "timeout">;
  readonly #client: string | undefined;

  private constructor(proxy: RecordingProxy, configuration: Pick<ScanConfiguration, "service" | "timeout">, client: string | undefined) {
    this.#proxy = proxy;
    this.#configuration = configuration;
    this.#client = client;
  }

  /** @param client digest of everything else that determines findings; `undefined` if a scan says nothing about the next one */
  static async start(configuration: Pick<ScanConfiguration, "service" | "timeout">, client: string | undefined): Promise<Replay> {
    return new Replay(await RecordingProxy.start(configuration.service, process.env["TRIVY_TOKEN"]), configuration, client);
  }

  /**
   * @returns the result of the known scan, if a client would find the same now; otherwise `undefined`
   * @throws the signal's reason when it is aborted
   */
  async reuse(known: KnownScan | undefined, signal: AbortSignal): Promise<Scanned | undefined> {
    if (known === undefined || known.client !== this.#client) return undefined;
    const { service, timeout } = this.#configuration;
    const started = performance.now();
    if ((await answerDigest(service, known.request, timeout, signal)) !== known.response) return undefined;
    return { ...known.result, seconds: Math.round(performance.now() - started) / 1000 };
  }

  /**
   * Adds the exchange to the result of a client's scan, for `reuse` in the next run.
   *
   * @param scan starts the client with the given URL of the scan service; one at a time
   */
  async record(scan: (service: string) => Promise<ScanResult>): Promise<SentResult> {
    // Of a client that was ended.
    this.#proxy.takeExchange();
    const result = await scan(this.#proxy.url);
    const exchange = this.#proxy.takeExchange();
    return exchange && this.#client !== undefined ? { ...result, exchange: { client: this.#client, ...exchange } } : result;
  }
}

/**
 * Sends a recorded request to the scan service again.
 *
 * @param request body of the request, Base64
 * @param timeout seconds
 * @returns the digest of the answer; `undefined` if there is no valid answer, for whatever reason
 * @throws the signal's reason when it is aborted
 */
export async function answerDigest(service: string, request: string, timeout: number, signal: AbortSignal): Promise<string | undefined> {
  const url = new URL(service);
  const { TRIVY_TOKEN: token } = process.env;
  try {
    const response = await fetch(new URL(servicePath(url, scanPath), url), {
      method: "POST",
      headers: { "content-type": "application/protobuf", ...(token && { "trivy-token": token }) },
      body: Buffer.from(request, "base64"),
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeout * 1000)]),
    });
    if (response.status === 200) return fingerprint(Buffer.from(await response.arrayBuffer()));
    await response.body?.cancel();
  } catch {
    // The client that is started instead reports the reason.
  }
  signal.throwIfAborted();
  return undefined;
}
