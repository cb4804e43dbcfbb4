import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { ScanService } from "../../components/scan-service.ts";
import { plain, settled } from "../../recorder/record.ts";
import { plainSecrets } from "../../recorder/secret-leaks.ts";
import { certificate, serverCertificate } from "../support/certificate.ts";
import { deploy } from "../support/service.ts";

const { leaf, key } = serverCertificate;
const [, textOfKey = ""] = key.split("\n");

describe("the scan service", () => {
  it("the scan service consists of these resources", async () => {
    const deployed = await deploy();
    const tree = deployed.resources.map(
      ({ type, name, parent }) => `${parent?.split("::").at(-1) ?? ""} > ${type.split(":").at(-1)} ${name}`,
    );
    expect(tree).to.have.members([
      " > ScanService trivy",
      "trivy > Namespace trivy",
      "trivy > Namespace trivy-namespace",
      "trivy > NetworkPolicy trivy-default-deny",
      "trivy > NetworkPolicy trivy-allow-dns",
      "trivy > RedisCache trivy-redis",
      "trivy-redis > RandomPassword trivy-redis-password",
      "trivy-redis > RandomPassword trivy-redis-monitor-password",
      "trivy-redis > Secret trivy-redis-credentials",
      "trivy-redis > Secret trivy-redis-users",
      "trivy-redis > ConfigMap trivy-redis-config",
      "trivy-redis > PersistentVolumeClaim trivy-redis-claim",
      "trivy-redis > Service trivy-redis-service",
      "trivy-redis > NetworkPolicy trivy-redis-policy",
      "trivy-redis > StatefulSet trivy-redis-stateful-set",
      "trivy > TrivyServer trivy-server",
      "trivy-server > RandomPassword trivy-server-token",
      "trivy-server > Secret trivy-server-credentials",
      "trivy-server > NetworkPolicy trivy-server-policy",
      "trivy-server > Deployment trivy-server-deployment",
      "trivy-server > PodDisruptionBudget trivy-server-disruption-budget",
      "trivy > Exposure trivy-exposure",
      "trivy-exposure > Service trivy-exposure-service",
    ]);
  });

  it("no workload waits for a Service, which is ready only when it has ready pods", async () => {
    const { resources } = await deploy({ server: { autoscaling: { maxReplicas: 3 } } });
    const services = resources.filter(({ type }) => type === "kubernetes:core/v1:Service").map(({ urn }) => urn);
    expect(services).to.have.length(2);
    for (const { name, type, dependsOn } of resources)
      if (/:(Deployment|StatefulSet)$/.test(type))
        expect(
          dependsOn.filter((urn) => services.includes(urn)),
          name,
        ).to.deep.equal([]);
  });

  it("generated secrets are not in plain text anywhere", async () => {
    const deployed = await deploy();
    const secrets = ["trivy-redis-credentials", "trivy-redis-users", "trivy-server-credentials"].flatMap(
      (name) => Object.values(deployed.one("Secret", name).stringData) as string[],
    );
    expect(secrets).to.have.length(3);
    // The random provider marks its output itself; the program does not.
    const inputs = deployed.resources.map((resource) => ({ ...resource, state: {} }));
    expect(plainSecrets(inputs, secrets)).to.deep.equal([]);
  });

  it("secrets in the arguments are not in plain text anywhere, also not in the state of components", async () => {
    const deployed = await deploy({
      server: { token: { value: "token-of-the-settings" } },
      database: { credentials: [{ registry: "ghcr.io", username: "me", password: "password-of-a-registry" }] },
      redis: {
        mode: "external",
        host: "redis.example.com",
        password: "password-of-redis",
        tls: { enabled: true, caCertificates: certificate, clientCertificate: leaf, clientKey: key },
      },
    });
    const secrets = ["token-of-the-settings", "password-of-a-registry", "password-of-redis", textOfKey];
    expect(plainSecrets(deployed.resources, secrets)).to.deep.equal([]);
    // They are there, but not readable.
    const everything = JSON.stringify(deployed.resources.map(({ inputs }) => plain(inputs)));
    for (const secret of secrets.filter((text) => !text.includes("registry"))) expect(everything).to.contain(secret);
  });

  it("the components mark secrets that a program gives as ordinary strings", async () => {
    const alert = { url: "https://hooks.example.com/a-plain-string-url", authorization: "a-plain-string-header" };
    const deployed = await deploy({
      gateway: {
        enabled: true,
        clients: [{ name: "a", token: "a-plain-string-client", previousToken: "a-plain-string-earlier" }],
        tls: { enabled: true, certificate: leaf, key },
      },
      database: { credentials: [{ registry: "ghcr.io", username: "me", password: "a-plain-string-login" }] },
      redis: { mode: "external", host: "redis.example.com", password: "a-plain-string-password" },
      registryScan: {
        enabled: true,
        credentials: [{ registry: "ghcr.io", username: "me", password: "another-plain-string-login" }],
        alerts: [{ name: "team", type: "slack", ...alert }],
      },
    });
    const secrets = ["client", "earlier", "login", "password", "url", "header"].map((name) => `a-plain-string-${name}`);
    expect(plainSecrets(deployed.resources, [...secrets, "another-plain-string-login", textOfKey])).to.deep.equal([]);
    const withoutGateway = await deploy({ server: { token: { value: "a-plain-string-token" } } });
    expect(plainSecrets(withoutGateway.resources, ["a-plain-string-token"])).to.deep.equal([]);
  });

  it("every object has the recommended labels and the user's own, and selectors use only labels that never change", async () => {
    const deployed = await deploy({ labels: { team: "platform", "app.kubernetes.io/part-of": "ours" } });
    const objects = deployed.resources.filter(({ type }) => type.startsWith("kubernetes:"));
    expect(objects.length).to.be.above(10);
    for (const { name, inputs } of objects)
      expect((plain(inputs["metadata"]) as { labels: object }).labels, name).to.include({
        team: "platform",
        "app.kubernetes.io/part-of": "trivy-server",
        "app.kubernetes.io/instance": "dev",
        "app.kubernetes.io/managed-by": "pulumi",
      });
    for (const kind of ["Deployment", "StatefulSet"]) {
      const { selector, template } = deployed.one(kind).spec;
      expect(selector.matchLabels).to.have.all.keys("app.kubernetes.io/part-of", "app.kubernetes.io/component");
      expect(template.metadata.labels).to.include(selector.matchLabels);
    }
  });

  it("images come from the given registry, except those that are given completely", async () => {
    const deployed = await deploy({
      images: { registry: "mirror.example.com/hub", redis: "docker.io/valkey/valkey:8.1.1", pullSecrets: ["pull"] },
    });
    expect(deployed.container("Deployment").image).to.match(
      /^mirror\.example\.com\/hub\/aquasecurity\/trivy:\d+\.\d+\.\d+@sha256:[0-9a-f]{64}$/,
    );
    expect(deployed.container("StatefulSet").image).to.equal("docker.io/valkey/valkey:8.1.1");
    for (const kind of ["Deployment", "StatefulSet"])
      expect(deployed.one(kind).spec.template.spec.imagePullSecrets).to.deep.equal([{ name: "pull" }]);
  });

  it("the default images have exact versions", async () => {
    const deployed = await deploy();
    for (const kind of ["Deployment", "StatefulSet"] as const)
      expect(deployed.container(kind).image).to.match(/^[a-z0-9.]+\/[a-z/]+:\d+\.\d+\.\d+/);
  });

  it("pods are scheduled and annotated as the arguments say", async () => {
    const tolerations = [{ key: "scan", operator: "Exists" }] as const;
    const others = { nodeSelector: { pool: "scan" }, priorityClassName: "high" };
    const deployed = await deploy({ scheduling: { ...others, tolerations }, podAnnotations: { "sidecar.istio.io/inject": "false" } });
    for (const kind of ["Deployment", "StatefulSet"]) {
      const { template } = deployed.one(kind).spec;
      expect(template.spec).to.deep.include({ ...others, nodeSelector: { "kubernetes.io/os": "linux", pool: "scan" } });
      expect(template.spec.tolerations).to.deep.include.members(tolerations);
      expect(template.metadata.annotations).to.deep.equal({ "sidecar.istio.io/inject": "false" });
    }
  });

  it("a transform changes the resource that it is for, and no other", async () => {
    const annotate = (changed: string) => ({ metadata: { annotations: { changed } } });
    const hooks = {
      namespace: ["namespace", "defaultDeny", "allowDns"],
      redis: ["statefulSet", "service", "claim", "config", "policy", "credentials", "users"],
      server: ["deployment", "policy", "disruptionBudget", "autoscaler", "certificateAuthorities", "credentials"],
      exposure: ["service", "ingress"],
    };
    const transform = Object.fromEntries(
      Object.entries(hooks).map(([part, children]) => [
        part,
        Object.fromEntries(children.map((child) => [child, annotate(`${part}.${child}`)])),
      ]),
    );
    const { resources } = await deploy({
      server: { autoscaling: { maxReplicas: 3 }, caCertificates: certificate },
      access: { namespaces: ["ingress"] },
      exposure: { type: "ingress", host: "trivy.example.com" },
      transform,
    });
    const changed = resources
      .filter(({ type }) => type.startsWith("kubernetes:"))
      .map(({ inputs }) => (plain(inputs["metadata"]) as { annotations?: { changed?: string } }).annotations?.changed);
    expect(changed).to.have.members(Object.entries(hooks).flatMap(([part, children]) => children.map((child) => `${part}.${child}`)));
  });

  it("the outputs contain the commands that connect to the service and scan an image", async () => {
    const { service } = await deploy({ namespace: { name: "scanning" } });
    expect(await settled(service.namespace)).to.equal("scanning");
    expect(await settled(service.portForward)).to.equal("kubectl port-forward service/trivy 8080:80 -n scanning");
    expect(await settled(service.scan)).to.match(
      /^trivy image --server http:\/\/localhost:8080 --token "\$TRIVY_TOKEN" alpine:3\.10 {3}# client \d+\.\d+\.\d+$/,
    );
    const open = await deploy({ server: { token: { enabled: false } } });
    expect(await settled(open.service.scan)).to.not.contain("--token");
    const client = async (trivy: string) => ((await settled((await deploy({ images: { trivy } })).service.scan)) as string).split("# ")[1];
    expect(await client("mirror.example.com:5000/trivy:0.70.0-amd64")).to.equal("client 0.70.0");
    expect(await client(`mirror.example.com/trivy@sha256:${"0".repeat(64)}`)).to.equal("the client of the servers' version");
    expect(open.service.token).to.equal(undefined);
  });

  it("the token in the outputs is a secret", async () => {
    const { service } = await deploy({ server: { token: { value: "token-of-the-settings" } } });
    expect(await settled(service.token)).to.not.be.a("string");
    expect(plain(await settled(service.token))).to.equal("token-of-the-settings");
  });

  it("a token that is switched off behind a gateway is refused, with the resource", async () => {
    const error = await deploy({ server: { token: { enabled: false } }, gateway: { enabled: true } }).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(pulumi.ResourceError);
    const { message, resource, hideStack } = error as pulumi.ResourceError;
    expect(message).to.match(/^server\.token\.enabled is false, .*; remove it$/);
    expect(resource).to.be.instanceOf(ScanService);
    expect(hideStack).to.equal(true);
  });

  it("the cluster's domain is in the certificates of Redis and the gateway, and in the exceptions of the proxy", async () => {
    const { resources, variable } = await clusterWith("example.internal");
    const names = resources.flatMap(({ type, inputs }) => (type.endsWith(":CertRequest") ? [plain(inputs["dnsNames"])] : [])).flat();
    expect(names).to.include.members(["redis.trivy.svc.example.internal", "trivy.trivy.svc.example.internal"]);
    expect(variable("NO_PROXY")).to.equal("localhost,127.0.0.1,::1,.svc,.example.internal");
    expect(JSON.stringify(resources.map(({ inputs }) => plain(inputs)))).not.to.contain("cluster.local");
  });
});

const clusterWith = async (clusterDomain: string) => {
  const tls = { enabled: true };
  const args = { clusterDomain, proxy: { https: "http://proxy.example.com:3128" }, redis: { tls }, gateway: { enabled: true, tls } };
  const deployed = await deploy(args);
  const { env } = deployed.one("Deployment", "trivy-server").spec.template.spec.containers[0];
  return {
    resources: deployed.resources,
    variable: (name: string) => env.find((entry: { name: string }) => entry.name === name)?.value,
  };
};
