/** A mistake that the user can correct. Commands print its message without a stack trace. */
export class UserError extends Error {
  /** The command's exit code; without one, the command's own for failures. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

/**
 * Runs a command and ends the process with its exit code, even if a connection is still open.
 *
 * @param failure the exit code of errors that do not have one of their own
 */
export async function main(command: () => Promise<number>, failure = 1): Promise<never> {
  try {
    process.exit(await command());
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(error.message);
    process.exit(error.status ?? failure);
  }
}
