/** One scan by Trivy's client through the service, and what its report says. */
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { type Finding, type ScanConfiguration, type ScanResult, type Severity, severities, type Target } from "../protocol/model.ts";
import { reasonOf, run } from "./subprocess.ts";

export interface ScannedImage {
  readonly result: ScanResult;
  /** A document of the image, when one was asked for. */
  readonly cycloneDx?: string;
}

/**
 * A quarter of what the start of a client costs is its garbage collector. With more room it is at rest in a short scan; near the limit of the container's
 * memory, which Go does not look up itself, it works as ever.
 */
const memory = process.constrainedMemory();
const environment = { GOGC: "400", ...(memory > 0 && memory < totalmem() && { GOMEMLIMIT: `${Math.floor(memory * 0.6)}` }) };

/** @param server what the client takes for the service's address */
export async function scanImage(
  target: Target,
  configuration: ScanConfiguration,
  server: string,
  signal: AbortSignal,
): Promise<ScannedImage> {
  const started = performance.now();
  const seconds = () => Math.round(performance.now() - started) / 1000;
  // Of its own: what an ended client leaves behind goes with it, and a trivy.yaml that lies about is not read.
  const folder = await mkdtemp(join(tmpdir(), "scan-"));
  const trivy = async (args: readonly string[]): Promise<string | undefined> => {
    const env = { ...environment, TMPDIR: folder };
    // A little longer than the client's own limit, which ends it with a reason.
    const { code, stderr, late } = await run("trivy", args, {
      seconds: configuration.timeout + 5,
      signal,
      env,
      without: ["REPORTS_TOKEN"],
      cwd: folder,
    });
    if (code === 0) return undefined;
    signal.throwIfAborted();
    if (late || (seconds() >= configuration.timeout && /context deadline exceeded/.test(stderr)))
      return `the scan took longer than ${configuration.timeout} s, which is the \`timeout\` of one image`;
    if (code === null) return "the client was killed, as happens when it needs more memory than its pod may have";
    return reasonOf(stderr);
  };
  try {
    const report = join(folder, "report.json");
    const failure = await trivy(["image", "--server", server, ...scanArguments(configuration), "--output", report, target.reference]);
    if (failure !== undefined) return { result: { outcome: "failed", reason: failure, seconds: seconds() } };
    const read = readReport(await readFile(report, "utf8"));
    if (!configuration.cycloneDx) return { result: { outcome: "scanned", ...read, seconds: seconds() } };
    const document = join(folder, "cyclonedx.json");
    const unconverted = await trivy(["convert", "--quiet", "--format", "cyclonedx", "--output", document, report]);
    if (unconverted !== undefined)
      return { result: { outcome: "failed", reason: `no CycloneDX document: ${unconverted}`, seconds: seconds() } };
    return { result: { outcome: "scanned", ...read, seconds: seconds() }, cycloneDx: await readFile(document, "utf8") };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof SyntaxError)
      return { result: { outcome: "failed", reason: "the client's report is no JSON", seconds: seconds() } };
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * A digest of everything on which the findings in an image depend, besides the image and what the service answers: the client, its options and their files, and
 * how its report is read.
 * @returns nothing when they depend on the time as well: what is ignored until a day is looked at each time
 */
export async function scanPolicy(configuration: ScanConfiguration, signal: AbortSignal): Promise<string | undefined> {
  try {
    const { ignoreFile, vex } = configuration;
    const [ignored = "", ...documents] = await Promise.all([ignoreFile, ...vex].map((file) => (file ? readFile(file, "utf8") : "")));
    if (/\bexp(?:ired_at)?\b/i.test(ignored)) return undefined;
    const { stdout } = await run("trivy", ["--version"], { seconds: 60, signal, without: ["TRIVY_TOKEN", "REPORTS_TOKEN"] });
    const [, version] = /^Version: (.+)$/m.exec(stdout) ?? [];
    if (version === undefined) return undefined;
    const reading = await readFile(import.meta.filename, "utf8");
    return createHash("sha256")
      .update(JSON.stringify([version, scanArguments(configuration), ignored, documents, reading]))
      .digest("base64");
  } catch {
    // The scan itself fails for the same reason, and tells it.
    signal.throwIfAborted();
    return undefined;
  }
}

function scanArguments(configuration: ScanConfiguration): string[] {
  const { policy, plainHttp, timeout, ignoreFile, vex, javaRepositories, cycloneDx } = configuration;
  return [
    ...["--image-src", "remote", "--format", "json", "--quiet"],
    ...["--scanners", policy.scanners.join(","), "--severity", policy.severities.join(","), "--timeout", `${timeout}s`],
    // What is known of Java archives stays from scan to scan.
    ...["--cache-dir", join(tmpdir(), "trivy")],
    // Only the service, the registries and the receivers can be reached. The checks that the client brings along are as old as itself.
    ...["--skip-version-check", "--disable-telemetry", "--skip-check-update"],
    // Whole packages are for the CycloneDX document only.
    ...(cycloneDx ? [] : ["--list-all-pkgs=false"]),
    ...(policy.ignoreUnfixed ? ["--ignore-unfixed"] : []),
    ...(plainHttp ? ["--insecure"] : []),
    ...(ignoreFile === undefined ? [] : ["--ignorefile", ignoreFile]),
    ...vex.flatMap((file) => ["--vex", file]),
    ...(javaRepositories ? ["--java-db-repository", javaRepositories.join(",")] : []),
  ];
}

/** What is read of Trivy's JSON report, schema version 2. */
interface Report {
  readonly SchemaVersion?: number;
  readonly Metadata?: { readonly OS?: { readonly Family?: string; readonly Name?: string; readonly EOSL?: boolean } };
  readonly Results?: readonly {
    readonly Target?: string;
    readonly Class?: string;
    readonly Vulnerabilities?: readonly {
      readonly VulnerabilityID: string;
      readonly PkgName: string;
      readonly PkgPath?: string;
      readonly InstalledVersion?: string;
      readonly FixedVersion?: string;
      readonly Severity?: string;
      readonly Title?: string;
      readonly PrimaryURL?: string;
    }[];
    readonly Misconfigurations?: readonly {
      readonly ID: string;
      readonly Severity?: string;
      readonly Status?: string;
      readonly Title?: string;
      readonly PrimaryURL?: string;
    }[];
    readonly Secrets?: readonly { readonly RuleID: string; readonly Severity?: string; readonly Title?: string }[];
    readonly Licenses?: readonly {
      readonly Name: string;
      readonly Severity?: string;
      readonly PkgName?: string;
      readonly FilePath?: string;
      readonly Category?: string;
      readonly Link?: string;
    }[];
  }[];
}

/** The findings of a report, each once, without the lines of an image's files in which a secret or a mistake was found. */
export function readReport(text: string): { readonly findings: readonly Finding[]; readonly os?: string; readonly endOfLife?: boolean } {
  const report: Report = JSON.parse(text);
  // Anything else would read as an image without findings.
  if (report.SchemaVersion !== 2)
    throw new Error(`trivy's report has the schema version ${report.SchemaVersion}, and 2 is what is understood`);
  const findings = new Map<string, Finding>();
  const add = (finding: Finding) => {
    const key = JSON.stringify([finding.scanner, finding.id, finding.package, finding.path, finding.installed]);
    if (!findings.has(key)) findings.set(key, finding);
  };
  for (const result of report.Results ?? []) {
    const file = result.Target ?? "";
    for (const found of result.Vulnerabilities ?? []) {
      // A lock file or a binary is the path of all its packages; OS packages have none.
      const path = found.PkgPath || (result.Class === "lang-pkgs" ? file : undefined);
      add({
        id: found.VulnerabilityID,
        scanner: "vuln",
        severity: severityOf(found.Severity),
        package: found.PkgName,
        ...present({ path, installed: found.InstalledVersion, fixed: found.FixedVersion, title: found.Title, url: found.PrimaryURL }),
      });
    }
    for (const found of result.Misconfigurations ?? []) {
      if (found.Status !== undefined && found.Status !== "FAIL") continue;
      add({
        id: found.ID,
        scanner: "misconfig",
        severity: severityOf(found.Severity),
        package: file,
        ...present({ title: found.Title, url: found.PrimaryURL }),
      });
    }
    for (const found of result.Secrets ?? [])
      add({ id: found.RuleID, scanner: "secret", severity: severityOf(found.Severity), package: file, ...present({ title: found.Title }) });
    for (const found of result.Licenses ?? []) {
      add({
        id: found.Name,
        scanner: "license",
        severity: severityOf(found.Severity),
        package: found.PkgName || found.FilePath || file,
        ...present({ path: found.PkgName ? found.FilePath : undefined, title: found.Category, url: found.Link }),
      });
    }
  }
  const { Family: family, Name: name, EOSL: endOfLife } = report.Metadata?.OS ?? {};
  return {
    findings: [...findings.values()],
    ...(family && { os: [family, name].filter(Boolean).join(" ") }),
    ...(endOfLife && { endOfLife }),
  };
}

const severityOf = (text: string | undefined): Severity => severities.find((severity) => severity === text) ?? "UNKNOWN";

/** Trivy leaves out what it does not know, or writes it as an empty string. */
function present<T extends Record<string, string | undefined>>(values: T): Partial<Record<keyof T, string>> {
  const known: Partial<Record<keyof T, string>> = {};
  for (const key in values) if (values[key]) known[key] = values[key];
  return known;
}
