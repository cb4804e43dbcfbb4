import { request as httpRequest, type IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import * as z from "zod/mini";
import { toolsPort } from "../protocol/names.ts";
import {
  type CraneAnswer,
  type CraneQuestion,
  clientAnswerSchema,
  craneAnswerSchema,
  type ScannedImage,
  scannedImageSchema,
} from "../protocol/tools.ts";
import { InvalidData, type Parsed, parseJson } from "../protocol/validation.ts";

/** Seconds for which a connection is tried again: the container may start, also anew after it has exceeded its memory limit. */
const patience = 120;

/** Milliseconds between attempts to connect. */
const pause = 200;

/** The container ended before it had answered. */
export class ToolsEnded extends Error {}

const failureSchema = z.object({ error: z.string() });

/** Client of the container that runs trivy and crane. All calls throw the signal's reason when it is aborted, which ends the program. */
export class ToolsClient {
  readonly #port: number;

  constructor({ TOOLS_PORT: port = `${toolsPort}` }: NodeJS.ProcessEnv = process.env) {
    this.#port = Number(port);
  }

  /**
   * Scans an image.
   *
   * @param service URL of the scan service, which needs no token
   */
  scan(reference: string, service: string, signal: AbortSignal): Promise<ScannedImage> {
    return this.#ask("/scan", scannedImageSchema, { reference, service }, signal);
  }

  crane(question: CraneQuestion, signal: AbortSignal): Promise<CraneAnswer> {
    return this.#ask("/crane", craneAnswerSchema, question, signal);
  }

  /** Returns a digest of the client, its options and their files; `undefined` if a scan says nothing about the next one. */
  async clientDigest(signal: AbortSignal): Promise<string | undefined> {
    return (await this.#ask("/client", clientAnswerSchema, {}, signal)).digest;
  }

  /** @throws {ToolsEnded} when the container ends meanwhile, and an Error with its reason when it cannot answer */
  async #ask<Schema extends z.ZodMiniType>(path: string, schema: Schema, question: object, signal: AbortSignal): Promise<Parsed<Schema>> {
    const { statusCode, text } = await this.#connect(path, JSON.stringify(question), signal);
    try {
      if (statusCode === 200) return parseJson(schema, text);
      throw new Error(parseJson(failureSchema, text).error);
    } catch (error) {
      // What images contain may have taken over the container.
      throw error instanceof InvalidData ? new Error(`the container that runs the client has a wrong answer: ${error.message}`) : error;
    }
  }

  async #connect(
    path: string,
    body: string,
    signal: AbortSignal,
  ): Promise<{ readonly statusCode: number | undefined; readonly text: string }> {
    for (const end = Date.now() + patience * 1000; ; await delay(pause, undefined, { signal }))
      try {
        return await this.#post(path, body, signal);
      } catch (error) {
        signal.throwIfAborted();
        const { code, message } = error as NodeJS.ErrnoException;
        if (code !== "ECONNREFUSED") throw new ToolsEnded(message);
        if (Date.now() > end) throw new Error(`the container that runs the client has not answered for ${patience} s`);
      }
  }

  /** Without fetch, which gives up an answer after five minutes. */
  async #post(
    path: string,
    body: string,
    signal: AbortSignal,
  ): Promise<{ readonly statusCode: number | undefined; readonly text: string }> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
      httpRequest({ host: "127.0.0.1", port: this.#port, path, method: "POST", headers, agent: false, signal }, resolve)
        .on("error", reject)
        .end(body);
    });
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += chunk;
    return { statusCode: response.statusCode, text };
  }
}
