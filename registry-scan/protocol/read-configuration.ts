import { readFile } from "node:fs/promises";
import type { ScanConfiguration } from "./configuration.ts";
import { scanConfigurationSchema } from "./scan-configuration-schema.ts";
import { InvalidData, parseJson } from "./validation.ts";

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
