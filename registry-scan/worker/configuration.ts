import { readFile } from "node:fs/promises";
import type { ScanConfiguration } from "../protocol/configuration.ts";
import { scanConfigurationSchema } from "../protocol/scan-configuration-schema.ts";
import { scannedImageProblem } from "../protocol/targets.ts";
import { InvalidData, parseJson } from "../protocol/validation.ts";

/** A mistake in the run's configuration, which no retry can fix; its message needs no stack trace. */
export class ConfigurationError extends Error {}

/**
 * Reads the configuration of a scanning pod. The stack's settings were checked before, but the file may have been changed by hand.
 *
 * @throws {ConfigurationError} with a line for each problem
 */
export async function readConfiguration(file: string): Promise<ScanConfiguration> {
  try {
    return parseJson(scanConfigurationSchema, await readFile(file, "utf8"));
  } catch (error) {
    if (error instanceof InvalidData) throw new ConfigurationError(error.problems.map((problem) => `${file}: ${problem}`).join("\n"));
    throw new ConfigurationError(`${file} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

/**
 * Reads the images that were requested by hand, separated by white space.
 *
 * @param images value of the environment variable IMAGES
 * @returns the images; none if the run is a regular one
 * @throws {ConfigurationError} with a line for each invalid image
 */
export function requestedImages(images = ""): string[] {
  const requested = images.split(/\s+/).filter((image) => image !== "");
  const problems = requested.flatMap((image) => {
    const problem = scannedImageProblem(image);
    return problem === undefined ? [] : [`IMAGES: \`${image}\` ${problem}`];
  });
  if (problems.length > 0) throw new ConfigurationError(problems.join("\n"));
  return requested;
}
