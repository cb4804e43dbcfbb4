import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { Exec, type V1Status } from "@kubernetes/client-node";
import type { Cluster } from "./cluster.ts";

/** A container of a pod. */
export interface ContainerAddress {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
}

/**
 * Runs a command in a container.
 *
 * @param timeout milliseconds for everything
 * @returns its exit code and standard output
 * @throws Error if it cannot be run, or does not end in time.
 */
export async function runInContainer(
  cluster: Cluster,
  { namespace, pod, container }: ContainerAddress,
  command: readonly string[],
  timeout: number,
): Promise<{ readonly code: number; readonly stdout: string }> {
  const stdout = new PassThrough();
  const stderr = new PassThrough().resume();
  const ended = Promise.withResolvers<number>();
  const timer = setTimeout(() => ended.reject(new Error(`no answer within ${timeout / 1000} s`)), timeout);
  let close = () => {};
  try {
    const connected = new Exec(cluster.config).exec(namespace, pod, container, [...command], stdout, stderr, null, false, (status) =>
      ended.resolve(exitCode(status)),
    );
    connected.then(
      (socket) => {
        close = () => socket.close();
        socket.onclose = () => ended.reject(new Error("the connection was closed"));
      },
      (error: { message?: string }) => ended.reject(new Error(error.message ?? "the connection failed")),
    );
    const output = text(stdout);
    return { code: await ended.promise, stdout: await output };
  } finally {
    clearTimeout(timer);
    close();
  }
}

/** The exit code is in the details of a failure; without it, the command could not be run. */
function exitCode({ status, details, message }: V1Status): number {
  if (status === "Success") return 0;
  const code = details?.causes?.find(({ reason }) => reason === "ExitCode")?.message;
  if (code === undefined) throw new Error(message ?? "the command could not be run");
  return Number(code);
}
