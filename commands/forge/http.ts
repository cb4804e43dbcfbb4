import { setTimeout as sleep } from "node:timers/promises";
import { visible } from "../../registry-scan/index.ts";

/** Why a comment or an issue could not be written, for the job's log. */
export class ForgeError extends Error {}

export interface HttpOptions {
  /** For messages: `GitHub`. */
  readonly name: string;
  /** Without a slash at the end. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** What to do if the token may not do what it has to, for messages. */
  readonly permission: string;
  /** Seconds that a rate limit is waited for. @default 60 */
  readonly patience?: number;
}

export type Request = (method: "GET" | "POST" | "PUT" | "PATCH", path: string, body?: object) => Promise<unknown>;

const attempts = 3;
/** Milliseconds. */
const timeout = 30_000;

/**
 * Returns a function that sends requests to a JSON API and returns the answer; undefined if what the path names does not exist. It waits for
 * rate limits up to `patience`, and retries errors of the server. An answer that is lost after a POST is not retried, so nothing is posted
 * twice.
 *
 * @throws ForgeError (the function)
 */
export function httpClient({ name, url, headers, permission, patience = 60 }: HttpOptions): Request {
  return async (method, path, body) => {
    for (let attempt = 1; ; attempt++) {
      const last = attempt === attempts;
      const response = await fetch(`${url}${path}`, {
        method,
        headers: { ...headers, "content-type": "application/json" },
        ...(body && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeout),
      }).catch((error: Error) => {
        if (last || method === "POST") throw new ForgeError(`${name} does not answer: ${reason(error)}`);
        return undefined;
      });
      if (response?.ok)
        return response.json().catch(() => {
          throw new ForgeError(`${name} answers ${method} ${path} with text that is not JSON; check ${url}`);
        });
      if (response?.status === 404 || response?.status === 410) return undefined;
      if (response && isRateLimited(response)) {
        const seconds = waitOf(response);
        if (last || seconds > patience)
          throw new ForgeError(`${name}'s rate limit is exhausted for ${Math.ceil(seconds)} s; run the job again after that`);
        await sleep(seconds * 1000);
        continue;
      }
      if (response && response.status < 500) {
        const advice = response.status === 401 || response.status === 403 ? `; ${permission}` : "";
        throw new ForgeError(`${name} refuses ${method} ${path}: ${response.status} ${await messageOf(response)}${advice}`);
      }
      if (response && (last || method === "POST"))
        throw new ForgeError(`${name} answers ${method} ${path} with ${response.status}; run the job again`);
      await sleep(attempt * 500);
    }
  };
}

const reason = ({ message, cause }: Error) => (cause instanceof Error ? cause.message || String(cause) : message);

/** GitHub's primary and secondary limits are 403 or 429; only their headers distinguish them from a missing permission. */
const isRateLimited = ({ status, headers }: Response) =>
  status === 429 || (status === 403 && (headers.has("retry-after") || headers.get("x-ratelimit-remaining") === "0"));

/** Returns the seconds until the next request is allowed. Without a header it is a minute, as GitHub documents. */
function waitOf({ headers }: Response): number {
  const after = Number(headers.get("retry-after") ?? Number.NaN);
  if (Number.isFinite(after)) return Math.max(0, after);
  const reset = Number(headers.get("x-ratelimit-reset") ?? headers.get("ratelimit-reset") ?? Number.NaN);
  return Number.isFinite(reset) ? Math.max(0, reset - Date.now() / 1000) : 60;
}

async function messageOf(response: Response): Promise<string> {
  const text = await response.text().catch(() => "");
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return visible(typeof message === "string" ? message : JSON.stringify(message)).slice(0, 200);
  } catch {
    return "";
  }
}
