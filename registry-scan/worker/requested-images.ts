import { ConfigurationError } from "../protocol/read-configuration.ts";
import { scannedImageProblem } from "../protocol/targets.ts";

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
