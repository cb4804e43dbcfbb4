import { expect } from "chai";
import { projectFolder, readStackFile } from "../../../commands/stack-file.ts";
import { declaredObjects } from "../../../commands/up/declared-objects.ts";
import { existingObjects, requiredPermissions } from "../../../commands/up/permissions.ts";
import { parseState } from "../../../commands/up/state.ts";
import type { KubernetesObject } from "../../../recorder/record.ts";

/** `resource.group: verbs`, sorted. */
function summary(permissions: ReturnType<typeof requiredPermissions>): string[] {
  const verbs = new Map<string, string[]>();
  for (const { group, resource, verb = "" } of permissions) {
    const key = `${resource}${group ? `.${group}` : ""}`;
    verbs.set(key, [...(verbs.get(key) ?? []), verb]);
  }
  return [...verbs].map(([key, which]) => `${key}: ${which.join(" ")}`).sort();
}

describe("the permissions of a stack", () => {
  const resources = async (settings: Record<string, unknown> = {}) => {
    const config = Object.fromEntries(Object.entries(settings).map(([key, value]) => [`trivy-server:${key}`, value]));
    const declared = await declaredObjects(projectFolder, { ...readStackFile(projectFolder, "dev"), config });
    return [...new Set(requiredPermissions("up", { declared, existing: [] }).map(({ resource }) => resource))].sort();
  };
  const always = ["configmaps", "deployments", "networkpolicies", "pods", "secrets", "services"];

  it("required permissions follow from the objects that the program declares", async () => {
    expect(await resources())
      .to.include.members([...always, "namespaces"])
      .and.not.include.members(["horizontalpodautoscalers"]);
    expect(await resources({ namespace: { create: false } }))
      .to.include.members(always)
      .and.not.include("namespaces");
    expect(
      await resources({
        server: { autoscaling: { maxReplicas: 5 } },
        exposure: { type: "ingress", host: "trivy.example.com", class: "nginx" },
        access: { namespaces: ["ingress-nginx"] },
      }),
    ).to.include.members(["horizontalpodautoscalers", "ingresses"]);
  });

  it("required permissions include those of a registry scan only if it is enabled", async () => {
    const targets = [{ image: "registry.example.com/team/app:1.0" }];
    expect(await resources({ registryScan: { enabled: true, targets } })).to.include("cronjobs");
    expect(await resources({ registryScan: { enabled: false } })).to.not.include("cronjobs");
  });

  it("required permissions are known despite encrypted settings, but not for settings that the program refuses", async () => {
    const redis = { mode: "external", host: "redis.example.com", password: { secure: "v1:x" } };
    expect(await resources({ redis })).to.include.members(["deployments", "secrets", "services"]);
    expect(await resources({ redis: { ttl: "7d" } })).to.deep.equal([]);
  });

  const deployment: KubernetesObject = { group: "apps", kind: "Deployment", namespace: "trivy", name: "trivy-server" };
  const policy: KubernetesObject = { group: "networking.k8s.io", kind: "NetworkPolicy", namespace: "trivy", name: "deny" };
  const ingress: KubernetesObject = { group: "networking.k8s.io", kind: "Ingress", namespace: "trivy", name: "trivy" };

  it("required permissions depend on the operation and on the existing objects", () => {
    const objects = { declared: [deployment, deployment, policy], existing: [deployment, ingress] };
    expect(summary(requiredPermissions("up", objects))).to.deep.equal([
      "deployments.apps: get list watch create patch delete",
      "ingresses.networking.k8s.io: get list watch delete",
      "networkpolicies.networking.k8s.io: get list watch create patch delete",
      "pods: list watch",
    ]);
    expect(summary(requiredPermissions("preview", objects))).to.deep.equal([
      "deployments.apps: get create patch",
      "ingresses.networking.k8s.io: get",
      "networkpolicies.networking.k8s.io: get create patch",
    ]);
    const existing = { declared: [], existing: [deployment, ingress] };
    expect(summary(requiredPermissions("refresh", existing))).to.deep.equal(["deployments.apps: get", "ingresses.networking.k8s.io: get"]);
    expect(summary(requiredPermissions("destroy", existing))).to.deep.equal([
      "deployments.apps: get list watch delete",
      "ingresses.networking.k8s.io: get list watch delete",
    ]);
  });

  it("required permissions are limited to the namespace, or to the name of a cluster-scoped object", () => {
    const namespace: KubernetesObject = { group: "", kind: "Namespace", namespace: undefined, name: "trivy" };
    expect(requiredPermissions("refresh", { declared: [], existing: [namespace, deployment] })).to.deep.equal([
      { group: "", resource: "namespaces", verb: "get", name: "trivy" },
      { group: "apps", resource: "deployments", verb: "get", namespace: "trivy" },
    ]);
  });

  it("the permissions to destroy a stack follow from its state, even if metadata is encrypted", () => {
    const state = parseState(
      JSON.stringify({
        deployment: {
          resources: [
            { urn: "urn:stack", type: "pulumi:pulumi:Stack" },
            { urn: "urn:provider", type: "pulumi:providers:kubernetes" },
            { urn: "urn:n", type: "kubernetes:core/v1:Namespace", inputs: { metadata: { name: "mall" } } },
            { urn: "urn:d", type: "kubernetes:apps/v1:Deployment", inputs: { metadata: { name: "d", namespace: "mall" } } },
            { urn: "urn:s", type: "kubernetes:core/v1:Secret", inputs: { metadata: { "4dabf18193072939515e22adb298388d": "x" } } },
            {
              urn: "urn:r",
              type: "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute",
              inputs: { metadata: { name: "r", namespace: "mall" } },
            },
          ],
        },
      }),
    );
    expect(existingObjects(state, "mall")).to.deep.equal([
      { group: "", kind: "Namespace", namespace: undefined, name: "mall" },
      { group: "apps", kind: "Deployment", namespace: "mall", name: "d" },
      { group: "", kind: "Secret", namespace: "mall", name: "" },
      { group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace: "mall", name: "r" },
    ]);
  });
});
