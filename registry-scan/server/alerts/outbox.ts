import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ReceiverConfiguration, RunReport } from "../../protocol/model.ts";
import { type ActiveAlert, jsonMessage, nextAlerts, posted, slackMessage } from "./alerts.ts";

/** A receiver with its address, which may be secret: neither it nor the header may get into logs, metrics or files. */
export type Receiver = ReceiverConfiguration & {
  readonly url: string;
  /** Value of the header. */
  readonly authorization?: string;
  /** Where people open reports. */
  readonly link?: string;
};

/** What a file holds: a webhook's body, or the alerts that a run has ended; those that are active are in the state. */
type Message = { readonly run: string } & ({ readonly body: object } | { readonly over: readonly ActiveAlert[] });

interface State {
  /** Runs that were added, the last ones. */
  readonly runs: readonly string[];
  readonly active: readonly ActiveAlert[];
}

/** Times in milliseconds. Alertmanager forgets alerts when it restarts, and those that nobody sends again by their end. */
const times = { request: 30_000, firstPause: 1_000, longestPause: 300_000, resend: 15 * 60_000, alertLife: 24 * 3_600_000 };

const chunk = 300;
const rememberedRuns = 1000;

/** What a receiver had against a message, in words that may be logged, and how long it wants to be left alone, in milliseconds. */
interface Refusal {
  readonly reason: string;
  readonly pause?: number;
}

