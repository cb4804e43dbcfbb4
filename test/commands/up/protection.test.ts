import { expect } from "chai";
import { destroyProblem, protectionHint } from "../../../commands/up/protection.ts";
import { parseState } from "../../../commands/up/state.ts";

const resource = (kind: string, name: string, protect?: boolean) => ({
  ...{ urn: `urn:${name}`, type: `kubernetes:core/v1:${kind}`, inputs: { kind, metadata: { name } } },
  ...(protect !== undefined && { protect }),
});
const state = (...resources: object[]) => parseState(JSON.stringify({ deployment: { resources } }));
const guarded = state(
  resource("Namespace", "trivy-prod", true),
  resource("PersistentVolumeClaim", "redis", true),
  resource("Service", "trivy"),
);

describe("the protection of a stack", () => {
  it("a destroy of a protected stack is refused with what would be deleted and how to state the intent", () => {
    expect(destroyProblem("acme/prod", guarded, ["--debug"])).to.equal(
      "The stack acme/prod is protected: destroying it would delete Namespace trivy-prod and PersistentVolumeClaim redis, with all data. " +
        "Nothing was changed.\n" +
        "To delete them, set trivy-server:protect to false in Pulumi.prod.yaml without another change, then:\n" +
        "  npm run up -- acme/prod\n" +
        "  npm run destroy -- acme/prod\n" +
        "To keep the protected objects and destroy the rest:\n" +
        "  npm run destroy -- acme/prod --exclude-protected",
    );
  });

  it("a destroy that leaves the protected objects, or of a stack without any, is not refused", () => {
    for (const flags of [["--exclude-protected"], ["--exclude-protected=true"], ["--target", "urn:x"], ["-t=urn:x"]])
      expect(destroyProblem("prod", guarded, flags), flags.join(" ")).to.equal(undefined);
    expect(destroyProblem("dev", state(resource("Namespace", "trivy", false)), [])).to.equal(undefined);
    expect(destroyProblem("dev", state(), [])).to.equal(undefined);
  });

  it("after a failed operation the protected objects are named only if there are any", () => {
    expect(protectionHint("prod", guarded)).to.match(
      /^Protected in the stack prod: Namespace trivy-prod and .*(?:.|\n)*npm run up -- prod/,
    );
    expect(protectionHint("dev", state(resource("Service", "trivy")))).to.equal(undefined);
  });
});
