import { expect } from "chai";
import { RequestError } from "../../../commands/cluster/api.ts";
import { readFacts } from "../../../commands/status/read.ts";
import { ApiServer } from "../../support/api-server.ts";

describe("npm run status over a bad connection", () => {
  let api: ApiServer;
  beforeEach(async () => {
    api = await ApiServer.start();
    const metadata = { name: "trivy-server-a", labels: { "app.kubernetes.io/component": "server" } };
    const status = { conditions: [{ type: "Ready", status: "True" }] };
    api.list("/api/v1/namespaces/trivy/pods", {
      metadata,
      spec: { containers: [{ ports: [{ name: "http", containerPort: 4954 }] }] },
      status,
    });
  });
  afterEach(() => api.close());

  const failure = () =>
    readFacts(api.cluster, "trivy").then(
      () => undefined,
      (error: unknown) => error,
    );

  it("a connection that is cut is reported with the address", async () => {
    api.behaviour = "cut";
    expect(await failure())
      .to.be.instanceOf(RequestError)
      .with.property("message")
      .that.contains(`cannot be reached at ${api.cluster.server}`);
  });

  it("a connection that is silent is reported after ten seconds", async () => {
    api.behaviour = "silent";
    expect(await failure())
      .to.be.instanceOf(RequestError)
      .with.property("message")
      .that.contains("no response within 10 s");
  }).timeout(30_000);

  it("a slow connection is waited for, and a server that does not answer is named", async () => {
    api.behaviour = "slow";
    const { snapshot, servers, unknown } = await readFacts(api.cluster, "trivy");
    expect(snapshot.pods).to.have.length(1);
    expect(servers).to.deep.equal([]);
    expect(unknown.join()).to.contain("version of trivy-server-a: ");
  }).timeout(30_000);
});
