import { randomUUID } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { checkPolicy } from "../../commands/policy.ts";
import { UserError } from "../../commands/user-error.ts";
import { violations } from "../../policy/check.ts";
import type { Properties } from "../../policy/resource.ts";
import { rules } from "../../policy/rules.ts";
import { type Described, resourceOf } from "../../policy/state.ts";
import { isSecret, plain } from "../../recorder/record.ts";
import { PolicyPackProcess } from "../support/policy-pack.ts";
import { deploy } from "../support/service.ts";
import { services } from "../support/services.ts";

/** A change of one resource that violates a rule. */
interface Violation {
  readonly rule: string;
  readonly title: string;
  /** Logical name of the resource. */
  readonly of: string;
  readonly change: (inputs: Properties) => void;
  readonly message: RegExp;
  readonly unprotected?: true;
}

const pod = (inputs: Properties) => inputs.spec.template.spec;
const server = (inputs: Properties) => pod(inputs).containers[0];
const deployment = "trivy-server-deployment";

const cases: readonly Violation[] = [
  {
    ...{ rule: "exact-images", title: "the tag latest", of: deployment },
    change: (inputs) => {
      server(inputs).image = "ghcr.io/aquasecurity/trivy:latest";
    },
    message: /containers\[0\]\.image ghcr\.io\/aquasecurity\/trivy:latest names no version/,
  },
  {
    ...{ rule: "no-plain-text-secrets", title: "a password as a variable's value", of: deployment },
    change: (inputs) => {
      server(inputs).env.push({ name: "REDIS_PASSWORD", value: "hunter2" });
    },
    message: /env REDIS_PASSWORD has a value/,
  },
  {
    ...{ rule: "no-plain-text-secrets", title: "a private key in a ConfigMap", of: "trivy-redis-config" },
    change: (inputs) => {
      inputs.data["tls.key"] = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n";
    },
    message: /data\.tls\.key contains a private key/,
  },
  {
    ...{ rule: "no-plain-text-secrets", title: "a password in a URL among the arguments", of: deployment },
    change: (inputs) => {
      server(inputs).args = ["--cache-backend", "redis://trivy:hunter2@redis:6379"];
    },
    message: /args\.1 contains a URL with a password/,
  },
  {
    ...{ rule: "pod-security-restricted", title: "a container that may become root", of: deployment },
    change: (inputs) => {
      server(inputs).securityContext.allowPrivilegeEscalation = true;
    },
    message: /allowPrivilegeEscalation is not false/,
  },
  {
    ...{ rule: "resources-and-probes", title: "a container without a memory limit", of: deployment },
    change: (inputs) => {
      delete server(inputs).resources.limits.memory;
    },
    message: /containers\[0\]\.resources\.limits\.memory is missing/,
  },
  {
    ...{ rule: "resources-and-probes", title: "a server without a readiness probe", of: deployment },
    change: (inputs) => {
      delete server(inputs).readinessProbe;
    },
    message: /readinessProbe is missing/,
  },
  {
    ...{ rule: "no-wildcard-egress", title: "an egress rule without a destination", of: "trivy-server-policy" },
    change: (inputs) => {
      inputs.spec.egress.push({ ports: [{ port: 443 }] });
    },
    message: /spec\.egress\[\d\] allows every destination/,
  },
  {
    ...{ rule: "no-wildcard-egress", title: "a port of every address that no setting requests", of: "trivy-server-policy" },
    change: (inputs) => {
      inputs.spec.egress.push({ to: [{ ipBlock: { cidr: "0.0.0.0/0" } }], ports: [{ port: 2375 }] });
    },
    message: /allows port 2375 of 0\.0\.0\.0\/0, which no setting requests/,
  },
  {
    ...{ rule: "no-service-account-token", title: "a pod with the default token", of: deployment },
    change: (inputs) => {
      delete pod(inputs).automountServiceAccountToken;
    },
    message: /automountServiceAccountToken is not false/,
  },
  {
    ...{ rule: "data-is-protected", title: "a volume claim without protection", of: "trivy-redis-claim" },
    change: () => {},
    message: /trivy-redis-claim: is not protected/,
    unprotected: true,
  },
];

