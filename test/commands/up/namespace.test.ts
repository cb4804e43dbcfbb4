import { expect } from "chai";
import type { StackNamespace } from "../../../commands/namespace.ts";
import { namespaceProblem } from "../../../commands/up/namespace.ts";

const labelled = (instance: string) => ({ "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/instance": instance });

describe("the namespace of the stack dev", () => {
  const created = { name: "trivy", create: true };
  const existing = { name: "trivy", create: false };
  const cases: [string, StackNamespace, object | undefined, boolean, RegExp | undefined][] = [
    ["is accepted if it does not exist yet", created, undefined, false, undefined],
    ["is accepted if it is in the stack's state", created, { metadata: { labels: labelled("dev") } }, true, undefined],
    [
      "is refused if it belongs to another stack",
      created,
      { metadata: { labels: labelled("prod") } },
      false,
      /belongs to the stack prod(?:.|\n)*Pulumi\.dev\.yaml:\n {2}trivy-server:namespace: \{name: trivy-dev\}/,
    ],
    [
      "is refused if it belongs to this stack in another state",
      created,
      { metadata: { labels: labelled("dev") } },
      false,
      /whose state is elsewhere(?:.|\n)*pulumi login/,
    ],
    ["is refused if it belongs to another owner", created, { metadata: {} }, false, /not created by this program(?:.|\n)*create: false/],
    [
      "is refused while it is being deleted",
      created,
      { metadata: { labels: labelled("dev") }, status: { phase: "Terminating" } },
      true,
      /kubectl wait --for=delete namespace\/trivy/,
    ],
    ["is accepted if it is to exist and does", existing, { metadata: {} }, false, undefined],
    ["is refused if it is to exist and does not", existing, undefined, false, /kubectl create namespace trivy/],
    [
      "is refused if it is to exist and belongs to another stack",
      existing,
      { metadata: { labels: labelled("prod") } },
      false,
      /belongs to the stack prod/,
    ],
  ];
  for (const [title, namespace, found, inState, message] of cases) {
    it(`the namespace ${title}`, () => {
      const problem = namespaceProblem("dev", namespace, found, inState);
      if (message) expect(problem).to.match(message);
      else expect(problem).to.equal(undefined);
    });
  }
});
