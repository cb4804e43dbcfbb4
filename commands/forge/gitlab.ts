import { z } from "zod";
import { type Forge, type Post, pageSize, pagesOf } from "./forge.ts";
import { ForgeError, httpClient } from "./http.ts";

const user = z.object({ id: z.number() });
const notes = z.array(z.object({ id: z.number(), body: z.string().nullish(), author: user.nullish() }));
const issues = z.array(z.object({ iid: z.number(), description: z.string().nullish(), author: user.nullish() }));

export interface GitLabOptions {
  /** With the version: `https://gitlab.com/api/v4`. */
  readonly url: string;
  /** ID of the project. */
  readonly project: string;
  /** A project access token with the scope `api`: job tokens may not write notes. */
  readonly token: string;
  /** Seconds that a rate limit is waited for. @default 60 */
  readonly patience?: number;
}

/** GitLab accepts 1,000,000 characters, but its page gets slow long before. */
const limit = 250_000;

export function gitLab({ url, project, token, patience }: GitLabOptions): Forge {
  const request = httpClient({
    ...{ name: "GitLab", url, headers: { "private-token": token } },
    permission: "use a project access token with the scope `api` and the role Reporter or higher",
    ...(patience !== undefined && { patience }),
  });
  const base = `/projects/${encodeURIComponent(project)}`;
  let self: number | undefined;
  const own = async () => user.parse(await request("GET", "/user")).id;
  async function* pages(path: string, parse: (answer: unknown) => { post: Post; author: number | undefined }[]): AsyncIterable<Post[]> {
    self ??= await own();
    const separator = path.includes("?") ? "&" : "?";
    const all = pagesOf(
      (page) => request("GET", `${path}${separator}sort=asc&order_by=created_at&per_page=${pageSize}&page=${page}`),
      (answer) => parse(answer).map(({ post, author }) => (author === self ? post : undefined)),
      `The project ${project} on GitLab`,
    );
    yield* all;
  }
  const create = async (path: string, body: object) => {
    if ((await request("POST", path, body)) === undefined)
      throw new ForgeError(`The project ${project} does not exist on GitLab, or the token may not write to it`);
  };
  const edit = async (path: string, body: object) => (await request("PUT", path, body)) !== undefined;
  return {
    comments: (number) => {
      const path = `${base}/merge_requests/${number}/notes`;
      return {
        limit,
        pages: () =>
          pages(path, (answer) =>
            notes.parse(answer).map(({ id, body, author }) => ({ post: { id, body: body ?? "" }, author: author?.id })),
          ),
        create: (body) => create(path, { body }),
        edit: (id, body) => edit(`${path}/${id}`, { body }),
      };
    },
    issues: (title) => ({
      limit,
      pages: () =>
        pages(`${base}/issues?state=opened&scope=created_by_me`, (answer) =>
          issues.parse(answer).map(({ iid, description, author }) => ({ post: { id: iid, body: description ?? "" }, author: author?.id })),
        ),
      create: (body) => create(`${base}/issues`, { title, description: body }),
      edit: (id, body) => edit(`${base}/issues/${id}`, { description: body }),
      close: (id) => edit(`${base}/issues/${id}`, { state_event: "close" }),
    }),
  };
}
