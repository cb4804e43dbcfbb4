/** Names of the files in a run's folder. They are part of the URLs of the reports. */
import { createHash } from "node:crypto";

/** A run's name, which is also its folder's: the name of a Kubernetes Job, which contains no `/` and no `..`. */
export const runNamePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** Returns the file name of an image's page, derived from the image's name: readable, and unique for each name. */
export const imageFile = (image: string): string => `${stem(image)}.html`;

/** Returns the file name of an image's CycloneDX document. */
export const cycloneDxFile = (image: string): string => `${stem(image)}.json`;

function stem(image: string): string {
  const readable = image
    .replace(/[^A-Za-z0-9.-]+/g, "_")
    .replace(/^[._]+/, "")
    .slice(-100);
  return `${readable}-${createHash("sha256").update(image.toWellFormed()).digest("hex").slice(0, 12)}`;
}

const mediaTypes: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  json: "application/json",
  sarif: "application/sarif+json",
};
const published = /^(?:index\.html|report\.(?:json|sarif)|images\/[^/]+\.html|cyclonedx\/[^/]+\.json)$/;
const unsafe = /(?:^|\/)\.{1,2}(?:\/|$)|[\0\\]/;

/**
 * Returns the media type of a file in a run's folder, given its path below that folder.
 *
 * @returns `undefined` for files that are not part of the report, and for paths that lead out of the folder
 */
export function mediaType(path: string): string | undefined {
  if (!published.test(path) || unsafe.test(path)) return undefined;
  return mediaTypes[path.slice(path.lastIndexOf(".") + 1)];
}
