import { readFileSync } from "node:fs";
import { z } from "zod";
import type { Forge } from "./forge.ts";
import { gitHub } from "./github.ts";
import { gitLab } from "./gitlab.ts";

/** What a CI job knows of itself. */
export interface Ci {
  /** Undefined without a token. */
  readonly forge: Forge | undefined;
  /** Why there is no forge. */
  readonly missing: string;
  /** Number of the pull request or merge request; undefined in other jobs. */
  readonly pullRequest: number | undefined;
  /** File for the job's summary. */
  readonly summary: string | undefined;
  /** The job's commit, if known. */
  readonly commit: string | undefined;
  /** URL of the job. */
  readonly run: string | undefined;
}

const event = z.object({ pull_request: z.object({ number: z.number(), head: z.object({ sha: z.string() }) }).optional() });

/** Reads the variables of GitHub Actions or GitLab CI. */
export function readCi(env: NodeJS.ProcessEnv): Ci {
  if (env["GITLAB_CI"]) return readGitLab(env);
  const { GITHUB_REPOSITORY: repository, GITHUB_TOKEN: token, GITHUB_API_URL: url, GITHUB_EVENT_PATH: path } = env;
  const request = path ? event.catch({}).parse(JSON.parse(readFileSync(path, "utf8"))).pull_request : undefined;
  const author = env["GITHUB_TOKEN_USER"];
  return {
    forge: repository && token ? gitHub({ repository, token, ...(url && { url }), ...(author && { author }) }) : undefined,
    missing: "GITHUB_REPOSITORY and GITHUB_TOKEN are not set",
    pullRequest: request?.number,
    summary: env["GITHUB_STEP_SUMMARY"] || undefined,
    commit: request?.head.sha ?? env["GITHUB_SHA"],
    run:
      repository && env["GITHUB_RUN_ID"]
        ? `${env["GITHUB_SERVER_URL"] ?? "https://github.com"}/${repository}/actions/runs/${env["GITHUB_RUN_ID"]}`
        : undefined,
  };
}

function readGitLab(env: NodeJS.ProcessEnv): Ci {
  const { CI_API_V4_URL: url, CI_PROJECT_ID: project, GITLAB_TOKEN: token, CI_MERGE_REQUEST_IID: number } = env;
  return {
    forge: url && project && token ? gitLab({ url, project, token }) : undefined,
    missing: "GITLAB_TOKEN is not set; GitLab gives protected and masked variables only to protected branches, and none to forks",
    pullRequest: number ? Number(number) : undefined,
    summary: undefined,
    commit: env["CI_COMMIT_SHA"],
    run: env["CI_JOB_URL"],
  };
}
