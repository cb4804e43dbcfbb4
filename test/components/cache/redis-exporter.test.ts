import { expect } from "chai";
import type { EmbeddedRedisArgs } from "../../../components/args.ts";
import type { ScanServiceArgs } from "../../../components/scan-service.ts";
import { plain } from "../../../recorder/record.ts";
import { plainSecrets } from "../../../recorder/secret-leaks.ts";
import { type Deployed, deploy, type Manifest } from "../../support/service.ts";

const watched = (redis: EmbeddedRedisArgs = {}, more: Partial<ScanServiceArgs> = {}) =>
  deploy({ ...more, redis: { monitors: ["monitoring"], ...redis } });

const own = { "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/component": "redis-exporter" };
const pod = (deployed: Deployed): Manifest => deployed.one("Deployment", "redis-exporter").spec.template;
const container = (deployed: Deployed): Manifest => pod(deployed).spec.containers[0];
const policy = (deployed: Deployed, name: string): Manifest =>
  deployed.all("NetworkPolicy").find(({ metadata }) => metadata.name === name).spec;
const environment = (deployed: Deployed): Manifest =>
  Object.fromEntries(container(deployed).env.map(({ name, value, valueFrom }: Manifest) => [name, value ?? valueFrom]));

describe("the Redis exporter", () => {
  it("the exporter is created only if a namespace may read the metrics, and adds nothing else", async () => {
    const names = async (args: Partial<ScanServiceArgs>) =>
      (await deploy(args)).resources.map(({ name, parent }) => `${parent?.split("::").at(-1)} > ${name}`);
    const before = await names({});
    expect(before.join()).not.to.contain("exporter");
    expect(await names({ redis: { monitors: ["monitoring"] } })).to.have.members([
      ...before,
      "trivy-redis > trivy-redis-monitor-credentials",
      "trivy-redis > trivy-redis-exporter",
      "trivy-redis-exporter > trivy-redis-exporter-policy",
      "trivy-redis-exporter > trivy-redis-exporter-deployment",
    ]);
  });

  it("the exporter does not change Redis' pod, which must not depend on it", async () => {
    const [without, withIt] = [
      await deploy({ redis: { persistence: { enabled: false } } }),
      await watched({ persistence: { enabled: false } }),
    ];
    const normal = (deployed: Deployed) =>
      JSON.stringify(deployed.one("StatefulSet").spec).replaceAll(/(trivy-redis-[a-z]+)-[a-z0-9]+(?=")/g, "$1");
    expect(normal(withIt)).to.equal(normal(without));
    expect(plain(withIt.resource("trivy-redis-service").inputs["spec"])).to.deep.equal(
      plain(without.resource("trivy-redis-service").inputs["spec"]),
    );
    expect(withIt.resource("trivy-redis-stateful-set").dependsOn.join()).not.to.contain("exporter");
    expect(withIt.resource("trivy-server-deployment").dependsOn.join()).not.to.contain("exporter");
  });

  it("the exporter connects as the user for metrics, with a password of its own, by reference", async () => {
    const deployed = await watched();
    const credentials = deployed.one("Secret", "trivy-redis-monitor-credentials");
    expect(credentials.stringData).not.to.deep.equal(deployed.one("Secret", "trivy-redis-credentials").stringData);
    expect(environment(deployed)).to.deep.equal({
      REDIS_PASSWORD: { secretKeyRef: { name: credentials.metadata.name, key: "password" } },
      REDIS_ADDR: "redis://redis.trivy.svc:6379",
      REDIS_USER: "monitor",
      REDIS_EXPORTER_CONNECTION_TIMEOUT: "3s",
      REDIS_EXPORTER_CONFIG_COMMAND: "-",
      REDIS_EXPORTER_SET_CLIENT_NAME: "false",
      REDIS_EXPORTER_EXCLUDE_LATENCY_HISTOGRAM_METRICS: "true",
      REDIS_EXPORTER_DISABLE_SCRAPE_ENDPOINT: "true",
    });
    const inputs = deployed.resources.map((resource) => ({ ...resource, state: {} }));
    expect(plainSecrets(inputs, [credentials.stringData.password])).to.deep.equal([]);
    expect(deployed.one("Secret", "trivy-redis-users").stringData["users.acl"]).to.match(/^user monitor on #\S+ .* -@all \+ping \+info /m);
    expect(container(deployed)).not.to.have.any.keys("args", "command", "volumeMounts");
  });

  it("the exporter uses TLS if Redis does, with a name that is in Redis' certificate and the client certificate", async () => {
    const deployed = await watched({ tls: { enabled: true } });
    const client = deployed.one("Secret", "trivy-redis-client-certificate");
    const path = "/etc/redis-exporter/certificate";
    expect(environment(deployed)).to.deep.include({
      REDIS_ADDR: "rediss://redis.trivy.svc:6379",
      REDIS_EXPORTER_TLS_CA_CERT_FILE: `${path}/ca.crt`,
      REDIS_EXPORTER_TLS_CLIENT_CERT_FILE: `${path}/tls.crt`,
      REDIS_EXPORTER_TLS_CLIENT_KEY_FILE: `${path}/tls.key`,
    });
    expect(container(deployed).volumeMounts).to.deep.equal([{ name: "certificate", mountPath: path, readOnly: true }]);
    expect(pod(deployed).spec.volumes).to.deep.equal([
      { name: "certificate", secret: { secretName: client.metadata.name, defaultMode: 0o440 } },
    ]);
  });

  it("only the named namespaces may connect to the exporter, and the exporter only to Redis", async () => {
    const deployed = await watched({ monitors: ["monitoring", "*"] });
    const cache = { "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/component": "cache" };
    expect(policy(deployed, "redis-exporter")).to.deep.equal({
      podSelector: { matchLabels: own },
      policyTypes: ["Ingress", "Egress"],
      ingress: [
        {
          from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } } }, { namespaceSelector: {} }],
          ports: [{ port: 9121, protocol: "TCP" }],
        },
      ],
      egress: [{ to: [{ podSelector: { matchLabels: cache } }], ports: [{ port: 6379, protocol: "TCP" }] }],
    });
    expect(pod(deployed).metadata.labels).to.include(own);
    const clients = (redis: Manifest) => redis.ingress.map(({ from, ports }: Manifest) => [from.length, from.at(-1), ports[0].port]);
    expect(clients(policy(deployed, "redis"))).to.deep.equal([[2, { podSelector: { matchLabels: own } }, 6379]]);
    expect(policy(await deploy(), "redis").ingress[0].from).to.have.length(1);
    expect(deployed.resource("trivy-redis-exporter-deployment").dependsOn).to.include(deployed.resource("trivy-redis-exporter-policy").urn);
  });

  it("the exporter waits for Redis if the password was rotated", async () => {
    for (const generation of [1, 2]) {
      const deployed = await watched({ generation });
      const { dependsOn } = deployed.resource("trivy-redis-exporter-deployment");
      expect(dependsOn.includes(deployed.resource("trivy-redis-stateful-set").urn), `generation ${generation}`).to.equal(generation > 1);
    }
  });

  it("the exporter's pod is restricted, small, and uses the image of the arguments", async () => {
    const deployed = await watched({}, { images: { registry: "mirror.example.com" } });
    const { spec } = pod(deployed);
    expect(spec.automountServiceAccountToken).to.equal(false);
    expect(spec.securityContext).to.deep.include({
      runAsNonRoot: true,
      runAsUser: 10006,
      fsGroup: 10006,
      seccompProfile: { type: "RuntimeDefault" },
    });
    const { image, securityContext, resources, ports, readinessProbe, livenessProbe } = container(deployed);
    expect(securityContext).to.deep.equal({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    expect(image).to.match(/^mirror\.example\.com\/oliver006\/redis_exporter:v\d+\.\d+\.\d+$/);
    expect(resources).to.deep.equal({
      requests: { cpu: "10m", memory: "32Mi", "ephemeral-storage": "16Mi" },
      limits: { memory: "64Mi", "ephemeral-storage": "64Mi" },
    });
    expect(ports).to.deep.equal([{ name: "metrics", containerPort: 9121 }]);
    // Its own answer, not Redis': it must keep running to report that Redis is unreachable.
    for (const probe of [readinessProbe, livenessProbe]) expect(probe.httpGet).to.deep.equal({ path: "/health", port: "metrics" });
    const whole = await watched({}, { images: { registry: "mirror.example.com", redisExporter: "example.com/exporter:1.0" } });
    expect(container(whole).image).to.equal("example.com/exporter:1.0");
  });

  it("the children of the exporter can be transformed", async () => {
    const annotate = { metadata: { annotations: { changed: "yes" } } };
    const transform = { redis: { exporter: { deployment: annotate, policy: annotate } } };
    const { resources } = await deploy({ redis: { monitors: ["monitoring"] }, transform });
    const changed = resources.filter(({ inputs }) => (plain(inputs["metadata"]) as Manifest)?.annotations?.changed === "yes");
    expect(changed.map(({ name }) => name)).to.have.members(["trivy-redis-exporter-deployment", "trivy-redis-exporter-policy"]);
  });
});
