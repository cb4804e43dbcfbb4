import { request } from "node:http";

/** The answer to a request. */
export interface Reply {
  readonly status: number;
  readonly body: string;
  readonly milliseconds: number;
}

interface SendOptions {
  /** Keeps the request open after its body, until the signal aborts it. @default the request ends with its body */
  readonly stall?: AbortSignal;
}

/** Sends one POST request like Trivy's client, with further headers. @throws if the connection breaks */
export function send(
  url: string,
  body: string | Buffer,
  headers: Readonly<Record<string, string | number>>,
  { stall }: SendOptions = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const length = headers["Transfer-Encoding"] === undefined && { "Content-Length": Buffer.byteLength(body) };
    const sent = request(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...length, ...headers },
      ...(stall && { signal: stall }),
    });
    sent.on("error", reject).on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text, milliseconds: performance.now() - begun }));
    });
    if (stall) sent.write(body);
    else sent.end(body);
  });
}
