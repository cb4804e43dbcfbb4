import { expect } from "chai";
import fc from "fast-check";
import { ScanService } from "../../components/scan-service.ts";
import { kubernetesObject, plain, record } from "../../recorder/record.ts";
import { plainSecrets } from "../../recorder/secret-leaks.ts";
import { checkSettings, type Settings, SettingsError } from "../../stacks/index.ts";
import { arbitrarySettings } from "../support/arbitrary-settings.ts";
import { schemaProblems } from "../support/kubernetes-schema.ts";
import { propertyRuns } from "../support/property-runs.ts";
import { secretsIn } from "../support/stack-file.ts";

/** Returns the settings with their defaults, or nothing if they are refused: with an error in which every line helps. */
function accepted(settings: unknown): Settings | undefined {
  try {
    return checkSettings(settings as Record<string, unknown>);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    expect(error.problems).to.not.be.empty;
    for (const { path, message } of error.problems) {
      expect(message, path).to.match(/; |did you mean/);
      expect(message, path).to.not.match(/undefined|\[object|function|NaN|\bexpected|received|Invalid/);
    }
    return undefined;
  }
}

/** Returns the parts of secrets that must appear nowhere, if they are long enough not to appear by chance. */
function longSecrets(settings: object): string[] {
  return secretsIn(settings)
    .map((secret) => {
      // The first line is the same for every key, and network policies show where a URL leads to.
      if (secret.startsWith("-----BEGIN")) return secret.split("\n")[1] ?? "";
      return /^https?:/.test(secret) ? (secret.split("/").at(-1) ?? "") : secret;
    })
    .filter((secret) => secret.length > 7);
}

/** ConfigMaps that no setting changes; a random password such as `constructor` appears in them by chance. */
const isProgram =
  /-(registry-scan-programs|monitoring-programs|database-mirror-programs|database-mirror-wait-program|database-copy-programs)$/;

describe("random settings", () => {
  it(`${propertyRuns} random settings are refused with help, or give manifests that Kubernetes' schema accepts`, async () => {
    const arbitrary = fc.oneof(
      { weight: 3, arbitrary: arbitrarySettings({ mistakes: true }) },
      { weight: 1, arbitrary: arbitrarySettings({ mistakes: false }) },
    );
    const seen = { accepted: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(arbitrary, async (given) => {
        const settings = accepted(given);
        if (!settings) {
          seen.refused++;
          return;
        }
        seen.accepted++;
        const { resources } = await record(() => new ScanService("trivy", { ...settings, instance: "any" }));
        const objects = resources.filter((resource) => kubernetesObject(resource));
        expect(objects.length).to.be.above(5);
        expect(objects.flatMap(({ name, state }) => schemaProblems(plain(state)).map((problem) => `${name}: ${problem}`))).to.deep.equal(
          [],
        );
        expect(
          plainSecrets(
            resources.filter(({ name }) => !isProgram.test(name)).map((resource) => ({ ...resource, state: {} })),
            longSecrets(given),
          ),
        ).to.deep.equal([]);
      }),
      { numRuns: propertyRuns },
    );
    // If nearly all were refused, or accepted, the test would show nothing of the others.
    expect(seen.accepted).to.be.above(propertyRuns / 20);
    expect(seen.refused).to.be.above(propertyRuns / 20);
  }).timeout(300_000);
});
