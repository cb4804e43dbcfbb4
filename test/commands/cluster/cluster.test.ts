import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { findCluster, isLocal } from "../../../commands/cluster/cluster.ts";
import { UserError } from "../../../commands/user-error.ts";

describe("the cluster of a stack", () => {
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
    it(`context ${context} at ${server} is local`, () => expect(isLocal(context, server)).to.equal(true));
  }

  const remote: [string, string, string][] = [
    ["prod", "https://127.0.0.1:6443", "a tunnel ends at a loopback address"],
    ["kind-prod", "https://203.0.113.7:6443", "a context can have any name"],
    ["minikube", "https://cluster.example.com", "a host name can resolve to any address"],
    ["my-kind-dev", "https://127.0.0.1:6443", "the names of the tools' contexts match as a whole"],
    ["minikube-prod", "https://10.0.0.1", "the names of the tools' contexts match as a whole"],
    ["kind-dev", "not an address", "an invalid address is not local"],
    ["kind-dev", "https://172.32.0.1", "outside the private ranges"],
  ];
  for (const [context, server, why] of remote) {
    it(`context ${context} at ${server} is not local: ${why}`, () => expect(isLocal(context, server)).to.equal(false));
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
    const refusal = (find: () => unknown) => {
      try {
        find();
      } catch (error) {
        expect(error).to.be.instanceOf(UserError);
        return (error as UserError).message;
      }
      throw new Error("no error was thrown");
    };

    it("the current context is taken from the first file that sets one", () => {
      const files = [
        write("a", kubeconfig("", "one")),
        join(folder, "missing"),
        write("b", kubeconfig("two", "two")),
        write("c", kubeconfig("three", "three")),
      ];
      const cluster = findCluster(undefined, undefined, { KUBECONFIG: files.join(":") });
      expect(cluster).to.include({ context: "two", server: "https://two.example.com", local: false });
    });

    it("the stack's kubeconfig and context win over the environment", () => {
      const env = { KUBECONFIG: write("d", kubeconfig("one", "one")) };
      expect(findCluster(kubeconfig("two", "two", "three"), "three", env).context).to.equal("three");
      expect(findCluster(write("e", kubeconfig("two", "two")), undefined, env).context).to.equal("two");
    });

    it("a missing kubeconfig is reported with the place where it was expected", () => {
      expect(refusal(() => findCluster(undefined, undefined, { KUBECONFIG: join(folder, "none") })))
        .to.contain(`KUBECONFIG names ${join(folder, "none")}`)
        .and.contain("kind create cluster");
      expect(refusal(() => findCluster(join(folder, "gone"), undefined, {}))).to.contain("kubernetes:kubeconfig");
    });

    it("a missing context is reported with the existing ones", () => {
      const env = { KUBECONFIG: write("f", kubeconfig("lost", "one", "two")) };
      expect(refusal(() => findCluster(undefined, undefined, env))).to.match(/no context lost, .*current context\.\nContexts: one, two;/);
      expect(refusal(() => findCluster(undefined, "odd", env))).to.match(/no context odd, .*kubernetes:context\.\nContexts: one, two;/);
      expect(refusal(() => findCluster(kubeconfig("", "one"), undefined, env))).to.match(/no current context\.\nContexts: one;/);
    });

    it("an unreadable kubeconfig is reported with its path", () => {
      const broken = write("g", "{ not yaml");
      expect(refusal(() => findCluster(undefined, undefined, { KUBECONFIG: broken }))).to.contain(broken);
    });
  });
});
