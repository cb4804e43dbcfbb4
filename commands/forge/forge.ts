import { ForgeError } from "./http.ts";

/** A comment or an issue. */
export interface Post {
  readonly id: number;
  readonly body: string;
}

/** The comments of one pull request, or the open issues of a repository, that this token's user has written. */
export interface Posts {
  /** Characters of a body. */
  readonly limit: number;
  /** Returns the pages of posts, oldest first. */
  pages(): AsyncIterable<readonly Post[]>;
  create(body: string): Promise<void>;
  /** @returns whether the post still exists. */
  edit(id: number, body: string): Promise<boolean>;
}

export interface Issues extends Posts {
  close(id: number): Promise<boolean>;
}

/** GitHub or GitLab. */
export interface Forge {
  /** Returns the comments of a pull request or merge request. */
  comments(number: number): Posts;
  /** @param title of the issues that are created. */
  issues(title: string): Issues;
}

/** Returns the hidden first line by which a post is found again. */
export const markerOf = (...names: readonly string[]) =>
  `<!-- trivy-server: ${names.map((name) => name.replaceAll(/[^\w./ -]/g, "_")).join(" ")} -->`;

/** Forges trim bodies, and their web pages convert line breaks. */
const normalised = (body: string) => body.replaceAll("\r\n", "\n").trim();

/** @throws ForgeError if the forge does not answer or refuses the request. */
export async function findPost(posts: Posts, marker: string): Promise<Post | undefined> {
  for await (const page of posts.pages()) {
    const post = page.find(({ body }) => normalised(body).startsWith(`${marker}\n`));
    if (post) return post;
  }
  return undefined;
}

/**
 * Edits the post with a marker, or creates it if it does not exist or was deleted.
 *
 * @throws ForgeError if the forge does not answer or refuses the request.
 */
export async function writePost(posts: Posts, marker: string, text: string): Promise<"created" | "edited" | "unchanged"> {
  const body = `${marker}\n${text}`;
  const post = await findPost(posts, marker);
  if (post && normalised(post.body) === normalised(body)) return "unchanged";
  if (post && (await posts.edit(post.id, body))) return "edited";
  await posts.create(body);
  return "created";
}

/**
 * Pages through a list whose answers are arrays.
 *
 * @param parse returns undefined in place of the posts of other users.
 */
export async function* pagesOf(
  get: (page: number) => Promise<unknown>,
  parse: (answer: unknown) => (Post | undefined)[],
  what: string,
): AsyncIterable<Post[]> {
  for (let page = 1; ; page++) {
    const answer = await get(page);
    if (answer === undefined) throw new ForgeError(`${what} does not exist, or the token may not read it`);
    const posts = parse(answer);
    yield posts.filter((post) => post !== undefined);
    if (posts.length < pageSize) return;
  }
}

export const pageSize = 100;
