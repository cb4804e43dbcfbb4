import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { type Digest, parseDigest } from "../../../commands/changes/digest.ts";
import { environmentSecrets, Redactor } from "../../../commands/changes/redactor.ts";
import { previewFrame, render, stackReport } from "../../../commands/changes/render.ts";

const json = (name: string): string => readFileSync(join(import.meta.dirname, "fixtures", `${name}.json`), "utf8");

/** Has characters that JSON and URLs escape. */
const planted = 'pla"nted/s3cret+Value=';
const forms = [planted, Buffer.from(planted).toString("base64"), encodeURIComponent(planted), JSON.stringify(planted).slice(1, -1)];

/** Renders without a limit, so that nothing is cut off. */
function rendered(digest: unknown, { status = 0, error = "", secrets = [] as string[] } = {}): string {
  const parsed = parseDigest(JSON.stringify(digest));
  expect(parsed, "the digest").not.to.equal(undefined);
  return render([stackReport("prod", { status, digest: parsed, error }, new Redactor(secrets))], previewFrame);
}

function expectHidden(text: string): void {
  for (const form of forms) expect(text.includes(form), `the secret as ${form}`).to.equal(false);
}

interface StateOptions {
  readonly type: string;
  readonly inputs?: object;
  readonly outputs?: object;
  readonly additionalSecretOutputs?: string[];
  readonly custom?: boolean;
}

const step = (op: string, before: StateOptions | undefined, after: StateOptions | undefined = before) => ({
  op,
  urn: `urn:pulumi:prod::trivy-server::${(after ?? before)?.type}::resource-${op}`,
  ...(op !== "create" && before && { oldState: { custom: true, ...before } }),
  ...(op !== "delete" && after && { newState: { custom: true, ...after } }),
});

const secret = (data: object): StateOptions => ({
  type: "kubernetes:core/v1:Secret",
  inputs: { kind: "Secret", metadata: { name: "a" }, ...data },
});
const deployment = (container: object): StateOptions => ({
  type: "kubernetes:apps/v1:Deployment",
  inputs: { kind: "Deployment", metadata: { name: "a" }, spec: { template: { spec: { containers: [{ name: "a", ...container }] } } } },
});

const places: Readonly<Record<string, Digest["steps"] | object[]>> = {
  "a created Secret's stringData": [step("create", secret({ stringData: { password: planted } }))],
  "a created Secret's data": [step("create", secret({ data: { key: Buffer.from(planted).toString("base64") } }))],
  "a deleted Secret": [step("delete", secret({ stringData: { key: planted } }))],
  "both sides of an updated Secret": [
    step("update", secret({ stringData: { a: planted } }), secret({ stringData: { b: planted, c: `${planted}2` } })),
  ],
  "a replaced Secret": [step("replace", secret({ stringData: { a: "old" } }), secret({ stringData: { a: planted } }))],
  "a Secret's data that is not an object": [step("create", secret({ stringData: planted }))],
  "a Secret and, in plain text, a ConfigMap": [
    step("create", {
      type: "kubernetes:core/v1:ConfigMap",
      inputs: { kind: "ConfigMap", data: { "redis.conf": `requirepass ${planted}\nport 6379` } },
    }),
    step("delete", secret({ stringData: { password: planted } })),
  ],
  "a Secret and, in base64, an annotation": [
    step(
      "update",
      { type: "kubernetes:core/v1:Pod", inputs: { metadata: { annotations: { checksum: "" } } } },
      { type: "kubernetes:core/v1:Pod", inputs: { metadata: { annotations: { checksum: forms[1] } } } },
    ),
    step("create", secret({ stringData: { password: planted } })),
  ],
  "a Secret and the key of an object": [
    step("create", { type: "kubernetes:core/v1:ConfigMap", inputs: { data: { [planted]: "" } } }),
    step("create", secret({ stringData: { a: planted } })),
  ],
  "the outputs of a password": [
    step("create", {
      type: "random:index/randomPassword:RandomPassword",
      inputs: { length: 1, result: planted },
      outputs: { result: planted },
      additionalSecretOutputs: ["result"],
    }),
  ],
  "a secret output that is an object": [
    step("create", { type: "tls:index/x:X", inputs: { keys: { one: [planted] } }, additionalSecretOutputs: ["keys"] }),
  ],
  "an environment variable with a plain value": [step("create", deployment({ env: [{ name: "TRIVY_TOKEN", value: planted }] }))],
  "an environment variable that changes": [
    step(
      "update",
      deployment({ env: [{ name: "REDIS_PASSWORD", value: "" }] }),
      deployment({ env: [{ name: "REDIS_PASSWORD", value: planted }] }),
    ),
  ],
  "a value that Pulumi marks as secret": [
    step("create", deployment({ args: [{ "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", plaintext: planted }] })),
  ],
  "the credentials of a URL": [step("create", deployment({ args: [`redis://user:${encodeURIComponent(planted)}@redis:6379`] }))],
  "a private key": [step("create", deployment({ args: [`-----BEGIN EC PRIVATE KEY-----\n${planted}\n-----END EC PRIVATE KEY-----`] }))],
  "the inputs of a component": [
    step("create", { type: "trivy-server:index:Gateway", custom: false, inputs: { gateway: { clients: [{ token: planted }] } } }),
  ],
  "the outputs of the stack": [
    step("update", { type: "pulumi:pulumi:Stack", custom: false, outputs: { token: planted, tokens: { "team-a": planted } } }),
  ],
  "the outputs of the stack and an argument": [
    step("update", { type: "pulumi:pulumi:Stack", custom: false, outputs: { tokens: { "team-a": planted } } }),
    step("create", deployment({ args: [planted] })),
  ],
  "the reason of a replacement": [
    { ...step("replace", deployment({})), replaceReasons: [planted], detailedDiff: { [planted]: { kind: "update" } } },
    step("create", secret({ stringData: { a: planted } })),
  ],
};

