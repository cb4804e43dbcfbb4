import * as pulumi from "@pulumi/pulumi";
import { ScanService } from "trivy-server";

const service = new ScanService("trivy", {
  instance: pulumi.getStack(),
  access: { namespaces: ["ci"] },
});

export const { address, token, portForward, scan } = service;
