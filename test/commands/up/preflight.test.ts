import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { type Cluster, findCluster } from "../../../commands/cluster/cluster.ts";
import { isOtherCluster } from "../../../commands/up/identity.ts";
import type { Operation } from "../../../commands/up/operation.ts";
import { preflight } from "../../../commands/up/preflight.ts";
import { adoptableObjects } from "../../../commands/up/recovery.ts";
import { parseState, type State } from "../../../commands/up/state.ts";
import { UserError } from "../../../commands/user-error.ts";
import type { DeclaredObject } from "../../../recorder/record.ts";

const namespaced = (group: string, kind: string): DeclaredObject => ({
  apiVersion: group ? `${group}/v1` : "v1",
  group,
  kind,
  namespace: "trivy",
  name: "trivy",
});
const declared: readonly DeclaredObject[] = [
  { apiVersion: "v1", group: "", kind: "Namespace", namespace: undefined, name: "trivy" },
  namespaced("", "Secret"),
  namespaced("", "Secret"),
  namespaced("apps", "Deployment"),
];
const labelled = (instance: string) => ({ "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/instance": instance });
const namespace = (uid: string, labels: object = {}) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name: "trivy", uid, labels } });
const empty = parseState("{}");
const stateWith = (uid: string) =>
  parseState(
    JSON.stringify({
      deployment: { resources: [{ urn: "urn:pulumi:dev::p::t::n", type: "kubernetes:core/v1:Namespace", outputs: namespace(uid) }] },
    }),
  );

/** How the API server responds: who may do what, and which objects exist. */
interface Api {
  may?: (attributes: { verb: string; group: string; resource: string; namespace?: string }) => boolean;
  objects?: Record<string, object>;
  status?: number;
}

