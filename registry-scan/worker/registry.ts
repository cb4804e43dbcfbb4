import { dockerHub, formatImageReference, parseImageReference } from "../protocol/image-reference.ts";
import { singleLine } from "../protocol/text.ts";
import type { CraneQuestion } from "../protocol/tools.ts";
import type { ToolsClient } from "./tools-client.ts";

/** The queries to a registry that planning a run takes. They throw an Error whose message is the reason. */
export interface Registry {
  tags(repository: string): Promise<readonly string[]>;
  digest(image: string): Promise<string>;
  /** The digest of the image to scan, and whether it is an image at all. */
  describe(image: string): Promise<Description>;
  /** When the image was built. */
  created(image: string): Promise<Date>;
}

export interface Description {
  readonly digest: string;
  /** False for Helm charts, build caches, signatures and the like. */
  readonly isImage: boolean;
  /** The images of an index, by their platforms. @default unknown, or none */
  readonly images?: readonly { readonly platform: string; readonly digest: string }[];
}

/** The grammar of tags in the OCI distribution specification. */
const tagPattern = /^\w[\w.-]{0,127}$/;

/**
 * Queries registries with crane.
 *
 * @param platforms whether images are told apart by platform. Otherwise Docker Hub is not asked for manifests, because it would count that as
 *   a pull: everything there counts as an image for one platform.
 */
export function craneRegistry(tools: Pick<ToolsClient, "crane">, signal: AbortSignal, { platforms }: { platforms: boolean }): Registry {
  /** Registries that timed out. Each further digest would take as long again, and an image can be scanned without it. */
  const unresponsive = new Set<string>();

  async function crane(command: CraneQuestion["command"], image: string): Promise<string> {
    const answer = await tools.crane({ command, image }, signal);
    if (answer.outcome === "answered") return answer.output;
    if (answer.outcome === "failed") throw new Error(answer.reason);
    unresponsive.add(registryOf(image));
    throw new Error(`${registryOf(image)} did not answer within ${answer.seconds} s`);
  }

  async function identify(command: "digest" | "manifest", image: string): Promise<string> {
    if (unresponsive.has(registryOf(image))) throw new Error(`${registryOf(image)} does not answer`);
    return crane(command, image);
  }

  async function describe(image: string): Promise<Description> {
    const command = registryOf(image) === dockerHub && !platforms ? "digest" : "manifest";
    const [digest = "", kind, ...lines] = (await identify(command, image)).split("\n");
    const images = lines.map((line) => {
      const [platform = "", own = ""] = line.split(" ");
      return { platform, digest: own };
    });
    return { digest, isImage: kind !== "other", ...(images.length > 0 && { images }) };
  }

  /** Returns the configuration of an image; of one without linux/amd64, which crane takes by default, that of the image to scan. */
  async function configurationOf(image: string): Promise<string> {
    try {
      return await crane("config", image);
    } catch (error) {
      const { digest, isImage } = await describe(image);
      const parsed = parseImageReference(image);
      if (!isImage || !parsed) throw error;
      return crane("config", formatImageReference({ registry: parsed.registry, repository: parsed.repository, digest }));
    }
  }

  return {
    digest: (image) => identify("digest", image),
    describe,
    async tags(repository) {
      const tags = (await crane("ls", repository)).split("\n").filter((tag) => tag !== "");
      const invalid = tags.find((tag) => !tagPattern.test(tag));
      if (invalid !== undefined)
        throw new Error(`the registry lists tags that are not valid, such as ${singleLine(invalid).slice(0, 100)}`);
      return tags;
    },
    async created(image) {
      const config: unknown = JSON.parse(await configurationOf(image));
      const created = typeof config === "object" && config !== null && "created" in config ? new Date(`${config.created}`) : undefined;
      if (!created || Number.isNaN(Number(created))) throw new Error("the image's configuration does not say when it was created");
      return created;
    },
  };
}

const registryOf = (image: string): string => parseImageReference(image)?.registry ?? image;
