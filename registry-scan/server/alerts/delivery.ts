import type { ReceiverConfiguration } from "../../protocol/configuration.ts";
import { type DefectDojoMessage, defectDojoForm } from "./defectdojo.ts";

/** A receiver with its URL. URL and header may be secret: they must not appear in the log, in metrics or in files. */
export type Receiver = ReceiverConfiguration & {
  readonly url: string;
  /** Value of the `Authorization` header. */
  readonly authorization?: string;
  /** Where users open the reports. */
  readonly link?: string;
};

/** Why a receiver did not accept a message, without its URL. */
export interface Refusal {
  readonly reason: string;
  /** Milliseconds to wait at least before a retry. */
  readonly delay?: number;
  /** Whether the receiver said that the request itself is wrong, so that a retry will hardly help. */
  readonly permanent?: boolean;
  /** Whether the message is too long for the receiver. */
  readonly tooLong?: boolean;
}

/** Milliseconds for a request. */
const timeout = 30_000;
/** Milliseconds that a receiver's `Retry-After` may delay a retry. */
const maximumDelay = 3_600_000;

export interface DeliveryOptions {
  /** The same for each delivery of a message, so that a receiver can recognise a repeated one. */
  readonly idempotencyKey?: string;
  readonly signal: AbortSignal;
  readonly now: () => Date;
  readonly fetch: typeof globalThis.fetch;
}

/** Where receivers accept messages, below the URL in the settings. @default at that URL */
const paths: Readonly<Partial<Record<Receiver["type"], string>>> = {
  alertmanager: "/api/v2/alerts",
  defectdojo: "/api/v2/reimport-scan/",
};

/** Posts a message to a receiver. Does not throw: returns a refusal if the receiver did not accept it. */
export async function deliver(
  receiver: Receiver,
  body: object,
  { idempotencyKey, signal, now, fetch }: DeliveryOptions,
): Promise<Refusal | undefined> {
  const url = URL.parse(receiver.url);
  if (!url || !["http:", "https:"].includes(url.protocol)) return { reason: "has no valid URL; it must begin with http:// or https://" };
  const path = paths[receiver.type];
  if (path !== undefined && !url.pathname.endsWith(path)) url.pathname = `${url.pathname.replace(/\/+$/, "")}${path}`;
  const isForm = receiver.type === "defectdojo";
  try {
    const authorization = receiver.authorization ?? basicAuthorization(url);
    // fetch refuses URLs with credentials.
    url.username = url.password = "";
    const response = await fetch(url, {
      method: "POST",
      headers: {
        // fetch itself adds the type of a form, which contains its boundary.
        ...(!isForm && { "content-type": "application/json" }),
        ...(idempotencyKey && { "idempotency-key": idempotencyKey }),
        ...(authorization && { authorization }),
      },
      body: isForm ? defectDojoForm(body as DefectDojoMessage) : JSON.stringify(body),
      // A redirect is a mistake in the settings; following it would send the token elsewhere.
      redirect: "manual",
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeout)]),
    });
    // The body is not used, and may be endless.
    await response.body?.cancel();
    return response.ok ? undefined : { ...explain(response.status), ...retryAfter(response, now()) };
  } catch (error) {
    // Messages of fetch's errors contain the URL: only their code is logged.
    const isTimeout = error instanceof Error && error.name === "TimeoutError";
    return { reason: isTimeout ? `does not answer within ${timeout / 1000} s` : `cannot be reached (${errorCode(error)})` };
  }
}

function basicAuthorization({ username, password }: URL): string | undefined {
  if (username === "") return undefined;
  return `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString("base64")}`;
}

function explain(status: number): Refusal {
  if (status === 408 || status === 429 || status >= 500) return { reason: `is overloaded or has failed: HTTP ${status}` };
  if (status < 400) return { reason: `answers with a redirect, which is not followed: HTTP ${status}; use the URL that it redirects to` };
  return { reason: `refuses messages: HTTP ${status}`, permanent: true, tooLong: status === 413 };
}

/** Reads `Retry-After`, which is a number of seconds or a date. */
function retryAfter(response: Response, now: Date): Pick<Refusal, "delay"> {
  const value = response.headers.get("retry-after");
  if (value === null) return {};
  const delay = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - now.getTime();
  return Number.isFinite(delay) ? { delay: Math.min(Math.max(delay, 0), maximumDelay) } : {};
}

/** Returns the code of an error, which contains no URL. */
export function errorCode(error: unknown): string {
  const { cause, code, name } = error as { cause?: { code?: unknown }; code?: unknown; name?: unknown };
  return String(cause?.code ?? code ?? name ?? "unknown");
}
