/** What registries say of their images, asked with crane. Logins are in DOCKER_CONFIG. */
import { parseImageReference } from "../protocol/image-reference.ts";
import type { Registry } from "./plan.ts";
import { reasonOf, run } from "./subprocess.ts";

/** Seconds after which a registry counts as silent. crane itself tries what may pass more than once. */
const patience = 60;

const registryOf = (image: string): string => parseImageReference(image)?.registry ?? image;

export function craneRegistry(options: { readonly plainHttp: boolean; readonly signal: AbortSignal }): Registry {
  const { plainHttp, signal } = options;
  /** Registries that did not answer in time: each further image would cost as much time again, and can be scanned without its digest. */
  const silent = new Set<string>();

  async function crane(image: string, command: readonly string[]): Promise<string> {
    const registry = registryOf(image);
    const args = [...command, ...(plainHttp ? ["--insecure"] : []), image];
    const { code, stdout, stderr, late } = await run("crane", args, {
      seconds: patience,
      signal,
      without: ["TRIVY_TOKEN", "REPORTS_TOKEN"],
    });
    if (late) {
      silent.add(registry);
      throw new Error(`${registry} did not answer within ${patience} s`);
    }
    if (code !== 0) throw new Error(reasonOf(stderr));
    return stdout.trim();
  }

  return {
    // Signatures and attestations are kept under tags that are digests: no images.
    tags: async (repository) => (await crane(repository, ["ls", "--omit-digest-tags"])).split("\n").filter((tag) => tag !== ""),
    async digest(image) {
      const registry = registryOf(image);
      if (silent.has(registry)) throw new Error(`${registry} does not answer`);
      return crane(image, ["digest"]);
    },
    async created(image) {
      const config: unknown = JSON.parse(await crane(image, ["config"]));
      const created = typeof config === "object" && config !== null && "created" in config ? new Date(`${config.created}`) : undefined;
      if (!created || Number.isNaN(Number(created))) throw new Error("its configuration does not say when it was created");
      return created;
    },
  };
}
