import { ApiException } from "@kubernetes/client-node";
import { UserError } from "../user-error.ts";
import type { Cluster } from "./cluster.ts";

/** Milliseconds. */
const timeout = 10_000;

/** A request that the API server refused or did not answer. */
export class RequestError extends UserError {
  /** The HTTP status; undefined if there was no response. */
  readonly code: number | undefined;

  constructor(message: string, code?: number) {
    super(message);
    this.code = code;
  }
}

/**
 * Awaits a request to the API server. Returns undefined if the object does not exist.
 *
 * @throws RequestError if the server does not respond within 10 seconds or refuses the request.
 */
export async function respond<T>(cluster: Cluster, request: Promise<T>): Promise<T | undefined> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no response within ${timeout / 1000} s`)), timeout);
  try {
    return await Promise.race([request, late]);
  } catch (error) {
    if (error instanceof ApiException && error.code === 404) return undefined;
    throw requestError(cluster, error);
  } finally {
    clearTimeout(timer);
  }
}

/** Awaits a result of `respond`. Returns undefined if the user may not send the request: less to go by is better than nothing. */
export async function permitted<T>(response: Promise<T>): Promise<T | undefined> {
  try {
    return await response;
  } catch (error) {
    if (error instanceof RequestError && error.code === 403) return undefined;
    throw error;
  }
}

/** Explains why a request failed and what to do about it. */
function requestError({ context, server }: Pick<Cluster, "context" | "server">, error: unknown): RequestError {
  const cluster = `The cluster of context ${context}`;
  const another = "choose another context with `kubectl config use-context NAME`";
  if (error instanceof ApiException) {
    const message = apiMessage(error);
    if (error.code === 401 || (error.code === 403 && /system:anonymous/.test(message)))
      return new RequestError(
        `${cluster} (${server}) does not accept your credentials: ${message}\nLog in again with the tool that created this context, or ${another}.`,
        401,
      );
    return new RequestError(`${cluster} (${server}) refused a request (HTTP ${error.code}): ${message}`, error.code);
  }
  const { message, code } = rootCause(error);
  if (/CERT|SIGNATURE|ALTNAME|SELF_SIGNED/.test(code))
    return new RequestError(
      `The certificate of ${server} (context ${context}) is not trusted: ${message}\n` +
        "The kubeconfig belongs to another cluster or is outdated; get a new one.",
    );
  if (/spawn|exec|credential|token/i.test(message))
    return new RequestError(
      `The credentials of context ${context} cannot be obtained: ${message}\n` +
        "The kubeconfig names a program that provides them; install it, or log in with it.",
    );
  return new RequestError(`${cluster} cannot be reached at ${server}: ${message}\nStart it, connect to its network (VPN), or ${another}.`);
}

function apiMessage({ body, code }: ApiException<unknown>): string {
  try {
    const status: { message?: unknown } = typeof body === "string" ? JSON.parse(body) : (body ?? {});
    if (typeof status.message === "string") return status.message;
  } catch {
    // The response may come from a proxy instead of the API server.
  }
  return `HTTP ${code}`;
}

/** `fetch` hides the reason in a chain of causes. */
function rootCause(error: unknown): { message: string; code: string } {
  if (error instanceof AggregateError && error.errors.length > 0) return rootCause(error.errors[0]);
  if (error instanceof Error && error.cause !== undefined) return rootCause(error.cause);
  const { message = String(error), code = "" } = error as { message?: string; code?: string };
  return { message: message || code, code };
}
