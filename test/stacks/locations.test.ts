import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { record } from "../../recorder/record.ts";
import { readSettings } from "../../stacks/index.ts";
import { linesOf } from "../../stacks/locations.ts";

const text = `config:
  trivy-server:server:
    replicas: 0
    env:
      A: b
  gateway: # without the project's name
    clients:
      - name: a
      - name: b
        token: short

  trivy-server:access: { cidrs: ["10.0.0.0/8",
    "10.1.2.3/8"] }
  kubernetes:kubeconfig: x
`;

describe("the place of a setting in a stack's file", () => {
  const lineOf = linesOf(text);
  const cases: readonly (readonly [path: string, line: number | undefined])[] = [
    ["server", 2],
    ["server.replicas", 3],
    ["server.env.A", 5],
    ["gateway.clients[1].token", 10],
    ["gateway.clients[1].generation", 9],
    ["gateway.tls.enabled", 6],
    ["access.cidrs[1]", 13],
    ["redis.ttl", undefined],
  ];
  for (const [path, line] of cases) it(`${path} is on line ${line}`, () => expect(lineOf({ path })).to.equal(line));

  it("settings of other namespaces are found under their own name", () => {
    expect(lineOf({ namespace: "kubernetes", path: "kubeconfig" })).to.equal(14);
    expect(lineOf({ namespace: "kubernetes", path: "gateway" })).to.equal(undefined);
  });

  it("nothing is found in a file of another shape", () => {
    for (const other of ["", "[", "a: b", "config: []", "config:\n  trivy-server:server: text\n"])
      expect([undefined, 2]).to.include(linesOf(other)({ path: "server.replicas" }));
  });

  it("every mistake is reported with the file and its line", async () => {
    const folder = mkdtempSync(join(tmpdir(), "stack-"));
    const before = process.cwd();
    try {
      writeFileSync(join(folder, "Pulumi.test.yaml"), text);
      process.chdir(folder);
      const config = { server: { replicas: 0 }, access: { cidrs: ["10.0.0.0/8", "10.1.2.3/8"] }, redis: { ttl: "7d" } };
      const error = await record(() => readSettings(), { stack: "test", config }).then(
        () => undefined,
        (reason: Error) => reason,
      );
      expect(error?.message.split("\n")).to.deep.equal([
        "3 settings of this stack cannot be used:",
        "  trivy-server:server.replicas is 0; use a whole number from 1 to 100 (Pulumi.test.yaml:3)",
        '  trivy-server:redis.ttl is "7d", which has no unit d; use 168h',
        '  trivy-server:access.cidrs[1] is "10.1.2.3/8"; its network address is 10.0.0.0/8; use that (Pulumi.test.yaml:13)',
      ]);
    } finally {
      process.chdir(before);
      rmSync(folder, { recursive: true });
    }
  });
});
