/** GitHub's and GitLab's API for comments and issues, in memory, on loopback. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

export interface StubPost {
  readonly id: number;
  body: string;
  title?: string;
  readonly author: string;
  open: boolean;
  /** An issue that is a pull request, as GitHub lists them. */
  readonly pullRequest?: boolean;
}

/** An answer in place of the real one. */
export interface Failure {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export class ForgeStub {
  readonly token = "forge-token-of-the-test";
  readonly comments: StubPost[] = [];
  readonly issues: StubPost[] = [];
  /** Such as `POST /repos/acme/scan/issues/7/comments`, without queries. */
  readonly requests: string[] = [];
  /** Answers the next requests, first to last. */
  readonly failures: Failure[] = [];
  /** Runs before each request is answered. */
  before: (request: string) => void = () => {};
  #next = 1;
  #server: Server | undefined;

  url = "";

  async listen(): Promise<void> {
    const server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => response.writeHead(500).end(`${error}`));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (typeof address === "object" && address) this.url = `http://127.0.0.1:${address.port}`;
    this.#server = server;
  }

  async close(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise((resolve) => (this.#server ? this.#server.close(resolve) : resolve(undefined)));
  }

  add(list: StubPost[], post: Partial<StubPost>): StubPost {
    const added = { id: this.#next++, body: "", author: "github-actions[bot]", open: true, ...post };
    list.push(added);
    return added;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "", this.url);
    const line = `${request.method} ${url.pathname}`;
    this.requests.push(line);
    this.before(line);
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += chunk;
    const reply = (status: number, answer: unknown) => void response.writeHead(status).end(JSON.stringify(answer));
    const failure = this.failures.shift();
    if (failure)
      return void response.writeHead(failure.status, failure.headers).end(failure.body ?? JSON.stringify({ message: "a reason" }));
    const gitLab = request.headers["private-token"] === this.token;
    if (!gitLab && request.headers.authorization !== `Bearer ${this.token}`) return reply(401, { message: "Bad credentials" });
    if (gitLab && line === "GET /user") return reply(200, { id: 1 });
    const [, list, id] =
      /^\/(?:repos\/acme\/scan|projects\/42)\/(issues|(?:issues|merge_requests)\/7\/(?:comments|notes)|issues\/comments)(?:\/(\d+))?$/.exec(
        url.pathname,
      ) ?? [];
    if (list === undefined) return reply(404, { message: "Not Found" });
    const posts = list === "issues" ? this.issues : this.comments;
    const show = (post: StubPost) => ({
      ...{ id: post.id + (list === "issues" ? 1000 : 0), number: post.id, iid: post.id, title: post.title },
      ...{
        body: post.body,
        description: post.body,
        user: { login: post.author },
        author: { id: post.author === "github-actions[bot]" ? 1 : 2 },
      },
      ...(post.pullRequest && { pull_request: {} }),
    });
    if (request.method === "GET") {
      const size = Number(url.searchParams.get("per_page") ?? 30);
      const page = Number(url.searchParams.get("page") ?? 1);
      return reply(
        200,
        posts
          .filter(({ open }) => open)
          .slice((page - 1) * size, page * size)
          .map(show),
      );
    }
    const { title, body, description, state, state_event } = JSON.parse(text);
    const content: string | undefined = body ?? description;
    if ((content?.length ?? 0) > (gitLab ? 1_000_000 : 65_536))
      return reply(422, { message: "body is too long (maximum is 65536 characters)" });
    if (request.method === "POST") return reply(201, show(this.add(posts, { body: content ?? "", ...(title && { title }) })));
    const post = posts.find((each) => each.id === Number(id));
    if (!post) return reply(404, { message: "Not Found" });
    if (content !== undefined) post.body = content;
    if (state === "closed" || state_event === "close") post.open = false;
    return reply(200, show(post));
  }
}
