import { expect } from "chai";
import type { ScanServiceArgs } from "../../components/scan-service.ts";
import { type Deployed, deploy, type Manifest } from "../support/service.ts";
import { services } from "../support/services.ts";

const kinds = ["Deployment", "StatefulSet", "CronJob"];

/** The specifications of all pods, by the name of their workload. */
const podsOf = (deployed: Deployed): [string, Manifest][] =>
  kinds.flatMap((kind) =>
    deployed
      .all(kind)
      .map(({ metadata, spec }): [string, Manifest] => [
        `${kind} ${metadata.name}`,
        (kind === "CronJob" ? spec.jobTemplate.spec : spec).template.spec,
      ]),
  );
const containersOf = (spec: Manifest): Manifest[] => [...(spec.initContainers ?? []), ...spec.containers];

for (const [name, args] of Object.entries(services))
  describe(`the pods of a service with ${name}`, () => {
    const pods = async (more: Partial<ScanServiceArgs> = {}) => {
      const found = podsOf(await deploy({ ...args, ...more }));
      expect(found.length).to.be.above(3);
      return found;
    };

    it("every container has requests and limits of CPU and memory if a quota requires them, limits not below requests", async () => {
      for (const [workload, spec] of await pods({ pods: { cpuLimit: "150m" } }))
        for (const { name: container, resources } of containersOf(spec)) {
          const at = `${workload}, ${container}`;
          for (const amounts of [resources.requests, resources.limits])
            expect(amounts, at).to.include.all.keys("cpu", "memory", "ephemeral-storage");
          const request = resources.requests.cpu.endsWith("m")
            ? Number.parseInt(resources.requests.cpu, 10)
            : 1000 * resources.requests.cpu;
          expect(resources.limits.cpu, at).to.equal(request > 150 ? resources.requests.cpu : "150m");
        }
    });

    it("a container's own limit of CPU is not replaced, and without the setting there is none", async () => {
      const server = { ...args.server, resources: { limits: { cpu: "3" } } };
      const limits = async (more: Partial<ScanServiceArgs>) =>
        (await pods({ server, ...more })).map(([workload, spec]) => [workload, spec.containers[0].resources.limits.cpu]);
      expect(await limits({ pods: { cpuLimit: "150m" } })).to.deep.include(["Deployment trivy-server", "3"]);
      for (const [workload, limit] of await limits({}))
        expect(limit, workload).to.equal(workload.startsWith("Deployment trivy-server") ? "3" : undefined);
    });

    it("where the platform assigns IDs, no pod names one, and all stay restricted", async () => {
      for (const [workload, spec] of await pods({ pods: { userIds: "assigned" } })) {
        expect(spec.securityContext, workload).to.deep.equal({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
        for (const { securityContext } of containersOf(spec))
          expect(securityContext, workload).to.deep.equal({
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          });
      }
    });

    it("pods run only on nodes for which there are images; a selector of the user's comes first", async () => {
      const architectures = { key: "kubernetes.io/arch", operator: "In", values: ["amd64", "arm64"] };
      for (const [workload, { nodeSelector, affinity }] of await pods({ scheduling: { nodeSelector: { disk: "ssd" } } })) {
        expect(nodeSelector, workload).to.deep.equal({ "kubernetes.io/os": "linux", disk: "ssd" });
        const { nodeSelectorTerms } = affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution;
        expect(nodeSelectorTerms, workload).to.deep.equal([{ matchExpressions: [architectures] }]);
      }
      for (const [workload, { nodeSelector, affinity }] of await pods({
        scheduling: { nodeSelector: { "kubernetes.io/arch": "s390x" } },
      })) {
        expect(nodeSelector, workload).to.deep.equal({ "kubernetes.io/os": "linux", "kubernetes.io/arch": "s390x" });
        expect(affinity, workload).to.equal(undefined);
      }
    });
  });
