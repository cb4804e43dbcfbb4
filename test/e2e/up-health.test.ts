import { expect } from "chai";
import { type CommandResult, must } from "../support/command.ts";
import { apply, deleteNamespaces, eventually, get, type KubernetesObject, kubectl, namespaceObject } from "./support/cluster.ts";
import { checkEnvironment } from "./support/environment.ts";
import { merged, Project, type Settings } from "./support/project.ts";

const stack = "e2e-health";

/** A registry that the nodes reach and that has no such image. */
const registry = (process.env["E2E_DATABASE"] ?? "ghcr.io/x").replace(/\/.*/, "");

/** Seconds within which `npm run up` must report why a stack cannot work. Measured: less than 60; the engine waits for at least 600. */
const limit = 180;

describe("`npm run up` of a stack that cannot work", () => {
  let project: Project;
  before(async () => {
    await checkEnvironment();
    await deleteNamespaces(stack);
    project = await Project.create({ newcomer: true });
  });
  after(async () => {
    await project?.remove();
  });
  afterEach(async () => {
    const destroyed = await project.run("npm", ["run", "--silent", "destroy", "--", stack, "--yes"]);
    if (!destroyed.stderr.includes("nothing to destroy")) succeeds(destroyed);
    await deleteNamespaces(stack);
  });

  const up = (...flags: string[]) => project.run("npm", ["run", "--silent", "up", "--", stack, "--yes", ...flags], { timeout: 400_000 });
  const write = (settings: Settings) => project.writeStack(stack, merged({ server: { replicas: 1 } }, settings));
  const shared = { namespace: { name: stack, create: false } };

  /** Runs `up`, and returns its output if it ends in time with these reasons. */
  async function fails(...reasons: (string | RegExp)[]): Promise<string> {
    const began = performance.now();
    const { exitCode, stdout, stderr } = await up();
    const seconds = (performance.now() - began) / 1000;
    const output = stdout + stderr;
    expect(exitCode, output).to.equal(1);
    for (const reason of reasons) typeof reason === "string" ? expect(output, output).to.include(reason) : expect(output).to.match(reason);
    expect(output, "a stack trace").not.to.match(/^\s+at .*[:(]\d+/m);
    expect(seconds, output).to.be.below(limit);
    return output;
  }
  const succeeds = ({ exitCode, stdout, stderr }: CommandResult) => expect(exitCode, stdout + stderr).to.equal(0);

  it("a quota that refuses the pods is named, and the next run continues with the setting, or when it is gone", async () => {
    await apply(namespaceObject(stack), {
      apiVersion: "v1",
      kind: "ResourceQuota",
      metadata: { name: "compute", namespace: stack },
      spec: { hard: { "limits.cpu": "10" } },
    });
    await write(shared);
    await fails(/redis: the cluster refuses its pods: failed quota: compute: must specify limits.cpu for: redis; give .* LimitRange/);
    await write(merged(shared, { pods: { cpuLimit: "500m" } }));
    succeeds(await up());
    await kubectl("delete", "resourcequota", "compute", "-n", stack);
    await write(shared);
    succeeds(await up());
  });

  it("an admission policy that refuses user IDs is named", async () => {
    await apply(namespaceObject(stack), ...idPolicy);
    try {
      await write(shared);
      // A dry run, because the policy refuses to create pods, not to apply one again that was created before it took effect.
      const probe = { apiVersion: "v1", kind: "Pod", metadata: { name: "probe", namespace: stack } };
      const pod = { ...probe, spec: { securityContext: { runAsUser: 10001 }, containers: [{ name: "a", image: "a" }] } };
      const dryRun = () => must("kubectl", ["apply", "--dry-run=server", "-f", "-"], { input: JSON.stringify(pod) });
      await eventually("the policy", async () => (await dryRun().catch(() => "refused")) === "refused" || undefined);
      await fails(
        /the cluster refuses its pods: ValidatingAdmissionPolicy 'e2e-user-ids' .*runAsUser.*; set pods\.userIds: assigned .* or exempt the namespace/,
      );
    } finally {
      await kubectl("delete", "validatingadmissionpolicy/e2e-user-ids", "validatingadmissionpolicybinding/e2e-user-ids");
    }
  });

  it("a storage class that does not exist is named", async () => {
    await write({ redis: { persistence: { storageClass: "nowhere" } } });
    await fails(/nowhere.*redis\.persistence\.storageClass/);
  });

  it("an image that does not exist is named, and the next run with the right one replaces the pods", async () => {
    const image = `${registry}/library/redis:99.0.0`;
    await write({ images: { redis: image } });
    await fails(`redis-0: the image ${image} cannot be pulled: `);
    await write({});
    succeeds(await up());
  });

  it("objects of the namespace's owner with common names are not in the way, one with the same name is reported before anything is created", async () => {
    const policy = (name: string) => ({
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name, namespace: stack },
      spec: { podSelector: { matchLabels: { app: "owner" } }, policyTypes: ["Ingress"] },
    });
    const redis = { apiVersion: "v1", kind: "Service", metadata: { name: "redis", namespace: stack }, spec: { ports: [{ port: 6379 }] } };
    await apply(namespaceObject(stack), policy("default-deny"), policy("allow-dns"), policy("trivy-server"), redis);
    await write(shared);
    await fails(/has objects with the names of objects that the stack e2e-health needs:\s+NetworkPolicy trivy-server\s+They belong/);
    expect(await kubectl("get", "deployments,statefulsets", "-n", stack, "-o", "name")).to.equal("");
    await kubectl("delete", "networkpolicy", "trivy-server", "-n", stack);
    succeeds(await up());
  });

  it("pods for which no node is right are reported with the setting", async () => {
    await write({ scheduling: { nodeSelector: { disk: "golden" } } });
    await fails(/cannot be scheduled: 0\/\d+ nodes are available: .*; check scheduling\.nodeSelector/);
  });

  it("a server that ends again and again is reported with the reason from its log", async () => {
    await write({ database: { repositories: ["registry.invalid/trivy-db:2"] } });
    await fails(/trivy-server-\S+: container trivy ended with exit code 1.*; its log: .*failed to download vulnerability DB/);
  });

  it("it is reported that no pod can resolve the cluster's own name", async () => {
    await write({ database: { repositories: ["registry.example.com/trivy-db:2"] } });
    const failed = fails(/No pod can resolve the cluster's own name: .*kubernetes\.default\.svc\.cluster\.local; check/);
    // The default policy then blocks DNS, as where the cluster's DNS is not what the policy expects.
    await eventually("the policy", () => kubectl("delete", "networkpolicy", "allow-dns", "-n", stack).catch(() => undefined));
    await failed;
  });

  it("a damaged append-only file is set aside, and the service works with an empty cache", async () => {
    await write({});
    succeeds(await up());
    // A base file that is none. The container may write to its own volume.
    const damage = "for f in /data/appendonlydir/*.base.*; do echo damaged >$f; done; kill 1";
    await kubectl("exec", "redis-0", "-n", stack, "--", "sh", "-c", damage);
    await eventually("the restart", async () => {
      const { ready, restartCount } = (await get("pod", "redis-0", "-n", stack)).status.containerStatuses[0];
      return (ready && restartCount === 1) || undefined;
    });
    expect(await kubectl("logs", "redis-0", "-n", stack)).to.match(/^trivy-server: the append-only file could not be read/m);
    succeeds(await up());
    const status = await project.run("npm", ["run", "--silent", "status", "--", stack]);
    expect(status.stdout.replaceAll(/\n {2}/g, " ")).to.match(/Redis started empty: the append-only file could not be read/);
  });

  it("a service that stopped working is reported although nothing is to be changed", async () => {
    await write({});
    succeeds(await up());
    const { items } = await get("secrets", "-n", stack);
    const users = items.find(({ data }: KubernetesObject) => data?.["users.acl"]);
    // Redis refuses to start with users that it cannot read.
    await kubectl("patch", "secret", users.metadata.name, "-n", stack, "-p", JSON.stringify({ stringData: { "users.acl": "nonsense\n" } }));
    await kubectl("delete", "pod", "redis-0", "-n", stack);
    await eventually("the crash loop", async () => {
      const { status } = await get("pod", "redis-0", "-n", stack);
      return status.containerStatuses?.[0].restartCount >= 2 || undefined;
    });
    const output = await fails("is up to date, but it does not work", /redis-0: container redis ended .*restarted \d+ times; its log: .*/);
    expect(output).not.to.include("Next:");
  });
});

const idPolicy = [
  {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicy",
    metadata: { name: "e2e-user-ids" },
    spec: {
      failurePolicy: "Fail",
      matchConstraints: { resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] }] },
      validations: [
        {
          expression: "!has(object.spec.securityContext.runAsUser) || object.spec.securityContext.runAsUser >= 1000630000",
          message: "runAsUser must be in the range of the namespace",
        },
      ],
    },
  },
  {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicyBinding",
    metadata: { name: "e2e-user-ids" },
    spec: {
      policyName: "e2e-user-ids",
      validationActions: ["Deny"],
      matchResources: { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": stack } } },
    },
  },
];
