import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import ipaddr from "ipaddr.js";
import { egressRules, type Surroundings } from "../../../components/shared/egress.ts";
import type { Endpoint } from "../../../components/shared/network.ts";

/** Addresses at which clouds give credentials of the node, or that lead to them. */
const dangerous = [
  "169.254.169.254",
  "169.254.170.2",
  "168.63.129.16",
  "100.100.100.200",
  "fd00:ec2::254",
  "64:ff9b::a9fe:a9fe",
  "fe80::a9fe:a9fe",
];

interface Block {
  readonly cidr: string;
  readonly except?: readonly string[];
}

const blocksOf = (endpoints: readonly Endpoint[], cidrs: readonly string[] = []): Block[] =>
  egressRules(endpoints, { egress: [], cidrs, proxy: {}, clusterDomain: "cluster.local" }).flatMap(({ to }) =>
    (to as { ipBlock?: Block }[]).flatMap(({ ipBlock }) => (ipBlock === undefined ? [] : [ipBlock])),
  );

const isIn = (address: string, cidr: string): boolean => {
  const [range, prefix] = ipaddr.parseCIDR(cidr);
  const parsed = ipaddr.parse(address);
  return parsed.kind() === range.kind() && parsed.match(range, prefix);
};

const isAllowed = (address: string, blocks: readonly Block[]): boolean =>
  blocks.some(({ cidr, except = [] }) => isIn(address, cidr) && !except.some((block) => isIn(address, block)));

