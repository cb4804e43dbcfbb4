/**
 * The tools server's API: the container of a scanning pod that runs trivy and crane, which read what images and registries contain, and has no
 * token. It listens on the pod's loopback interface. Bodies are JSON. A program ends when the connection of its request is closed.
 *
 * | request | answer |
 * | --- | --- |
 * | POST /scan with ScanQuestion | ScannedImage |
 * | POST /crane with CraneQuestion | CraneAnswer |
 * | POST /client | ClientAnswer |
 */
import * as z from "zod/mini";
import { scanResultSchema } from "./findings.ts";
import { nonEmptyString, type Parsed, url } from "./validation.ts";

export const scanQuestionSchema = z.object({
  /** The image, with its digest if that is known. */
  reference: nonEmptyString,
  /** URL of the scan service. */
  service: url,
});

export const scannedImageSchema = z.object({
  result: scanResultSchema,
  /** The image's CycloneDX document, if the configuration asks for it. */
  cycloneDx: z.optional(z.string()),
});
export interface ScannedImage extends Parsed<typeof scannedImageSchema> {}

/**
 * The queries that planning a run takes, as crane calls them; the answer to `manifest` is the digest, on a second line `image` or `other`, and a
 * line for each image of an index with its platform and digest.
 * Docker Hub counts a query of a manifest as a pull, one of a digest not.
 */
export const craneCommands = ["ls", "digest", "config", "manifest"] as const;

export const craneQuestionSchema = z.object({ command: z.enum(craneCommands), image: nonEmptyString });
export interface CraneQuestion extends Parsed<typeof craneQuestionSchema> {}

export const craneAnswerSchema = z.discriminatedUnion("outcome", [
  z.object({ outcome: z.literal("answered"), output: z.string() }),
  z.object({ outcome: z.literal("failed"), reason: nonEmptyString }),
  z.object({ outcome: z.literal("late"), seconds: z.number() }),
]);
export type CraneAnswer = Parsed<typeof craneAnswerSchema>;

export const clientAnswerSchema = z.object({
  /** Digest of everything but the image and the service's answers that determines findings; missing if a scan says nothing about the next one. */
  digest: z.optional(nonEmptyString),
});
