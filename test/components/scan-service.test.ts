import { expect } from "chai";
import { plain, settled } from "../../recorder/record.ts";
import { plainSecrets } from "../../recorder/secret-leaks.ts";
import { certificate, serverCertificate } from "../support/certificate.ts";
import { deploy } from "../support/service.ts";

const { leaf, key } = serverCertificate;
const [, textOfKey = ""] = key.split("\n");

describe("the scan service", () => {
  it("consists of these parts and no others", async () => {
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

  it("lets no workload wait for a Service, for which the engine waits until it has ready pods", async () => {
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

  it("keeps every secret out of plain text: generated ones", async () => {
    const deployed = await deploy();
    const secrets = ["trivy-redis-credentials", "trivy-redis-users", "trivy-server-credentials"].flatMap(
      (name) => Object.values(deployed.one("Secret", name).stringData) as string[],
    );
    expect(secrets).to.have.length(3);
    // The password as the random provider answers it is marked by the provider itself, not by the program.
    const inputs = deployed.resources.map((resource) => ({ ...resource, state: {} }));
    expect(plainSecrets(inputs, secrets)).to.deep.equal([]);
  });

  it("keeps every secret out of plain text: those of the settings, in whatever a component hands to the state", async () => {
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
    // They are there, only not to be read.
    const everything = JSON.stringify(deployed.resources.map(({ inputs }) => plain(inputs)));
    for (const secret of secrets.filter((text) => !text.includes("registry"))) expect(everything).to.contain(secret);
  });

  it("keeps them also when another program hands them over as ordinary strings", async () => {
    const deployed = await deploy(
      {},
      {
        server: { token: { value: "a-plain-string-token" } },
        database: { credentials: [{ registry: "ghcr.io", username: "me", password: "a-plain-string-login" }] },
        redis: { mode: "external", host: "redis.example.com", password: "a-plain-string-password" },
      },
    );
    expect(plainSecrets(deployed.resources, ["a-plain-string-token", "a-plain-string-login", "a-plain-string-password"])).to.deep.equal([]);
  });

  it("labels everything, and selects by what never changes", async () => {
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

  it("takes all images from the mirror of a closed cluster, but for those that are named whole", async () => {
    const deployed = await deploy({
      images: { registry: "mirror.example.com/hub", redis: "docker.io/valkey/valkey:8.1.1", pullSecrets: ["pull"] },
    });
    expect(deployed.container("Deployment").image).to.match(/^mirror\.example\.com\/hub\/aquasecurity\/trivy:\d+\.\d+\.\d+$/);
    expect(deployed.container("StatefulSet").image).to.equal("docker.io/valkey/valkey:8.1.1");
    for (const kind of ["Deployment", "StatefulSet"])
      expect(deployed.one(kind).spec.template.spec.imagePullSecrets).to.deep.equal([{ name: "pull" }]);
  });

  it("pulls exact versions", async () => {
    const deployed = await deploy();
    for (const kind of ["Deployment", "StatefulSet"] as const)
      expect(deployed.container(kind).image).to.match(/^[a-z0-9.]+\/[a-z/]+:\d+\.\d+\.\d+/);
  });

  it("runs where the settings send it", async () => {
    const scheduling = { nodeSelector: { pool: "scan" }, tolerations: [{ key: "scan", operator: "Exists" }], priorityClassName: "high" };
    const deployed = await deploy({ scheduling, podAnnotations: { "sidecar.istio.io/inject": "false" } });
    for (const kind of ["Deployment", "StatefulSet"]) {
      const { template } = deployed.one(kind).spec;
      const { tolerations, ...others } = scheduling;
      expect(template.spec).to.deep.include(others);
      expect(template.spec.tolerations).to.deep.include.members(tolerations);
      expect(template.metadata.annotations).to.deep.equal({ "sidecar.istio.io/inject": "false" });
    }
  });

  it("lets a program change each child where no argument reaches, and only that one", async () => {
    const annotate =
      (name: string) =>
      <Args extends { metadata?: unknown }>(args: Args): Args => ({
        ...args,
        metadata: { ...(args.metadata as object), annotations: { changed: name } },
      });
    const hooks = {
      namespace: ["namespace", "defaultDeny", "allowDns"],
      redis: ["statefulSet", "service", "persistentVolumeClaim", "configMap", "networkPolicy", "secret", "secret"],
      server: ["deployment", "networkPolicy", "podDisruptionBudget", "horizontalPodAutoscaler", "configMap", "secret"],
      exposure: ["service", "ingress"],
    };
    const transform = Object.fromEntries(
      Object.entries(hooks).map(([part, children]) => [
        part,
        Object.fromEntries(children.map((child) => [child, annotate(`${part}.${child}`)])),
      ]),
    );
    const settings = {
      server: { autoscaling: { maxReplicas: 3 }, caCertificates: certificate },
      clients: { namespaces: ["ingress"] },
      exposure: { type: "ingress", host: "trivy.example.com" },
    };
    const { resources } = await deploy(settings, { transform });
    const changed = resources
      .filter(({ type }) => type.startsWith("kubernetes:"))
      .map(({ inputs }) => (plain(inputs["metadata"]) as { annotations?: { changed?: string } }).annotations?.changed);
    expect(changed).to.have.members(Object.entries(hooks).flatMap(([part, children]) => children.map((child) => `${part}.${child}`)));
  });

  it("tells how to reach it and how to scan", async () => {
    const { service } = await deploy({ namespace: { name: "scanning" } });
    expect(await settled(service.namespace)).to.equal("scanning");
    expect(await settled(service.portForward)).to.equal("kubectl port-forward service/trivy 8080:80 -n scanning");
    expect(await settled(service.scan)).to.match(
      /^trivy image --server http:\/\/localhost:8080 --token "\$TRIVY_TOKEN" alpine:3\.10 {3}# client \d+\.\d+\.\d+$/,
    );
    const open = await deploy({ server: { token: false } });
    expect(await settled(open.service.scan)).to.not.contain("--token");
    expect(open.service.token).to.equal(undefined);
  });

  it("hands the token out as a secret", async () => {
    const { service } = await deploy({ server: { token: { value: "token-of-the-settings" } } });
    expect(await settled(service.token)).to.not.be.a("string");
    expect(plain(await settled(service.token))).to.equal("token-of-the-settings");
  });
});
