/**
 * A program that uses the package under Pulumi's mocks, and prints every resource that it registers. `package.test.ts` runs it on the
 * package, as an ES module and as CommonJS, and on the source tree.
 */
import * as pulumi from "@pulumi/pulumi";
import { ScanService, type ScanServiceArgs } from "trivy-server";

const everything: ScanServiceArgs = {
  instance: "everything",
  server: { autoscaling: { maxReplicas: 5 } },
  gateway: {
    enabled: true,
    clients: [{ name: "team-a" }, { name: "team-b", token: pulumi.secret("given-token") }],
    tls: { enabled: true, plainHttp: true },
    monitors: ["monitoring"],
  },
  redis: { mode: "embedded", tls: { enabled: true }, monitors: ["monitoring"] },
  access: { namespaces: ["ci"] },
  exposure: { type: "ingress", host: "trivy.example.com" },
  registryScan: { enabled: true, targets: [{ image: "registry.example.com/team/app:1.0" }], reports: { keep: 7 } },
  transform: {
    redis: { claim: { metadata: { annotations: { "example.com/backup": "daily" } } } },
    server: {
      deployment: (args, options) => {
        options.protect = true;
        return { ...args, metadata: { ...args.metadata, annotations: { owner: "platform" } } };
      },
    },
  },
};

const managed = pulumi.output("managed");
const managedRedis: ScanServiceArgs = {
  instance: "managed-redis",
  namespace: { name: "scanning", create: false },
  redis: {
    mode: "external",
    host: pulumi.interpolate`${managed}.example.com`,
    password: managed.apply((name) => `${name}-password`),
    tls: { enabled: true },
  },
};

const unusable: ScanServiceArgs = {
  instance: "unusable",
  namespace: { name: "Bad Name" },
  server: { replicas: 0 },
  images: { trivy: "ghcr.io/aquasecurity/trivy:0.69.4" },
  redis: { mode: "embedded", maxMemory: "2GB" },
};

// @ts-expect-error Declarations that could not be resolved would be `any` and accept this.
({ instance: 1 }) satisfies ScanServiceArgs;

async function main(): Promise<void> {
  const resources: pulumi.runtime.MockResourceArgs[] = [];
  await pulumi.runtime.setMocks({
    newResource: (args) => {
      resources.push(args);
      const generated = { result: "password", privateKeyPem: "key", certPem: "certificate", certRequestPem: "request" };
      return { id: args.name, state: { ...generated, ...args.inputs } };
    },
    call: (args) => args.inputs,
  });
  new ScanService("everything", everything);
  new ScanService("managed-redis", managedRedis);
  let refusal: unknown;
  try {
    new ScanService("unusable", unusable);
  } catch (error) {
    refusal = { message: (error as Error).message, hasNoStackTrace: pulumi.RunError.isInstance(error) };
  }
  await pulumi.runtime.disconnect();
  const sorted = resources
    .map(({ type, name, inputs }) => ({ type, name, inputs }))
    .sort((a, b) => (`${a.type} ${a.name}` < `${b.type} ${b.name}` ? -1 : 1));
  console.log(JSON.stringify({ resources: sorted, refusal }, undefined, 1));
}

void main();
