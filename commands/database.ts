/**
 * `npm run database -- <stack>`: lists the builds that the stack's database mirror keeps. `npm run database -- <stack> push FILE` gives it a database
 * that was downloaded elsewhere: db.tar.gz or javadb.tar.gz.
 */
import { createReadStream, type Stats, statSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { basename } from "node:path";
import { pipeline } from "node:stream/promises";
import { CoreV1Api } from "@kubernetes/client-node";
import { artifacts, mirrorName, mirrorPaths, mirrorPorts } from "../database-mirror/index.ts";
import { respond } from "./cluster/api.ts";
import { withPortForward } from "./cluster/port-forward.ts";
import { openEngine } from "./engine/engine.ts";
import { stackNamespace } from "./namespace.ts";
import { stackCluster } from "./stack-cluster.ts";
import { projectFolder, readStackFile, stacksOf } from "./stack-file.ts";
import { main, UserError } from "./user-error.ts";

interface ListedBuild {
  readonly digest: string;
  readonly updatedAt: string;
  readonly source: string;
  readonly served: boolean;
  readonly layer: { readonly size: number };
}

const usage = () => `Usage: npm run database -- <stack>             lists the builds that the mirror keeps
       npm run database -- <stack> push FILE   adds db.tar.gz or javadb.tar.gz

Stacks: ${stacksOf(projectFolder).join(", ")}
Exit codes: 0 success, 1 error, 2 wrong usage`;

async function database([stack, command, path, ...others]: readonly string[]): Promise<number> {
  const isPush = command === "push" && path !== undefined && others.length === 0;
  if (!stack || stack.startsWith("-") || (command !== undefined && !isPush)) throw new UserError(usage(), 2);
  const file = isPush ? fileToPush(path) : undefined;
  const stackFile = readStackFile(projectFolder, stack);
  const cluster = await stackCluster(stackFile, () => openEngine(projectFolder));
  const { name: namespace } = stackNamespace(stackFile);
  const pod = `${mirrorName}-0`;
  console.error(`Cluster: context ${cluster.context}, ${cluster.server}; namespace ${namespace}`);
  const found = await respond(cluster, cluster.config.makeApiClient(CoreV1Api).readNamespacedPod({ name: pod, namespace }));
  if (!found)
    throw new UserError(
      `The stack ${stack} has no database mirror in this cluster.\nSet database.mirror.enabled to true, then run: npm run up -- ${stack}`,
    );
  return withPortForward(cluster, { namespace, pod, port: mirrorPorts.admin }, (port) => (file ? push(port, file) : list(port)));
}

/** A file with a database, and the repository that it belongs to. */
interface DatabaseFile {
  readonly path: string;
  readonly size: number;
  readonly repository: string;
}

function fileToPush(path: string): DatabaseFile {
  const name = basename(path);
  const artifact = Object.values(artifacts).find(({ file }) => file === name);
  if (!artifact) {
    const names = Object.values(artifacts).map(({ file }) => file);
    throw new UserError(
      `${path} is not called ${names.join(" or ")}; its name says which database it is, so keep the name that oras gives it`,
    );
  }
  let stats: Stats;
  try {
    stats = statSync(path);
  } catch (error) {
    throw new UserError(`${path} cannot be read: ${(error as Error).message}`);
  }
  return { path, size: stats.size, repository: artifact.repository };
}

async function list(port: number): Promise<number> {
  const { status, body } = await send(port, "GET", mirrorPaths.builds);
  if (status !== 200) throw new UserError(`The mirror answered ${status}: ${body}`);
  for (const { repository, builds } of JSON.parse(body) as { repository: string; builds: ListedBuild[] }[]) {
    console.log(repository);
    if (builds.length === 0) console.log("  no build yet");
    for (const { digest, updatedAt, source, served, layer } of builds)
      console.log(`  ${digest}\n    built ${updatedAt}, ${Math.ceil(layer.size / 1e6)} MB, from ${source}${served ? "  (served)" : ""}`);
  }
  return 0;
}

async function push(port: number, file: DatabaseFile): Promise<number> {
  console.error(`Pushing ${Math.ceil(file.size / 1e6)} MB to ${file.repository}; the mirror then verifies the database`);
  const { status, body } = await send(port, "PUT", `${mirrorPaths.builds}/${file.repository}`, file);
  const { digest, updatedAt, error } = JSON.parse(body) as Partial<ListedBuild> & { readonly error?: string };
  if (status === 422) throw new UserError(`The mirror refuses ${file.path}: ${error}`);
  if (status === 404) throw new UserError(`The mirror does not have ${file.repository}; set database.mirror.java.enabled to true`);
  if (status !== 200) throw new UserError(`The mirror could not store ${file.path}: ${error}`);
  console.log(`${file.repository}: ${digest}, built ${updatedAt}`);
  return 0;
}

/** Sends a request, with a file as its body if there is one. */
async function send(
  port: number,
  method: string,
  path: string,
  file?: DatabaseFile,
): Promise<{ readonly status: number; readonly body: string }> {
  const headers = file && { "content-length": file.size };
  const message = request({ host: "127.0.0.1", port, method, path, headers, agent: false });
  const answered = new Promise<IncomingMessage>((resolve, reject) => message.on("response", resolve).on("error", reject));
  const sent = file ? pipeline(createReadStream(file.path), message) : Promise.resolve(message.end());
  try {
    const [response] = await Promise.all([answered, sent]);
    let body = "";
    for await (const chunk of response.setEncoding("utf8")) body += chunk;
    return { status: response.statusCode ?? 0, body };
  } catch (error) {
    throw new UserError(`The connection to the mirror failed: ${(error as Error).message}; see kubectl logs ${mirrorName}-0`);
  }
}

if (import.meta.main) await main(database, { usage });
