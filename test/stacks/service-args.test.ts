import { expect } from "chai";
import { checkSettings, serviceArgs } from "../../stacks/index.ts";
import { serverCertificate } from "../support/certificate.ts";

const { authority } = serverCertificate;
const tokens = ["0123456789abcdef"];
const withGateway = (gateway: Record<string, unknown>) => ({ gateway: { enabled: true, ...gateway } });
const withClients = (...clients: Record<string, unknown>[]) => withGateway({ clients });
const withTls = (tls: Record<string, unknown>) => withGateway({ tls: { enabled: true, ...tls } });

describe("the components' arguments", () => {
  it("give the components nothing that has no meaning", () => {
    const gateway = (settings: Record<string, unknown>) => serviceArgs(checkSettings(settings)).gateway;
    expect(gateway({})).to.equal(undefined);
    expect(serviceArgs(checkSettings({})).server?.token).to.deep.equal({ enabled: true });
    expect(serviceArgs(checkSettings({ gateway: { enabled: true } })).server).not.to.have.property("token");
    expect(gateway({ gateway: { enabled: true } })).to.deep.equal({
      replicas: 2,
      clients: [{ name: "default", generation: 1, retire: 0 }],
      requestsPerServer: 16,
      maxRequestSize: "64Mi",
      tls: undefined,
      resources: { requests: { cpu: "100m", memory: "64Mi" }, limits: { memory: "1Gi" } },
      clusterDomain: "cluster.local",
      monitors: [],
    });
    expect(gateway(withTls({ names: ["10.0.0.7", "trivy.example.com"] }))?.tls).to.deep.equal({
      plainHttp: false,
      names: ["10.0.0.7", "trivy.example.com"],
    });
    expect(gateway(withTls({ existingSecret: "a", caCertificates: authority }))?.tls).to.deep.include({
      existingSecret: "a",
      caCertificates: authority,
    });
    expect(gateway(withTls({ existingSecret: "a" }))?.tls).not.to.have.property("names");
    const [client] = gateway(withClients({ name: "a", token: tokens[0] }))?.clients ?? [];
    expect(client).to.have.keys("name", "token", "previousToken");
    expect(serviceArgs(checkSettings({ redis: { tls: { enabled: true }, generation: 2, retire: 1 } })).redis).to.deep.include({
      generation: 2,
      retire: 1,
      tls: {},
    });
    expect(serviceArgs(checkSettings({})).redis).not.to.have.property("tls");
    expect(serviceArgs(checkSettings({ redis: { mode: "external", host: "r" } })).redis).not.to.have.property("monitors");
  });
});
