import { setTimeout as sleep } from "node:timers/promises";

interface TurnstileOptions {
  /** Number of holders at a time. */
  readonly limit: number;
  /** Seconds between the end of a turn and the start of the next one. */
  readonly pause: number;
}

/** Lets a limited number of downloads proceed at a time, in the order in which they came. */
export class Turnstile {
  readonly #options: TurnstileOptions;
  readonly #waiting: (() => void)[] = [];
  #holders = 0;

  constructor(options: TurnstileOptions) {
    this.#options = options;
  }

  /** Number of downloads that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Waits for a turn.
   *
   * @param signal ends the wait
   * @returns the function that ends the turn; `used` says whether a pause must follow
   */
  async enter(signal: AbortSignal): Promise<(used: boolean) => void> {
    signal.throwIfAborted();
    if (this.#holders >= this.#options.limit || this.#waiting.length > 0) await this.#wait(signal);
    else this.#holders += 1;
    let ended = false;
    return (used) => {
      if (ended) return;
      ended = true;
      void this.#leave(used);
    };
  }

  /** A place is handed over: the number of holders stays. */
  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const proceed = () => {
        signal.removeEventListener("abort", abandon);
        resolve();
      };
      const abandon = () => {
        this.#waiting.splice(this.#waiting.indexOf(proceed), 1);
        reject(signal.reason);
      };
      signal.addEventListener("abort", abandon, { once: true });
      this.#waiting.push(proceed);
    });
  }

  async #leave(used: boolean): Promise<void> {
    if (used && this.#options.pause > 0) await sleep(this.#options.pause * 1000, undefined, { ref: false });
    const next = this.#waiting.shift();
    if (next) next();
    else this.#holders -= 1;
  }
}
