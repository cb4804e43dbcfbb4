import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { imageReference } from "../../components/shared/images.ts";
import {
  addAdministrator,
  redis as admin,
  apply,
  cacheConnections,
  deleteNamespaces,
  dumpWithoutSecrets,
  eventually,
  get,
  idlePod,
  inPod,
  type KubernetesObject,
  kubectl,
  namespaceObject,
  portForward,
  readyAddresses,
  runningPods,
  serviceUrl,
} from "./support/cluster.ts";
import { checkEnvironment, environment, environmentSettings, knownFinding } from "./support/environment.ts";
import { type LoadResult, load, scan } from "./support/load.ts";
import { Project } from "./support/project.ts";

const stack = "e2e-service";
const [invited, strangers] = ["e2e-invited", "e2e-strangers"];

describe("the service", () => {
  let project: Project;
  let server: string;
  let token: string;
  let output = "";

  const half = environment.scans / 2;
  const scans = { images: environment.images, scans: half };
  const loaded = (options: { unique?: boolean } = {}, meanwhile?: () => Promise<unknown>) =>
    load({ ...scans, server, token, ...options }, meanwhile);

  before(async () => {
    await checkEnvironment();
    project = await Project.create();
    await project.writeStack(stack, { server: { replicas: 2 }, access: { namespaces: [invited] }, redis: { monitors: [invited] } });
    await project.must("pulumi", ["stack", "init", stack]);
    const { stdout, stderr } = await project.pulumi(stack, "up", "--yes", "--diff");
    output = stdout + stderr;
    server = await serviceUrl(stack);
    token = await project.output(stack, "token");
  });
  after(async () => {
    await project?.remove();
    await deleteNamespaces(invited, strangers);
  });

  describe("the token", () => {
    it("a client with the token can scan", async () => {
      expect(await scan(environment.alpine, { server, token })).to.deep.include(knownFinding);
    });

    it("a client without the token or with a wrong one is rejected", async () => {
      for (const wrong of [undefined, `${token}x`]) {
        const refusal = await scan(environment.alpine, { server, token: wrong }).catch((error: Error) => error.message);
        expect(refusal).to.include("twirp error unauthenticated");
      }
    });
  });

  describe("an unchanged stack", () => {
    it("a second `pulumi up` changes nothing", () => project.pulumi(stack, "up", "--yes", "--expect-no-changes"));

    it("`pulumi refresh` and the preview after it find no changes", async () => {
      await project.pulumi(stack, "refresh", "--yes", "--expect-no-changes");
      await project.pulumi(stack, "preview", "--expect-no-changes");
    });
  });

  describe("generated secrets", () => {
    let secrets: string[];

    before(async () => {
      const { items } = await get("secrets", "-n", stack);
      const values: string[] = items.flatMap(({ data }: KubernetesObject) => [data.password, data.token].filter(Boolean));
      secrets = values.flatMap((value) => [value, Buffer.from(value, "base64").toString()]);
      expect(secrets).to.have.length(6).and.include(token);
    });

    const clean = (where: string, text: string) => {
      for (const secret of secrets) expect(text.includes(secret), `a secret in ${where}`).to.equal(false);
    };

    it("generated secrets appear in no object except Secrets", async () => {
      const dump = await dumpWithoutSecrets(stack);
      expect(dump).to.include("kind: StatefulSet").and.include("kind: Deployment").and.include("kind: Pod");
      clean("the objects", dump);
    });

    it("generated secrets appear in no process' arguments", async () => {
      for (const pod of ["redis-0", ...(await runningPods(stack, "server"))]) {
        const { output: processes } = await inPod(stack, pod, "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
        expect(processes).to.match(/redis-server|valkey-server|trivy server/);
        clean(pod, processes);
      }
    });

    it("generated secrets appear neither in Pulumi's output nor, in plain text, in its state", async () => {
      clean("the output of `pulumi up --diff`", output);
      clean("the outputs", (await project.pulumi(stack, "stack", "output", "--json")).stdout);
      const state = join(project.folder, "../state/.pulumi");
      const files = (await readdir(state, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
      const texts = await Promise.all(files.map(({ parentPath, name }) => readFile(join(parentPath, name), "utf8")));
      expect(texts.join()).to.include("kubernetes:core/v1:Secret");
      clean("the state", texts.join());
    });
  });

  describe("access", () => {
    const image = imageReference("redis", environmentSettings()["images"]);
    const redis = `redis.${stack}.svc`;
    /** Whether a TCP connection succeeds, whatever the response to a PING is. */
    const connects = async (namespace: string, pod: string, host: string, port: number) => {
      const { output } = await inPod(namespace, pod, "redis-cli", "-h", host, "-p", String(port), "-t", "3", "ping");
      if (/^error: |Error from server/m.test(output)) throw new Error(output);
      return !output.includes("Could not connect");
    };

    before(async () => {
      await apply(namespaceObject(invited), namespaceObject(strangers));
      const serverLabels = { "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/component": "server" };
      await apply(
        idlePod(invited, "idle", image),
        idlePod(strangers, "idle", image),
        idlePod(stack, "unlabelled", image),
        idlePod(stack, "labelled", image, serverLabels),
      );
      for (const [namespace, pod] of [
        [invited, "idle"],
        [strangers, "idle"],
        [stack, "unlabelled"],
        [stack, "labelled"],
      ])
        await kubectl("wait", "--for=condition=Ready", `pod/${pod}`, "-n", namespace ?? "", "--timeout=60s");
      await eventually("the labelled pod's connection to Redis", async () => (await connects(stack, "labelled", redis, 6379)) || undefined);
    });
    after(() => kubectl("delete", "pod", "labelled", "unlabelled", "-n", stack));

    it("only the servers can connect to Redis", async () => {
      expect(await connects(stack, "unlabelled", redis, 6379), "a pod without the servers' labels").to.equal(false);
      expect(await connects(invited, "idle", redis, 6379), "a client").to.equal(false);
      expect(await connects(strangers, "idle", redis, 6379), "a stranger").to.equal(false);
      expect(await connects(strangers, "idle", "kubernetes.default.svc", 443), "a stranger to the API server").to.equal(true);
    });

    it("only pods of the clients' namespaces can connect to the service", async () => {
      expect(await connects(invited, "idle", `trivy.${stack}.svc`, 80), "a client").to.equal(true);
      expect(await connects(strangers, "idle", `trivy.${stack}.svc`, 80), "a stranger").to.equal(false);
    });

    it("the servers can connect neither to each other nor to the API server", async () => {
      const [address = ""] = await readyAddresses(stack);
      expect(await connects(invited, "idle", address, 4954), "a client to a server").to.equal(true);
      expect(await connects(stack, "labelled", address, 4954), "a server to another").to.equal(false);
      expect(await connects(stack, "labelled", "kubernetes.default.svc", 443), "a server to the API server").to.equal(false);
    });

    it("only pods of the monitors' namespaces can read Redis' metrics", async () => {
      const { items } = await get("pods", "-n", stack, "-l", "app.kubernetes.io/component=redis-exporter");
      const [pod] = items;
      expect(await connects(invited, "idle", pod.status.podIP, 9121), "a monitor").to.equal(true);
      expect(await connects(strangers, "idle", pod.status.podIP, 9121), "a stranger").to.equal(false);
      const { url, close } = await portForward(stack, `pod/${pod.metadata.name}`, 9121);
      try {
        const metrics = await (await fetch(`${url}/metrics`)).text();
        for (const metric of [
          /^redis_up 1$/m,
          /^redis_memory_max_bytes [1-9]/m,
          /^redis_evicted_keys_total 0$/m,
          /^redis_aof_last_write_status 1$/m,
        ])
          expect(metrics).to.match(metric);
      } finally {
        close();
      }
    });

    it("every Redis user needs a password", async () => {
      const anonymous = await inPod(stack, "redis-0", "env", "-u", "REDISCLI_AUTH", "redis-cli", "ping");
      expect(anonymous.output).to.match(/NOAUTH/);
      const asDefault = await inPod(stack, "redis-0", "redis-cli", "--user", "default", "ping");
      expect(asDefault.output).to.match(/WRONGPASS/);
    });

    it("Trivy's Redis user can run only Trivy's commands, on Trivy's keys", async () => {
      const asTrivy = async (...command: string[]) => (await inPod(stack, "redis-0", "redis-cli", "--user", "trivy", ...command)).output;
      expect(await asTrivy("set", "fanal::e2e", "1")).to.match(/OK$/);
      expect(await asTrivy("get", "fanal::e2e")).to.match(/1$/);
      expect(await asTrivy("del", "fanal::e2e")).to.match(/1$/);
      for (const command of [["get", "other"], ["set", "other", "1"], ["keys", "*"], ["flushall"], ["config", "get", "*"], ["acl", "list"]])
        expect(await asTrivy(...command), command.join(" ")).to.match(/NOPERM/);
    });
  });

  describe("several servers behind one address", () => {
    const allGood = (result: LoadResult, atLeast: number) => {
      console.log(
        `      ${result.good} of ${result.scans} scans good, ${result.perSecond.toFixed(1)} a second, the slowest ${result.slowest.toFixed(1)} s`,
      );
      expect(result, JSON.stringify(result)).to.include({ failed: 0, wrong: 0, good: result.scans });
      expect(result.scans).to.be.at.least(atLeast);
    };
    /** Changes the number of servers and returns the changes of the cluster's objects: `+` creates, `~` updates, `-` deletes. */
    const setReplicas = async (count: number) => {
      await project.pulumi(stack, "config", "set", "--path", "trivy-server:server.replicas", String(count));
      const { stdout } = await project.pulumi(stack, "up", "--yes", "--skip-preview");
      return [...new Set(stdout.match(/^ *[^ @]+ +kubernetes:\S+/gm)?.map((line) => line.trim().replace(/ +/, " ")))];
    };
    const goodWith = async (replicas: number) => {
      await eventually(`${replicas} addresses`, async () => (await readyAddresses(stack)).length === replicas || undefined);
      allGood(await loaded(), half);
      allGood(await loaded({ unique: true }), half);
      const connections = await cacheConnections(stack);
      expect(connections, "servers").to.have.length(replicas);
      expect(Math.min(...connections), "fewest connections of a server to the cache").to.be.at.least(1);
    };

    it("every scan through two servers succeeds", () => goodWith(2));

    it("adding and removing a server under load loses no scan", async () => {
      const result = await loaded({ unique: true }, async () => {
        for (const count of [3, 2]) {
          expect(await setReplicas(count)).to.deep.equal(["~ kubernetes:apps/v1:Deployment"]);
        }
        // The removed server keeps responding until it has drained.
        await eventually("two servers", async () =>
          (await get("pods", "-n", stack, "-l", component)).items.length === 2 ? true : undefined,
        );
      });
      allGood(result, 1);
    });
    const component = "app.kubernetes.io/component=server";

    it("every scan through five servers succeeds", async () => {
      await setReplicas(5);
      await goodWith(5);
    });

    it("the servers find cached layers after a restart of Redis, within the permissions of their Redis user", async () => {
      // Restarts Redis.
      await addAdministrator(stack);
      expect(await scan(environment.alpine, { server, token })).to.deep.include(knownFinding);
      expect(await admin(stack, "info", "commandstats"), "commands of a cached scan")
        .to.match(/cmdstat_get:/)
        .and.not.match(/cmdstat_set:/);
      expect(await scan(environment.alpine, { server, token, unique: true })).to.deep.include(knownFinding);
      expect(await admin(stack, "info", "commandstats"), "commands of an upload").to.match(/cmdstat_set:/);
      expect(await admin(stack, "acl", "log"), "rejected commands").to.equal("");
    });

    it("most scans fail when the servers do not share a cache", async () => {
      await kubectl("set", "env", "deployment/trivy-server", "-n", stack, "TRIVY_CACHE_BACKEND=fs");
      await kubectl("rollout", "status", "deployment/trivy-server", "-n", stack, "--timeout=300s");
      // Until the old servers have drained, some requests still reach servers that share the cache.
      await eventually("the old servers' end", async () =>
        (await get("pods", "-n", stack, "-l", component)).items.length === 5 ? true : undefined,
      );
      const result = await load({ ...scans, scans: 40, server, token });
      expect(result.wrong, JSON.stringify(result)).to.equal(0);
      expect(result.failed).to.be.above(20);
      expect(Object.keys(result.reasons).join()).to.include("layer cache missing");
    });
  });

  // In a group of its own, because mocha runs a suite's own tests before its groups.
  describe("the destroyed stack", () => {
    it("destroying the stack leaves no object in the cluster", async () => {
      await project.destroy(stack);
    });
  });
});
