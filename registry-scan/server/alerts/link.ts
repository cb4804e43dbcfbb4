import { imageFile } from "../files.ts";
import { webAddress } from "../text.ts";

/**
 * Returns the URL of a run's page, or of an image's page in it.
 *
 * @param base - where users open the reports; there are no links without it
 */
export function reportLink(base: string | undefined, run: string, image?: string): string | undefined {
  if (base === undefined || webAddress(base) === undefined) return undefined;
  const page = image === undefined ? "index.html" : `images/${imageFile(image)}`;
  return `${base.replace(/\/+$/, "")}/runs/${encodeURIComponent(run)}/${page}`;
}
