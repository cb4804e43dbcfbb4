import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { findCluster, isLocal } from "../../../commands/up/cluster.ts";
import { Problem } from "../../../commands/user-error.ts";

describe("the cluster", () => {
  const local: [string, string][] = [
    ["kind-dev", "https://127.0.0.1:36443"],
    ["k3d-trivy", "https://0.0.0.0:6445"],
    ["minikube", "https://192.168.49.2:8443"],
    ["docker-desktop", "https://kubernetes.docker.internal:6443"],
    ["rancher-desktop", "https://127.0.0.1:6443"],
    ["colima-work", "https://127.0.0.1:6443"],
    ["orbstack", "https://localhost:26443"],
    ["microk8s", "https://[::1]:16443"],
  ];
  for (const [context, server] of local) {
    it(`is local: ${context} at ${server}`, () => expect(isLocal(context, server)).to.equal(true));
  }

  const remote: [string, string, string][] = [
    ["prod", "https://127.0.0.1:6443", "a tunnel ends at a loopback address"],
    ["kind-prod", "https://203.0.113.7:6443", "anybody can name a context"],
    ["minikube", "https://cluster.example.com", "a name may be anywhere"],
    ["my-kind-dev", "https://127.0.0.1:6443", "the tools' names are whole names"],
    ["minikube-prod", "https://10.0.0.1", "the tools' names are whole names"],
    ["kind-dev", "not an address", "no address is no local address"],
    ["kind-dev", "https://172.32.0.1", "outside the private ranges"],
  ];
  for (const [context, server, why] of remote) {
    it(`is not local: ${context} at ${server} (${why})`, () => expect(isLocal(context, server)).to.equal(false));
  }

  describe("in the kubeconfig", () => {
    let folder: string;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), "kubeconfig-"));
    });
    after(() => rmSync(folder, { recursive: true }));

    const kubeconfig = (current: string, ...contexts: string[]) =>
      JSON.stringify({
        "current-context": current,
        contexts: contexts.map((name) => ({ name, context: { cluster: name, user: name } })),
        clusters: contexts.map((name) => ({ name, cluster: { server: `https://${name}.example.com` } })),
        users: contexts.map((name) => ({ name, user: { token: "t" } })),
      });
    const write = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const problem = (find: () => unknown) => {
      try {
        find();
      } catch (error) {
        expect(error).to.be.instanceOf(Problem);
        return (error as Problem).message;
      }
      throw new Error("no problem was found");
    };

    it("is that of the current context, of the first file that sets one", () => {
      const files = [
        write("a", kubeconfig("", "one")),
        join(folder, "missing"),
        write("b", kubeconfig("two", "two")),
        write("c", kubeconfig("three", "three")),
      ];
      const cluster = findCluster(undefined, undefined, { KUBECONFIG: files.join(":") });
      expect(cluster).to.include({ context: "two", server: "https://two.example.com", local: false });
    });

    it("is what the stack says, whatever the environment does", () => {
      const env = { KUBECONFIG: write("d", kubeconfig("one", "one")) };
      expect(findCluster(kubeconfig("two", "two", "three"), "three", env).context).to.equal("three");
      expect(findCluster(write("e", kubeconfig("two", "two")), undefined, env).context).to.equal("two");
    });

    it("is missed with the place where it was looked for", () => {
      expect(problem(() => findCluster(undefined, undefined, { KUBECONFIG: join(folder, "none") })))
        .to.contain(`KUBECONFIG names ${join(folder, "none")}`)
        .and.contain("kind create cluster");
      expect(problem(() => findCluster(join(folder, "gone"), undefined, {}))).to.contain("kubernetes:kubeconfig");
    });

    it("is missed with the contexts that there are", () => {
      const env = { KUBECONFIG: write("f", kubeconfig("lost", "one", "two")) };
      expect(problem(() => findCluster(undefined, undefined, env))).to.match(/no context lost, .*current context\.\nContexts: one, two\./);
      expect(problem(() => findCluster(undefined, "odd", env))).to.match(/no context odd, .*kubernetes:context\.\nContexts: one, two\./);
      expect(problem(() => findCluster(kubeconfig("", "one"), undefined, env))).to.match(/no current context\.\nContexts: one\./);
    });

    it("is not readable: the file is named", () => {
      const broken = write("g", "{ not yaml");
      expect(problem(() => findCluster(undefined, undefined, { KUBECONFIG: broken }))).to.contain(broken);
    });
  });
});
