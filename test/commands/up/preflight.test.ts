import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import type { StackFile } from "../../../commands/stack-file.ts";
import { type Cluster, findCluster } from "../../../commands/up/cluster.ts";
import { adoptable, isOtherCluster, namespaceProblem, preflight } from "../../../commands/up/preflight.ts";
import { parseState } from "../../../commands/up/state.ts";
import { Problem } from "../../../commands/user-error.ts";

const file: StackFile = {
  stack: "dev",
  name: "dev",
  path: "Pulumi.dev.yaml",
  text: "",
  encrypted: false,
  namespace: { name: "trivy", create: true },
  autoscaling: false,
  registryScan: false,
  exposure: undefined,
  kubernetes: {},
};
const labelled = (instance: string) => ({ "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/instance": instance });
const namespace = (uid: string, labels: object = {}) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name: "trivy", uid, labels } });
const empty = parseState("{}");
const stateWith = (uid: string) =>
  parseState(
    JSON.stringify({
      deployment: { resources: [{ urn: "urn:pulumi:dev::p::t::n", type: "kubernetes:core/v1:Namespace", outputs: namespace(uid) }] },
    }),
  );

/** The API server's part in this: who may do what, and what is there. */
interface Api {
  may?: (attributes: { verb: string; group: string; resource: string; namespace?: string }) => boolean;
  objects?: Record<string, object>;
  status?: number;
}

