import { expect } from "chai";
import { parseArguments } from "../../../commands/up/operation.ts";
import { UserError } from "../../../commands/user-error.ts";

describe("the arguments of an operation", () => {
  it("arguments are the stack and flags for Pulumi, of which those that approve are recognised", () => {
    expect(parseArguments(["up", "acme/dev"])).to.deep.equal({
      operation: "up",
      stack: "acme/dev",
      flags: [],
      approved: false,
      patient: false,
    });
    expect(parseArguments(["destroy", "dev", "--yes", "--debug"])).to.deep.equal({
      ...{ operation: "destroy", stack: "dev", flags: ["--debug"], approved: true, patient: false },
    });
    for (const flag of ["-f", "--skip-preview"]) expect(parseArguments(["up", "dev", flag])).to.include({ approved: true });
    expect(parseArguments(["up", "dev", "-y"]).flags).to.deep.equal([]);
    expect(parseArguments(["up", "dev", "--keep-waiting"])).to.deep.include({ flags: [], patient: true });
  });

  it("a missing stack or an unknown operation is refused with the usage and exit code 2", () => {
    for (const args of [["up"], ["up", "--yes"], ["preview"], ["restart", "dev"], []])
      expect(() => parseArguments(args), args.join(" "))
        .to.throw(UserError, "Usage: n")
        .with.property("status", 2);
    expect(() => parseArguments(["up"]))
      .to.throw("--yes")
      .with.property("message")
      .that.contains("Stacks: dev");
  });
});
