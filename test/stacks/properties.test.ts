import { expect } from "chai";
import fc from "fast-check";
import { ScanService } from "../../components/scan-service.ts";
import { kubernetesObject, plain, record } from "../../recorder/record.ts";
import { plainSecrets } from "../../recorder/secret-leaks.ts";
import { checkSettings, type Settings, SettingsError } from "../../stacks/index.ts";
import { arbitrarySettings } from "../support/arbitrary-settings.ts";
import { schemaProblems } from "../support/kubernetes-schema.ts";

const runs = 1000;

/** The settings with their defaults, or nothing if they are refused: by the one kind of error, whose every line helps. */
function accepted(settings: unknown): Settings | undefined {
  try {
    return checkSettings(settings as Record<string, unknown>);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    expect(error.problems).to.not.be.empty;
    for (const { path, message } of error.problems) {
      expect(message, path).to.match(/; |did you mean/);
      expect(message, path).to.not.match(/undefined|\[object|NaN|\bexpected|received|Invalid/);
    }
    return undefined;
  }
}

/** The secrets among the settings that are long enough not to stand somewhere by chance. */
function longSecrets(settings: unknown): string[] {
  const { server, gateway, redis, database, registryScan } = settings as {
    server?: { token?: { value?: string } };
    gateway?: { clients?: { token?: string; previousToken?: string }[]; tls?: { key?: string } };
    redis?: { password?: string; tls?: { clientKey?: string } };
    database?: { credentials?: { password: string }[] };
    registryScan?: { credentials?: { password: string }[]; alerts?: { url?: string; authorization?: string }[] };
  };
  const secrets = [
    server?.token?.value,
    ...(gateway?.clients ?? []).flatMap(({ token, previousToken }) => [token, previousToken]),
    redis?.password,
    ...[database, registryScan].flatMap((block) => (block?.credentials ?? []).map(({ password }) => password)),
    // Of a URL its path is what nobody may know; the policies tell where it leads to.
    ...(registryScan?.alerts ?? []).flatMap(({ url, authorization }) => [url?.split("/").at(-1), authorization]),
    // The first line is the same for every key.
    ...[gateway?.tls?.key, redis?.tls?.clientKey].map((pem) => pem?.split("\n")[1]),
  ];
  return secrets.filter((secret): secret is string => secret !== undefined && secret.length > 7);
}

/** ConfigMaps that no setting changes; a random password such as `constructor` stands in them by chance. */
const isProgram = /-registry-scan-(programs|packages)$/;

describe(`${runs} random settings`, () => {
  it("are refused with help, or give manifests that Kubernetes' schema accepts", async () => {
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
      { numRuns: runs },
    );
    // If nearly all were of one kind, the test would show nothing of the other.
    expect(seen.accepted).to.be.above(runs / 10);
    expect(seen.refused).to.be.above(runs / 10);
  }).timeout(300_000);
});