describe("network policies for connections out of the service", () => {
  it("no endpoint and no block of addresses opens the metadata services of clouds", () => {
    const hosts = ["ghcr.io", "registry.example.com", "trivy.infra.svc"];
    for (const host of hosts)
      for (const port of host.endsWith(".svc") ? [5000] : [80, 443, 5000])
        for (const address of dangerous)
          expect(isAllowed(address, blocksOf([{ host, port }])), `${host}:${port} ${address}`).to.equal(false);
    for (const cidr of ["0.0.0.0/0", "::/0", "160.0.0.0/3", "168.0.0.0/6", "100.64.0.0/10", "fc00::/7", "fd00::/8", "64::/16"])
      for (const address of dangerous) expect(isAllowed(address, blocksOf([], [cidr])), `${cidr} ${address}`).to.equal(false);
  });

  it("addresses next to the metadata services stay reachable", () => {
    const anywhere = blocksOf([{ host: "registry.example.com", port: 5000 }]);
    for (const address of ["10.0.0.1", "192.168.1.1", "168.63.129.17", "169.253.0.1", "8.8.8.8", "fd00:ec2::253", "2001:db8::1"])
      expect(isAllowed(address, anywhere), address).to.equal(true);
  });

  it("a metadata service that the settings name is reachable", () => {
    expect(isAllowed("169.254.169.254", blocksOf([], ["169.254.169.254/32"]))).to.equal(true);
    expect(isAllowed("169.254.169.254", blocksOf([], ["169.254.0.0/16"]))).to.equal(true);
    expect(isAllowed("168.63.129.16", blocksOf([{ host: "168.63.129.16", port: 80 }]))).to.equal(true);
  });

  it("a public name on port 443 opens no private address", () => {
    for (const address of ["10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "fd12::1", ...dangerous])
      expect(isAllowed(address, blocksOf([{ host: "ghcr.io", port: 443 }])), address).to.equal(false);
  });

  it("exceptions are inside of their block and do not overlap, as Kubernetes requires", () => {
    for (const { cidr, except = [] } of blocksOf(
      [
        { host: "ghcr.io", port: 443 },
        { host: "registry.example.com", port: 80 },
      ],
      ["168.0.0.0/6"],
    )) {
      const [, prefix] = ipaddr.parseCIDR(cidr);
      for (const block of except) {
        expect(ipaddr.parseCIDR(block)[1]).to.be.above(prefix);
        expect(isIn(block.replace(/\/\d+$/, ""), cidr)).to.equal(true);
        expect(except.some((other) => other !== block && isIn(block.replace(/\/\d+$/, ""), other))).to.equal(false);
      }
    }
  });

  const rulesFor = (host: string, port: number, surroundings: Partial<Surroundings> = {}) =>
    egressRules([{ host, port }], { egress: [], cidrs: [], proxy: {}, clusterDomain: "cluster.local", ...surroundings });
  const inNamespace = (name: string) => ({ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": name } } });
  const tcp = (port: number) => [{ port, protocol: "TCP" }];

  it("a Service opens its own port and no other, whether its name is short, complete or a pod's", () => {
    for (const host of ["registry.infra.svc", "registry.infra.svc.cluster.local", "registry-0.registry.infra.svc"])
      expect(rulesFor(host, 5000), host).to.deep.equal([{ to: [inNamespace("infra")], ports: tcp(5000) }]);
    expect(rulesFor("registry.infra.svc.corp.example", 5000, { clusterDomain: "corp.example" })).to.deep.equal([
      { to: [inNamespace("infra")], ports: tcp(5000) },
    ]);
  });

  it("an entry of egress says where a host is", () => {
    const egress = (entry: object) => ({ egress: [{ hosts: ["harbor.corp"], ...entry }] });
    expect(rulesFor("harbor.corp", 443, egress({ namespaces: ["ingress"], podLabels: { app: "nginx" }, ports: [8443] }))).to.deep.equal([
      { to: [{ ...inNamespace("ingress"), podSelector: { matchLabels: { app: "nginx" } } }], ports: tcp(8443) },
    ]);
    expect(rulesFor("harbor.corp", 443, egress({ podLabels: { app: "harbor" } }))).to.deep.equal([
      { to: [{ podSelector: { matchLabels: { app: "harbor" } } }], ports: tcp(443) },
    ]);
    expect(rulesFor("harbor.corp", 443, egress({ cidrs: ["10.1.0.0/16"] }))).to.deep.equal([
      { to: [{ ipBlock: { cidr: "10.1.0.0/16" } }], ports: tcp(443) },
    ]);
  });

  it("no rule is invented for a host whose place is unknown", () => {
    for (const host of ["harbor.corp", "registry", "registry.internal", "harbor.lan"])
      expect(() => rulesFor(host, 443), host).to.throw(pulumi.RunError, /has a private name.*egress/);
    expect(() => rulesFor("registry.infra.svc", 80)).to.throw(pulumi.RunError, /a Service on port 80, .*namespaces and ports/);
    expect(rulesFor("harbor.corp", 443, { cidrs: ["10.1.0.0/16"] })).to.deep.equal([{ to: [{ ipBlock: { cidr: "10.1.0.0/16" } }] }]);
    expect(rulesFor("harbor.corp", 443, { proxy: { https: "http://10.0.0.9:3128" } })).to.deep.equal([
      { to: [{ ipBlock: { cidr: "10.0.0.9/32" } }], ports: tcp(3128) },
    ]);
  });

  it("what noProxy names is reached directly: by domain, address, block and port", () => {
    const isDirect = (host: string, port: number, ...noProxy: string[]) =>
      rulesFor(host, port, { proxy: { https: "http://192.0.2.9:3128", noProxy } }).length === 2;
    for (const entry of ["example.com", ".example.com", "*.example.com", "EXAMPLE.com", "example.com:5000", "registry.example.com"])
      expect(isDirect("registry.example.com", 5000, entry), entry).to.equal(true);
    for (const entry of ["example.com", ".example.com"]) expect(isDirect("example.com", 5000, entry), `${entry} itself`).to.equal(true);
    for (const entry of ["example.com:443", "ample.com", "registry.example.com.org", "gistry.example.com"])
      expect(isDirect("registry.example.com", 5000, entry), entry).to.equal(false);
    for (const entry of ["10.0.0.0/8", "10.20.0.1", "10.20.0.1:5000", "10.20.0.1/32"])
      expect(isDirect("10.20.0.1", 5000, entry), entry).to.equal(true);
    for (const entry of ["10.20.0.1:443", "11.0.0.0/8", "fd00::/8"]) expect(isDirect("10.20.0.1", 5000, entry), entry).to.equal(false);
    for (const entry of ["fd00::/8", "fd00::1", "[fd00::1]:5000"]) expect(isDirect("fd00::1", 5000, entry), entry).to.equal(true);
  });
});
