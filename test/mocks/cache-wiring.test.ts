import { createHash } from "node:crypto";
import type * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";

type Deployment = k8s.types.output.apps.v1.Deployment;
type StatefulSet = k8s.types.output.apps.v1.StatefulSet;
type Secret = k8s.types.output.core.v1.Secret;
type Service = k8s.types.output.core.v1.Service;
type NetworkPolicy = k8s.types.output.networking.v1.NetworkPolicy;

const servers = { "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/component": "server" };
const redis = { "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/component": "cache" };

/** The resources that the program registered. */
let resources: pulumi.runtime.MockResourceArgs[];

const mocks: pulumi.runtime.Mocks = {
  newResource(args) {
    resources.push(args);
    switch (args.type) {
      case "random:index/randomPassword:RandomPassword":
        return { id: args.name, state: { ...args.inputs, result: `value-of-${args.name}` } };
      default: {
        // The Kubernetes provider generates a name for an object that has none.
        const metadata = { ...args.inputs.metadata, name: args.inputs.metadata?.name ?? `${args.name}-1a2b3c4d` };
        return { id: args.name, state: { ...args.inputs, metadata } };
      }
    }
  },
  call: (args) => args.inputs,
};

let programs = 0;

/** Runs the Pulumi program with a stack's configuration and waits until every resource is registered. */
async function deploy(config: Record<string, object>): Promise<Record<string, pulumi.Output<string>>> {
  resources = [];
  await pulumi.runtime.setMocks(mocks, "trivy-server", "dev");
  pulumi.runtime.setAllConfig(
    Object.fromEntries(Object.entries(config).map(([key, value]) => [`trivy-server:${key}`, JSON.stringify(value)])),
  );
  // The query makes Node evaluate the program again.
  const program = await import(`../../index.ts?mocks=${++programs}`);
  await pulumi.runtime.disconnect();
  return program.default;
}

/** The inputs of the resource with this logical name. */
function inputs<T>(name: string): T {
  const found = resources.filter((resource) => resource.name === name);
  expect(found, `resources called ${name}`).to.have.length(1);
  return found[0]?.inputs;
}

/** The content of a Secret, which Pulumi encrypts in its state. */
function secretData(name: string): Record<string, string> {
  const { stringData } = inputs<Secret>(name);
  expect(pulumi.runtime.isRpcSecret(stringData), `${name} is marked as secret`).to.equal(true);
  return pulumi.runtime.unwrapRpcSecret(stringData);
}

const container = (workload: Deployment | StatefulSet) => workload.spec.template.spec.containers[0];
const variable = (workload: Deployment | StatefulSet, name: string) => container(workload)?.env?.find((entry) => entry.name === name);

