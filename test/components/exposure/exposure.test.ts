import { expect } from "chai";
import type { IngressArgs } from "../../../components/args.ts";
import { settled } from "../../../recorder/record.ts";
import { deploy } from "../../support/service.ts";

const access = { namespaces: ["ingress"], cidrs: ["203.0.113.0/24"] };

describe("the Service and its exposure", () => {
  it("the Service is called trivy and leads from port 80 to the servers' pods", async () => {
    const deployed = await deploy();
    const { metadata, spec } = deployed.one("Service", "trivy");
    expect(metadata.name).to.equal("trivy");
    expect(spec).to.deep.equal({
      type: "ClusterIP",
      selector: { "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/component": "server" },
      ports: [{ name: "http", port: 80, targetPort: "http", appProtocol: "http" }],
    });
    expect(deployed.container("Deployment").ports).to.deep.equal([{ name: "http", containerPort: 4954 }]);
    expect(await settled(deployed.service.address)).to.equal("http://trivy.trivy.svc");
    expect(deployed.service.externalAddress).to.equal(undefined);
  });

  it("by default, the service cannot be reached from outside the cluster", async () => {
    const deployed = await deploy();
    for (const kind of ["Ingress", "HTTPRoute"]) expect(deployed.all(kind)).to.deep.equal([]);
    expect(deployed.all("Service").map(({ spec }) => spec.type ?? "ClusterIP")).to.deep.equal(["ClusterIP", "ClusterIP"]);
  });

  it("a load balancer keeps the clients' addresses", async () => {
    const annotations = { "service.example.com/ssl-cert": "arn" };
    const deployed = await deploy({ access, exposure: { type: "loadBalancer", class: "example.com/nlb", annotations } });
    const { metadata, spec } = deployed.one("Service", "trivy-load-balancer");
    expect(metadata.annotations).to.deep.equal(annotations);
    expect(spec).to.deep.include({ type: "LoadBalancer", externalTrafficPolicy: "Local", loadBalancerClass: "example.com/nlb" });
    const service = deployed.all("Service").find(({ metadata: { name } }) => name === "trivy");
    expect(spec.selector).to.deep.equal(service.spec.selector);
    expect(spec.ports).to.deep.equal(service.spec.ports);
  });

  it("a load balancer admits only the clients' addresses, whether or not the cluster enforces network policies", async () => {
    const cidrs = ["10.1.0.0/16", "fd00::/8"];
    const deployed = await deploy({ access: { cidrs }, exposure: { type: "loadBalancer" } });
    expect(deployed.one("Service", "trivy-load-balancer").spec.loadBalancerSourceRanges).to.deep.equal(cidrs);
    const namespaces = await deploy({ access: { namespaces: ["ci"] }, exposure: { type: "loadBalancer" } });
    expect(namespaces.one("Service", "trivy-load-balancer").spec).not.to.have.property("loadBalancerSourceRanges");
  });

  it("an Ingress has the host, the class and the certificate of the arguments", async () => {
    const exposure: IngressArgs = {
      type: "ingress",
      host: "trivy.example.com",
      class: "traefik",
      tlsSecret: "cert",
      annotations: { a: "b" },
    };
    const deployed = await deploy({ access, exposure });
    const { metadata, spec } = deployed.one("Ingress");
    expect(metadata.annotations).to.deep.equal({ a: "b" });
    expect(spec).to.deep.equal({
      ingressClassName: "traefik",
      tls: [{ hosts: ["trivy.example.com"], secretName: "cert" }],
      rules: [
        {
          host: "trivy.example.com",
          http: { paths: [{ path: "/", pathType: "Prefix", backend: { service: { name: "trivy", port: { name: "http" } } } }] },
        },
      ],
    });
    expect(await settled(deployed.service.externalAddress)).to.equal("https://trivy.example.com");
  });

  it("the Service behind an Ingress or a route has annotations of its own", async () => {
    const serviceAnnotations = { "cloud.google.com/backend-config": '{"default": "trivy"}' };
    const ingress = { type: "ingress", host: "trivy.example.com", annotations: { a: "b" }, serviceAnnotations } as const;
    const route = { type: "gatewayApi", host: "trivy.example.com", gateway: { name: "public" }, serviceAnnotations } as const;
    for (const exposure of [ingress, route]) {
      const deployed = await deploy({ access, exposure });
      const service = deployed.all("Service").find(({ metadata: { name } }) => name === "trivy");
      expect(service.metadata.annotations).to.deep.equal(serviceAnnotations);
    }
    expect((await deploy({ access, exposure: ingress })).one("Ingress").metadata.annotations).to.deep.equal({ a: "b" });
  });

  it("a route of the Gateway API has time for a long scan", async () => {
    const gateway = { name: "public", namespace: "gateways", section: "https" };
    const deployed = await deploy({ access, exposure: { type: "gatewayApi", host: "trivy.example.com", gateway } });
    const { apiVersion, spec } = deployed.one("HTTPRoute");
    expect(apiVersion).to.equal("gateway.networking.k8s.io/v1");
    expect(spec).to.deep.equal({
      parentRefs: [{ name: "public", namespace: "gateways", sectionName: "https" }],
      hostnames: ["trivy.example.com"],
      rules: [{ timeouts: { request: "300s" }, backendRefs: [{ name: "trivy", port: 80 }] }],
    });
    expect(await settled(deployed.service.externalAddress)).to.equal("https://trivy.example.com");
  });
});
