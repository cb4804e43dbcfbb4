/** What a group of rules is about; a stack gets only the groups of the parts that it has. */
export type RuleSubject = "service" | "probe" | "gateway" | "redis" | "registryScan" | "mirror" | "copy";

/**
 * An alerting rule. Each selector of its expression has braces, and those of metrics of the service select the scrape job: so the rule can be
 * narrowed to one stack.
 */
export interface Alert {
  readonly alert: string;
  readonly expr: string;
  /** A metric whose absence raises the alert in a stack that has the part. @default none */
  readonly absent?: string;
  /** How long the condition must last. @default not at all */
  readonly for?: string;
  /** `critical`: users are affected now, someone must act at once. `warning`: someone must act within days. */
  readonly severity: "critical" | "warning";
  /** Further labels. @default none */
  readonly labels?: Readonly<Record<string, string>>;
  /** What is wrong, in one line. */
  readonly summary: string;
  /** What follows from it, and the first thing to do. */
  readonly description: string;
}

export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface AlertGroup {
  readonly name: string;
  readonly subject: RuleSubject;
  readonly rules: readonly Alert[];
}

export interface RecordingGroup {
  readonly name: string;
  readonly subject: RuleSubject;
  readonly rules: readonly RecordingRule[];
}
