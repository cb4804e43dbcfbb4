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
    for (const name of ["trivy-default-deny", "trivy-allow-dns"])
      expect(deployed.one("NetworkPolicy", name).spec.podSelector).to.deep.equal({
        matchLabels: { "app.kubernetes.io/part-of": "trivy-server" },
      });
    const namespaces = new Set(
      deployed.resources.flatMap(({ state }) => (state["metadata"] as { namespace?: string } | undefined)?.namespace ?? []),
    );
    expect([...namespaces]).to.deep.equal(["shared"]);
  });

  it("in an existing namespace, every name of an object says that it is the service's", async () => {
    const settings = {
      redis: { monitors: ["monitoring"], tls: { enabled: true } },
      gateway: { enabled: true },
      database: { mirror: { enabled: true } },
      registryScan: { enabled: true, targets: [{ image: "registry.example.com/a:1" }] },
      monitoring: { enabled: true, namespaces: ["monitoring"] },
    };
    const namesOf = async (create: boolean) => {
      const { resources } = await deploy({ ...settings, namespace: { name: "shared", create } });
      return resources.flatMap(({ type, state }) =>
        type.startsWith("kubernetes:") ? ((state["metadata"] as { name?: string }).name ?? []) : [],
      );
    };
    for (const name of await namesOf(false)) expect(name).to.match(/^trivy(-|$)/);
    expect(await namesOf(true)).to.include.members(["redis", "redis-exporter", "default-deny", "allow-dns"]);
  });

  it("in an existing namespace, the servers find Redis under its name there, also with TLS", async () => {
    const shared = { namespace: { name: "shared", create: false } };
    const deployed = await deploy({ ...shared, redis: { tls: { enabled: true } } });
    expect(deployed.variable("TRIVY_CACHE_BACKEND")).to.contain("@trivy-redis.shared.svc:6379");
    expect(deployed.one("Service", "trivy-redis").spec.selector).to.include({ "app.kubernetes.io/component": "cache" });
    expect(deployed.one("StatefulSet", "trivy-redis").spec).to.deep.include({ serviceName: "trivy-redis" });
    const names = deployed.resources.flatMap(({ inputs }) => (inputs["dnsNames"] as string[] | undefined) ?? []);
    expect(names).to.include("trivy-redis.shared.svc");
  });
});
