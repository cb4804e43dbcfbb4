import type { ScanConfiguration } from "../protocol/configuration.ts";
import type { ReportsClient } from "./reports-client.ts";
import type { ToolsClient } from "./tools-client.ts";

/** What the steps of a scanning pod have in common. */
export interface WorkerContext {
  readonly configuration: ScanConfiguration;
  readonly reports: ReportsClient;
  readonly tools: ToolsClient;
  /** When the pod started. */
  readonly startedAt: Date;
  /** Aborted when the pod has to stop. */
  readonly stop: AbortSignal;
  /** Aborted at the run's deadline. */
  readonly deadline: AbortSignal;
  readonly log: (line: string) => void;
}

/** Seconds after the deadline in which the reports server ends the run and writes its report. */
const closingTime = 120;

/** @throws {Error} when the reports server should have ended the run by now */
export function assertNotOverdue({ configuration: { deadline }, startedAt }: WorkerContext): void {
  if (Date.now() - startedAt.getTime() > (deadline + closingTime) * 1000)
    throw new Error(`the reports server did not end the run within ${closingTime} s of its deadline of ${deadline} s`);
}
