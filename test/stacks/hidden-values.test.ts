import { createHash } from "node:crypto";
import { expect } from "chai";
import fc from "fast-check";
import { looksSecret } from "../../stacks/hidden-values.ts";
import { checkSettings, SettingsError } from "../../stacks/index.ts";
import { arbitrarySettings } from "../support/arbitrary-settings.ts";
import { serverCertificate } from "../support/certificate.ts";
import { propertyRuns } from "../support/property-runs.ts";

function message(settings: object, isEncrypted?: (path: readonly PropertyKey[]) => boolean): string {
  try {
    checkSettings(settings as Record<string, unknown>, isEncrypted && { isEncrypted });
    return "";
  } catch (error) {
    if (error instanceof SettingsError) return error.message;
    throw error;
  }
}

/** A block of settings, a list or a value in it, with the function that replaces it. */
function* places(value: unknown): Generator<(replacement: string) => void> {
  if (typeof value !== "object" || value === null) return;
  const container = value as Record<string, unknown>;
  for (const [key, inner] of Object.entries(container)) {
    yield (replacement) => {
      container[key] = replacement;
    };
    if (!Array.isArray(value))
      yield (replacement) => {
        delete container[key];
        container[replacement] = inner;
      };
    yield* places(inner);
  }
}

/** Random bytes. Those of fast-check's own generators are seldom random enough to look like a secret. */
const random = fc.nat().map((seed) => createHash("sha256").update(`${seed}`).digest());
const word = (length: number) => random.map((bytes) => bytes.toString("base64").replaceAll(/[+/=]/g, "x").slice(0, length));
const secrets = fc.oneof(
  word(40),
  word(36).map((token) => `ghp_${token}`),
  random.map((bytes) => bytes.toString("hex")),
  random.map((bytes) => bytes.toString("base64")),
  word(10).map((password) => `robot:${password}@registry.example.com`),
  word(10).map((password) => `https://robot:${password}@registry.example.com/path`),
  word(24).map((path) => `https://hooks.example.com/services/T0/B0/${path}`),
  word(10).map((value) => `TOKEN=${value}`),
  fc.constant(serverCertificate.key),
);

describe("values in messages about settings", () => {
  it("a random secret at a random place appears in no message", () => {
    let refused = 0;
    fc.assert(
      fc.property(arbitrarySettings({ mistakes: true }), secrets, fc.nat(), (settings, secret, index) => {
        const copy = structuredClone(settings);
        const all = [...places(copy)];
        fc.pre(all.length > 0);
        all[index % all.length]?.(secret);
        const text = message(copy);
        if (text !== "") refused++;
        // What a secret begins with, such as a scheme, is not secret.
        for (const part of [secret, secret.slice(0, 50), secret.split("\n")[1] ?? secret]) expect(text).not.to.include(part);
      }),
      { numRuns: propertyRuns * 2 },
    );
    expect(refused).to.be.above(propertyRuns);
  });

  it("an encrypted value appears in no message, wherever it is", () => {
    const settings = {
      server: { replicas: "hunter2", token: "hunter2" },
      database: { repositories: ["hunter2"] },
      redis: { ttl: "hunter2" },
    };
    expect(message(settings)).to.include("hunter2");
    expect(message(settings, () => true))
      .to.include("server.replicas is [hidden]; use a whole number")
      .and.not.include("hunter2");
  });

  it("a text in place of a block or a list of blocks is not shown, because it may be the secret in the block", () => {
    const short = { server: { token: "hunter2" }, gateway: { enabled: true, clients: ["hunter2"] }, database: { credentials: "hunter2" } };
    expect(message(short)).to.include("server.token is a text; use a block of settings with enabled, value, generation or existingSecret");
    expect(message(short)).not.to.include("hunter2");
  });

  it("values that are no secrets are shown", () => {
    for (const text of [
      "registry.example.com/team/application-v2-frontend:1.4.2-rc1",
      `ghcr.io/aquasecurity/trivy@sha256:${"0f".repeat(31)}`,
      "@every 1h",
      "kubernetes.example.com/service-account-name",
      "TrivyServer",
      "America/Argentina/Buenos_Aires",
      "kubernetes-1-35-production",
      "10.0.0.1/8",
      "1536Mi",
    ])
      expect(looksSecret(text), text).to.equal(false);
  });
});
