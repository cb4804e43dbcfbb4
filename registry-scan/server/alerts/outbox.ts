import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { RunReport } from "../../protocol/report.ts";
import { parseObject, writeAtomically } from "../durable.ts";
import { type ActiveAlert, alertKey, nextAlerts, toPostedAlert } from "./alertmanager.ts";
import { defectDojoMessage } from "./defectdojo.ts";
import { deliver, errorCode, type Receiver, type Refusal } from "./delivery.ts";
import { type JsonMessage, jsonMessage, shortened } from "./json.ts";
import { slackMessage } from "./slack.ts";

/** A message in its file: the body for a webhook, or the alerts that a run has resolved. Active alerts are in the state. */
type Message = { readonly run: string } & ({ readonly body: object } | { readonly resolved: readonly ActiveAlert[] });

/** The file `state.json`. */
interface State {
  /** The last runs that were added. */
  readonly runs: readonly string[];
  readonly active: readonly ActiveAlert[];
}

/**
 * Times in milliseconds. Alertmanager forgets alerts when it is restarted, and resolves them at the end of their life: they are sent again after
 * `resend`.
 */
const times = { longestDelay: 300_000, resend: 15 * 60_000, alertLife: 24 * 3_600_000 };

/** Number of alerts in a request, and in one to a receiver that limits the length of requests. */
const chunkSizes = { usual: 300, least: 10 };
/** Number of attempts to deliver a message that the receiver refuses for good: about two minutes, in which a receiver may be reconfigured. */
const attempts = 8;
/** Number of runs in the state. */
const rememberedRuns = 1000;

export interface OutboxOptions {
  readonly now?: () => Date;
  readonly fetch?: typeof globalThis.fetch;
  /** Milliseconds until the first retry. @default 1000 */
  readonly firstDelay?: number;
}

/**
 * Messages to the receivers. They stay on disk until a receiver accepts them, and are retried in their order, also after a restart. A message
 * that the receiver refuses for good lets others pass, and is put aside after some attempts until the next start, which follows every change of
 * the settings.
 *
 * A message is removed when its receiver has accepted it. If the process is killed in between, the message is sent again with the same
 * `Idempotency-Key`. An interrupted {@link add} has no effect; the caller repeats it.
 */
export class Outbox {
  readonly #folder: string;
  readonly #receivers: readonly Receiver[];
  readonly #now: () => Date;
  readonly #fetch: typeof globalThis.fetch;
  readonly #firstDelay: number;
  readonly #stopping = new AbortController();
  /** Files of the waiting messages by receiver, the oldest first. */
  readonly #waiting = new Map<string, string[]>();
  /** Number of messages that were put aside, by receiver. */
  readonly #refused = new Map<string, number>();
  /** Functions that end a receiver's pause. */
  readonly #wake = new Map<string, () => void>();
  #state: State = { runs: [], active: [] };
  #opened: Promise<void> | undefined;
  #adding: Promise<void> = Promise.resolve();
  #loops: Promise<void>[] = [];

  /** @param options - clock, network and delay, replaced in tests */
  constructor(folder: string, receivers: readonly Receiver[], options: OutboxOptions = {}) {
    this.#folder = folder;
    this.#receivers = receivers;
    this.#now = options.now ?? (() => new Date());
    this.#fetch = options.fetch ?? fetch;
    this.#firstDelay = options.firstDelay ?? 1_000;
    for (const { name } of receivers) {
      this.#waiting.set(name, []);
      this.#refused.set(name, 0);
    }
  }

  /**
   * Stores the messages about a run; they will be delivered. A run that was added before is not added again.
   *
   * @throws {NodeJS.ErrnoException} when the volume refuses the write; no message about the run is delivered then
   */
  add(report: RunReport): Promise<void> {
    const added = this.#adding.then(() => this.#add(report));
    this.#adding = added.catch(() => {});
    return added;
  }

