import { expect } from "chai";
import { record } from "../../recorder/record.ts";
import { checkSettings, readSettings } from "../../stacks/index.ts";
import { warnings } from "../../stacks/rules.ts";
import { serverCertificate } from "../support/certificate.ts";

const { leaf, key, otherNames } = serverCertificate;
const warned = (settings: Record<string, unknown>) => warnings(checkSettings(settings));
const withGateway = (gateway: Record<string, unknown>) => ({ gateway: { enabled: true, ...gateway } });
const withTls = (tls: Record<string, unknown>) => withGateway({ tls: { enabled: true, ...tls } });
const clients = [{ name: "a" }, { name: "b" }];

describe("warnings about settings", () => {
  it("a rate limit that the servers never reach is reported with one that protects them", () => {
    expect(warned(withGateway({ clients, rateLimit: 12_000 }))).to.deep.equal([]);
    const [found, ...others] = warned(withGateway({ clients, rateLimit: 12_001 }));
    expect(others).to.deep.equal([]);
    expect(found?.path).to.equal("gateway.rateLimit");
    expect(found?.message).to.match(/allows 24002 requests .*\(clients: 2\), more than the 24000 .*\(servers: 2\), .*; use at most 12000/);
  });

  it("the rate limit is compared with the maximum of servers and their CPU limit", () => {
    const server = { autoscaling: { maxReplicas: 10 }, resources: { limits: { cpu: "500m" } } };
    expect(warned({ ...withGateway({ rateLimit: 60_000 }), server })).to.deep.equal([]);
    expect(warned({ ...withGateway({ rateLimit: 60_001 }), server })).to.have.length(1);
  });

  it("a certificate that is not valid for the Service's name is reported", () => {
    const found = warned(withTls({ certificate: otherNames, key }));
    expect(found.map(({ path }) => path)).to.deep.equal(["gateway.tls.certificate"]);
    expect(found[0]?.message).to.contain("is not valid for trivy.trivy.svc,");
    expect(warned(withTls({ certificate: leaf, key }))).to.deep.equal([]);
    expect(warned({ ...withTls({ certificate: leaf, key }), namespace: { name: "scan" } })).to.have.length(1);
  });

  it("a registry scan that shares servers with clients is reported if there are trust domains", () => {
    const domain = { name: "b", clients: ["b"], cacheDatabase: 1 };
    const registryScan = { enabled: true, targets: [{ repository: "registry.example.com/app", tags: ["latest"] }] };
    const [found, ...others] = warned({ ...withGateway({ clients }), domains: [domain], registryScan });
    expect(others).to.deep.equal([]);
    expect(found?.path).to.equal("domains");
    expect(found?.message).to.match(/the same servers as a, which can change what it finds; put every client into a domain/);
    expect(warned({ ...withGateway({ clients }), domains: [{ ...domain, clients: ["a", "b"] }], registryScan })).to.deep.equal([]);
    expect(warned({ ...withGateway({ clients }), registryScan })).to.deep.equal([]);
    expect(warned({ ...withGateway({ clients }), domains: [domain] })).to.deep.equal([]);
  });

  it("warnings are logged when the stack's configuration is read", async () => {
    const logged: string[] = [];
    const { warn } = console;
    console.warn = (text: string) => logged.push(text);
    try {
      await record(() => readSettings(), { config: withGateway({ clients, rateLimit: 99_999 }) });
    } finally {
      console.warn = warn;
    }
    expect(logged).to.have.length(1);
    expect(logged[0]).to.contain("trivy-server:gateway.rateLimit is 99999,");
  });
});
