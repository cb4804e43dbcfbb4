import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { VersionApi } from "@kubernetes/client-node";
import { expect } from "chai";
import { findCluster } from "../../commands/cluster/cluster.ts";
import { proxyOf } from "../../commands/proxies.ts";
import { run } from "../support/command.ts";

describe("proxies of the environment", () => {
  const api = "https://api.example.com:6443";

  it("a URL is reached through a proxy in the cases in which kubectl does so", () => {
    const proxied = { HTTPS_PROXY: "http://proxy.example.com:3128" };
    expect(proxyOf(api, {})).to.equal(undefined);
    expect(proxyOf(api, proxied)).to.equal("http://proxy.example.com:3128");
    expect(proxyOf(api, { https_proxy: "proxy.example.com:3128" })).to.equal("http://proxy.example.com:3128");
    expect(proxyOf(api, { HTTP_PROXY: "http://proxy.example.com:3128" }), "only for HTTP").to.equal(undefined);
    expect(proxyOf("http://api.example.com", { HTTP_PROXY: "http://p.example.com" })).to.equal("http://p.example.com");
    for (const direct of ["*", "example.com", "a.example, api.example.com", "api.example.com:6443"])
      expect(proxyOf(api, { ...proxied, NO_PROXY: direct }), direct).to.equal(undefined);
    expect(proxyOf(api, { ...proxied, NO_PROXY: "example.org,api.example.com:443" })).to.equal(proxied.HTTPS_PROXY);
    for (const local of ["https://127.0.0.1:6443", "https://localhost:6443", "https://[::1]:6443"])
      expect(proxyOf(local, proxied), local).to.equal(undefined);
    expect(proxyOf("https://10.1.2.3:6443", { ...proxied, no_proxy: "10.0.0.0/8" })).to.equal(undefined);
  });

  describe("of which one listens", () => {
    let server: Server;
    let requests: string[];
    let proxy: string;
    beforeEach(async () => {
      requests = [];
      server = createServer().on("connect", ({ url }, socket) => {
        requests.push(url ?? "");
        socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      proxy = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    });
    afterEach(() => void server.close());

    it("the API server is reached through it, unless the kubeconfig names another one", async () => {
      const kubeconfig = (more: object = {}) =>
        JSON.stringify(
          {
            "current-context": "c",
            contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
            clusters: [{ name: "c", cluster: { server: api, ...more } }],
            users: [{ name: "u", user: { token: "t" } }],
          },
          undefined,
          1,
        );
      const { config } = findCluster(kubeconfig(), undefined, { HTTPS_PROXY: proxy });
      await config
        .makeApiClient(VersionApi)
        .getCode()
        .catch(() => undefined);
      expect(requests).to.deep.equal(["api.example.com:6443"]);
      const other = findCluster(kubeconfig({ "proxy-url": "http://other.example.com" }), undefined, { HTTPS_PROXY: proxy }).config;
      expect(other.getCurrentCluster()?.proxyUrl).to.equal("http://other.example.com");
    });

    it("registries and downloads of a command are reached through it", async () => {
      const image = `registry.example.com/app:1.0@sha256:${"0".repeat(64)}`;
      await run("node", ["commands/images.ts", "--verify", image], { env: { HTTPS_PROXY: proxy, NO_PROXY: "other.example.com" } });
      expect(requests).to.include("registry.example.com:443");
    });
  });
});
