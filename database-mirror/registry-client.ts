import { writeStream } from "./layout.ts";
import type { Descriptor } from "./manifest.ts";
import { Refusal } from "./refusal.ts";
import { runProgram, text } from "./subprocess.ts";

export type RequestKind = "digest" | "manifest" | "blob" | "push" | "tags";

/** Is told of every request to a registry. */
export type RequestObserver = (kind: RequestKind, succeeded: boolean) => void;

/** Seconds. crane itself retries temporary failures. */
const queryTimeout = 60;
const transferTimeout = 30 * 60;

/**
 * Queries registries with crane, whose logins are in the folder DOCKER_CONFIG. Its methods throw an Error whose message is the reason.
 */
export class RegistryClient {
  readonly #plainHttp: boolean;
  readonly #observe: RequestObserver;

  constructor(plainHttp: boolean, observe: RequestObserver = () => undefined) {
    this.#plainHttp = plainHttp;
    this.#observe = observe;
  }

  /** Returns the digest of a tag's manifest, which is one HEAD request. */
  digest(reference: string): Promise<string> {
    return this.#query("digest", reference);
  }

  manifest(repository: string, digest: string): Promise<string> {
    return this.#run("manifest", ["manifest", withDigest(repository, digest)], queryTimeout, text);
  }

  /**
   * Downloads a blob.
   *
   * @throws {Refusal} when it is not the one that was asked for
   */
  async blob(repository: string, { digest, size }: Descriptor, path: string): Promise<void> {
    const found = await this.#run("blob", ["blob", withDigest(repository, digest)], transferTimeout, (stdout) =>
      writeStream(stdout, path, size),
    ).catch((error: Error) => {
      // crane verifies digests too.
      throw /verif|sha256 checksum/.test(error.message) ? new Refusal("digest", `the registry sent other data than ${digest}`) : error;
    });
    if (found.size !== size) throw new Refusal("size", `the registry sent ${found.size} bytes of ${size}`);
    if (found.digest !== digest) throw new Refusal("digest", `the registry sent other data than ${digest}`);
  }

  /** Returns the tags of a repository; none if it does not exist. */
  async tags(repository: string): Promise<string[]> {
    const tags = await this.#query("tags", repository, ["ls"]).catch((error: Error) => {
      if (/NAME_UNKNOWN|404/.test(error.message)) return "";
      throw error;
    });
    return tags.split("\n").filter((tag) => tag !== "");
  }

  /** Pushes an OCI image layout; the digest of its manifest stays the same. */
  async push(layout: string, reference: string): Promise<void> {
    await this.#run("push", ["push", layout, reference], transferTimeout, text);
  }

  async tag(reference: string, tag: string): Promise<void> {
    await this.#run("push", ["tag", reference, tag], queryTimeout, text);
  }

  async #query(kind: RequestKind, reference: string, command: readonly string[] = [kind]): Promise<string> {
    return (await this.#run(kind, [...command, reference], queryTimeout, text)).trim();
  }

  async #run<T>(
    kind: RequestKind,
    [command = "", ...args]: readonly string[],
    timeout: number,
    consume: Parameters<typeof runProgram<T>>[3],
  ): Promise<T> {
    const insecure = this.#plainHttp ? ["--insecure"] : [];
    try {
      const result = await runProgram("crane", [command, ...insecure, ...args], { timeout }, consume);
      this.#observe(kind, true);
      return result;
    } catch (error) {
      this.#observe(kind, false);
      throw error;
    }
  }
}

/** Returns a reference by digest, in place of the tag. */
const withDigest = (repository: string, digest: string) => `${withoutTag(repository)}@${digest}`;

/** Returns a reference without its tag. */
export const withoutTag = (reference: string) => reference.replace(/:[^/:]+$/, "");
