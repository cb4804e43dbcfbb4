import { expect } from "chai";
import { imageReference } from "../../components/shared/images.ts";
import { apply, deleteNamespaces, eventually, get, idlePod, inPod, kubectl, namespaceObject, serviceUrl } from "./support/cluster.ts";
import { checkEnvironment, environment, environmentSettings, knownFinding } from "./support/environment.ts";
import { scan } from "./support/load.ts";
import { Project } from "./support/project.ts";

const stack = "e2e-network";
const other = "e2e-network-other";

/** The registry with the database, which a pod passes connections on to. */
const [registry = "", path = ""] = (process.env["E2E_DATABASE"] ?? "").split(/\/(.*)/);

/** Passes connections to port 5000 on to the registry, and accepts them on the ports of resolvers. */
const program = `
  const net = require("node:net");
  const [host, port] = process.argv[1].split(":");
  const pass = (socket) => socket.pipe(net.connect(Number(port), host).on("error", () => socket.destroy())).pipe(socket);
  net.createServer((socket) => pass(socket.on("error", () => undefined))).listen(5000);
  for (const one of [5353, 9053, 9054]) net.createServer((socket) => socket.end()).listen(one);
`;

function backend(name: string): object {
  const image = imageReference("node", environmentSettings().images);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: other, labels: { app: name } },
    spec: { terminationGracePeriodSeconds: 0, containers: [{ name: "node", image, command: ["node", "-e", program, registry] }] },
  };
}

const service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "mirror", namespace: other },
  spec: { selector: { app: "mirror" }, ports: [{ port: 80, targetPort: 5000 }] },
};

describe("hosts inside of the cluster", () => {
  let project: Project;
  let addresses: Map<string, string>;

  before(async function () {
    await checkEnvironment();
    // The registry must be reachable without TLS for the pod to pass connections on.
    if (!/^[\d.]+:\d+$/.test(registry)) this.skip();
    await deleteNamespaces(other);
    await apply(namespaceObject(other), backend("mirror"), backend("neighbour"), service);
    await kubectl("wait", "--for=condition=Ready", "pod", "--all", "-n", other, "--timeout=120s");
    const { items } = await get("pods", "-n", other);
    addresses = new Map(
      items.map(({ metadata, status }: { metadata: { name: string }; status: { podIP: string } }) => [metadata.name, status.podIP]),
    );
    project = await Project.create();
    const host = `mirror.${other}.svc`;
    await project.writeStack(stack, {
      server: { replicas: 1, token: { enabled: false } },
      database: { repositories: [`${host}:80/${path}`], plainHttp: true },
      egress: [{ hosts: [host], namespaces: [other], podLabels: { app: "mirror" }, ports: [5000] }],
      dns: { namespaces: [other], ports: [9053] },
    });
    await project.must("npm", ["run", "up", "--", stack, "--yes"]);
  });
  after(async () => {
    await project?.remove();
    await deleteNamespaces(other);
  });

  it("a server downloads its database through a Service whose pods listen on another port", async () => {
    expect(await scan(environment.alpine, { server: await serviceUrl(stack) })).to.deep.include(knownFinding);
  });

  it("the servers can connect to the pods and ports that the settings name, and to no other", async () => {
    const labels = { "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/component": "server" };
    await apply(idlePod(stack, "labelled", imageReference("redis", environmentSettings().images), labels));
    await kubectl("wait", "--for=condition=Ready", "pod/labelled", "-n", stack, "--timeout=60s");
    const connects = async (name: string, port: number) => {
      const { output } = await inPod(
        stack,
        "labelled",
        "redis-cli",
        "-h",
        addresses.get(name) ?? "",
        "-p",
        String(port),
        "-t",
        "3",
        "ping",
      );
      if (/Error from server/.test(output)) throw new Error(output);
      return !output.includes("Could not connect");
    };
    // A network plugin takes a moment to apply the policies to a new pod.
    await eventually("the refusal of a pod with other labels", async () => !(await connects("neighbour", 5000)) || undefined);
    expect(await connects("mirror", 5000), "the mirror").to.equal(true);
    expect(await connects("mirror", 5353), "a resolver on a known port").to.equal(true);
    expect(await connects("neighbour", 9053), "a resolver on the port of the settings").to.equal(true);
    expect(await connects("neighbour", 9054), "another port").to.equal(false);
    await kubectl("delete", "pod", "labelled", "-n", stack);
  });

  it("pods that can no longer resolve names are reported although nothing is to be changed", async () => {
    await kubectl("delete", "networkpolicy", "allow-dns", "-n", stack);
    const { exitCode, stdout, stderr } = await project.run("npm", ["run", "--silent", "up", "--", stack, "--yes"]);
    expect(stdout + stderr).to.match(/is up to date, but it does not work:\s+! No pod can resolve the cluster's own name: .*; check/);
    expect(exitCode).to.equal(1);
    // Pulumi notices a deleted object only when it refreshes.
    await project.must("npm", ["run", "--silent", "refresh", "--", stack, "--yes"]);
    await project.must("npm", ["run", "--silent", "up", "--", stack, "--yes"]);
  });
});