describe("the preflight checks", () => {
  let server: Server;
  let cluster: Cluster;
  let api: Api;
  let asked: string[];
  before(async () => {
    server = createServer(async (request, response) => {
      asked.push(request.url?.replace(/\?.*/, "") ?? "");
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const { spec } = JSON.parse(Buffer.concat(chunks).toString() || "{}");
      if (api.status) return send(response, api.status, { kind: "Status", message: "Unauthorized" });
      if (request.url?.endsWith("/selfsubjectaccessreviews")) {
        return send(response, 201, { spec, status: { allowed: (api.may ?? (() => true))(spec.resourceAttributes) } });
      }
      if (request.url?.endsWith("/selfsubjectreviews")) return send(response, 201, { status: { userInfo: { username: "ann" } } });
      if (request.url === "/api/v1")
        return send(response, 200, { resources: [{ name: "namespaces", kind: "Namespace", namespaced: false }] });
      const object = api.objects?.[request.url?.replace(/\?.*/, "") ?? ""];
      return object ? send(response, 200, object) : send(response, 404, { kind: "Status", message: "not found" });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    cluster = at(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => {
    api = {};
    asked = [];
  });

  const send = (response: ServerResponse, status: number, body: object) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  const at = (address: string) =>
    findCluster(
      JSON.stringify({
        "current-context": "there",
        contexts: [{ name: "there", context: { cluster: "c", user: "u" } }],
        clusters: [{ name: "c", cluster: { server: address } }],
        users: [{ name: "u", user: { token: "t0ken" } }],
      }),
      undefined,
      {},
    );
  const file = { stack: "dev", name: "dev", project: "trivy-server", config: {} };
  const check = (operation: Operation, state: State, { at = cluster, objects = declared, config = {} } = {}) =>
    preflight({
      ...{ cluster: at, operation, state },
      file: { ...file, config },
      namespace: { name: "trivy", create: objects.some(({ kind }) => kind === "Namespace") },
      declaredObjects: async () => objects,
    });
  const refusal = async (promise: Promise<unknown>) => {
    const error = await promise.then(
      () => new Error("no error was thrown"),
      (error) => error,
    );
    expect(error).to.be.instanceOf(UserError);
    return error.message as string;
  };

  it("an administrator's permissions are checked with one question, without recording the program", async () => {
    await preflight({
      ...{ cluster, operation: "up", file, namespace: { name: "trivy", create: true }, state: empty },
      declaredObjects: () => Promise.reject(new Error("the program was recorded")),
    });
    expect(asked).to.deep.equal([
      "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      "/version",
      "/api/v1/namespaces/trivy",
      "/api/v1/namespaces/trivy/persistentvolumeclaims",
    ]);
  });

  it("an unreachable cluster is reported with its context and address", async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, "127.0.0.1", resolve));
    const address = `http://127.0.0.1:${(closed.address() as AddressInfo).port}`;
    await new Promise((resolve) => closed.close(resolve));
    expect(await refusal(check("up", empty, { at: at(address) })))
      .to.contain(`context there cannot be reached at ${address}`)
      .and.contain("ECONNREFUSED");
  });

  it("credentials that the cluster does not accept are reported without being shown", async () => {
    api.status = 401;
    expect(await refusal(check("up", empty)))
      .to.contain("does not accept your credentials")
      .and.not.contain("t0ken");
  });

  it("all missing permissions are reported at once", async () => {
    api.may = ({ verb, resource }) => resource !== "*" && resource !== "namespaces" && !(resource === "secrets" && verb !== "get");
    const message = await refusal(check("up", empty));
    expect(message)
      .to.contain("ann may not")
      .and.contain("namespaces: get, list, watch, create, patch, delete")
      .and.contain("create: false");
    expect(message).to.contain("secrets in namespace trivy: list, watch, create, patch, delete").and.not.contain("deployments");
  });

  it("the preflight checks ask for permissions on the objects that the program declares", async () => {
    api.may = ({ resource }) => !["*", "namespaces", "ingresses", "horizontalpodautoscalers"].includes(resource);
    api.objects = { "/api/v1/namespaces/trivy": namespace("1") };
    const objects = declared.filter(({ kind }) => kind !== "Namespace");
    await check("up", empty, { objects });
    const more = await refusal(
      check("up", empty, {
        objects: [...objects, namespaced("autoscaling", "HorizontalPodAutoscaler"), namespaced("networking.k8s.io", "Ingress")],
      }),
    );
    expect(more)
      .to.contain("horizontalpodautoscalers.autoscaling")
      .and.contain("ingresses.networking.k8s.io")
      .and.not.contain("namespaces:");
  });

  it("a cluster that is not the stack's is refused", async () => {
    api.objects = { "/api/v1/namespaces/trivy": namespace("other", labelled("dev")) };
    for (const operation of ["up", "preview", "destroy"] as const) {
      const message = await refusal(check(operation, stateWith("mine")));
      expect(message).to.contain("context there").and.contain("has one with another uid").and.contain("npm run refresh -- dev");
    }
    api.objects = {};
    expect(await refusal(check("up", stateWith("mine")))).to.contain("does not have it");
    expect(await isOtherCluster(cluster, stateWith("mine"))).to.equal(true);
    api.objects = { "/api/v1/namespaces/trivy": namespace("mine") };
    expect(await isOtherCluster(cluster, stateWith("mine"))).to.equal(false);
    await check("up", stateWith("mine"));
  });

  it("a refresh may read any cluster", async () => {
    await check("refresh", stateWith("mine"));
  });

  it("a cluster that is too old for the manifests is refused before anything is created, except to destroy the stack", async () => {
    const version = (minor: string) => ({ "/version": { major: "1", minor, gitVersion: `v1.${minor}.0` } });
    api.objects = version("29+");
    for (const operation of ["up", "preview"] as const)
      expect(await refusal(check(operation, empty))).to.match(/context there runs Kubernetes 1\.29, .*\nUpgrade it to 1\.30 or newer\./);
    await check("destroy", empty);
    for (const minor of ["30", "35+"]) {
      api.objects = version(minor);
      await check("up", empty);
    }
    const gateway = (more: object = {}) => ({ config: { "trivy-server:gateway": { enabled: true, ...more } } });
    api.objects = version("33");
    expect(await refusal(check("up", empty, gateway()))).to.match(
      /runs Kubernetes 1\.33, .*\nSet trivy-server:gateway\.preferSameZone to false/,
    );
    await check("up", empty, gateway({ preferSameZone: false }));
    api.objects = version("34");
    await check("up", empty, gateway());
  });

  describe("volume claims", () => {
    const claims = "/api/v1/namespaces/trivy/persistentvolumeclaims";
    const claim = (name: string, storage: string, storageClassName = "fixed") => ({
      metadata: { name },
      spec: { storageClassName, resources: { requests: { storage } } },
    });
    const classes = (allowVolumeExpansion?: boolean) => ({
      "/apis/storage.k8s.io/v1/storageclasses/fixed": { metadata: { name: "fixed" }, allowVolumeExpansion },
    });
    const grown = {
      "trivy-server:redis": { maxMemory: "1Gi" },
      "trivy-server:registryScan": { enabled: true, targets: [{ image: "registry.example.com/a:1" }], reports: { size: "4Gi" } },
    };

    it("claims that shall grow are refused before anything is changed if their class cannot expand volumes, all at once", async () => {
      api.objects = { [claims]: { items: [claim("redis", "2Gi"), claim("trivy-reports", "2Gi")] }, ...classes() };
      for (const operation of ["up", "preview"] as const) {
        const message = await refusal(check(operation, empty, { config: grown }));
        expect(message).to.match(
          /redis\.persistence\.size would be 4Gi, but the claim redis has 2Gi of the StorageClass fixed, which cannot/,
        );
        expect(message).to.match(/registryScan\.reports\.size would be 4Gi, .*trivy-reports/);
        expect(message).to.contain("Keep 2Gi, or set redis.persistence.storageClass");
      }
    });

    it("claims that may grow, stay, shrink or change their class are accepted", async () => {
      api.objects = { [claims]: { items: [claim("redis", "2Gi")] }, ...classes(true) };
      await check("up", empty, { config: grown });
      api.objects = { [claims]: { items: [claim("redis", "2Gi")] }, ...classes() };
      await check("up", empty);
      await check("up", empty, { config: { "trivy-server:redis": { maxMemory: "256Mi" } } });
      await check("up", empty, { config: { "trivy-server:redis": { maxMemory: "1Gi", persistence: { storageClass: "other" } } } });
    });

    it("settings with mistakes are left to the program, and a user who may not read classes is not refused", async () => {
      api.objects = { [claims]: { items: [claim("redis", "2Gi")] } };
      await check("up", empty, { config: { "trivy-server:redis": { maxMemory: "much" } } });
      await check("up", empty, { config: grown });
    });
  });

  describe("custom kinds", () => {
    const monitor = namespaced("monitoring.coreos.com", "PodMonitor");
    const rule = namespaced("monitoring.coreos.com", "PrometheusRule");
    const route = namespaced("gateway.networking.k8s.io", "HTTPRoute");
    const config = { "trivy-server:monitoring": { enabled: true } };
    const kinds = (...names: string[]) => ({ resources: names.map((kind) => ({ kind })) });

    it("custom kinds that the cluster does not have are refused in one message that says how to do without", async () => {
      for (const operation of ["up", "preview"] as const)
        expect(await refusal(check(operation, empty, { config, objects: [...declared, monitor, monitor, rule, route] }))).to.equal(
          "The cluster of context there has no PodMonitor and no PrometheusRule (monitoring.coreos.com/v1), which this stack needs.\n" +
            "Install the Prometheus operator, or set `trivy-server:monitoring: {discovery: annotations}`.\n" +
            "The cluster of context there has no HTTPRoute (gateway.networking.k8s.io/v1), which this stack needs.\n" +
            "Install the Gateway API and a controller for it, or set another `trivy-server:exposure: {type: …}`.",
        );
    });

    it("one custom kind that is missing is refused, and a cluster with all of them is accepted", async () => {
      api.objects = { "/apis/monitoring.coreos.com/v1": kinds("PodMonitor", "ServiceMonitor") };
      const message = await refusal(check("up", empty, { config, objects: [...declared, monitor, rule] }));
      expect(message).to.contain("has no PrometheusRule (").and.not.contain("PodMonitor");
      api.objects = { "/apis/monitoring.coreos.com/v1": kinds("PodMonitor", "PrometheusRule") };
      await check("up", empty, { config, objects: [...declared, monitor, rule] });
    });

    it("custom kinds do not matter to a stack that is destroyed, nor to one that declares none", async () => {
      await check("destroy", empty, { config, objects: [...declared, monitor] });
      await check("up", empty, { config });
      expect(asked.filter((path) => path.startsWith("/apis/monitoring"))).to.deep.equal([]);
    });

    it("a route of the Gateway API is looked for because of the exposure's type", async () => {
      const exposed = { "trivy-server:exposure": { type: "gatewayApi" } };
      expect(await refusal(check("up", empty, { config: exposed, objects: [...declared, route] }))).to.contain("has no HTTPRoute");
    });
  });

  it("a namespace of another owner is refused, except to destroy the stack", async () => {
    api.objects = { "/api/v1/namespaces/trivy": namespace("1") };
    expect(await refusal(check("up", empty))).to.contain("not created by this program");
    await check("destroy", empty);
  });

  it("a namespace that an interrupted run began to create is accepted, and adopted only by its labels", async () => {
    api.objects = { "/api/v1/namespaces/trivy": namespace("1", labelled("dev")) };
    const resource = { urn: "urn:pulumi:dev::p::t::n", type: "kubernetes:core/v1:Namespace", inputs: namespace("") };
    const interrupted = parseState(JSON.stringify({ deployment: { pending_operations: [{ type: "creating", resource }] } }));
    await check("up", interrupted);
    expect(await adoptableObjects(cluster, "dev", interrupted)).to.deep.equal([{ urn: "urn:pulumi:dev::p::t::n", id: "trivy" }]);
    api.objects = { "/api/v1/namespaces/trivy": namespace("1", labelled("prod")) };
    expect(await adoptableObjects(cluster, "dev", interrupted)).to.deep.equal([]);
    api.objects = {};
    expect(await adoptableObjects(cluster, "dev", interrupted)).to.deep.equal([]);
  });
});
