import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { Turnstile } from "../../database-mirror/turnstile.ts";

const never = new AbortController().signal;

describe("the turnstile of downloads", () => {
  it("downloads take turns, in the order in which they came, with a pause after each", async () => {
    const turnstile = new Turnstile({ limit: 1, pause: 0.05 });
    const events: string[] = [];
    const times: number[] = [];
    await Promise.all(
      ["a", "b", "c"].map(async (name) => {
        const leave = await turnstile.enter(never);
        times.push(Date.now());
        events.push(`${name} starts`);
        await sleep(10);
        events.push(`${name} ends`);
        leave(true);
      }),
    );
    expect(events).to.deep.equal(["a starts", "a ends", "b starts", "b ends", "c starts", "c ends"]);
    expect((times[1] ?? 0) - (times[0] ?? 0)).to.be.at.least(55);
  });

  it("several downloads proceed at a time, up to the limit", async () => {
    const turnstile = new Turnstile({ limit: 2, pause: 0 });
    const [leave] = [await turnstile.enter(never), await turnstile.enter(never)];
    let third = false;
    const entered = turnstile.enter(never).then(() => {
      third = true;
    });
    await sleep(10);
    expect([third, turnstile.waiting]).to.deep.equal([false, 1]);
    leave?.(true);
    await entered;
    expect(turnstile.waiting).to.equal(0);
  });

  it("a client that goes away while it waits takes no turn, and one that leaves twice gives up only one", async () => {
    const turnstile = new Turnstile({ limit: 1, pause: 0 });
    const leave = await turnstile.enter(never);
    const gone = new AbortController();
    const abandoned = turnstile.enter(gone.signal).catch((error: Error) => error.message);
    const next = turnstile.enter(never);
    gone.abort(new Error("gone"));
    expect(await abandoned).to.equal("gone");
    leave(true);
    leave(true);
    await next;
    let another = false;
    void turnstile.enter(never).then(() => {
      another = true;
    });
    await sleep(10);
    expect(another).to.equal(false);
  });
});
