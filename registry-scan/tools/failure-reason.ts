import { redact } from "../protocol/redact.ts";
import { singleLine } from "../protocol/text.ts";

/** Maximum length of a reason, in characters. */
const maximumLength = 600;

/** Prefixes that wrap an error of crane or trivy without adding information. */
const wrappers = [
  /^Error: /,
  /^\S+\s+FATAL\s+(?:Fatal error\s+)?/,
  /^(?:run error|(?:image )?scan error|scan failed|failed analysis|filter error|filtering error|VEX error): /,
  /^unable to initialize (?:a scan service|container image|an image scanner): /,
  /^unable to find the specified image "[^"]*" in \["remote"\]: /,
  /^\d+ errors? occurred:\s*/,
  /^\* remote error: /,
  /^reading tags for \S+: /,
  /^(?:HEAD|GET) https?:\/\/\S+: (?=[A-Z_]{3,}: )/,
  /^unable to (?:get|fetch) missing layers: /,
  /^backoff: permanent error /,
] as const;

/** Returns the last error that crane or trivy wrote to stderr: in one line, without secrets and without the errors that wrap it. */
export function failureReason(stderr: string): string {
  const error = redact(lastError(stderr));
  const reason = serviceFailure(error) ?? withoutWrappers(error);
  // A request that fails over HTTPS and over HTTP usually fails for the same reason.
  const parts = [...new Set(reason.split(/;\s+/).map((part) => part.replace(/(?:Get|Post|Head) "[^"]*": /, "")))];
  const text = parts.filter((part) => !/^map\[/.test(part)).join("; ");
  if (text === "") return "it failed without an error message";
  return text.length > maximumLength ? `${text.slice(0, maximumLength)}…` : text;
}

/** The last error with the lines that follow it, because trivy lists several reasons on lines of their own. */
function lastError(stderr: string): string {
  const lines = stderr.trim().split("\n");
  const last = lines.findLastIndex((line) => /^Error: |\sFATAL\s/.test(line));
  return singleLine(lines.slice(last < 0 ? -1 : last).join(" "));
}

function withoutWrappers(error: string): string {
  const unwrapped = wrappers.reduce((reason, wrapper) => reason.replace(wrapper, ""), error);
  return unwrapped === error ? error : withoutWrappers(unwrapped);
}

/** The scan service's own error, which Twirp wraps. */
function serviceFailure(error: string): string | undefined {
  const [, code, answer = ""] = /twirp error (\w+): (.*?)\)*$/.exec(error) ?? [];
  if (code === "unauthenticated") return "the scan service refuses the token (TRIVY_TOKEN)";
  return code === undefined ? undefined : `the scan service fails: ${answer.replace(/^failed to do request: /, "")}`;
}