describe("the Redis cache backend", () => {
  describe("with the embedded Redis", () => {
    let outputs: Awaited<ReturnType<typeof deploy>>;
    let server: Deployment;
    let cache: StatefulSet;

    before(async () => {
      outputs = await deploy({ server: { replicas: 4 }, redis: { ttl: "72h" } });
      server = inputs("trivy-server-deployment");
      cache = inputs("trivy-redis-stateful-set");
    });

    it("the password of Redis is generated: 32 letters and digits", () => {
      expect(inputs("trivy-redis-password")).to.deep.include({ length: 32, special: false });
    });

    it("the password of Redis is stored in a Secret", () => {
      expect(secretData("trivy-redis-credentials")).to.deep.equal({ password: "value-of-trivy-redis-password" });
    });

    it("the Trivy servers read the password from that Secret", () => {
      expect(variable(server, "REDIS_PASSWORD")?.valueFrom?.secretKeyRef).to.deep.equal({
        name: "trivy-redis-credentials-1a2b3c4d",
        key: "password",
      });
    });

    it("the probes of Redis read the password from the same Secret", () => {
      expect(variable(cache, "REDISCLI_AUTH")?.valueFrom?.secretKeyRef).to.deep.equal({
        name: "trivy-redis-credentials-1a2b3c4d",
        key: "password",
      });
    });

    it("Redis accepts the password: its ACL file has the SHA-256 of it", () => {
      const hash = createHash("sha256").update("value-of-trivy-redis-password").digest("hex");
      expect(secretData("trivy-redis-users")["users.acl"]).to.match(new RegExp(`^user trivy on #${hash} `, "m"));
      const volume = cache.spec.template.spec.volumes.find(({ name }) => name === "acl");
      expect(volume?.secret?.secretName).to.equal("trivy-redis-users-1a2b3c4d");
    });

    it("the cache backend of the Trivy servers is Redis, with the password taken from the environment", () => {
      expect(variable(server, "TRIVY_CACHE_BACKEND")?.value).to.match(/^redis:\/\/trivy:\$\(REDIS_PASSWORD\)@redis\.trivy\.svc:6379\?/);
    });

    it("Kubernetes expands the password in the backend's address: the variable is defined before its use", () => {
      const names = container(server)?.env.map(({ name }) => name) ?? [];
      expect(names.indexOf("REDIS_PASSWORD")).to.be.within(0, names.indexOf("TRIVY_CACHE_BACKEND") - 1);
    });

    it("the time to live of cached images comes from the stack's configuration", () => {
      expect(variable(server, "TRIVY_CACHE_TTL")?.value).to.equal("72h");
    });

    it("the number of Trivy servers comes from the stack's configuration", () => {
      expect(server.spec.replicas).to.equal(4);
    });

    it("one Redis serves all Trivy servers", () => {
      expect(cache.spec.replicas).to.equal(1);
    });

    it("the Service in the backend's address leads to Redis", () => {
      const { metadata, spec } = inputs<Service>("trivy-redis-service");
      expect(metadata).to.deep.include({ name: "redis", namespace: "trivy" });
      expect(spec.selector).to.deep.equal(redis);
      expect(cache.spec.template.metadata.labels).to.include(redis);
      expect(spec.ports).to.deep.equal([{ name: "redis", port: 6379, targetPort: "redis" }]);
      expect(container(cache)?.ports).to.deep.equal([{ name: "redis", containerPort: 6379 }]);
    });

    it("the Service that clients use leads to the Trivy servers", async () => {
      const { metadata, spec } = inputs<Service>("trivy-exposure-service");
      expect(metadata).to.deep.include({ name: "trivy", namespace: "trivy" });
      expect(spec.selector).to.deep.equal(servers);
      expect(server.spec.template.metadata.labels).to.include(servers);
      expect(spec.ports[0]).to.include({ port: 80, targetPort: "http" });
      expect(container(server)?.ports).to.deep.equal([{ name: "http", containerPort: 4954 }]);
      expect(await new Promise((resolve) => outputs["address"]?.apply(resolve))).to.equal("http://trivy.trivy.svc");
    });

    it("pods of the namespace have only the connections that a policy allows", () => {
      const { spec } = inputs<NetworkPolicy>("trivy-default-deny");
      expect(spec).to.deep.equal({ podSelector: {}, policyTypes: ["Ingress", "Egress"] });
    });

    it("only the Trivy servers may connect to Redis", () => {
      const { spec } = inputs<NetworkPolicy>("trivy-redis-policy");
      expect(spec.podSelector).to.deep.equal({ matchLabels: redis });
      expect(spec.policyTypes).to.deep.equal(["Ingress"]);
      expect(spec.ingress).to.deep.equal([{ from: [{ podSelector: { matchLabels: servers } }], ports: [{ port: 6379, protocol: "TCP" }] }]);
    });

    it("the Trivy servers may connect to Redis", () => {
      const { spec } = inputs<NetworkPolicy>("trivy-server-policy");
      expect(spec.podSelector).to.deep.equal({ matchLabels: servers });
      expect(spec.egress).to.deep.include({ to: [{ podSelector: { matchLabels: redis } }], ports: [{ port: 6379, protocol: "TCP" }] });
    });

    it("the password is in no resource other than its Secret", () => {
      const holders = resources.filter(({ inputs }) => JSON.stringify(inputs).includes("value-of-trivy-redis-password"));
      expect(holders.map(({ name }) => name)).to.deep.equal(["trivy-redis-credentials"]);
    });
  });

  describe("with an external Redis", () => {
    let server: Deployment;

    before(async () => {
      await deploy({
        redis: {
          mode: "external",
          host: "redis.example.com",
          port: 6380,
          database: 2,
          existingSecret: { name: "managed-redis", key: "auth" },
          tls: { enabled: true },
        },
      });
      server = inputs("trivy-server-deployment");
    });

    it("no Redis is created when the stack uses an external one", () => {
      expect(resources.filter(({ type }) => /:(StatefulSet|RandomPassword)$/.test(type)).map(({ name }) => name)).to.deep.equal([
        "trivy-server-token",
      ]);
    });

    it("the cache backend of the Trivy servers is the address of the external Redis", () => {
      expect(variable(server, "TRIVY_CACHE_BACKEND")?.value).to.match(/^redis:\/\/:\$\(REDIS_PASSWORD\)@redis\.example\.com:6380\/2\?/);
      expect(variable(server, "TRIVY_REDIS_TLS")?.value).to.equal("true");
    });

    it("the Trivy servers read the password of an external Redis from the existing Secret", () => {
      expect(variable(server, "REDIS_PASSWORD")?.valueFrom?.secretKeyRef).to.deep.equal({ name: "managed-redis", key: "auth" });
    });

    it("the Trivy servers may connect to the port of the external Redis", () => {
      const ports = inputs<NetworkPolicy>("trivy-server-policy").spec.egress.flatMap((rule) => rule.ports.map(({ port }) => port));
      expect(ports).to.include(6380);
    });
  });
});
