import type { RequestListener } from "node:http";
import type { MirroredDatabase } from "./mirrored-database.ts";
import { mirrorPaths } from "./names.ts";
import { Refusal } from "./refusal.ts";

/** Maximum size of a database that is pushed, in bytes. */
const maximumSize = 4 * 2 ** 30;

/**
 * Lists builds and accepts new ones. It listens only on the pod's loopback interface, which `kubectl port-forward` reaches: the cluster decides
 * who may push.
 */
export const adminListener =
  (databases: readonly MirroredDatabase[]): RequestListener =>
  async (request, response) => {
    const send = (status: number, value: unknown) => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    };
    const { method, url = "" } = request;
    if (method === "GET" && url === mirrorPaths.builds)
      return send(
        200,
        databases.map(({ artifact, served, store }) => ({
          repository: artifact.repository,
          builds: store.builds.map((build) => ({ ...build, served: build === served })),
        })),
      );
    const database = databases.find(({ artifact }) => url === `${mirrorPaths.builds}/${artifact.repository}`);
    if (method !== "PUT" || !database) return send(404, { error: "the mirror has no such database" });
    try {
      return send(200, await database.push(request, maximumSize));
    } catch (error) {
      if (!(error instanceof Refusal)) console.error(`push of ${database.artifact.repository}: ${(error as Error).message}`);
      request.resume();
      return send(error instanceof Refusal ? 422 : 500, { error: (error as Error).message });
    }
  };
