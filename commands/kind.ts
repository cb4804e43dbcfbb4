/**
 * `npm run kind -- <version>`: creates a kind cluster for the end-to-end tests in GitHub Actions, and sets the environment of the job's next steps:
 * KUBECONFIG, the tests' variables, and Trivy's client on the PATH.
 */
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { images } from "../components/shared/images.ts";
import { main, UserError } from "./user-error.ts";

const usage = `Usage: npm run kind -- <version of Kubernetes, such as v1.35.0>

Needs kind, docker, and sudo for a route to the Services. For GitHub Actions: GITHUB_ENV, GITHUB_PATH and RUNNER_TEMP must be set.

Exit codes: 0 created, 1 not created, 2 wrong usage`;

async function kind([version, ...others]: readonly string[]): Promise<number> {
  const { GITHUB_ENV: environment, GITHUB_PATH: path, RUNNER_TEMP: temporary } = process.env;
  if (!version || !/^v\d+\.\d+\.\d+$/.test(version) || others.length > 0) throw new UserError(usage, 2);
  if (!environment || !path || !temporary) throw new UserError(`GITHUB_ENV, GITHUB_PATH or RUNNER_TEMP is not set.\n\n${usage}`, 2);

  const kubeconfig = join(temporary, "kubeconfig");
  command("kind", "create", "cluster", `--image=kindest/node:${version}`, `--kubeconfig=${kubeconfig}`, "--wait=5m");
  const node = command("docker", "inspect", "--format={{.NetworkSettings.Networks.kind.IPAddress}}", "kind-control-plane");
  const network = command("docker", "network", "inspect", "--format={{range .IPAM.Config}}{{.Subnet}} {{end}}", "kind");
  const services = command("kubectl", `--kubeconfig=${kubeconfig}`, "get", "service", "kubernetes", "--output=jsonpath={.spec.clusterIP}");
  // kind's Services have addresses in a /16. The node forwards them, and the pods see the node's address.
  command("sudo", "ip", "route", "add", services.replace(/\.\d+\.\d+$/, ".0.0/16"), "via", node);

  const bin = join(temporary, "bin");
  mkdirSync(bin, { recursive: true });
  const container = command("docker", "create", images.trivy);
  command("docker", "cp", `${container}:/usr/local/bin/trivy`, bin);
  command("docker", "rm", container);

  const cidr = network.split(" ").find((subnet) => !subnet.includes(":"));
  appendFileSync(environment, `KUBECONFIG=${kubeconfig}\nE2E_CLIENT_CIDR=${cidr}\n`);
  appendFileSync(path, `${bin}\n`);
  return 0;
}

const command = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }).trim();

if (import.meta.main) await main(kind, { usage: () => usage });
