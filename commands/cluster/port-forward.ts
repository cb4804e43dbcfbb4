import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { PortForward } from "@kubernetes/client-node";
import type { Cluster } from "./cluster.ts";

/** Runs `use` with a local port that leads to a port of a pod, also to one on the pod's loopback interface. */
export async function withPortForward<T>(
  { config }: Cluster,
  { namespace, pod, port }: { readonly namespace: string; readonly pod: string; readonly port: number },
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
