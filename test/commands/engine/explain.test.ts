import errors from "@pulumi/pulumi/automation/errors.js";
import { expect } from "chai";
import { commandError, explain, type Situation } from "../../../commands/engine/explain.ts";
import { locked } from "./errors.ts";

const situation = (more: Partial<Situation> = {}): Situation => ({
  stack: "dev",
  backend: { local: undefined, url: "s3://state" },
  env: {},
  ...more,
});

describe("explanations of the engine's errors", () => {
  const conflict = "error: [409] Conflict: Another update is currently in progress.";

  it("the engine's errors have the types of the Automation API", () => {
    expect(commandError("error: no stack named 'dev' found")).to.be.instanceOf(errors.StackNotFoundError);
    expect(commandError(locked)).to.be.instanceOf(errors.ConcurrentUpdateError);
    expect(commandError(conflict)).to.be.instanceOf(errors.ConcurrentUpdateError);
    expect(commandError("error: update failed").constructor).to.equal(errors.CommandError);
  });

  it("an error about another run names the holders of the lock, or where to find them", () => {
    expect(explain(locked, situation())).to.contain("ci-7");
    expect(explain(conflict, situation())).to.contain("cancel --stack dev").and.contain("s3://state");
  });

  it("an error about values of another backend explains how to read or replace them", () => {
    expect(explain("error: cipher: message authentication failed", situation()))
      .to.contain("Pulumi.dev.yaml holds values")
      .and.contain("pulumi login");
  });

  it("an error about a state from a newer version says what to update, and that nothing was changed", () => {
    // Printed by Pulumi 3.256 for a state with a higher version, and for one with features that it does not know.
    for (const error of [
      "error: failed to load checkpoint: unsupported checkpoint version 99",
      "error: getting snapshot: failed to load checkpoint: unsupported checkpoint version 99",
      "error: failed to load checkpoint: this stack's deployment needs support for the following features: time-travel",
      "error: the stack 'dev' is newer than what this version of the Pulumi CLI understands. Please update your version of the Pulumi CLI",
    ])
      expect(explain(error, situation()), error)
        .to.contain("The state of the stack dev in s3://state was written by a newer version of Pulumi")
        .and.contain("Nothing was changed. Update Pulumi's CLI")
        .and.contain(error);
  });

  it("an error about a passphrase names the place of the wrong one, never the passphrase", () => {
    const wrong = "error: getting stack configuration: get stack secrets manager: incorrect passphrase";
    const backend = { local: "/p/.pulumi-local", url: "file:///p/.pulumi-local/state" };
    expect(explain(wrong, situation({ backend }))).to.contain("/p/.pulumi-local/passphrase does not decrypt");
    expect(explain(wrong, situation({ backend, env: { PULUMI_CONFIG_PASSPHRASE: "hunter22" } })))
      .to.contain("in PULUMI_CONFIG_PASSPHRASE does not decrypt")
      .and.contain("unset PULUMI_CONFIG_PASSPHRASE to use /p/.pulumi-local/passphrase")
      .and.not.contain("hunter22");
    expect(explain("error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE", situation())).to.contain("which is not set");
  });

  it("an error of the engine without an explanation is unchanged", () => {
    expect(explain("error: update failed", situation())).to.equal("error: update failed");
  });
});
