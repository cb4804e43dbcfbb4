/**
 * The reports server's API, under `/api`, with `Authorization: Bearer $REPORTS_TOKEN`; bodies are JSON.
 *
 * | request | answer |
 * | --- | --- |
 * | PUT /runs/RUN with RunStart | RunStatus; 409 with RunConflict while another run is in progress, because runs never overlap |
 * | PUT /runs/RUN/plan with PlanLine lines | RunStatus; a second plan of a run has no effect |
 * | POST /runs/RUN/next with NextQuestion | NextAnswer. If another process of the same pod held a target, that attempt has failed. |
 * | PUT /runs/RUN/targets/ID/cyclonedx with a CycloneDX document | 204 |
 * | PUT /runs/RUN/targets/ID?attempt=N with SentResult | RunStatus |
 * | GET /runs/RUN | RunStatus; 404 when the run has not begun |
 */
import * as z from "zod/mini";
import { scanFailedSchema, scannedSchema } from "./findings.ts";
import { scanPolicySchema } from "./policy-schema.ts";
import { nonEmptyString, nonNegativeNumber, type Parsed, positiveInteger } from "./validation.ts";
import { verdicts } from "./verdict.ts";

/** Maximum number of attempts to scan a target. Within an attempt, Trivy's client itself retries for half a minute what the service asks it to. */
export const attempts = 3;

export const runStartSchema = z.object({
  /** ISO 8601, UTC */
  startedAt: z.iso.datetime(),
  /** Seconds from the start of the run until unscanned targets are reported as such. */
  deadline: nonNegativeNumber,
  /** Seconds for the scan of one image. */
  timeout: nonNegativeNumber,
  policy: scanPolicySchema,
  /** The run scans images that were requested by hand; other images keep the result of their last scan. */
  partial: z.boolean(),
  /** A CycloneDX document of each image is sent too. */
  cycloneDx: z.boolean(),
});
/** What the first pod sends when a run begins, and repeats during planning: a run that sends nothing is abandoned. */
export interface RunStart extends Parsed<typeof runStartSchema> {}

export const runConflictSchema = z.object({
  /** Name of the run in progress. */
  running: nonEmptyString,
});
export interface RunConflict extends Parsed<typeof runConflictSchema> {}

export const runStatusSchema = z.object({
  run: nonEmptyString,
  state: z.enum(["planning", "scanning", "finished"]),
  /** Numbers of targets. */
  planned: nonNegativeNumber,
  scanned: nonNegativeNumber,
  failed: nonNegativeNumber,
  verdict: z.optional(z.enum(verdicts)),
  /** A few lines for the log, once the run is finished. */
  summary: z.optional(z.string()),
});
export interface RunStatus extends Parsed<typeof runStatusSchema> {}

export const targetSchema = z.object({
  /** Unique in the run, and the same when the run is planned again: `0`, `1`, … */
  id: z.string().check(z.regex(/^[\w.-]{1,64}$/)),
  /** The image reference passed to the Trivy client, with the digest if it is known. */
  reference: nonEmptyString,
  /** Display names, `registry/repository:tag`: several when tags share a digest. */
  names: z.array(nonEmptyString).check(z.minLength(1)),
  digest: z.optional(nonEmptyString),
  /** The platform, if the image was chosen by it. */
  platform: z.optional(nonEmptyString),
});
/** One image to scan, by all of its names. */
export interface Target extends Parsed<typeof targetSchema> {}

export const planProblemSchema = z.object({
  kind: z.enum(["warning", "error"]),
  /** The image or repository. Its images keep the results of their last scan. */
  about: nonEmptyString,
  message: nonEmptyString,
});
/** A problem found while the targets were listed. */
export interface PlanProblem extends Parsed<typeof planProblemSchema> {}

export const planLineSchema = z.union([z.object({ target: targetSchema }), z.object({ problem: planProblemSchema })]);
/** One line of a plan, which is newline-delimited JSON. */
export type PlanLine = Parsed<typeof planLineSchema>;

export const nextQuestionSchema = z.object({
  /** The pod's index in the Job. */
  pod: nonEmptyString,
  /** Unique for each process of the pod. A process that asks twice for the same target did not receive the first answer. */
  process: nonEmptyString,
});
export interface NextQuestion extends Parsed<typeof nextQuestionSchema> {}

const exchangeFields = {
  /** Digest of everything else that determines a client's findings: its version, its options and their files. */
  client: nonEmptyString,
  /** Body of the client's request, Base64. */
  request: nonEmptyString,
  /** Digest of the answer's body. */
  response: nonEmptyString,
};
export const exchangeSchema = z.object(exchangeFields);
/** A client's request to the scan service, and the answer. If the same request gets the same answer again, a scan would find the same. */
export interface Exchange extends Parsed<typeof exchangeSchema> {}

const withExchange = { exchange: z.optional(exchangeSchema) };
export const sentResultSchema = z.discriminatedUnion("outcome", [
  z.extend(scannedSchema, withExchange),
  z.extend(scanFailedSchema, withExchange),
]);
/** The result of an attempt. The exchange that a scan's findings are based on is stored for the next run if the image's digest is known. */
export type SentResult = Parsed<typeof sentResultSchema>;

export const knownScanSchema = z.object({ ...exchangeFields, result: scannedSchema });
/** A scan by a client, in this run or an earlier one. */
export interface KnownScan extends Parsed<typeof knownScanSchema> {}

export const nextAnswerSchema = z.discriminatedUnion("next", [
  z.object({ next: z.literal("scan"), target: targetSchema, attempt: positiveInteger, known: z.optional(knownScanSchema) }),
  /** There is nothing to scan now, but there may be later: the run is being planned, or another pod's attempt may fail. */
  z.object({ next: z.literal("wait"), seconds: nonNegativeNumber }),
  z.object({ next: z.literal("end") }),
]);
export type NextAnswer = Parsed<typeof nextAnswerSchema>;
