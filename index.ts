import { ScanService } from "./components/index.ts";
import { readSettings } from "./stacks/index.ts";

const { namespace, address, externalAddress, portForward, scan, token, tokens, caCertificate, reports } = new ScanService(
  "trivy",
  readSettings(),
);

// Only what there is: Pulumi warns of outputs without a value.
export default {
  namespace,
  address,
  ...(externalAddress && { externalAddress }),
  portForward,
  scan,
  ...(token && { token }),
  ...(tokens && { tokens }),
  ...(caCertificate && { caCertificate }),
  ...(reports && { reports }),
};
