/**
 * The container of a scanning pod that runs trivy and crane. These read what images and registries contain, so they run without any token, in a
 * container whose processes cannot see those of the one with the tokens. ../protocol/tools.ts defines its API.
 *
 * Environment: TOOLS_PORT; DOCKER_CONFIG, the folder with the logins for registries.
 * Argument: the configuration file. @default /etc/scan/scan.json
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { toolsPort } from "../protocol/names.ts";
import { ConfigurationError, readConfiguration } from "../protocol/read-configuration.ts";
import { redact } from "../protocol/redact.ts";
import { visible } from "../protocol/text.ts";
import { craneQuestionSchema, scanQuestionSchema } from "../protocol/tools.ts";
import { InvalidData, parseJson } from "../protocol/validation.ts";
import { queryRegistry } from "./crane.ts";
import { clientDigest, scanImage } from "./trivy.ts";

type Handler = (body: string, signal: AbortSignal) => Promise<object>;
type Handlers = Readonly<Record<string, Handler>>;

process.on("SIGTERM", () => process.exit(0));
main().catch((error: unknown) => {
  console.error(error instanceof ConfigurationError ? error.message : error);
  process.exit(1);
});

async function main(): Promise<void> {
  const { TOOLS_PORT: port = `${toolsPort}` } = process.env;
  const configuration = await readConfiguration(process.argv[2] ?? "/etc/scan/scan.json");
  const handlers: Handlers = {
    "/scan": (body, signal) => {
      const { reference, service } = parseJson(scanQuestionSchema, body);
      return scanImage(reference, configuration, service, signal);
    },
    "/crane": (body, signal) => queryRegistry(parseJson(craneQuestionSchema, body), configuration.plainHttp, signal),
    "/client": async (_, signal) => ({ digest: await clientDigest(configuration, signal) }),
  };
  // Without a time limit: the container with the tokens ends a scan by closing the connection.
  createServer({ requestTimeout: 0 }, (request, response) => void handle(handlers, request, response)).listen(Number(port), "127.0.0.1");
}

async function handle(handlers: Handlers, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const ended = new AbortController();
  response.once("close", () => ended.abort());
  const answer = (status: number, body: object) => {
    const text = JSON.stringify(body);
    response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) }).end(text);
  };
  try {
    const handler = request.method === "POST" ? handlers[request.url ?? ""] : undefined;
    if (!handler) return answer(404, { error: "there is no such call" });
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    answer(200, await handler(body, ended.signal));
  } catch (error) {
    if (ended.signal.aborted) return;
    const message = visible(redact(error instanceof Error ? error.message : `${error}`));
    answer(error instanceof InvalidData ? 400 : 500, { error: message });
  }
}
