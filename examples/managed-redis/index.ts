import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { ScanService } from "trivy-server";

// Stands for a Redis of your cloud, such as aws.elasticache.ReplicationGroup: its address and its password are outputs.
const labels = { app: "valkey" };
const password = new random.RandomPassword("valkey", { length: 32, special: false }).result;
const namespace = new k8s.core.v1.Namespace("caches").metadata.name;
const credentials = new k8s.core.v1.Secret("valkey", { metadata: { namespace }, stringData: { password } });
const valkey = new k8s.core.v1.Service("valkey", {
  metadata: { namespace },
  spec: { selector: labels, ports: [{ port: 6379 }] },
});
new k8s.apps.v1.Deployment("valkey", {
  metadata: { namespace },
  spec: {
    selector: { matchLabels: labels },
    template: {
      metadata: { labels },
      spec: {
        containers: [
          {
            name: "valkey",
            image: "docker.io/valkey/valkey:8.1.1",
            args: ["--requirepass", "$(PASSWORD)", "--maxmemory", "512mb", "--maxmemory-policy", "allkeys-lru"],
            env: [{ name: "PASSWORD", valueFrom: { secretKeyRef: { name: credentials.metadata.name, key: "password" } } }],
            ports: [{ containerPort: 6379 }],
          },
        ],
      },
    },
  },
});

const service = new ScanService("trivy", {
  instance: pulumi.getStack(),
  redis: {
    mode: "external",
    host: pulumi.interpolate`${valkey.metadata.name}.${valkey.metadata.namespace}.svc`,
    password,
  },
  access: { namespaces: ["ci"] },
});

export const { address, token, portForward, scan } = service;
