import * as pulumi from "@pulumi/pulumi";
import { ScanService } from "trivy-server";

const config = new pulumi.Config();

const service = new ScanService("trivy", {
  instance: pulumi.getStack(),
  namespace: { name: config.require("namespace") },
  server: { replicas: config.requireNumber("replicas") },
  access: { namespaces: config.require("clientNamespaces").split(",") },
});

export const { address, token, portForward, scan } = service;
