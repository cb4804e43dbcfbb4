import { expect } from "chai";
import { deploy } from "../../support/service.ts";

const deny = { podSelector: {}, policyTypes: ["Ingress", "Egress"] };

const podsOf = (name: string) => ({ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": name } } });
const both = (...ports: number[]) =>
  ports.flatMap((port) => [
    { port, protocol: "UDP" },
    { port, protocol: "TCP" },
  ]);

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
        { to: ["kube-system", "openshift-dns"].map(podsOf), ports: both(53, 5353, 8053, 1053) },
        {
          to: [
            "169.254.20.10/32", // Kubernetes' add-on NodeLocal DNSCache
            "169.254.25.10/32", // Kubespray
            "169.254.10.10/32", // AKS LocalDNS
            "169.254.10.11/32",
            "169.254.169.254/32", // GKE Cloud DNS
          ].map((cidr) => ({ ipBlock: { cidr } })),
          ports: both(53),
        },
      ],
    });
  });

  it("further resolvers are those of the settings, with their ports", async () => {
    const deployed = await deploy({ dns: { namespaces: ["resolvers"], cidrs: ["10.96.0.10/32"], ports: [9053] } });
    const [pods, addresses] = deployed.one("NetworkPolicy", "allow-dns").spec.egress;
    expect(pods.to).to.deep.include(podsOf("resolvers"));
    expect(pods.ports).to.deep.equal(both(53, 5353, 8053, 1053, 9053));
    expect(addresses.to).to.deep.include({ ipBlock: { cidr: "10.96.0.10/32" } });
    expect(addresses.ports, "the metadata service shares an address with a resolver").to.deep.equal(both(53, 9053));
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
