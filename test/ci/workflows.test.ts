import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";

const root = join(import.meta.dirname, "../..");
const folder = join(root, ".github/workflows");
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

interface Job {
  readonly if?: string;
  readonly uses?: string;
  readonly environment?: string;
  readonly needs?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly concurrency?: { readonly group: string; readonly "cancel-in-progress": boolean };
  readonly steps?: readonly { readonly uses?: string; readonly run?: string; readonly env?: Readonly<Record<string, string>> }[];
}

const npmScripts = (text: string) => [...text.matchAll(/npm run ([\w:]+)/g)].map(([, name = ""]) => name);

for (const file of readdirSync(folder)) {
  const text = readFileSync(join(folder, file), "utf8");
  const { permissions, jobs, on } = parse(text) as { permissions: object; jobs: Record<string, Job>; on: unknown };
  const steps = Object.values(jobs).flatMap((job) => job.steps ?? []);

  describe(`the workflow ${file}`, () => {
    it(`${file} grants no permissions by default and does not run on pull_request_target`, () => {
      expect(permissions).to.deep.equal({});
      expect(JSON.stringify(on)).not.to.contain("pull_request_target");
    });

    it(`${file} pins each action by commit, with the version next to it`, () => {
      for (const [line] of text.matchAll(/^.*\buses: .*$/gm))
        expect(line).to.match(/uses: ([.$]\/\S+|[\w-]+(?:\/[\w-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$/);
    });

    it(`${file} interpolates no expression into a script`, () => {
      for (const { run } of steps) expect(run ?? "").not.to.contain("${{");
    });

    it(`${file} runs only npm commands that exist`, () => {
      for (const { run } of steps) for (const name of npmScripts(run ?? "")) expect(scripts).to.have.property(name);
    });

    it(`${file} uses secrets only in jobs with an environment`, () => {
      // The secrets of a reusable workflow are those that its caller passes.
      if (JSON.stringify(on).includes("workflow_call")) return;
      for (const job of Object.values(jobs)) if (JSON.stringify(job).includes("secrets.")) expect(job.environment).to.be.a("string");
    });
  });
}

it("the example workflow pins each action by commit and grants permissions only to its job", () => {
  const text = readFileSync(join(root, "ci/github/example.yml"), "utf8");
  for (const [line] of text.matchAll(/^.*\buses: .*$/gm)) expect(line).to.match(/uses: [\w-]+(?:\/[\w-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  const { permissions, jobs } = parse(text) as { permissions: object; jobs: { image: { permissions: object } } };
  expect(permissions).to.deep.equal({});
  expect(jobs.image.permissions).to.deep.equal({ contents: "read", "security-events": "write" });
});

it("a pull request from a fork gets no job with credentials", () => {
  const { jobs } = parse(readFileSync(join(folder, "pull-request.yml"), "utf8")) as { jobs: Record<string, Job> };
  for (const job of Object.values(jobs))
    if (JSON.stringify(job).match(/secrets\.|github\.token/))
      expect(job.if).to.equal("github.event.pull_request.head.repo.full_name == github.repository");
});

it("deployments run in order, and exclude drift detection of the same stack without cancelling it", () => {
  const jobsOf = (file: string) => (parse(readFileSync(join(folder, file), "utf8")) as { jobs: Record<string, Job> }).jobs;
  const { dev, staging, prod } = jobsOf("deploy.yml");
  expect([dev?.needs, staging?.needs, prod?.needs]).to.deep.equal([undefined, "dev", "staging"]);
  for (const [stack, job] of Object.entries({ dev, staging, prod })) {
    expect(job).to.deep.include({
      environment: stack,
      concurrency: { group: `stack-${stack}`, "cancel-in-progress": false },
      env: { STACK: stack },
    });
  }
  expect(jobsOf("drift.yml")["drift"]?.concurrency).to.deep.equal({
    group: ["stack-$", "{{ matrix.stack }}"].join(""),
    "cancel-in-progress": false,
  });
});

it("the deployments of the stacks differ only in the stack's name and what they wait for", () => {
  const { jobs } = parse(readFileSync(join(folder, "deploy.yml"), "utf8")) as { jobs: Record<string, Job> };
  const normalised = Object.entries(jobs).map(([stack, { needs, ...job }]) =>
    JSON.parse(JSON.stringify(job).replaceAll(new RegExp(`\\b${stack}\\b`, "g"), "STACK")),
  );
  expect(normalised).to.have.length(3);
  for (const job of normalised) expect(job).to.deep.equal(normalised[0]);
});

it("a pull request from a fork that changes a workflow gets no secret from any of the workflows", () => {
  for (const file of readdirSync(folder)) {
    const { jobs, on } = parse(readFileSync(join(folder, file), "utf8")) as {
      jobs: Record<string, Job>;
      on: Record<string, unknown> | string;
    };
    const triggers = typeof on === "string" ? [on] : Object.keys(on);
    // These run with the secrets of this repository and the code of the fork.
    expect(triggers, file).not.to.include.members(["pull_request_target"]);
    expect(triggers, file).not.to.include.members(["workflow_run"]);
    expect(triggers, file).not.to.include.members(["issue_comment"]);
    if (!triggers.includes("pull_request")) continue;
    for (const job of Object.values(jobs))
      if (/secrets\.|github\.token/.test(JSON.stringify(job)))
        expect(job.if, file).to.equal("github.event.pull_request.head.repo.full_name == github.repository");
  }
});

it("a release is built by a reusable workflow, attested there, and published after an approval", () => {
  const jobsOf = (file: string) =>
    (parse(readFileSync(join(folder, file), "utf8")) as { jobs: Record<string, Job & { permissions?: object }> }).jobs;
  const { build, publish } = jobsOf("release.yml");
  expect(build?.uses).to.match(/^\$\/\.github\/workflows\/build-release\.yml$/);
  expect(publish).to.deep.include({ needs: "build", environment: "release", permissions: { contents: "write" } });
  const steps = jobsOf("build-release.yml")["build"]?.steps ?? [];
  const uses = steps.map((step) => step.uses?.replace(/@.*/, "")).filter(Boolean);
  expect(uses.slice(-3)).to.deep.equal(["actions/attest-build-provenance", "actions/attest-sbom", "actions/upload-artifact"]);
  const runs = steps.flatMap(({ run: text }) => (text === undefined ? [] : [text]));
  expect(runs.slice(0, 3)).to.deep.equal(["npm ci", "npm audit --audit-level=low", "npm audit signatures"]);
});

it("the end-to-end tests on kind are chosen from those that exist, and need no secret", () => {
  const text = readFileSync(join(folder, "end-to-end.yml"), "utf8");
  const names = /'\{([\w,-]+)\}'/.exec(text)?.[1]?.split(",") ?? [];
  expect(names).to.have.length.above(5);
  const files = readdirSync(join(root, "test/e2e"));
  for (const name of names) expect(files).to.include(`${name}.test.ts`);
  expect(text).not.to.contain("secrets.");
});

it("GitLab's templates run only npm commands that exist, and deploy the stacks in order", () => {
  for (const file of ["preview.yml", "deploy.yml", "drift.yml"]) {
    const text = readFileSync(join(root, "ci/gitlab", file), "utf8");
    expect(parse(text)).to.be.an("object");
    expect(npmScripts(text)).not.to.deep.equal([]);
    for (const name of npmScripts(text)) expect(scripts).to.have.property(name);
  }
  const deploy = parse(readFileSync(join(root, "ci/gitlab/deploy.yml"), "utf8"));
  expect(deploy["deploy prod"].needs).to.deep.equal(["deploy staging"]);
  expect(deploy["deploy staging"].needs).to.deep.equal(["deploy dev"]);
  expect(deploy[".deploy"].resource_group).to.equal("stack-$STACK");
});
