import { expect } from "chai";
import ipaddr from "ipaddr.js";
import { type Endpoint, egressRules } from "../../../components/shared/network.ts";

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
  egressRules(endpoints, {}, cidrs).flatMap(({ to }) =>
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
    const hosts = ["ghcr.io", "registry.internal", "registry.corp", "registry.example.com"];
    for (const host of hosts)
      for (const port of [80, 443, 5000])
        for (const address of dangerous)
          expect(isAllowed(address, blocksOf([{ host, port }])), `${host}:${port} ${address}`).to.equal(false);
    for (const cidr of ["0.0.0.0/0", "::/0", "160.0.0.0/3", "168.0.0.0/6", "100.64.0.0/10", "fc00::/7", "fd00::/8", "64::/16"])
      for (const address of dangerous) expect(isAllowed(address, blocksOf([], [cidr])), `${cidr} ${address}`).to.equal(false);
  });

  it("addresses next to the metadata services stay reachable", () => {
    const anywhere = blocksOf([{ host: "registry.internal", port: 5000 }]);
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
        { host: "registry.internal", port: 80 },
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
});
