import { text } from "node:stream/consumers";
import { type Context, Hono } from "hono";
import { bearerAuth } from "hono/bearer-auth";
import { HTTPException } from "hono/http-exception";
import type { ZodMiniType } from "zod/mini";
import { nextQuestionSchema, type PlanLine, planLineSchema, type RunStatus, runStartSchema, sentResultSchema } from "../protocol/api.ts";
import { resultLimit } from "../protocol/findings.ts";
import { InvalidData, type Parsed, parseJson } from "../protocol/validation.ts";
import { runNamePattern } from "./files.ts";
import { type Env, errorHandler, readBody } from "./http.ts";
import type { Store } from "./store.ts";
import { firstFew } from "./text.ts";

/** Maximum size of a body, in bytes. A result has the recorded request with it. */
const limits = { small: 64 << 10, result: 2 * resultLimit, plan: 64 << 20, cycloneDx: 256 << 20 };

/** The API of the scanning pods, described in `protocol/api.ts`. Every request needs the token. */
export function createApi(store: Store, tokens: string[]): Hono<Env> {
  const api = new Hono<Env>();
  api.onError(errorHandler(store));
  api.notFound((c) => c.json({ error: `the API has no ${c.req.method} ${c.req.path}` }, 404));
  api.use(bearerToken(tokens));
  api.use("/api/runs/:run/*", async (c, next) => {
    const run = c.req.param("run");
    if (!runNamePattern.test(run)) {
      throw new HTTPException(400, { message: `${JSON.stringify(run)} is not a valid name of a run; use a Job's name, of a-z, 0-9 and -` });
    }
    await next();
  });

  const body = (c: Context<Env>, run: string, limit: number) => readBody(c.env.incoming, limit, () => store.touch(run));
  const status = (run: string): RunStatus => {
    const status = store.status(run);
    if (!status) throw new HTTPException(404, { message: `run ${run} has not begun, or is no longer kept` });
    return status;
  };

  api.get("/api/runs/:run", (c) => c.json(status(c.req.param("run"))));

  api.put("/api/runs/:run", async (c) => {
    const run = c.req.param("run");
    const start = parseBody(runStartSchema, "the run's start", await text(body(c, run, limits.small)));
    const begun = store.begin(run, start);
    return c.json(begun, "running" in begun ? 409 : 200);
  });

  api.put("/api/runs/:run/plan", async (c) => {
    const run = c.req.param("run");
    status(run);
    await store.plan(run, parsePlan(await text(body(c, run, limits.plan))));
    return c.json(status(run));
  });

  api.post("/api/runs/:run/next", async (c) => {
    const run = c.req.param("run");
    status(run);
    const question = parseBody(nextQuestionSchema, "the question", await text(body(c, run, limits.small)));
    return c.json(await store.next(run, question));
  });

  api.put("/api/runs/:run/targets/:id", async (c) => {
    const { run, id } = c.req.param();
    status(run);
    const attempt = attemptOf(c.req.query("attempt"));
    const result = parseBody(sentResultSchema, "the result", await text(body(c, run, limits.result)));
    if (!(await store.result(run, id, attempt, result))) throw noTarget(run, id);
    return c.json(status(run));
  });

  api.put("/api/runs/:run/targets/:id/cyclonedx", async (c) => {
    const { run, id } = c.req.param();
    status(run);
    if (!(await store.cycloneDx(run, id, body(c, run, limits.cycloneDx)))) throw noTarget(run, id);
    return c.body(null, 204);
  });

  return api;
}

function bearerToken(tokens: string[]) {
  const error = "the bearer token of the request is not this server's REPORTS_TOKEN";
  const refusal = { message: () => Response.json({ error }, { status: 401 }) };
  return bearerAuth({ token: tokens, noAuthenticationHeader: refusal, invalidAuthenticationHeader: refusal, invalidToken: refusal });
}

const noTarget = (run: string, id: string) =>
  new HTTPException(404, { message: `run ${run} has no target ${JSON.stringify(id)}, or is not in progress` });

/** @throws {HTTPException} 400 with the invalid fields; `subject` begins the message */
function parseBody<Schema extends ZodMiniType>(schema: Schema, subject: string, json: string): Parsed<Schema> {
  try {
    return parseJson(schema, json);
  } catch (error) {
    if (!(error instanceof InvalidData)) throw error;
    throw new HTTPException(400, { message: `${subject} is not valid: ${firstFew(error.problems, 10)}` });
  }
}

const parsePlan = (lines: string): PlanLine[] =>
  lines
    .split("\n")
    .flatMap((line, index) => (line.trim() === "" ? [] : [parseBody(planLineSchema, `line ${index + 1} of the plan`, line)]));

function attemptOf(attempt: string | undefined): number | undefined {
  if (attempt === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(attempt)) throw new HTTPException(400, { message: "`attempt` is not a positive number" });
  return Number(attempt);
}
