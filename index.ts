import { ScanService } from "./components/index.ts";
import { readSettings } from "./stacks/settings.ts";

const service = new ScanService("trivy", readSettings());

export const { namespace, address, externalAddress, portForward, scan, token } = service;
