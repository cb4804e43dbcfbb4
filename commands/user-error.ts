/** Something that the person at the keyboard can put right: told as it is, without a stack trace. */
export class Problem extends Error {
  readonly status: number;

  constructor(message: string, status = 1) {
    super(message);
    this.status = status;
  }
}

/** Runs a command and ends the process with its status, even when a connection that nobody waits for is still open. */
export async function main(command: () => Promise<number>): Promise<never> {
  try {
    process.exit(await command());
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    console.error(error.message);
    process.exit(error.status);
  }
}
