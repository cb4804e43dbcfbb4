/** Order, numbers and groups of findings. */
import type { Finding } from "../protocol/findings.ts";
import { type Severity, severities } from "../protocol/policy.ts";
import type { Counts } from "../protocol/report.ts";

/**
 * Identity of a finding within its image. The installed version is left out, so that an upgrade to another vulnerable version is not reported
 * as new.
 */
export const findingIdentity = ({ scanner, id, package: name, path = "" }: Finding): string => `${scanner}\0${id}\0${name}\0${path}`;

const rank = new Map(severities.map((severity, index) => [severity, index]));

/** Compares severities: negative if `a` is more severe than `b`. */
export const moreSevereFirst = (a: Severity, b: Severity): number => (rank.get(b) ?? 0) - (rank.get(a) ?? 0);

/** Compares texts by UTF-16 code units: the same order in every locale. */
export const alphabetical = (a = "", b = ""): number => (a < b ? -1 : a > b ? 1 : 0);

/** Compares findings: the most severe first, then in an order that is the same in every run. */
export function worstFirst(a: Finding, b: Finding): number {
  return (
    moreSevereFirst(a.severity, b.severity) ||
    alphabetical(a.id, b.id) ||
    alphabetical(a.package, b.package) ||
    alphabetical(a.path, b.path) ||
    alphabetical(a.installed, b.installed)
  );
}

/** Returns the number of findings of each severity. */
export function countBySeverity(findings: Iterable<Finding>): Counts {
  const counts = { UNKNOWN: 0, LOW: 0, MEDIUM: 0, HIGH: 0, CRITICAL: 0 };
  for (const { severity } of findings) counts[severity]++;
  return counts;
}

export function addCounts(a: Counts, b: Counts): Counts {
  return {
    UNKNOWN: a.UNKNOWN + b.UNKNOWN,
    LOW: a.LOW + b.LOW,
    MEDIUM: a.MEDIUM + b.MEDIUM,
    HIGH: a.HIGH + b.HIGH,
    CRITICAL: a.CRITICAL + b.CRITICAL,
  };
}

/** A finding, with the day on which it was first seen in its image. */
export interface DatedFinding extends Finding {
  /** `2026-11-27` @default unknown */
  readonly since?: string;
}

/** Findings of an image, or a part of them. */
export interface ImageFindings {
  readonly name: string;
  readonly findings: readonly Finding[];
}

/** A finding, with the names of the images that have it. */
export interface FindingGroup {
  readonly finding: Finding;
  readonly names: readonly string[];
}

/**
 * Groups findings across images, because hundreds of images may inherit a finding from one base image. The most severe group is first, then the one
 * with the most images.
 */
export function groupFindings(images: readonly ImageFindings[]): FindingGroup[] {
  const groups = new Map<string, { finding: Finding; names: string[] }>();
  for (const { name, findings } of images) {
    for (const finding of findings) {
      const key = `${finding.scanner}\0${finding.id}\0${finding.package}`;
      const group = groups.get(key);
      if (!group) groups.set(key, { finding, names: [name] });
      else if (group.names.at(-1) !== name) group.names.push(name);
    }
  }
  return [...groups.values()].sort(
    (a, b) =>
      moreSevereFirst(a.finding.severity, b.finding.severity) || b.names.length - a.names.length || worstFirst(a.finding, b.finding),
  );
}
