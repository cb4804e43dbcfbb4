const secretVariables = ["TRIVY_TOKEN", "REPORTS_TOKEN"] as const;

/** Removes this process's tokens, logins in URLs, and the query strings of URLs, which some registries sign. */
export function redact(text: string): string {
  const redacted = text.replace(/(https?:\/\/)[^\s/@"]+@/g, "$1").replace(/(https?:\/\/[^\s?"]+)\?[^\s"]*?(?=[:;,.]?(?:\s|"|$))/g, "$1");
  return secretVariables.reduce((result, name) => {
    const secret = process.env[name];
    return secret ? result.replaceAll(secret, "***") : result;
  }, redacted);
}