describe("hiding secrets in rendered previews", () => {
  for (const [place, steps] of Object.entries(places))
    it(`a rendered preview hides secrets in ${place}`, () =>
      expectHidden(rendered({ config: { "trivy-server:redis": planted }, steps, diagnostics: [] })));

  it("a secret of a Secret is hidden in every string of a recorded preview", () => {
    for (const name of ["create-prod", "password", "namespace", "drift"]) {
      const digest = JSON.parse(json(name), (key, value) =>
        typeof value === "string" && !["op", "type", "urn"].includes(key) ? `${value} ${planted}` : value,
      );
      digest.steps.push(step("create", secret({ stringData: { password: planted } })));
      expectHidden(rendered(digest));
    }
  });

  it("a secret is hidden in the engine's errors", () => {
    const steps = [step("create", secret({ stringData: { a: planted } }))];
    const diagnostics = [{ severity: "error", message: `error: cannot connect with ${planted}` }];
    const text = rendered({ steps, diagnostics }, { status: 1, error: `and ${planted}` });
    expectHidden(text);
    expect(text).to.contain("cannot connect with [secret]");
  });

  it("a secret in the job's environment is hidden", () => {
    const secrets = environmentSecrets({ PULUMI_CONFIG_PASSPHRASE: planted, HOME: "/root" });
    expect(secrets).to.deep.equal([planted]);
    expectHidden(rendered({ steps: [step("create", deployment({ args: [planted] }))] }, { secrets }));
  });

  it("an encrypted setting, which the engine decrypts, is hidden", () => {
    expect(rendered(JSON.parse(json("encrypted-setting")))).not.to.contain("an-encrypted-token-of-a-client");
  });

  it("only the secret itself is hidden: other values of the preview are shown", () => {
    const text = rendered({
      steps: [
        step("create", secret({ stringData: { password: planted } })),
        step("create", deployment({ image: "trivy:1", env: [{ name: "A_TOKEN", value: "x" }] })),
      ],
    });
    expect(text).to.contain('password: "[secret]"').and.to.contain("image: trivy:1").and.to.contain("name: A_TOKEN");
  });

  it("a changed secret is reported as changed", () => {
    const states = [secret({ stringData: "[secret]" }), secret({ stringData: "[secret]" })] as const;
    const text = rendered({ steps: [{ ...step("update", ...states), detailedDiff: { "stringData.password": { kind: "update" } } }] });
    expect(text).to.contain("stringData.password: [changed, not shown]");
  });
});