  /** Starts to deliver messages in the background. */
  start(): void {
    this.#loops = this.#receivers.map(async (receiver) => {
      const { signal } = this.#stopping;
      while (!signal.aborted) {
        try {
          await this.#deliverAll(receiver);
        } catch (error) {
          console.error(`receiver ${receiver.name}: its messages cannot be read or removed: ${errorCode(error)}`);
          await sleep(times.longestDelay, undefined, { signal }).catch(() => {});
        }
      }
    });
  }

  /** Stops deliveries. A request in progress is aborted, and sent again after the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#adding;
    await Promise.all(this.#loops);
  }

  /** Returns the number of waiting messages by receiver. */
  undelivered(): Record<string, number> {
    return Object.fromEntries([...this.#waiting].map(([name, files]) => [name, files.length]));
  }

  /** Returns the number of messages that were put aside, because the receiver refuses them for good, by receiver. */
  refused(): Record<string, number> {
    return Object.fromEntries(this.#refused);
  }

  /** Reads the folder, and removes messages of former receivers and of an interrupted {@link add}. */
  #open(): Promise<void> {
    this.#opened ??= (async () => {
      await mkdir(this.#folder, { recursive: true });
      const state = await readFile(join(this.#folder, "state.json"), "utf8").catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return undefined;
        throw error;
      });
      const damaged = state !== undefined && !(await this.#readState(state));
      const runs = new Set(this.#state.runs);
      for (const entry of await readdir(this.#folder)) {
        const waiting = this.#waiting.get(entry);
        const path = join(this.#folder, entry);
        if (waiting === undefined) {
          if ((await stat(path)).isDirectory()) await rm(path, { recursive: true });
          continue;
        }
        for (const file of (await readdir(path)).sort()) {
          if (!file.endsWith(".json")) continue;
          if (damaged || runs.has(runOf(file))) waiting.push(file);
          else await rm(join(path, file));
        }
      }
      for (const { name } of this.#receivers) await mkdir(join(this.#folder, name), { recursive: true });
    })();
    return this.#opened;
  }

  /** Reads the state; a damaged one is put aside. Then no alert is active, and messages may be delivered a second time. */
  async #readState(text: string): Promise<boolean> {
    const state = parseObject<State>(text);
    if (Array.isArray(state?.runs) && Array.isArray(state.active)) {
      this.#state = state;
      return true;
    }
    console.error("error: the state of the messages to receivers is damaged and was put aside as state.json.damaged");
    await rename(join(this.#folder, "state.json"), join(this.#folder, "state.json.damaged"));
    return false;
  }

  async #add(report: RunReport): Promise<void> {
    await this.#open();
    const { run } = report;
    if (this.#state.runs.includes(run)) return;
    const hasAlertmanager = this.#receivers.some(({ type }) => type === "alertmanager");
    const { active, resolved } = hasAlertmanager ? nextAlerts(this.#state.active, report) : { active: [], resolved: [] };
    const file = `${report.finishedAt.replace(/[^0-9]/g, "")}~${run}.json`;
    const written: string[] = [];
    for (const receiver of this.#receivers) {
      const { name, type } = receiver;
      const body = bodyFor(receiver, report);
      if (type !== "alertmanager" && body === undefined) continue;
      const message: Message = body === undefined ? { run, resolved } : { run, body };
      writeAtomically(join(this.#folder, name, file), JSON.stringify(message));
      written.push(name);
    }
    // From here on the messages are delivered, even after a crash.
    const state = { runs: [...this.#state.runs, run].slice(-rememberedRuns), active };
    writeAtomically(join(this.#folder, "state.json"), JSON.stringify(state));
    this.#state = state;
    for (const name of written) {
      this.#waiting.get(name)?.push(file);
      this.#wake.get(name)?.();
    }
  }

  async #deliverAll(receiver: Receiver): Promise<void> {
    const { signal } = this.#stopping;
    await this.#open();
    const waiting = this.#waiting.get(receiver.name) ?? [];
    const tried = new Map<string, number>();
    let delay = this.#firstDelay;
    let loggedReason = "";
    // Alertmanager may have been restarted while this process did not run.
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
          await rm(join(this.#folder, receiver.name, file), { force: true });
        }
        if (loggedReason !== "") console.log(`receiver ${receiver.name} accepts messages again`);
        loggedReason = "";
        delay = this.#firstDelay;
        if (receiver.type === "alertmanager") due = this.#now().getTime() + times.resend;
        continue;
      }
      if (signal.aborted) return;
      if (refusal.reason !== loggedReason)
        console.error(
          `receiver ${receiver.name} ${refusal.reason}; ${refusal.permanent ? "the message is tried again a few times" : "its messages are retried until it accepts them"}`,
        );
      loggedReason = refusal.reason;
      if (file !== undefined && refusal.permanent) {
        const count = (tried.get(file) ?? 0) + 1;
        tried.set(file, count);
        waiting.shift();
        if (count < attempts) waiting.push(file);
        else {
          this.#putAside(receiver, file);
          delay = this.#firstDelay;
        }
        // Others pass without waiting for the next attempt.
        const [next] = waiting;
        if (next === undefined || (tried.get(next) ?? 0) < count) continue;
      }
      await sleep(Math.max(delay, refusal.delay ?? 0), undefined, { signal }).catch(() => {});
      delay = Math.min(delay * 2, times.longestDelay);
    }
  }

  /** Waits until a message is added, the outbox is stopped, or the time is over. */
  async #idle(name: string, milliseconds: number): Promise<void> {
    const { signal } = this.#stopping;
    const woken = new AbortController();
    this.#wake.set(name, () => woken.abort());
    await sleep(Math.min(milliseconds, times.resend), undefined, { signal: AbortSignal.any([signal, woken.signal]) }).catch(() => {});
    this.#wake.delete(name);
  }

  /** Leaves a message in its file, in which the next start finds it. */
  #putAside({ name }: Receiver, file: string): void {
    this.#refused.set(name, (this.#refused.get(name) ?? 0) + 1);
    console.error(`receiver ${name} has refused the message about ${runOf(file)} ${attempts} times; it is sent again after the next start`);
  }

  /** Sends a message, or without a file the active alerts. */
  async #send(receiver: Receiver, file: string | undefined): Promise<Refusal | undefined> {
    const options = { signal: this.#stopping.signal, now: this.#now, fetch: this.#fetch };
    const message = file === undefined ? undefined : await this.#read(receiver, file);
    if (message === "damaged") return undefined;
    if (message && "body" in message) {
      const own = { ...options, idempotencyKey: `${message.run}-${receiver.name}` };
      const refusal = await deliver(receiver, message.body, own);
      return refusal?.tooLong && receiver.type === "json" ? deliver(receiver, shortened(message.body as JsonMessage), own) : refusal;
    }
    const alerts = this.#alerts(message?.resolved ?? [], receiver.link);
    for (let from = 0, size = chunkSizes.usual; from < alerts.length; ) {
      const refusal = await deliver(receiver, alerts.slice(from, from + size), options);
      if (refusal?.tooLong && size > chunkSizes.least) size = Math.max(chunkSizes.least, Math.floor(size / 4));
      else if (refusal) return refusal;
      else from += size;
    }
    return undefined;
  }

  /** Reads a message. A damaged one is put aside, so that others are delivered. */
  async #read(receiver: Receiver, file: string): Promise<Message | "damaged"> {
    const path = join(this.#folder, receiver.name, file);
    const message = parseObject<Message>(await readFile(path, "utf8"));
    if (message && ("body" in message || "resolved" in message)) return message;
    await rename(path, `${path}.damaged`);
    console.error(`error: receiver ${receiver.name}: the message about ${runOf(file)} is damaged and was put aside as ${file}.damaged`);
    return "damaged";
  }

  /** Returns the alerts to post: those that a run has resolved, unless a later run has found them again, and the active ones. */
  #alerts(resolved: readonly ActiveAlert[], link: string | undefined) {
    const now = this.#now();
    const { active } = this.#state;
    const activeKeys = new Set(active.map(alertKey));
    return [
      ...resolved.filter((alert) => !activeKeys.has(alertKey(alert))).map((alert) => toPostedAlert(alert, now, link)),
      ...active.map((alert) => toPostedAlert(alert, new Date(now.getTime() + times.alertLife), link)),
    ];
  }
}

/** Returns the message about a run; undefined if there is nothing to say, or alerts are sent instead. */
function bodyFor({ type, link, defectDojo }: Receiver, report: RunReport): object | undefined {
  switch (type) {
    case "slack":
      return slackMessage(report, link);
    case "json":
      return jsonMessage(report, link);
    case "defectdojo":
      return defectDojoMessage(report, defectDojo);
    case "alertmanager":
      return undefined;
  }
}

/** Returns the run that a file's message is about. */
const runOf = (file: string) => file.slice(file.indexOf("~") + 1, -".json".length);
