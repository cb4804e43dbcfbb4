import { createPrivateKey, X509Certificate } from "node:crypto";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import * as tls from "@pulumi/tls";
import { expect } from "chai";
import { isSecret, plain, type RecordOptions, record, settled } from "../../recorder/record.ts";

class Shop extends pulumi.ComponentResource {
  constructor(name: string, args: pulumi.Inputs = {}, opts?: pulumi.ComponentResourceOptions) {
    super("shop:index:Shop", name, args, opts);
    const till = new Till(`${name}-till`, { parent: this });
    new k8s.core.v1.Service(
      `${name}-service`,
      { metadata: { name: "shop", namespace: "mall" } },
      { parent: this, dependsOn: [till], protect: true, customTimeouts: { create: "5m" } },
    );
    this.registerOutputs({ password: till.password });
  }
}

class Till extends pulumi.ComponentResource {
  readonly password: pulumi.Output<string>;

  constructor(name: string, opts: pulumi.ComponentResourceOptions) {
    super("shop:index:Till", name, {}, opts);
    this.password = new random.RandomPassword(`${name}-password`, { length: 40, special: false }, { parent: this }).result;
    new k8s.core.v1.Secret(
      `${name}-secret`,
      { metadata: { namespace: "mall" }, stringData: { password: this.password } },
      { parent: this },
    );
    this.registerOutputs();
  }
}

const configMap = (name: string, metadata: object, opts?: pulumi.CustomResourceOptions) =>
  new k8s.core.v1.ConfigMap(name, { metadata, data: { key: "value" } }, opts);

async function failure(program: () => unknown, options?: RecordOptions): Promise<Error> {
  try {
    await record(program, options);
  } catch (error) {
    return error as Error;
  }
  throw new Error("the recording succeeded");
}

