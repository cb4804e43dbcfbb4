import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import fc from "fast-check";
import { ScanService, type ScanServiceArgs } from "../../components/scan-service.ts";
import { type Answer, plain, type RecordedResource, type Recording, type RecordOptions, record } from "../../recorder/record.ts";
import { checkSettings, SettingsError } from "../../stacks/index.ts";
import { arbitrarySettings } from "../support/arbitrary-settings.ts";
import { wrapInputs } from "../support/outputs.ts";
import type { Manifest } from "../support/service.ts";
import { services } from "../support/services.ts";

/** Generates the same values in each recording. */
const answer = ({ type, name }: RecordedResource): Answer | undefined => {
  if (type.startsWith("random:")) return { state: { result: `value-of-${name}` } };
  if (type.startsWith("tls:")) return { state: { privateKeyPem: name, certPem: name, certRequestPem: name } };
  return undefined;
};

/** Records a service whose arguments are outputs of another resource wherever they may be outputs. */
const recordWithOutputs = async (args: Readonly<Record<string, unknown>>, options: RecordOptions = {}) => {
  const program = () => {
    const other = new k8s.core.v1.ConfigMap("other", { metadata: { name: "other", namespace: "elsewhere" } });
    const outputs = wrapInputs(args, (value) => other.id.apply(() => value));
    return new ScanService("trivy", { ...outputs, instance: "dev" } as ScanServiceArgs);
  };
  const { resources } = await record(program, { answer, ...options });
  return resources.filter(({ name }) => name !== "other");
};

/** Returns what a resource is created with. An argument that is false sets a variable to false if it is an output; otherwise the variable is absent. */
const inputsOf = ({ urn, inputs }: RecordedResource) => {
  const withoutFalse = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.filter((item: Manifest) => item?.value !== "false").map(withoutFalse);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutFalse(inner)]));
  };
  return { urn, inputs: withoutFalse(plain(inputs)) };
};

const isAccepted = (given: Readonly<Record<string, unknown>>): boolean => {
  try {
    checkSettings(given);
    return true;
  } catch (error) {
    if (error instanceof SettingsError) return false;
    throw error;
  }
};

const recordPlainly = async (args: Readonly<Record<string, unknown>>) =>
  (await record(() => new ScanService("trivy", { ...(args as Partial<ScanServiceArgs>), instance: "dev" }), { answer })).resources;

describe("arguments that are outputs of other resources", () => {
  for (const [kind, args] of Object.entries(services)) {
    it(`outputs give the same resources as the values that they have, for a service with ${kind}`, async () => {
      expect((await recordWithOutputs(args)).map(inputsOf)).to.have.deep.members((await recordPlainly(args)).map(inputsOf));
    });

    it(`outputs that are unknown in a preview do not change which resources there are, for a service with ${kind}`, async () => {
      const urns = (await recordPlainly(args)).map(({ urn }) => urn);
      expect((await recordWithOutputs(args, { preview: true })).map(({ urn }) => urn)).to.have.members(urns);
    });
  }

  it("outputs give the same resources as the values that they have, for any settings", async () => {
    await fc.assert(
      fc.asyncProperty(arbitrarySettings({ mistakes: false }).filter(isAccepted), async (args) => {
        expect((await recordWithOutputs(args)).map(inputsOf)).to.have.deep.members((await recordPlainly(args)).map(inputsOf));
      }),
      { numRuns: 10 },
    );
  });

  it("a managed Redis that is created in the same program is the servers' cache, also while its address is unknown", async () => {
    const program = () => {
      const redis = new k8s.core.v1.ConfigMap("managed", {});
      const host = redis.id.apply(() => "10.1.2.3");
      return new ScanService("trivy", {
        instance: "dev",
        redis: { mode: "external", host, port: redis.id.apply(() => 6380), existingSecret: { name: redis.metadata.name } },
      });
    };
    const { variable, one } = cacheOf(await record(program));
    expect(variable("TRIVY_CACHE_BACKEND").value).to.match(/^redis:\/\/:\$\(REDIS_PASSWORD\)@10\.1\.2\.3:6380\/0\?/);
    expect(variable("REDIS_PASSWORD").valueFrom.secretKeyRef.name).to.match(/^managed-/);
    expect(one("trivy-server-policy").egress[0]).to.deep.equal({
      to: [{ ipBlock: { cidr: "10.1.2.3/32" } }],
      ports: [{ port: 6380, protocol: "TCP" }],
    });
    const preview = cacheOf(await record(program, { preview: true }));
    expect(preview.variable("TRIVY_CACHE_BACKEND").value).to.equal(pulumi.runtime.unknownValue);
    expect(preview.one("trivy-server-policy").policyTypes).to.deep.equal(["Ingress", "Egress"]);
  });
});

/** Returns what the servers know of the cache, as it was registered. */
function cacheOf({ resources }: Recording<ScanService>) {
  const one = (name: string): Manifest => plain(resources.find((resource) => resource.name === name)?.inputs["spec"]);
  const { env } = one("trivy-server-deployment").template.spec.containers[0];
  return { one, variable: (name: string): Manifest => env.find((entry: Manifest) => entry.name === name) };
}
