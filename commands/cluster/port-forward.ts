import { request } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { Duplex, PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { PortForward } from "@kubernetes/client-node";
import type { Cluster } from "./cluster.ts";

/** A port of a pod. */
export interface PodPort {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

/** Runs `use` with a local port that leads to a port of a pod, also to one on the pod's loopback interface. */
export async function withPortForward<T>(
  { config }: Cluster,
  { namespace, pod, port }: PodPort,
  use: (localPort: number) => Promise<T>,
): Promise<T> {
  const forward = new PortForward(config);
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    forward.portForward(namespace, pod, [port], socket, null, socket).catch(() => socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  try {
    return await use((server.address() as AddressInfo).port);
  } finally {
    server.close();
  }
}
/**
 * Requests a path from a pod, through the API server and the kubelet as `kubectl port-forward` does: unlike the API server's proxy, it is not
 * subject to network policies.
 *
 * @param timeout milliseconds for everything
 * @returns the body
 * @throws Error if there is no answer in time, or one with another status than 200.
 */
export async function getFromPod(cluster: Cluster, { namespace, pod, port }: PodPort, path: string, timeout: number): Promise<string> {
  const answer = new PassThrough();
  const question = new PassThrough();
  const failure = Promise.withResolvers<never>();
  const timer = setTimeout(() => failure.reject(new Error(`no answer within ${timeout / 1000} s`)), timeout);
  const errors = new PassThrough().on("data", (message: Buffer) => failure.reject(new Error(message.toString().trim())));
  let close = () => {};
  try {
    const connected = new PortForward(cluster.config, false).portForward(namespace, pod, [port], answer, errors, question);
    connected.then(
      (socket) => {
        if (typeof socket === "function") return;
        close = () => socket.close();
        socket.onclose = () => answer.end();
      },
      (error: { message?: string }) => failure.reject(new Error(error.message ?? "the connection failed")),
    );
    const body = Promise.withResolvers<string>();
    const connection = Duplex.from({ readable: answer, writable: question });
    request({ createConnection: () => connection, path, headers: { host: "localhost", connection: "close" } }, (response) => {
      if (response.statusCode === 200) body.resolve(text(response));
      else body.reject(new Error(`HTTP ${response.statusCode}`));
    })
      .on("error", body.reject)
      .end();
    return await Promise.race([body.promise, failure.promise]);
  } finally {
    clearTimeout(timer);
    close();
  }
}
