/**
 * `npm run preview:comment -- <stack…>`: previews stacks and shows what they would change, in one comment of the pull request or merge
 * request, in the job's summary, and completely in a file. Nothing is changed, and no secret is shown.
 */
import { origin, parseArguments, writeReport } from "./changes/command.ts";
import { engineJson } from "./changes/engine-json.ts";
import { environmentSecrets, Redactor } from "./changes/redactor.ts";
import { type Frame, previewFrame, render, type StackReport, stackReport } from "./changes/render.ts";
import { openEngine } from "./engine/engine.ts";
import { type Ci, readCi } from "./forge/ci.ts";
import { markerOf, writePost } from "./forge/forge.ts";
import { ForgeError } from "./forge/http.ts";
import { projectFolder } from "./stack-file.ts";
import { main } from "./user-error.ts";

const usage = `Usage: npm run preview:comment -- <stack>… [--output FILE] [--no-comment]

Previews stacks and writes what they would change to
  - one comment of the pull request or merge request, which later runs edit (in GitHub Actions and GitLab CI);
  - the job's summary (GITHUB_STEP_SUMMARY);
  - FILE, completely. Default: out/preview.md

GitHub: GITHUB_TOKEN with \`pull-requests: write\`; GITHUB_TOKEN_USER if its user is not github-actions[bot].
GitLab: GITLAB_TOKEN, a project access token with the scope \`api\`.

Exit codes: 0 all previews succeeded, 1 a preview failed, 2 wrong usage, 3 the comment could not be written`;

async function previewComment(args: readonly string[]): Promise<number> {
  const { stacks, output, post } = parseArguments(args, usage, "comment", "out/preview.md");
  const engine = await openEngine(projectFolder);
  const redactor = new Redactor(environmentSecrets(process.env));
  const reports: StackReport[] = [];
  // One after the other: each preview uses a CPU and a few hundred megabytes.
  for (const stack of stacks) reports.push(stackReport(stack, await engineJson(engine, stack, "preview"), redactor));

  const ci = readCi(process.env);
  const frame: Frame = { ...previewFrame, notes: origin(ci) };
  writeReport(reports, frame, output, ci);
  const failed = reports.some(({ error }) => error !== undefined);
  const posted = !post || (await postComment(reports, frame, ci));
  return failed ? 1 : posted ? 0 : 3;
}

async function postComment(reports: readonly StackReport[], frame: Frame, { forge, missing, pullRequest }: Ci): Promise<boolean> {
  if (pullRequest === undefined) {
    console.error("No comment: this is not a job of a pull request or merge request.");
    return true;
  }
  if (!forge) {
    console.error(`No comment: ${missing}.`);
    return false;
  }
  const marker = markerOf("preview");
  const posts = forge.comments(pullRequest);
  try {
    console.log(`Comment: ${await writePost(posts, marker, render(reports, frame, posts.limit - marker.length - 1))}`);
    return true;
  } catch (error) {
    if (!(error instanceof ForgeError)) throw error;
    console.error(`No comment: ${error.message}.\nThe preview is in the job's summary and in the artifact.`);
    return false;
  }
}

if (import.meta.main) await main(previewComment, { usage: () => usage });
