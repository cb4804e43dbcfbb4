import { z } from "zod";
import { type Forge, pageSize, pagesOf } from "./forge.ts";
import { ForgeError, httpClient } from "./http.ts";

const posts = z.array(
  z.object({
    id: z.number(),
    number: z.number().optional(),
    body: z.string().nullish(),
    user: z.object({ login: z.string() }).nullish(),
    pull_request: z.unknown().optional(),
  }),
);

export interface GitHubOptions {
  /** @default https://api.github.com */
  readonly url?: string;
  /** `owner/name`. */
  readonly repository: string;
  readonly token: string;
  /** Login of the token's user. Posts of other users are never edited, whatever they contain. @default github-actions[bot] */
  readonly author?: string;
  /** Seconds that a rate limit is waited for. @default 60 */
  readonly patience?: number;
}

/** GitHub accepts 65,536 characters. */
const limit = 65_536;

export function gitHub({
  url = "https://api.github.com",
  repository,
  token,
  author = "github-actions[bot]",
  patience,
}: GitHubOptions): Forge {
  const request = httpClient({
    ...{ name: "GitHub", url },
    headers: {
      authorization: `Bearer ${token}`,
      accept: "application/vnd.github+json",
      "x-github-api-version": "2022-11-28",
      "user-agent": "trivy-server",
    },
    permission:
      "a pull request from a fork has a read-only token; otherwise give the job `pull-requests: write` (comments) or `issues: write` (issues)",
    ...(patience !== undefined && { patience }),
  });
  const base = `/repos/${repository}`;
  const pages = (path: string, id: "id" | "number") => {
    const separator = path.includes("?") ? "&" : "?";
    return pagesOf(
      (page) => request("GET", `${path}${separator}per_page=${pageSize}&page=${page}`),
      (answer) =>
        posts.parse(answer).map(({ [id]: key, body, user, pull_request }) => {
          const own = user?.login === author && pull_request === undefined;
          return own && key !== undefined ? { id: key, body: body ?? "" } : undefined;
        }),
      `${repository} on GitHub`,
    );
  };
  const create = async (path: string, body: object) => {
    if ((await request("POST", path, body)) === undefined)
      throw new ForgeError(`${repository} does not exist on GitHub, has no issues, or the token may not write to it`);
  };
  const edit = async (path: string, body: object) => (await request("PATCH", path, body)) !== undefined;
  return {
    comments: (number) => ({
      limit,
      pages: () => pages(`${base}/issues/${number}/comments`, "id"),
      create: (body) => create(`${base}/issues/${number}/comments`, { body }),
      edit: (id, body) => edit(`${base}/issues/comments/${id}`, { body }),
    }),
    issues: (title) => ({
      limit,
      pages: () => pages(`${base}/issues?state=open&creator=${encodeURIComponent(author)}`, "number"),
      create: (body) => create(`${base}/issues`, { title, body }),
      edit: (id, body) => edit(`${base}/issues/${id}`, { body }),
      close: (id) => edit(`${base}/issues/${id}`, { state: "closed", state_reason: "completed" }),
    }),
  };
}