describe("before the engine starts", () => {
  let server: Server;
  let cluster: Cluster;
  let api: Api;
  let asked: string[];
  before(async () => {
    server = createServer(async (request, response) => {
      asked.push(request.url ?? "");
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
      const object = api.objects?.[request.url ?? ""];
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
  const problem = async (promise: Promise<unknown>) => {
    const error = await promise.then(
      () => new Error("there is no problem"),
      (error) => error,
    );
    expect(error).to.be.instanceOf(Problem);
    return error.message as string;
  };

  it("an administrator of an empty cluster is asked about nothing else", async () => {
    await preflight(cluster, "up", file, empty);
    expect(asked).to.have.length(2);
  });

  it("a cluster that is not there is told with its context and address", async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, "127.0.0.1", resolve));
    const address = `http://127.0.0.1:${(closed.address() as AddressInfo).port}`;
    await new Promise((resolve) => closed.close(resolve));
    expect(await problem(preflight(at(address), "up", file, empty)))
      .to.contain(`context there cannot be reached at ${address}`)
      .and.contain("ECONNREFUSED");
  });

  it("credentials that are not accepted are told as such, and not shown", async () => {
    api.status = 401;
    expect(await problem(preflight(cluster, "up", file, empty)))
      .to.contain("does not accept your credentials")
      .and.not.contain("t0ken");
  });

  it("all missing rights are told at once", async () => {
    api.may = ({ verb, resource }) => resource !== "*" && resource !== "namespaces" && !(resource === "secrets" && verb !== "get");
    const message = await problem(preflight(cluster, "up", file, empty));
    expect(message)
      .to.contain("ann may not")
      .and.contain("namespaces: get, list, watch, create, patch, delete")
      .and.contain("create: false");
    expect(message).to.contain("secrets in namespace trivy: list, watch, create, patch, delete").and.not.contain("deployments");
  });

  it("rights are asked for as far as the settings need them", async () => {
    api.may = ({ resource }) => !["*", "namespaces", "ingresses", "horizontalpodautoscalers"].includes(resource);
    const existing = { ...file, namespace: { name: "trivy", create: false } };
    api.objects = { "/api/v1/namespaces/trivy": namespace("1") };
    await preflight(cluster, "up", existing, empty);
    const more = await problem(preflight(cluster, "up", { ...existing, autoscaling: true, exposure: "ingress" }, empty));
    expect(more)
      .to.contain("horizontalpodautoscalers.autoscaling")
      .and.contain("ingresses.networking.k8s.io")
      .and.not.contain("namespaces:");
  });

  it("a cluster that is not the stack's is not touched", async () => {
    api.objects = { "/api/v1/namespaces/trivy": namespace("other", labelled("dev")) };
    for (const operation of ["up", "preview", "destroy"] as const) {
      const message = await problem(preflight(cluster, operation, file, stateWith("mine")));
      expect(message).to.contain("context there").and.contain("another one of that name").and.contain("npm run refresh -- dev");
    }
    api.objects = {};
    expect(await problem(preflight(cluster, "up", file, stateWith("mine")))).to.contain("has none");
    expect(await isOtherCluster(cluster, stateWith("mine"))).to.equal(true);
    api.objects = { "/api/v1/namespaces/trivy": namespace("mine") };
    expect(await isOtherCluster(cluster, stateWith("mine"))).to.equal(false);
    await preflight(cluster, "up", file, stateWith("mine"));
  });

  it("a refresh may look at any cluster", async () => {
    await preflight(cluster, "refresh", file, stateWith("mine"));
  });

  it("a namespace of somebody else's is left to them", async () => {
    api.objects = { "/api/v1/namespaces/trivy": namespace("1") };
    expect(await problem(preflight(cluster, "up", file, empty))).to.contain("not made by this program");
    await preflight(cluster, "destroy", file, empty);
  });

  it("a namespace that an interrupted run of this stack began is not somebody else's", async () => {
    api.objects = { "/api/v1/namespaces/trivy": namespace("1", labelled("dev")) };
    const resource = { urn: "urn:pulumi:dev::p::t::n", type: "kubernetes:core/v1:Namespace", inputs: namespace("") };
    const interrupted = parseState(JSON.stringify({ deployment: { pending_operations: [{ type: "creating", resource }] } }));
    await preflight(cluster, "up", file, interrupted);
    expect(await adoptable(cluster, file, interrupted)).to.deep.equal([{ urn: "urn:pulumi:dev::p::t::n", id: "trivy" }]);
    api.objects = { "/api/v1/namespaces/trivy": namespace("1", labelled("prod")) };
    expect(await adoptable(cluster, file, interrupted)).to.deep.equal([]);
    api.objects = {};
    expect(await adoptable(cluster, file, interrupted)).to.deep.equal([]);
  });
});

describe("the namespace", () => {
  const existing = { ...file, namespace: { name: "trivy", create: false } };
  const cases: [string, StackFile, object | undefined, boolean, RegExp | undefined][] = [
    ["does not exist yet", file, undefined, false, undefined],
    ["is the stack's own", file, { metadata: { labels: labelled("dev") } }, true, undefined],
    [
      "is another stack's",
      file,
      { metadata: { labels: labelled("prod") } },
      false,
      /belongs to the stack prod(?:.|\n)*Pulumi\.dev\.yaml:\n {2}trivy-server:namespace: \{name: trivy-dev\}/,
    ],
    [
      "is this stack's, of another state",
      file,
      { metadata: { labels: labelled("dev") } },
      false,
      /whose state is not here(?:.|\n)*pulumi login/,
    ],
    ["is somebody else's", file, { metadata: {} }, false, /not made by this program(?:.|\n)*create: false/],
    [
      "is being deleted",
      file,
      { metadata: { labels: labelled("dev") }, status: { phase: "Terminating" } },
      true,
      /kubectl wait --for=delete namespace\/trivy/,
    ],
    ["is to exist, and does", existing, { metadata: {} }, false, undefined],
    ["is to exist, and does not", existing, undefined, false, /kubectl create namespace trivy/],
    ["is to exist, and is another stack's", existing, { metadata: { labels: labelled("prod") } }, false, /belongs to the stack prod/],
  ];
  for (const [what, stack, found, known, message] of cases) {
    it(what, () => {
      const problem = namespaceProblem(stack, found, known);
      if (message) expect(problem).to.match(message);
      else expect(problem).to.equal(undefined);
    });
  }
});
