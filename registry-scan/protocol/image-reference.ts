/** The parts of an image reference, with Docker Hub's defaults filled in. */
export interface ImageReference {
  /** Host, with its port if the reference has one; `docker.io` when the reference names no registry. */
  readonly registry: string;
  /** Path within the registry; `library/alpine` for Docker Hub's `alpine`. */
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: string;
}

/** The registry of references that name none. Its API listens on `index.docker.io`, which is accepted as another spelling. */
export const dockerHub = "docker.io";
const dockerHubAlias = "index.docker.io";

/** Docker Hub's namespace of official images, which their references may leave out. */
const officialImages = "library/";

// The grammar of github.com/distribution/reference, with the digest algorithms that the OCI image specification registers.
const domainComponent = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?";
const hostPattern = new RegExp(`^(?:${domainComponent}(?:\\.${domainComponent})*|\\[[0-9a-f:]+\\])(?::(?<port>\\d{1,5}))?$`, "i");
const pathComponentPattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const digestPattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** Maximum length of a repository without its registry, in characters. */
const maximumRepositoryLength = 255;

/**
 * Reads an image reference, `[registry[:port]/]repository[:tag][@digest]`, as Docker, containerd, Trivy and crane do.
 *
 * The part in front of the first slash is a registry if it contains a dot or a colon or is `localhost`; otherwise the reference is one of
 * Docker Hub's. Two references to the same image have the same parts, however much of the default they spell out.
 *
 * @returns `undefined` when the text is not a valid reference; `imageReferenceProblem` says why
 */
export function parseImageReference(text: string): ImageReference | undefined {
  const result = read(text);
  return typeof result === "string" ? undefined : result;
}

/**
 * Explains why a text is not a valid image reference, and what would be.
 *
 * @returns a phrase that follows the reference in a sentence, such as ``has the tag `-1`, which …``; `undefined` for a valid reference
 */
export function imageReferenceProblem(text: string): string | undefined {
  const result = read(text);
  return typeof result === "string" ? result : undefined;
}

/** Writes a reference in full: `docker.io/library/alpine:3.20` for `alpine:3.20`. */
export function formatImageReference({ registry, repository, tag, digest }: ImageReference): string {
  return `${registry}/${repository}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}

function read(text: string): ImageReference | string {
  if (text === "") return "is empty; use `registry/repository:tag`";
  if (/\s/.test(text)) return "contains white space; use `registry/repository:tag`";
  if (text.includes("://")) return `starts with a scheme; leave \`${text.slice(0, text.indexOf("://") + 3)}\` out`;

  const [named = "", digest, ...more] = text.split("@");
  if (more.length > 0 || (digest !== undefined && !digestPattern.test(digest)))
    return "has an invalid digest; use `sha256:` and 64 hexadecimal digits in lower case";

  const colon = named.indexOf(":", named.lastIndexOf("/") + 1);
  const name = colon < 0 ? named : named.slice(0, colon);
  const tag = colon < 0 ? undefined : named.slice(colon + 1);
  if (tag !== undefined && !tagPattern.test(tag))
    return `has the invalid tag \`${tag}\`; use 1 to 128 letters, digits, \`_\`, \`.\` and \`-\`, starting with a letter, a digit or \`_\``;

  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(slash, 0));
  const hasRegistry = /[.:]/.test(first) || first === "localhost";
  if (hasRegistry && !isRegistryHost(first)) return `has the invalid registry \`${first}\`; use a host or host:port`;

  const path = hasRegistry ? name.slice(slash + 1) : name;
  if (!isRepositoryPath(path)) {
    const lowered = path.toLowerCase();
    const suggestion = isRepositoryPath(lowered) ? `, such as \`${lowered}\`` : "";
    return `has the invalid repository \`${path}\`; use lower-case letters and digits, separated by \`.\`, \`_\`, \`-\` or \`/\`${suggestion}`;
  }
  const registry = hasRegistry && first !== dockerHubAlias ? first : dockerHub;
  const repository = registry === dockerHub && !path.includes("/") ? `${officialImages}${path}` : path;
  return { registry, repository, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
}

function isRegistryHost(text: string): boolean {
  const match = hostPattern.exec(text);
  return match !== null && Number(match.groups?.["port"] ?? 0) <= 65535;
}

function isRepositoryPath(text: string): boolean {
  return text.length <= maximumRepositoryLength && text.split("/").every((component) => pathComponentPattern.test(component));
}
