/**
 * `npm run drift -- <stack…>`: compares the cluster with the state of stacks and keeps one issue about the differences, which it opens,
 * updates and closes. Nothing in the cluster or the state is changed, and no secret is shown.
 */
import { origin, parseArguments, writeReport } from "./changes/command.ts";
import { engineJson } from "./changes/engine-json.ts";
import { environmentSecrets, Redactor } from "./changes/redactor.ts";
import { type Frame, render, type StackReport, stackReport } from "./changes/render.ts";
import { openEngine } from "./engine/engine.ts";
import { type Ci, readCi } from "./forge/ci.ts";
import { findPost, markerOf, writePost } from "./forge/forge.ts";
import { ForgeError } from "./forge/http.ts";
import { projectFolder } from "./stack-file.ts";
import { main } from "./user-error.ts";

const usage = `Usage: npm run drift -- <stack>… [--output FILE] [--no-issue]

Compares the cluster with the state of stacks (\`pulumi refresh --preview-only\`) and writes the differences to
  - one issue for these stacks: opened at the first drift, updated, and closed when there is none (in GitHub Actions and GitLab CI);
  - the job's summary (GITHUB_STEP_SUMMARY);
  - FILE, completely. Default: out/drift.md

GitHub: GITHUB_TOKEN with \`issues: write\`; GITHUB_TOKEN_USER if its user is not github-actions[bot].
GitLab: GITLAB_TOKEN, a project access token with the scope \`api\`.

Exit codes: 0 no drift, 1 drift or a failed comparison, 2 wrong usage, 3 the issue could not be written`;

export const driftFrame: Frame = {
  title: "Drift of the cluster from the state",
  advice:
    "These objects were changed without the program. `npm run up -- <stack>` restores them; to keep a change, make it in the stack's file first.",
  unchanged: "no drift",
  failed: "**comparison failed**",
  rest: "the complete text is in the job's artifact",
  meaning: false,
  headings: { create: "added", update: "changed", replace: "replaced", delete: "missing" },
};

/** Opens, updates or closes the issue. A failed comparison neither opens nor closes one: the job's failure reports it. */
export async function keepIssue(reports: readonly StackReport[], frame: Frame, { forge }: Pick<Ci, "forge">): Promise<string> {
  const stacks = reports.map(({ stack }) => stack);
  const issues = forge?.issues(`Drift: ${stacks.join(", ")}`);
  if (!issues) return "not written";
  const marker = markerOf("drift", ...stacks);
  const drift = reports.some(({ changes }) => changes.length > 0);
  if (drift) return writePost(issues, marker, render(reports, frame, issues.limit - marker.length - 1));
  if (reports.some(({ error }) => error !== undefined)) return "left as it is, because the comparison failed";
  const open = await findPost(issues, marker);
  if (!open) return "not needed";
  await issues.close(open.id);
  return "closed";
}

async function drift(args: readonly string[]): Promise<number> {
  const { stacks, output, post } = parseArguments(args, usage, "issue", "out/drift.md");
  const engine = await openEngine(projectFolder);
  const redactor = new Redactor(environmentSecrets(process.env));
  const reports: StackReport[] = [];
  for (const stack of stacks)
    reports.push(stackReport(stack, await engineJson(engine, stack, "refresh", "--preview-only", "--expect-no-changes"), redactor));

  const ci = readCi(process.env);
  const frame: Frame = { ...driftFrame, notes: origin(ci) };
  writeReport(reports, frame, output, ci);
  const status = reports.some(({ error, changes }) => error !== undefined || changes.length > 0) ? 1 : 0;
  if (!post) return status;
  if (!ci.forge) {
    console.error(`No issue: ${ci.missing}.`);
    return status || 3;
  }
  try {
    console.log(`Issue: ${await keepIssue(reports, frame, ci)}`);
    return status;
  } catch (error) {
    if (!(error instanceof ForgeError)) throw error;
    console.error(`No issue: ${error.message}.\nThe differences are in the job's summary and in the artifact.`);
    return status || 3;
  }
}

if (import.meta.main) await main(drift, { usage: () => usage });