describe("record", () => {
  it("a recording has every registration in the program's order, with parents, dependencies and options", async () => {
    const { resources } = await record(() => new Shop("shop"), { project: "town", stack: "test" });
    expect(resources.map(({ urn }) => urn)).to.have.members([
      "urn:pulumi:test::town::shop:index:Shop::shop",
      "urn:pulumi:test::town::shop:index:Shop$shop:index:Till::shop-till",
      "urn:pulumi:test::town::shop:index:Shop$shop:index:Till$random:index/randomPassword:RandomPassword::shop-till-password",
      "urn:pulumi:test::town::shop:index:Shop$shop:index:Till$kubernetes:core/v1:Secret::shop-till-secret",
      "urn:pulumi:test::town::shop:index:Shop$kubernetes:core/v1:Service::shop-service",
    ]);
    expect(resources[0]?.name).to.equal("shop");
    const [shop, till, service] = ["shop", "shop-till", "shop-service"].map((name) => resources.find((resource) => resource.name === name));
    expect(shop?.parent).to.equal(undefined);
    expect(till?.parent).to.equal(shop?.urn);
    expect(service).to.include({ parent: shop?.urn, custom: true, protect: true, retainOnDelete: undefined, id: "mall/shop" });
    expect(service?.customTimeouts).to.deep.equal({ create: "5m" });
    expect(service?.dependsOn).to.include(resources.find(({ name }) => name === "shop-till-secret")?.urn);
    expect(service?.inputs).to.deep.equal({ apiVersion: "v1", kind: "Service", metadata: { name: "shop", namespace: "mall" } });
  });

  it("a recording has the resource options that a transform may set", async () => {
    const { resources } = await record(() =>
      configMap(
        "kept",
        { name: "kept" },
        { retainOnDelete: true, protect: false, aliases: [{ name: "old" }, "urn:pulumi:dev::p::t::older"] },
      ),
    );
    expect(resources[0]).to.include({ retainOnDelete: true, protect: false });
    expect(resources[0]?.aliases).to.deep.equal([{ name: "old" }, "urn:pulumi:dev::p::t::older"]);
  });

  it("a recording waits for the outputs that components register last", async () => {
    const { resources } = await record(() => new Shop("shop"));
    const outputs = (wanted: string) => resources.find(({ name }) => name === wanted)?.outputs;
    expect(isSecret(outputs("shop")?.["password"])).to.equal(true);
    expect(outputs("shop-till")).to.deep.equal({});
    expect(outputs("shop-service")).to.equal(undefined);
  });

  it("a recording waits for resources that an apply creates", async () => {
    const { resources } = await record(() => {
      const name = configMap("first", { name: "first" }).metadata.name;
      name.apply((first) =>
        configMap("second", { name: `after-${first}` }).metadata.name.apply(() => configMap("third", { name: "third" })),
      );
    });
    expect(resources.map(({ state }) => plain(state["metadata"]))).to.deep.equal([
      { name: "first" },
      { name: "after-first" },
      { name: "third" },
    ]);
  });

  it("a recording waits for resources that an apply creates after other asynchronous work", async () => {
    const { resources } = await record(() => {
      configMap("first", { name: "first" }).id.apply(async () => {
        for (const name of ["second", "third"]) {
          await new Promise(setImmediate);
          configMap(name, { name });
        }
      });
    });
    expect(resources.map(({ name }) => name)).to.deep.equal(["first", "second", "third"]);
  });

  it("a missing object name is generated from the content", async () => {
    const named = async (data: Record<string, string>) => {
      const { resources, result } = await record(
        () => new k8s.core.v1.ConfigMap("settings", { metadata: { namespace: "mall" }, data }).metadata.name,
      );
      expect(await settled({ name: result })).to.deep.equal({ name: (plain(resources[0]?.state["metadata"]) as { name: string }).name });
      return resources[0]?.id;
    };
    const first = await named({ key: "value" });
    expect(first).to.match(/^mall\/settings-[0-9a-f]{8}$/);
    expect(await named({ key: "value" })).to.equal(first);
    expect(await named({ key: "other" })).not.to.equal(first);
  });

  it("a generated password is secret and has the requested length and characters", async () => {
    const { result } = await record(() => new random.RandomPassword("password", { length: 40, special: false }).result);
    const { password } = (await settled({ password: result })) as { password: unknown };
    expect(isSecret(password)).to.equal(true);
    expect(plain(password)).to.match(/^[A-Za-z0-9]{40}$/);
  });

  it("generated keys and certificates are real, and other kinds of keys are refused", async () => {
    const authority = () => {
      const privateKeyPem = new tls.PrivateKey("key", { algorithm: "ECDSA", ecdsaCurve: "P256" }).privateKeyPem;
      const use = { isCaCertificate: true, validityPeriodHours: 1, allowedUses: ["cert_signing"] };
      return { key: privateKeyPem, certificate: new tls.SelfSignedCert("certificate", { privateKeyPem, ...use }).certPem };
    };
    const { result } = await record(authority);
    const { key, certificate } = plain(await settled(result)) as { key: string; certificate: string };
    expect(new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))).to.equal(true);

    const { resources } = await record(authority, { preview: true });
    const placeholders = resources.map(({ state }) => plain(state["privateKeyPem"] ?? state["certPem"]));
    expect(placeholders).to.deep.equal([pulumi.runtime.unknownValue, pulumi.runtime.unknownValue]);
    expect((await failure(() => new tls.PrivateKey("key", { algorithm: "RSA" }))).message).to.match(/generates only ECDSA keys on P256/);
  });

  it("the caller of a recording can answer for the providers", async () => {
    const { resources } = await record(() => new Shop("shop"), {
      answer: ({ type, name }) => {
        if (name === "shop-till-password") return { state: { result: "from the caller" } };
        return type.endsWith(":Secret") ? { id: "mall/x", state: { metadata: { name: "x" } } } : undefined;
      },
    });
    const secret = resources.find(({ name }) => name === "shop-till-secret");
    expect(plain(secret?.inputs["stringData"])).to.deep.equal({ password: "from the caller" });
    expect(secret).to.include({ id: "mall/x" });
    const password = resources.find(({ name }) => name === "shop-till-password");
    expect(isSecret(password?.state["result"])).to.equal(true);
  });

  it("generated values are unknown in a recorded preview, but names are known", async () => {
    const { resources } = await record(() => new Shop("shop"), { preview: true });
    const secret = resources.find(({ name }) => name === "shop-till-secret");
    expect(plain(secret?.inputs["stringData"])).to.deep.equal(pulumi.runtime.unknownValue);
    expect((plain(secret?.state["metadata"]) as { name: string }).name).to.match(/^shop-till-secret-/);
    expect(resources.map(({ id }) => id).join("")).to.equal("");
  });

  it("a recorded program gets its configuration as from Pulumi", async () => {
    const { result } = await record(
      () => {
        const config = new pulumi.Config("shop");
        return {
          text: config.get("text"),
          block: config.getObject("block"),
          other: new pulumi.Config("kubernetes").get("context"),
          secret: config.requireSecret("pin"),
        };
      },
      { project: "shop", config: { text: "yes", block: { a: [1, true] }, "kubernetes:context": "kind", pin: 1234 }, secretKeys: ["pin"] },
    );
    expect(result).to.deep.include({ text: "yes", block: { a: [1, true] }, other: "kind" });
    expect(isSecret(((await settled(result)) as { secret: unknown }).secret)).to.equal(true);
    const { result: later } = await record(() => new pulumi.Config("shop").get("text"), { project: "shop" });
    expect(later).to.equal(undefined);
  });

  it("two resources with the same URN are refused", async () => {
    const { message } = await failure(() => [configMap("same", { name: "one" }), configMap("same", { name: "two" })]);
    expect(message).to.equal("two resources have the URN urn:pulumi:dev::trivy-server::kubernetes:core/v1:ConfigMap::same");
  });

  it("two declarations of one Kubernetes object are refused, but not those of similar ones", async () => {
    const { message } = await failure(() => [
      configMap("one", { name: "same", namespace: "mall" }),
      configMap("two", { name: "same", namespace: "mall" }),
    ]);
    expect(message).to.match(/^ConfigMap mall\/same is declared twice: .*::one, .*::two$/);
    await record(() => [
      configMap("one", { name: "same", namespace: "mall" }),
      configMap("two", { name: "same", namespace: "market" }),
      new k8s.core.v1.Secret("three", { metadata: { name: "same", namespace: "mall" } }),
      new k8s.core.v1.ConfigMapPatch("four", { metadata: { name: "same", namespace: "mall" } }),
    ]);
  });

  describe("when the program fails", () => {
    const wrong = new Error("wrong");
    const throwing = () => {
      throw wrong;
    };
    const programs: Record<string, () => unknown> = {
      "of the program": () => {
        new Shop("shop");
        throwing();
      },
      "of an asynchronous program": async () => {
        new Shop("shop");
        await Promise.resolve();
        throwing();
      },
      "in an input": () => new Shop("shop", { input: pulumi.output(1).apply(throwing) }),
      "in an unused value": () => configMap("map", { name: "map" }).id.apply(throwing),
    };
    for (const [where, program] of Object.entries(programs)) {
      it(`a recording throws an error ${where}, and the next recording succeeds`, async () => {
        const listeners = process.listeners("unhandledRejection");
        expect(await failure(program)).to.equal(wrong);
        const { resources } = await record(() => new Shop("shop"));
        expect(resources).to.have.length(5);
        expect(process.listeners("unhandledRejection")).to.deep.equal(listeners);
      });
    }

    it("a value that never resolves fails the recording with the name of the last registration", async () => {
      const never = new Promise<string>(() => {});
      const { message } = await failure(() => [configMap("known", { name: "known" }), configMap("unknown", { name: never })]);
      expect(message).to.match(/waits for a value that never resolves.*::known$/);
      expect((await record(() => new Shop("shop"))).resources).to.have.length(5);
    });

    it("a program that reads an existing resource, which only a provider can, is refused", async () => {
      const { message } = await failure(() => k8s.core.v1.Secret.get("existing", "mall/existing"));
      expect(message).to.match(/existing needs a provider or a cluster/);
    });
  });

  it("a second recording at the same time is refused", async () => {
    const first = record(() => new Shop("shop"));
    expect((await failure(() => new Shop("shop"))).message).to.match(/^one recording at a time/);
    await first;
  });
});