describe("text that a pull request controls", () => {
  const hostile = "```\n</details><script>alert(1)</script> @octocat [x](http://evil) | `` <!-- # x\u202e\u001b[31m";

  it("hostile text in a change cannot end its code block and mentions no user", () => {
    const text = rendered({ steps: [step("create", deployment({ args: [hostile, "````` @org/team"] }))] });
    const [, fence = ""] = /\n(`{3,})diff\n/.exec(text) ?? [];
    expect(fence.length).to.equal(6);
    expect(text.split("\n").filter((line) => line === fence)).to.have.length(1);
    expect(text).not.to.match(/@(octocat|org)/);
    expect(text).not.to.contain("\u202e").and.not.to.contain("\u001b");
  });

  it("a hostile object name has no effect in a comment", () => {
    const named = { type: "kubernetes:core/v1:Namespace", inputs: { kind: "Namespace", metadata: { name: hostile } } };
    const text = rendered({ steps: [step("delete", named)] });
    const warning = text.split("\n").find((line) => line.startsWith("> - ")) ?? "";
    expect(warning).to.match(/^> - `prod`: \*\*Deletes\*\* `{4}Namespace .*`{4}: everything/);
    expect(warning).not.to.match(/@octocat/);
  });

  it("a hostile error message cannot end its code block", () => {
    const text = rendered({ diagnostics: [{ severity: "error", message: `error: ${hostile}` }] }, { status: 1 });
    expect(text).to.contain("\n````text\n```\n</details>");
    expect(text.trimEnd().endsWith("\n````")).to.equal(true);
  });

  it("a hostile stack name has no effect in a comment", () => {
    const report = stackReport(
      "a|`<b>@octocat",
      { status: 0, digest: { steps: [step("create", deployment({}))] } as unknown as Digest, error: "" },
      new Redactor(),
    );
    const text = render([report], previewFrame);
    expect(text).to.contain("| ``a\\|`<b>@\u200boctocat`` | 1 |").and.to.contain("<code>a|`&lt;b&gt;@\u200boctocat</code>");
  });
});

describe("the limit of a comment", () => {
  const limit = 65_536;
  const many = (count: number, size: number) => ({
    steps: Array.from({ length: count }, (_, index) => ({
      ...step("create", {
        type: "kubernetes:core/v1:ConfigMap",
        inputs: { kind: "ConfigMap", metadata: { name: `map-${index}` }, data: { key: "x".repeat(size) } },
      }),
      urn: `urn:pulumi:prod::trivy-server::kubernetes:core/v1:ConfigMap::map-${index}`,
    })),
  });
  const reports = (...digests: object[]) =>
    digests.map((digest, index) =>
      stackReport(`stack-${index}`, { status: 0, digest: parseDigest(JSON.stringify(digest)), error: "" }, new Redactor()),
    );

  it("a difference of 5,000 lines is cut off at the end of a line, with a pointer to the rest", () => {
    const all = reports(many(1000, 100));
    expect(render(all, previewFrame).split("\n").length).to.be.above(5000);
    const text = render(all, previewFrame, limit);
    expect(text.length).to.be.within(60_000, limit);
    expect(text).to.match(/\n… \d+ more lines: the complete text is in the job's artifact\n```\n\n<\/details>\n$/);
  });

  it("the table of all stacks stays, and each stack gets its share", () => {
    const text = render(reports(many(1000, 100), many(1, 1), many(1000, 100)), previewFrame, limit);
    expect(text.length).to.be.within(60_000, limit);
    for (const stack of ["stack-0", "stack-1", "stack-2"])
      expect(text).to.contain(`| \`${stack}\` |`).and.to.contain(`of <code>${stack}</code>`);
    expect(text.match(/more lines/g)).to.have.length(2);
  });

  it("one property of a million characters does not displace the others", () => {
    const digest = { steps: [...many(1, 1_000_000).steps, step("update", deployment({ image: "a:1" }), deployment({ image: "a:2" }))] };
    const text = render(reports(digest), previewFrame, limit);
    expect(text).to.contain("+ spec.template.spec.containers[0].image: a:2");
    expect(text.length).to.be.below(3000);
  });

  it("long errors of many stacks fit into a comment", () => {
    const failed = Array.from({ length: 100 }, (_, index) =>
      stackReport(`stack-${index}`, { status: 1, digest: undefined, error: "e".repeat(5000) }, new Redactor()),
    );
    for (const some of [failed, failed.slice(0, 3)]) expect(render(some, previewFrame, limit).length).to.be.at.most(limit);
  });

  it("warnings about a thousand replaced claims fit into a comment", () => {
    const claim = (index: number) => ({
      ...step("replace", {
        type: "kubernetes:core/v1:PersistentVolumeClaim",
        inputs: { kind: "PersistentVolumeClaim", metadata: { name: `claim-${index}` } },
      }),
      urn: `a::b::c::${index}`,
    });
    const text = render(reports({ steps: Array.from({ length: 1000 }, (_, index) => claim(index)) }), previewFrame, limit);
    expect(text.length).to.be.at.most(limit);
    expect(text).to.contain("… and 970 more.");
  });
});

describe("results that are not a preview", () => {
  const error = (status: number, stdout: string, stderr: string) =>
    stackReport("prod", { status, digest: parseDigest(stdout), error: stderr }, new Redactor()).error;

  it("a failure before the engine starts is reported with its error", () => {
    expect(error(255, "", "error: no Pulumi project found")).to.equal("no Pulumi project found");
  });

  it("a failure without a message is reported with its exit code", () => {
    expect(error(137, "", "")).to.equal("Pulumi exited with 137 and no message.");
  });

  it("text instead of JSON is a failure, even if the engine reports success", () => {
    expect(error(0, "Previewing update", "")).to.match(/exited with 0/);
  });

  it("an engine that adds fields and operations is still understood", () => {
    const digest = { version: 4, steps: [{ ...step("create", deployment({})), op: "hyper-update", extra: [] }], diagnostics: null };
    expect(rendered(digest)).to.contain("@@ ~ update Deployment a");
  });
});