async function write(file: string, content: object): Promise<void> {
  const temporary = `${file}.tmp`;
  const handle = await open(temporary, "w");
  try {
    await handle.writeFile(JSON.stringify(content));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  await handle.sync().finally(() => handle.close());
}

/**
 * Messages to the receivers, on disk until they are delivered: in order, again and again until a receiver takes them, also after a restart.
 *
 * A message is taken away as soon as its receiver has said that it has it. Killed in between, the sender sends that one message again, with the same
 * `Idempotency-Key`. What `add` had not finished when it was killed is as if it had not begun: it is added again or never.
 */
export class Outbox {
  readonly #folder: string;
  readonly #receivers: readonly Receiver[];
  readonly #now: () => Date;
  readonly #fetch: typeof fetch;
  readonly #stopping = new AbortController();
  /** Files that wait, the oldest first, by receiver. */
  readonly #waiting = new Map<string, string[]>();
  /** Wakes a receiver's loop. */
  readonly #wake = new Map<string, () => void>();
  #state: State = { runs: [], active: [] };
  #opened: Promise<void> | undefined;
  #adding: Promise<void> = Promise.resolve();
  #loops: Promise<void>[] = [];

  /** @param options - `now` and `fetch` for tests */
  constructor(folder: string, receivers: readonly Receiver[], options: { readonly now?: () => Date; readonly fetch?: typeof fetch } = {}) {
    this.#folder = folder;
    this.#receivers = receivers;
    this.#now = options.now ?? (() => new Date());
    this.#fetch = options.fetch ?? fetch;
    for (const { name } of receivers) this.#waiting.set(name, []);
  }

  /** Writes a run's messages; once it returns they will be delivered. A run that was added before is not added again. */
  add(report: RunReport): Promise<void> {
    const added = this.#adding.then(() => this.#add(report));
    this.#adding = added.catch(() => {});
    return added;
  }

  /** Delivers what waits and what will be added. */
  start(): void {
    this.#loops = this.#receivers.map(async (receiver) => {
      const { signal } = this.#stopping;
      while (!signal.aborted) {
        try {
          await this.#deliver(receiver);
        } catch (error) {
          console.error(`receiver ${receiver.name}: its messages cannot be read or taken away: ${code(error)}`);
          await sleep(times.longestPause, undefined, { signal }).catch(() => {});
        }
      }
    });
  }

  /** Ends deliveries; what is under way is given up, and sent again at the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#adding;
    await Promise.all(this.#loops);
  }

  /** How many messages wait, by receiver. */
  undelivered(): Record<string, number> {
    return Object.fromEntries([...this.#waiting].map(([name, files]) => [name, files.length]));
  }

  /** Reads what is on disk, and drops what belongs to nobody. */
  #open(): Promise<void> {
    this.#opened ??= (async () => {
      await mkdir(this.#folder, { recursive: true });
      const state = await readFile(join(this.#folder, "state.json"), "utf8").catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return undefined;
        throw error;
      });
      if (state !== undefined) this.#state = JSON.parse(state);
      const runs = new Set(this.#state.runs);
      for (const entry of await readdir(this.#folder)) {
        const waiting = this.#waiting.get(entry);
        const path = join(this.#folder, entry);
        if (waiting === undefined) {
          if ((await stat(path)).isDirectory()) await rm(path, { recursive: true });
          continue;
        }
        for (const file of (await readdir(path)).sort()) {
          if (runs.has(runOf(file))) waiting.push(file);
          else await rm(join(path, file));
        }
      }
      for (const { name } of this.#receivers) await mkdir(join(this.#folder, name), { recursive: true });
    })();
    return this.#opened;
  }

  async #add(report: RunReport): Promise<void> {
    await this.#open();
    const { run } = report;
    if (this.#state.runs.includes(run)) return;
    const wanted = this.#receivers.some(({ type }) => type === "alertmanager");
    const { active, over } = wanted ? nextAlerts(this.#state.active, report) : { active: [], over: [] };
    const file = `${report.finishedAt.replace(/[^0-9]/g, "")}~${run}.json`;
    const written: string[] = [];
    for (const { name, type, link } of this.#receivers) {
      const body = type === "slack" ? slackMessage(report, link) : type === "json" ? jsonMessage(report, link) : undefined;
      if (type !== "alertmanager" && body === undefined) continue;
      const message: Message = body === undefined ? { run, over } : { run, body };
      await write(join(this.#folder, name, file), message);
      await syncFolder(join(this.#folder, name));
      written.push(name);
    }
    // From here on the messages count.
    const state = { runs: [...this.#state.runs, run].slice(-rememberedRuns), active };
    await write(join(this.#folder, "state.json"), state);
    await syncFolder(this.#folder);
    this.#state = state;
    for (const name of written) {
      this.#waiting.get(name)?.push(file);
      this.#wake.get(name)?.();
    }
  }

  async #deliver(receiver: Receiver): Promise<void> {
    const { signal } = this.#stopping;
    await this.#open();
    const waiting = this.#waiting.get(receiver.name) ?? [];
    let pause = times.firstPause;
    let said = "";
    // Alertmanager may have been restarted while nobody sent.
    let due = receiver.type === "alertmanager" ? 0 : Number.POSITIVE_INFINITY;
    while (!signal.aborted) {
      const [file] = waiting;
      const left = due - this.#now().getTime();
      if (file === undefined && left > 0) {
        await this.#idle(receiver.name, left);
        continue;
      }
      const refusal = await this.#send(receiver, file);
      if (refusal === undefined) {
        if (file !== undefined) {
          waiting.shift();
          await rm(join(this.#folder, receiver.name, file));
        }
        if (said !== "") console.log(`receiver ${receiver.name} takes messages again`);
        said = "";
        pause = times.firstPause;
        if (receiver.type === "alertmanager") due = this.#now().getTime() + times.resend;
        continue;
      }
      if (signal.aborted) return;
      if (refusal.reason !== said)
        console.error(`receiver ${receiver.name} ${refusal.reason}; it is tried again until it takes its messages`);
      said = refusal.reason;
      await sleep(Math.max(pause, refusal.pause ?? 0), undefined, { signal }).catch(() => {});
      pause = Math.min(pause * 2, times.longestPause);
    }
  }

  /** Until something is added, it is stopped, or the time is over. */
  async #idle(name: string, milliseconds: number): Promise<void> {
    const { signal } = this.#stopping;
    const woken = new AbortController();
    this.#wake.set(name, () => woken.abort());
    await sleep(Math.min(milliseconds, times.resend), undefined, { signal: AbortSignal.any([signal, woken.signal]) }).catch(() => {});
    this.#wake.delete(name);
  }

  async #send(receiver: Receiver, file: string | undefined): Promise<Refusal | undefined> {
    const message: Message | undefined =
      file === undefined ? undefined : JSON.parse(await readFile(join(this.#folder, receiver.name, file), "utf8"));
    if (message && "body" in message) return this.#post(receiver, message.body, `${message.run}-${receiver.name}`);
    const now = this.#now();
    const { active } = this.#state;
    const alive = new Set(active.map(({ labels }) => JSON.stringify(labels)));
    // A later run may have found again what this message's run had ended.
    const over = (message?.over ?? []).filter(({ labels }) => !alive.has(JSON.stringify(labels)));
    const alerts = [
      ...over.map((alert) => posted(alert, now, receiver.link)),
      ...active.map((alert) => posted(alert, new Date(now.getTime() + times.alertLife), receiver.link)),
    ];
    for (let from = 0; from < alerts.length; from += chunk) {
      const refusal = await this.#post(receiver, alerts.slice(from, from + chunk));
      if (refusal) return refusal;
    }
    return undefined;
  }

  async #post(receiver: Receiver, body: object, idempotencyKey?: string): Promise<Refusal | undefined> {
    const url = URL.parse(receiver.url);
    if (!url || !["http:", "https:"].includes(url.protocol))
      return { reason: "has no address: its URL must begin with http:// or https://" };
    if (receiver.type === "alertmanager" && !url.pathname.endsWith("/api/v2/alerts")) {
      url.pathname = `${url.pathname.replace(/\/+$/, "")}/api/v2/alerts`;
    }
    try {
      const user =
        url.username &&
        `Basic ${Buffer.from(`${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`).toString("base64")}`;
      url.username = url.password = "";
      const authorization = receiver.authorization ?? user;
      const response = await this.#fetch(url, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...(idempotencyKey && { "idempotency-key": idempotencyKey }),
          ...(authorization && { authorization }),
        },
        body: JSON.stringify(body),
        // An address that answers with another one is a mistake in the settings; following it would take the token elsewhere.
        redirect: "manual",
        signal: AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(times.request)]),
      });
      // What it answered matters to nobody, and may be without end.
      await response.body?.cancel();
      return response.ok ? undefined : { reason: refusal(response.status), ...retryAfter(response, this.#now()) };
    } catch (error) {
      // Errors of fetch have the address in their message: only their code is told.
      return {
        reason:
          error instanceof Error && error.name === "TimeoutError"
            ? `does not answer within ${times.request / 1000} s`
            : `cannot be reached (${code(error)})`,
      };
    }
  }
}

const runOf = (file: string) => file.slice(file.indexOf("~") + 1, -".json".length);

function refusal(status: number): string {
  if (status === 429 || status >= 500) return `is busy or broken: ${status}`;
  return status < 400 ? `answers with a redirect, which is not followed: ${status}; give it its last address` : `refuses: ${status}`;
}

/** In milliseconds; seconds or a date, an hour at most. */
function retryAfter(response: Response, now: Date): { pause?: number } {
  const value = response.headers.get("retry-after");
  if (value === null) return {};
  const pause = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - now.getTime();
  return Number.isFinite(pause) ? { pause: Math.min(Math.max(pause, 0), 3_600_000) } : {};
}

function code(error: unknown): string {
  const { cause, code, name } = error as { cause?: { code?: unknown }; code?: unknown; name?: unknown };
  return String(cause?.code ?? code ?? name ?? "unknown");
}
