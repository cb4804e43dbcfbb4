import { expect } from "chai";
import { deploy } from "../../support/service.ts";

const deny = { podSelector: {}, policyTypes: ["Ingress", "Egress"] };

describe("the namespace", () => {
  it("the namespace has Pod Security restricted, in a fixed version", async () => {
    const { metadata } = (await deploy({ namespace: { name: "scanning" } })).one("Namespace");
    expect(metadata.name).to.equal("scanning");
    for (const mode of ["enforce", "audit", "warn"]) {
      expect(metadata.labels).to.have.property(`pod-security.kubernetes.io/${mode}`, "restricted");
      expect(metadata.labels[`pod-security.kubernetes.io/${mode}-version`]).to.match(/^v1\.\d+$/);
    }
  });

  it("pods may connect only to the cluster's DNS, and no connection to them is allowed", async () => {
    const deployed = await deploy();
    expect(deployed.one("NetworkPolicy", "default-deny").spec).to.deep.equal(deny);
    expect(deployed.one("NetworkPolicy", "allow-dns").spec).to.deep.equal({
      podSelector: {},
      policyTypes: ["Egress"],
      egress: [
        {
          to: [
            { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } } },
            { ipBlock: { cidr: "169.254.20.10/32" } },
          ],
          ports: [
            { port: 53, protocol: "UDP" },
            { port: 53, protocol: "TCP" },
          ],
        },
      ],
    });
  });

  it("an existing namespace is not changed, and its policies apply only to the service's own pods", async () => {
    const deployed = await deploy({ namespace: { name: "shared", create: false } });
    expect(deployed.all("Namespace")).to.deep.equal([]);
    for (const name of ["default-deny", "allow-dns"])
      expect(deployed.one("NetworkPolicy", name).spec.podSelector).to.deep.equal({
        matchLabels: { "app.kubernetes.io/part-of": "trivy-server" },
      });
    const namespaces = new Set(
      deployed.resources.flatMap(({ state }) => (state["metadata"] as { namespace?: string } | undefined)?.namespace ?? []),
    );
    expect([...namespaces]).to.deep.equal(["shared"]);
  });
});
