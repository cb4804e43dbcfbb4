import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { expect } from "chai";
import fc from "fast-check";
import { parse } from "yaml";
import { projectFolder, stacksOf } from "../../commands/stack-file.ts";
import { checkSettings, SettingsError } from "../../stacks/index.ts";
import { arbitrarySettings } from "../support/arbitrary-settings.ts";
import { propertyRuns } from "../support/property-runs.ts";
import { stackFile } from "../support/stack-file.ts";
import { mistakes } from "./mistakes/index.ts";

const text = readFileSync(join(projectFolder, "stacks/settings.schema.json"), "utf8");
const validate = new Ajv({ strict: false }).compile(JSON.parse(text) as object);

/** Returns what the JSON schema has against a stack's file. */
const schemaErrors = (file: unknown) =>
  validate(file) ? [] : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);

function isValid(settings: Record<string, unknown>): boolean {
  try {
    checkSettings(settings);
    return true;
  } catch (error) {
    if (error instanceof SettingsError) return false;
    throw error;
  }
}

describe("the JSON schema of a stack's file", () => {
  for (const stack of stacksOf(projectFolder)) {
    const file = readFileSync(join(projectFolder, `Pulumi.${stack}.yaml`), "utf8");

    it(`the JSON schema accepts the settings of ${stack}`, () => expect(schemaErrors(parse(file))).to.deep.equal([]));

    it(`Pulumi.${stack}.yaml names the schema for editors`, () =>
      expect(file).to.match(/^# yaml-language-server: \$schema=stacks\/settings\.schema\.json$/m));
  }

  it(`the JSON schema accepts ${propertyRuns} random valid settings`, () => {
    const valid = arbitrarySettings({ mistakes: false }).filter(isValid);
    fc.assert(
      fc.property(valid, (settings) => {
        expect(schemaErrors(stackFile(settings))).to.deep.equal([]);
      }),
      { numRuns: propertyRuns },
    );
  }).timeout(300_000);

  it("random settings that the JSON schema refuses are refused by the program", () => {
    fc.assert(
      fc.property(arbitrarySettings({ mistakes: true }), (settings) => {
        if (schemaErrors(stackFile(settings)).length > 0) expect(isValid(settings)).to.equal(false);
      }),
      { numRuns: propertyRuns },
    );
  }).timeout(300_000);

  for (const [block, { inSchema, beyondSchema }] of Object.entries(mistakes)) {
    for (const [what, settings] of inSchema)
      it(`${block}: ${what} is refused by the JSON schema`, () => expect(schemaErrors(stackFile(settings))).to.not.deep.equal([]));

    for (const [what, settings] of beyondSchema)
      it(`${block}: ${what} is not covered by the JSON schema`, () => expect(schemaErrors(stackFile(settings))).to.deep.equal([]));
  }

  it("the JSON schema refuses a secret in plain text, and accepts an encrypted one", () => {
    const server = (value: unknown) => ({ config: { "trivy-server:server": { token: { value } } } });
    expect(schemaErrors(server("0123456789abcdef"))).to.not.deep.equal([]);
    expect(schemaErrors(server({ secure: "v1:abc" }))).to.deep.equal([]);
  });

  it("the address of an Alertmanager may be in plain text", () => {
    const alerts = [{ name: "a", type: "alertmanager", url: "http://alertmanager.monitoring.svc:9093" }];
    const registryScan = { enabled: true, targets: [{ image: "alpine:3.10" }], alerts };
    expect(schemaErrors({ config: { "trivy-server:registryScan": registryScan } })).to.deep.equal([]);
  });

  it("a block may be encrypted as a whole, or written as JSON", () => {
    expect(schemaErrors({ config: { "trivy-server:redis": { secure: "v1:abc" } } })).to.deep.equal([]);
    expect(schemaErrors({ config: { "trivy-server:redis": '{"ttl":"24h"}' } })).to.deep.equal([]);
  });

  it("the configuration of providers, and what Pulumi adds to the file, is accepted", () => {
    expect(
      schemaErrors({ config: { "kubernetes:context": "prod" }, encryptionsalt: "v1:abc", secretsprovider: "passphrase" }),
    ).to.deep.equal([]);
  });
});
