import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { recordStack, stackConfig } from "../../commands/program.ts";
import { readProject, readStackFile } from "../../commands/stack-file.ts";
import { ScanService } from "../../components/scan-service.ts";
import { violations } from "../../policy/check.ts";
import { resourceOf } from "../../policy/state.ts";
import { type RecordedResource, record } from "../../recorder/record.ts";
import { checkSettings, SettingsError } from "../../stacks/index.ts";
import { arbitrarySettings } from "../support/arbitrary-settings.ts";
import { propertyRuns } from "../support/property-runs.ts";
import { deploy } from "../support/service.ts";
import { services } from "../support/services.ts";

const root = join(import.meta.dirname, "../..");
/** Half of the number of random settings that the settings' own test draws. */
const runs = Math.ceil(propertyRuns / 2);

const problems = (resources: readonly RecordedResource[]) =>
  violations(resources.map(resourceOf)).map(({ rule, message }) => `${rule}: ${message}`);

describe("the rules in policy/", () => {
  for (const stack of ["dev", "staging", "prod"])
    it(`the stack ${stack} complies with every rule`, async () => {
      const file = readStackFile(root, stack);
      const { resources } = await recordStack(root, file, stackConfig(readProject(root), file));
      expect(resources.length).to.be.above(15);
      expect(problems(resources)).to.deep.equal([]);
    });

  for (const [title, service] of Object.entries(services))
    for (const preview of [false, true])
      it(`a service with ${title} complies with every rule${preview ? " in a preview, in which some values are unknown" : ""}`, async () => {
        expect(problems((await deploy(service, { preview })).resources)).to.deep.equal([]);
      });

  it(`${runs} services with random settings comply with every rule`, async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(arbitrarySettings({ mistakes: false }), async (given) => {
        try {
          const settings = checkSettings(given);
          const { resources } = await record(() => new ScanService("trivy", { ...settings, instance: "any" }));
          expect(problems(resources)).to.deep.equal([]);
          accepted++;
        } catch (error) {
          if (!(error instanceof SettingsError)) throw error;
          fc.pre(false);
        }
      }),
      { numRuns: runs, maxSkipsPerRun: 100 },
    );
    expect(accepted).to.equal(runs);
  }).timeout(300_000);
});
