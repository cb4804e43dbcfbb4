import * as v from "./kinds/index.ts";

export const pods = v
  .block("PodsArgs", {
    userIds: v
      .plain(v.choice(["fixed", "assigned"]))
      .default("fixed")
      .describe(
        "Whether pods name their user and group IDs, above 10000, or leave them to the platform: `assigned` is for OpenShift and others that assign IDs and refuse those of pods. Pods never run as root.",
      ),
    cpuLimit: v.cpu().optional().meta({
      description:
        "CPU limit of every container that has none of its own, or the container's request if that is higher: for a namespace whose ResourceQuota has `limits.cpu`.",
      otherwise: "no limit",
    }),
  })
  .describe("What all pods have in common.")
  .prefault({});
