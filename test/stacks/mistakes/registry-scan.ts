import type { Mistakes } from "./mistake.ts";

const withScan = (scan: Record<string, unknown>) => ({ registryScan: { enabled: true, targets: [{ image: "alpine:3.10" }], ...scan } });
const withTargets = (...targets: Record<string, unknown>[]) => withScan({ targets });
const withAlerts = (...alerts: Record<string, unknown>[]) => withScan({ alerts });

export const registryScan: Mistakes = {
  inSchema: [
    [
      "a cron expression with too few fields",
      withScan({ schedule: "0 3 * *" }),
      "registryScan.schedule",
      /five fields, not 4; .*`0 3 \* \* \*`/,
    ],
    [
      "a cron expression with a time zone",
      withScan({ schedule: "TZ=UTC 0 3 * * *" }),
      "registryScan.schedule",
      /its own setting; use timeZone/,
    ],
    ["an offset in place of a time zone", withScan({ timeZone: "+02:00" }), "registryScan.timeZone", /Europe\/Berlin/],
    [
      "a target that names nothing",
      withTargets({ newest: 3 }),
      "registryScan.targets[0]",
      /has neither image nor repository; use one of them/,
    ],
    [
      "a text in place of a target",
      withScan({ targets: ["alpine:3.10"] }),
      "registryScan.targets[0]",
      /is a text; use a block of settings with image or repository/,
    ],
    ["an image with a scheme", withTargets({ image: "https://r.example.com/a:1" }), "registryScan.targets[0].image", /leave .* out/],
    [
      "an image without a tag",
      withTargets({ image: "alpine" }),
      "registryScan.targets[0].image",
      /is "alpine", which has neither a tag nor a digest; /,
    ],
    [
      "an image with half a digest",
      withScan({ targets: [{ image: "a:1@sha256:0f" }] }),
      "registryScan.targets[0].image",
      /^is "a:1@.*digest/,
    ],
    ["a repository with a tag", withTargets({ repository: "r.example.com/a:1" }), "registryScan.targets[0].repository", /remove its tag/],
    [
      "an image and a repository in one target",
      withTargets({ image: "a:1", repository: "b" }),
      "registryScan.targets[0].repository",
      /conflicts with registryScan\.targets\[0\]\.image; use a separate item for each/,
    ],
    [
      "tags of an image",
      withTargets({ image: "a:1", tags: ["v*"] }),
      "registryScan.targets[0].tags",
      /has no effect because registryScan\.targets\[0\]\.image is set; remove it or use repository instead of image/,
    ],
    ["an empty list of tags", withTargets({ repository: "a", tags: [] }), "registryScan.targets[0].tags", /remove the setting for all/],
    [
      "a target twice",
      withTargets({ image: "a:1" }, { repository: "b" }, { image: "a:1" }),
      "registryScan.targets[2]",
      /is the same as registryScan\.targets\[0\]; keep one/,
    ],
    ["an unknown severity", withScan({ severities: ["HIGH", "SEVERE"] }), "registryScan.severities[1]", /use one of UNKNOWN, LOW/],
    [
      "a severity twice",
      withScan({ severities: ["HIGH", "HIGH"] }),
      "registryScan.severities[1]",
      /is HIGH, the same as registryScan\.severities\[0\]/,
    ],
    [
      "a receiver with two addresses",
      withAlerts({ name: "a", type: "slack", url: "https://h.example.com", existingSecret: { name: "s" } }),
      "registryScan.alerts[0].existingSecret",
      /conflicts with registryScan\.alerts\[0\]\.url; remove one of the two/,
    ],
    [
      "a bucket without its keys",
      withScan({ reports: { bucket: { name: "reports" } } }),
      "registryScan.reports.bucket.existingSecret",
      /use a DNS name/,
    ],
    [
      "settings of a scan that is disabled",
      { registryScan: { targets: [{ image: "a:1" }] } },
      "registryScan.targets",
      /set registryScan\.enabled: true/,
    ],
    [
      "logins in addition to a Secret that holds them",
      withScan({ existingSecret: "a", credentials: [{ registry: "ghcr.io", username: "u", password: "p" }] }),
      "registryScan.existingSecret",
      /conflicts with registryScan\.credentials; remove one/,
    ],
  ],
  beyondSchema: [
    [
      "a cron expression with a wrong hour",
      withScan({ schedule: "0 25 * * *" }),
      "registryScan.schedule",
      /its hour is 25, .* from 0 to 23;/,
    ],
    [
      "a cron expression with a range that ends before it begins",
      withScan({ schedule: "0 3 * * FRI-MON" }),
      "registryScan.schedule",
      /FRI-MON/,
    ],
    ["a cron expression with a step of zero", withScan({ schedule: "*/0 * * * *" }), "registryScan.schedule", /minute is \*\/0/],
    ["an unknown time zone", withScan({ timeZone: "Europe/Atlantis" }), "registryScan.timeZone", /Europe\/Berlin/],
    ["a scan without targets", withTargets(), "registryScan.targets", /is missing or empty; use at least one image or repository/],
    [
      "an invalid range of versions",
      withTargets({ repository: "a", versions: "newer" }),
      "registryScan.targets[0].versions",
      /semantic versions/,
    ],
    [
      "an ignore file with a syntax error",
      withScan({ ignoreFile: "a: [" }),
      "registryScan.ignoreFile",
      /^is not valid YAML \(.*line 1.*\); use /,
    ],
    [
      "an ignore file in Trivy's old format",
      withScan({ ignoreFile: "CVE-2021-36159\n" }),
      "registryScan.ignoreFile",
      /not a table.*\.trivyignore\.yaml/,
    ],
    ["a VEX document with a syntax error", withScan({ vex: ['{"@context": }'] }), "registryScan.vex[0]", /^is not valid JSON .*OpenVEX/],
    ["a VEX document without content", withScan({ vex: ["null"] }), "registryScan.vex[0]", /not an object.*OpenVEX/],
    [
      "a time limit for an image above that of the run",
      withScan({ timeout: "2h", deadline: "1h" }),
      "registryScan.timeout",
      /raise the deadline/,
    ],
    [
      "a receiver without an address",
      withAlerts({ name: "a", type: "json" }),
      "registryScan.alerts[0].url",
      /is missing; set it as a secret, or set existingSecret/,
    ],
    ["an invalid address of a receiver", withAlerts({ name: "a", type: "json", url: "hooks" }), "registryScan.alerts[0].url", /use a URL/],
    [
      "two receivers of one name",
      withAlerts(...[1, 2].map(() => ({ name: "a", type: "slack", existingSecret: { name: "s" } }))),
      "registryScan.alerts[1].name",
      /is a, the same as registryScan\.alerts\[0\]\.name/,
    ],
    [
      "the scan's own name for a client",
      { ...withScan({}), gateway: { enabled: true, clients: [{ name: "registry-scan" }] } },
      "gateway.clients[0].name",
      /the registry scan itself uses; use another/,
    ],
  ],
};
