/** Describes a value that is not accepted, as the start of a message: never a whole document, never a secret. */
export function describeValue(input: unknown): string {
  if (input === undefined) return "is missing";
  if (input === null) return "is empty";
  if (Array.isArray(input)) return "is a list";
  if (typeof input === "object") return "is a block of settings";
  const text = JSON.stringify(input);
  return `is ${text.length > 60 ? `${text.slice(0, 57)}…` : text}`;
}

/** Returns the message for a value of the wrong kind; `advice` says what would be valid. */
export const wrong = (advice: string) => (issue: { readonly input?: unknown }) => `${describeValue(issue.input)}; ${advice}`;
