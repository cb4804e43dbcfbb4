import { parseImageReference } from "../protocol/image-reference.ts";
import { singleLine } from "../protocol/text.ts";
import { failureReason } from "./failure-reason.ts";
import { runProgram } from "./subprocess.ts";

/** The queries to a registry that planning a run takes. They throw an Error whose message is the reason. */
export interface Registry {
  tags(repository: string): Promise<readonly string[]>;
  digest(image: string): Promise<string>;
  /** When the image was built. */
  created(image: string): Promise<Date>;
}

/** The grammar of tags in the OCI distribution specification. */
const tagPattern = /^\w[\w.-]{0,127}$/;

/** Seconds for one query. crane itself retries temporary failures. */
const timeout = 60;

/** Queries registries with crane, whose logins are in the folder DOCKER_CONFIG. */
export function craneRegistry({ plainHttp, signal }: { readonly plainHttp: boolean; readonly signal: AbortSignal }): Registry {
  /** Registries that timed out. Each further digest would take as long again, and an image can be scanned without it. */
  const unresponsive = new Set<string>();

  async function crane(image: string, command: readonly string[]): Promise<string> {
    const args = [...command, ...(plainHttp ? ["--insecure"] : []), image];
    const hiddenVariables = ["TRIVY_TOKEN", "REPORTS_TOKEN"];
    const { exitCode, stdout, stderr, timedOut } = await runProgram("crane", args, { timeout, signal, hiddenVariables });
    if (timedOut) {
      unresponsive.add(registryOf(image));
      throw new Error(`${registryOf(image)} did not answer within ${timeout} s`);
    }
    if (exitCode !== 0) throw new Error(failureReason(stderr));
    return stdout.trim();
  }

  return {
    async tags(repository) {
      // Tags that are digests hold signatures and attestations, not images.
      const tags = (await crane(repository, ["ls", "--omit-digest-tags"])).split("\n").filter((tag) => tag !== "");
      const invalid = tags.find((tag) => !tagPattern.test(tag));
      if (invalid !== undefined)
        throw new Error(`the registry lists tags that are not valid, such as ${singleLine(invalid).slice(0, 100)}`);
      return tags;
    },
    async digest(image) {
      if (unresponsive.has(registryOf(image))) throw new Error(`${registryOf(image)} does not answer`);
      return crane(image, ["digest"]);
    },
    async created(image) {
      const config: unknown = JSON.parse(await crane(image, ["config"]));
      const created = typeof config === "object" && config !== null && "created" in config ? new Date(`${config.created}`) : undefined;
      if (!created || Number.isNaN(Number(created))) throw new Error("the image's configuration does not say when it was created");
      return created;
    },
  };
}

const registryOf = (image: string): string => parseImageReference(image)?.registry ?? image;
