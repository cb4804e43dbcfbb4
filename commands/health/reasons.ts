import { CoreV1Api } from "@kubernetes/client-node";
import { singleLine } from "../../registry-scan/index.ts";
import { respond } from "../cluster/api.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Finding } from "./findings.ts";

/** Returns findings with the decisive line of the log where a log has the reason. */
export async function withReasons(cluster: Cluster, namespace: string, found: readonly Finding[]): Promise<Finding[]> {
  const core = cluster.config.makeApiClient(CoreV1Api);
  return Promise.all(
    found.map(async (finding) => {
      if (!finding.log) return finding;
      const { pod, container, previous } = finding.log;
      const request = core.readNamespacedPodLog({ name: pod, namespace, container, previous, tailLines: 50 });
      const line = decisiveLine((await respond(cluster, request).catch(() => undefined)) ?? "");
      return line === undefined ? finding : { ...finding, problem: `${finding.problem}; its log: ${line}` };
    }),
  );
}

/** Returns why a program ended according to its log: the fatal error with the lines that follow it, otherwise the last error or line. */
export function decisiveLine(log: string): string | undefined {
  const lines = log.split("\n").filter((line) => line.trim());
  const fatal = lines.findLastIndex((line) => /FATAL/.test(line));
  const text = fatal >= 0 ? lines.slice(fatal, fatal + 4).join(" ") : (lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1));
  return text && singleLine(text.replace(/^\S+\s+FATAL\s+(Fatal error\s+)?/, "")).slice(0, 800);
}
