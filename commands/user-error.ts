/** A mistake that the user can correct. Commands print its message without a stack trace. */
export class UserError extends Error {
  /** The command's exit code. */
  readonly status: number;

  /** @param status @default 1 */
  constructor(message: string, status = 1) {
    super(message);
    this.status = status;
  }
}

/** Runs a command and ends the process with its exit code, even if a connection is still open. */
export async function main(command: () => Promise<number>): Promise<never> {
  try {
    process.exit(await command());
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(error.message);
    process.exit(error.status);
  }
}
