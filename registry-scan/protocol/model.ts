export type { PlanProblem as Problem } from "./api.ts";
export * from "./api.ts";
export * from "./configuration.ts";
export * from "./findings.ts";
export * from "./names.ts";
export * from "./policy.ts";
export * from "./report.ts";
export type { TargetArgs } from "./targets.ts";
export * from "./verdict.ts";
