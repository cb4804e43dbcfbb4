/** Returns a text as messages show it: never a whole document. */
export function describeText(text: string): string {
  const quoted = JSON.stringify(text);
  return quoted.length > 60 ? `${quoted.slice(0, 57)}…` : quoted;
}

/** Describes a value that is not accepted, as the start of a message. What may be a secret is hidden later, in all messages. */
export function describeValue(input: unknown): string {
  if (input === undefined) return "is missing";
  if (input === null) return "is empty";
  if (Array.isArray(input)) return "is a list";
  if (typeof input === "object") return "is a block of settings";
  return `is ${typeof input === "string" ? describeText(input) : String(input)}`;
}

/** Returns the message for a value of the wrong kind; `advice` says what would be valid. */
export const wrong = (advice: string) => (issue: { readonly input?: unknown }) => `${describeValue(issue.input)}; ${advice}`;
