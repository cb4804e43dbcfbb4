/**
 * Runs before each Trivy server: waits until the mirror has a database, tells it that a server starts, and writes the order of the repositories.
 *
 * Trivy tries the next repository after a 503, but not when the first one refuses the connection. So when the mirror cannot be reached, and other
 * repositories are allowed, these come first.
 *
 * Environment: MIRROR_HOST, MIRROR_REPOSITORY; OTHER_REPOSITORIES, separated by commas, if there are any; REPOSITORIES_FILE, the file to write;
 * NODE_EXTRA_CA_CERTS with the mirror's authority.
 */
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { mirrorPaths } from "./names.ts";

/** Seconds to wait for the mirror when there are other repositories: until it can be reached, and until it has its first build. */
const patience = { unreachable: 60, empty: 300 } as const;

async function main({
  MIRROR_HOST: host,
  MIRROR_REPOSITORY: mirror = "",
  OTHER_REPOSITORIES: text = "",
  REPOSITORIES_FILE: path = "",
}: NodeJS.ProcessEnv) {
  const others = text.split(",").filter((repository) => repository !== "");
  const isReachable = await waitForMirror(`https://${host}${mirrorPaths.starting}`, others.length > 0);
  const repositories = isReachable ? [mirror, ...others] : [...others, mirror];
  writeFileSync(path, JSON.stringify({ db: { repository: repositories } }));
  console.log(`repositories: ${repositories.join(", ")}`);
}

/** Returns whether the mirror can be reached; waits for its first build, without other repositories for as long as it takes. */
async function waitForMirror(url: string, hasOthers: boolean): Promise<boolean> {
  const start = Date.now();
  let last = "";
  for (;;) {
    const answer = await fetch(url, { signal: AbortSignal.timeout(5000) }).catch((error: Error) => error);
    if (answer instanceof Response && answer.ok) return true;
    const isReachable = answer instanceof Response;
    const problem = isReachable ? "the mirror has no database yet" : `the mirror cannot be reached: ${causeOf(answer)}`;
    if (problem !== last) console.log(problem);
    last = problem;
    if (hasOthers && Date.now() - start > (isReachable ? patience.empty : patience.unreachable) * 1000) return isReachable;
    await sleep(1000);
  }
}

const causeOf = ({ cause, message }: Error) => (cause instanceof Error ? cause.message : message);

await main(process.env);
