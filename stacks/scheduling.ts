import type { z } from "zod";
import * as v from "./kinds/index.ts";
import type { RuleProblem } from "./rule.ts";

const toleration = v
  .block("TolerationArgs", {
    key: v.labelKey().optional().meta({ description: "Key of the taint.", otherwise: "every taint" }),
    operator: v.choice(["Exists", "Equal"]).default("Equal").describe("Whether the taint must exist, or also have `value`."),
    value: v.labelValue().optional().describe("Value of the taint."),
    effect: v
      .choice(["NoSchedule", "PreferNoSchedule", "NoExecute"])
      .optional()
      .meta({ description: "Effect of the taint.", otherwise: "every effect" }),
  })
  .describe("A taint that the pods tolerate.");

export const scheduling = v
  .block("SchedulingArgs", {
    nodeSelector: v.tableOf(v.labelKey(), v.labelValue()).default({}).describe("Labels that a node must have."),
    tolerations: v.listOf(toleration).default([]).describe("Taints that the pods tolerate."),
    priorityClassName: v
      .objectName()
      .optional()
      .meta({ description: "Name of an existing PriorityClass.", otherwise: "the cluster's default" }),
  })
  .describe("Which nodes the pods run on.")
  .prefault({});

export function* schedulingRules({ tolerations }: z.output<typeof scheduling>): Generator<RuleProblem> {
  for (const [index, { key, operator, value }] of tolerations.entries()) {
    const path = `scheduling.tolerations[${index}]`;
    if (key === undefined && operator === "Equal")
      yield { path: `${path}.key`, message: "is missing; set it, or use operator: Exists to tolerate every taint" };
    if (value !== undefined && operator === "Exists")
      yield { path: `${path}.value`, message: "has no effect because operator is Exists; remove it or use operator: Equal" };
  }
}