/** Further ways to violate Pod Security; each is one line of the standard. */
const podSecurity: readonly [change: (pod: Properties) => void, message: RegExp][] = [
  [(spec) => (spec.hostNetwork = true), /hostNetwork is true/],
  [(spec) => (spec.hostPID = true), /hostPID/],
  [(spec) => spec.volumes.push({ name: "host", hostPath: { path: "/" } }), /volumes\[\d+\] is a hostPath/],
  [(spec) => (spec.securityContext.runAsUser = 0), /runAsUser is 0/],
  [(spec) => (spec.securityContext.sysctls = [{ name: "kernel.msgmax", value: "1" }]), /kernel\.msgmax/],
  [(spec) => (spec.containers[0].securityContext.privileged = true), /privileged/],
  [(spec) => (spec.containers[0].securityContext.capabilities.drop = ["NET_RAW"]), /drop lacks ALL/],
  [(spec) => (spec.containers[0].securityContext.capabilities.add = ["SYS_ADMIN"]), /add has SYS_ADMIN/],
  [(spec) => (spec.containers[0].securityContext.readOnlyRootFilesystem = false), /readOnlyRootFilesystem/],
  [(spec) => (spec.containers[0].securityContext.seccompProfile = { type: "Unconfined" }), /seccompProfile is Unconfined/],
  [(spec) => (spec.containers[0].securityContext.procMount = "Unmasked"), /procMount/],
  [(spec) => (spec.containers[0].ports = [{ containerPort: 80, hostPort: 80 }]), /hostPort/],
  [(spec) => (spec.containers[0].readinessProbe = { httpGet: { host: "example.com", port: 80 } }), /readinessProbe has a host/],
  [(spec) => (spec.containers[0].lifecycle = { preStop: { httpGet: { host: "example.com", port: 80 } } }), /preStop has a host/],
  [(spec) => (spec.initContainers = [{ ...spec.containers[0], securityContext: {} }]), /initContainers\[0\]\.securityContext/],
];

