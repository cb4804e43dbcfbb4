/** Why a build is not taken. These are values of a metric's label. */
export type RefusalReason = "manifest" | "digest" | "size" | "broken" | "schema" | "older" | "canary";

/** A build that must not be served. Its message says what is wrong with it. */
export class Refusal extends Error {
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string) {
    super(message);
    this.reason = reason;
  }
}
