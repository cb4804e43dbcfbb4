import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { record } from "../../recorder/record.ts";
import { plainSecrets } from "../../recorder/secret-leaks.ts";

class Shop extends pulumi.ComponentResource {
  constructor(name: string, args: pulumi.Inputs, outputs: pulumi.Inputs = {}) {
    super("shop:index:Shop", name, args);
    this.registerOutputs(outputs);
  }
}

const secret = "correct horse battery";

async function places(program: () => unknown): Promise<string[]> {
  const { resources } = await record(program);
  return plainSecrets(resources, [secret]).map(({ path }) => path);
}

describe("plainSecrets", () => {
  const inputs = async (args: pulumi.Inputs) =>
    (await places(() => new Shop("shop", args))).filter((path) => path.startsWith("inputs")).sort();

  it("a plain secret is found in any text, key or encoding", async () => {
    expect(await inputs({ url: `redis://:${secret}@redis` })).to.deep.equal(["inputs.url"]);
    expect(await inputs({ list: [{ deep: secret }], [secret]: 1 })).to.have.members(["inputs.list[0].deep", `inputs.${secret}`]);
    for (const prefix of ["", "a", "ab"])
      expect(await inputs({ encoded: Buffer.from(`${prefix}${secret}:${prefix}`).toString("base64") }), prefix).to.deep.equal([
        "inputs.encoded",
      ]);
  });

  it("a secret that is marked as one is accepted", async () => {
    expect(
      await inputs({ password: pulumi.secret(secret), list: [{ deep: pulumi.secret(`x${secret}`) }], other: "correct horse" }),
    ).to.deep.equal([]);
  });

  it("plain secrets are found in names, ids, inputs, the providers' answers and the outputs of components", async () => {
    expect(await places(() => new k8s.core.v1.ConfigMap(secret, { metadata: { name: secret } }))).to.have.members([
      "name",
      "id",
      "inputs.metadata.name",
      "state.metadata.name",
    ]);
    expect(await places(() => new Shop("shop", {}, { motto: secret }))).to.deep.equal(["outputs.motto"]);
  });
});