describe("a violation of the rules in policy/", () => {
  let pack: PolicyPackProcess;
  /** A service with every optional part, as its program registers it. */
  let compliant: Described[];
  before(async () => {
    pack = await PolicyPackProcess.start();
    const { resources } = await deploy(services["an embedded Redis, a gateway and a load balancer"]);
    compliant = resources.map(({ urn, type, inputs, protect }) => ({ urn, type, inputs, protect }));
  });
  after(() => pack?.stop());

  /** Returns the resources with a change of one of them. */
  function changed({ of, change, unprotected }: Pick<Violation, "of" | "change" | "unprotected">): Described[] {
    const copy: Described[] = structuredClone(compliant);
    const index = copy.findIndex(({ urn }) => urn.endsWith(`::${of}`));
    const resource = copy[index];
    if (!resource) throw new Error(`there is no resource ${of}`);
    change(resource.inputs);
    copy[index] = { ...resource, ...(unprotected && { protect: false }) };
    return copy;
  }
  const inTest = (resources: Described[]) => violations(resources.map(resourceOf)).map(({ rule, message }) => ({ rule, message }));
  const inPack = async (resources: Described[]) => {
    const found = [];
    for (const resource of resources) found.push(...(await pack.analyze(resource)));
    return found.map(({ policy, message, mandatory }) => ({ rule: policy, message, mandatory }));
  };

  /** Runs `npm run policy` on an exported state, in which secrets are encrypted. */
  async function inState(resources: Described[]): Promise<{ status: number; output: string }> {
    const file = join(tmpdir(), `${randomUUID()}.json`);
    const deployment = { resources: resources.map((resource) => ({ ...resource, inputs: encrypted(resource.inputs) })) };
    writeFileSync(file, JSON.stringify({ version: 3, deployment }), { mode: 0o600 });
    const [lines, { log, error }] = [[] as string[], console];
    console.log = console.error = (line: string) => lines.push(line);
    try {
      const status = await checkPolicy(["--file", file]);
      return { status, output: lines.join("\n") };
    } finally {
      Object.assign(console, { log, error });
      rmSync(file);
    }
  }

  it("the compliant service has none, in the tests, in the policy pack and in its state", async () => {
    expect(inTest(compliant)).to.deep.equal([]);
    expect(await inPack(compliant)).to.deep.equal([]);
    expect(await inState(compliant)).to.deep.equal({
      ...{ status: 0, output: `${compliant.length} resources comply with all ${rules.length} rules.` },
    });
  });

  it("every rule is violated by a case, and is a policy of the pack", async () => {
    const names = rules.map(({ name }) => name).sort();
    expect([...new Set(cases.map(({ rule }) => rule))].sort()).to.deep.equal(names);
    expect((await pack.names()).sort()).to.deep.equal(names);
  });

  for (const violation of cases)
    it(`${violation.title} is caught by ${violation.rule} in the tests, in the policy pack and in a state`, async () => {
      const resources = changed(violation);
      const tested = inTest(resources);
      expect(tested.map(({ rule }) => rule)).to.deep.equal([violation.rule]);
      expect(tested[0]?.message).to.match(violation.message);
      const analysed = await inPack(resources);
      expect(analysed.map(({ rule, mandatory }) => ({ rule, mandatory }))).to.deep.equal([{ rule: violation.rule, mandatory: true }]);
      expect(analysed[0]?.message).to.match(violation.message);
      const { status, output } = await inState(resources);
      expect(status, output).to.equal(1);
      expect(output)
        .to.match(violation.message)
        .and.match(new RegExp(`^${violation.rule}: `));
    });

  for (const [change, message] of podSecurity)
    it(`Pod Security: ${message.source} is caught`, () => {
      const found = inTest(changed({ of: deployment, change: (inputs) => change(pod(inputs)) }));
      expect(
        found.some((violation) => violation.rule === "pod-security-restricted" && message.test(violation.message)),
        JSON.stringify(found),
      ).to.be.true;
    });

  it("a value marked as secret outside of a Secret is caught in the tests and in a state", async () => {
    const resources = changed({
      of: "trivy-redis-config",
      change: (inputs) => {
        inputs.data.password = secretOf("hunter2");
      },
    });
    expect(inTest(resources).map(({ message }) => message)).to.deep.equal([
      "trivy-redis-config: data.password is a secret, but ConfigMap objects are readable by more users than Secrets; use a Secret",
    ]);
    expect((await inState(resources)).output)
      .to.include("data.password is a secret")
      .and.not.include("hunter2");
  });

  it("a setting that requests a port, a block of addresses or no protection permits it", () => {
    const wide = (port: number) => ({ to: [{ ipBlock: { cidr: "0.0.0.0/0" } }], ports: [{ port }] });
    const with_ = (settings: object, rule: object) =>
      inTest(
        changed({ of: "trivy-server-policy", change: (inputs) => inputs.spec.egress.push(rule) }).map((resource) =>
          resource.type.endsWith(":ScanService") ? { ...resource, inputs: { ...resource.inputs, ...settings } } : resource,
        ),
      ).length;
    expect(with_({}, wide(8443))).to.equal(1);
    expect(with_({ database: { repositories: ["registry.example.com:8443/db:2"] } }, wide(8443))).to.equal(0);
    expect(with_({ database: { repositories: ["registry.internal/db:2"] } }, wide(443))).to.equal(1);
    expect(with_({ database: { repositories: ["registry.example.com/db:2"] } }, wide(443))).to.equal(1);
    expect(with_({ database: { plainHttp: true } }, wide(80))).to.equal(0);
    const everything = { to: [{ ipBlock: { cidr: "0.0.0.0/0" } }] };
    expect(with_({}, everything)).to.equal(1);
    expect(with_({ database: { cidrs: ["0.0.0.0/0"] } }, everything)).to.equal(0);
    const unprotected = changed({ of: "trivy-redis-claim", change: () => {}, unprotected: true });
    for (const resource of unprotected)
      if (resource.type.endsWith(":ScanService")) (resource.inputs as { protect?: boolean }).protect = false;
    expect(inTest(unprotected)).to.deep.equal([]);
  });

  it("unknown values anywhere in a preview neither crash a rule nor count as a violation", async () => {
    // Replaces every value of every input in turn would take too long in the pack, so each depth is replaced as a whole.
    for (let depth = 0; depth < 9; depth++) {
      const resources = compliant.map((resource) => ({ ...resource, inputs: unknownAt(resource.inputs, depth) as Described["inputs"] }));
      expect(inTest(resources), `depth ${depth}`).to.deep.equal([]);
      expect(await inPack(resources), `depth ${depth}`).to.deep.equal([]);
    }
  }).timeout(120_000);

  it("a file that is no state, an empty state and wrong usage are reported without a stack trace", async () => {
    const file = join(tmpdir(), `${randomUUID()}.json`);
    const refusal = async (args: string[], text?: string) => {
      if (text !== undefined) writeFileSync(file, text);
      const error = await checkPolicy(args).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).to.be.instanceOf(UserError);
      return error as UserError;
    };
    try {
      expect((await refusal(["--file", file], "{}")).message)
        .to.include("is not a state of Pulumi")
        .and.include("deployment");
      expect((await refusal(["--file", file], "nonsense")).message).to.include("is not a state of Pulumi");
      expect((await refusal(["--file", file], '{"version": 4, "deployment": {}}')).message).to.include("a newer version of Pulumi");
      expect((await refusal(["--file", file], '{"version": 3, "deployment": {}}')).message).to.include("nothing to check");
      expect((await refusal(["--file", `${file}.missing`])).message).to.include("cannot be read");
      for (const args of [[], ["--file"], ["dev", "more"], ["--all"]])
        expect(await refusal(args), args.join(" ")).to.include({ status: 2 });
    } finally {
      rmSync(file, { force: true });
    }
  });
});

const signature = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
const secretOf = (value: string) => ({ [signature]: secretSignature, value });

/** Returns inputs as a state holds them: without the plain text of secrets. */
function encrypted(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(encrypted);
  if (isSecret(value)) return { [signature]: secretSignature, ciphertext: "v1:AAAA" };
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, encrypted(inner)]));
}

/** Replaces everything at a depth with the engine's mark of an unknown value. */
function unknownAt(value: unknown, depth: number): unknown {
  const known = plain(value);
  if (depth === 0 && (typeof known !== "object" || known === null)) return "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
  if (typeof known !== "object" || known === null) return known;
  if (depth < 0) return "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
  if (Array.isArray(known)) return known.map((inner) => unknownAt(inner, depth - 1));
  return Object.fromEntries(Object.entries(known).map(([key, inner]) => [key, unknownAt(inner, depth - 1)]));
}
