import { objectiveAlerts } from "./objective.ts";
import type { AlertGroup } from "./rule.ts";

const exporter = '{job="trivy-exporter"}';
const gateway = '{job="trivy-gateway"}';
const clients = '{job="trivy-gateway-clients"}';
const redis = '{job="trivy-redis"}';
const registryScan = '{job="trivy-registry-scan"}';
const mirror = '{job="trivy-mirror"}';

/** Every alert. The thresholds have their reasons in docs/guides/alerts.md. */
export const alertGroups: readonly AlertGroup[] = [
  {
    name: "trivy-service",
    subject: "service",
    rules: [
      {
        alert: "TrivyServiceDown",
        expr: `trivy_servers_ready${exporter} == 0`,
        for: "2m",
        severity: "critical",
        summary: "No Trivy server answers; no image can be scanned",
        description:
          "None of the servers in {{ $labels.namespace }}{{ with $labels.domain }}, trust domain {{ . }},{{ end }} has answered for two minutes. Run `kubectl get pods -n {{ $labels.namespace }}`, and `kubectl logs deployment/trivy-server{{ with $labels.domain }}-{{ . }}{{ end }} -n {{ $labels.namespace }}`: common causes are a database that cannot be downloaded and an image that cannot be pulled.",
      },
      {
        alert: "TrivyServersMissing",
        expr: `trivy_servers_ready${exporter} < trivy_servers_expected${exporter}`,
        for: "15m",
        severity: "warning",
        summary: "Fewer Trivy servers answer than should",
        description:
          "{{ $value }} servers in {{ $labels.namespace }}{{ with $labels.domain }}, trust domain {{ . }},{{ end }} have answered for 15 minutes, fewer than `server.replicas` or the autoscaler's minimum. Run `kubectl describe pod -l app.kubernetes.io/component=server{{ with $labels.domain }}-{{ . }}{{ end }} -n {{ $labels.namespace }}`.",
      },
      {
        alert: "TrivyServerVersionsDiffer",
        expr: `count by (namespace) (count by (namespace, version) (trivy_server_info${exporter})) > 1`,
        for: "1h",
        severity: "warning",
        summary: "The Trivy servers have different versions",
        description:
          "The servers in {{ $labels.namespace }} have had {{ $value }} versions for an hour, so a rollout has not completed. Servers of different versions do not share the cache. Run `kubectl rollout status deployment/trivy-server -n {{ $labels.namespace }}`.",
      },
      {
        alert: "TrivyDatabaseOld",
        // A server looks for a new build 24 hours after its own was made. Trivy publishes one every six hours.
        expr: `time() - trivy_server_database_updated_timestamp_seconds${exporter} > 36 * 3600`,
        for: "15m",
        severity: "warning",
        summary: "The vulnerability database is older than 36 hours",
        description:
          "The database of the server {{ $labels.server }} in {{ $labels.namespace }} is {{ $value | humanizeDuration }} old, so newer vulnerabilities are not found. The server's log has the reason; check that it can reach `database.repositories`.",
      },
      {
        alert: "TrivyServerDatabaseBehind",
        expr: `max by (namespace) (trivy_server_database_updated_timestamp_seconds${exporter}) - on (namespace) group_right () trivy_server_database_updated_timestamp_seconds${exporter} > 26 * 3600`,
        for: "15m",
        severity: "warning",
        summary: "A Trivy server has an older vulnerability database than the others",
        description:
          "The database of the server {{ $labels.server }} in {{ $labels.namespace }} is {{ $value | humanizeDuration }} older than that of another server, so the results of a scan depend on which server answers. Delete its pod; `kubectl get pods -o wide` shows the addresses.",
      },
      {
        alert: "TrivyCertificateExpires",
        // Generated certificates are renewed by the first `up` in the last quarter of their year, those of cert-manager in the last third.
        expr: `trivy_certificate_expiry_timestamp_seconds${exporter} - time() < 21 * 86400`,
        for: "1h",
        severity: "warning",
        summary: "A certificate expires within three weeks",
        description:
          "The certificate `{{ $labels.certificate }}` in {{ $labels.namespace }} expires in {{ $value | humanizeDuration }}; then every connection that uses it fails. Run `up` for a generated certificate, otherwise renew it in its Secret or setting.",
      },
      {
        alert: "TrivyOldSecretValid",
        expr: `trivy_previous_secret_valid${exporter} == 1 and trivy_previous_secret_valid${exporter} offset 14d == 1`,
        for: "1h",
        severity: "warning",
        summary: "A replaced secret is still valid after two weeks",
        description:
          "The previous {{ $labels.kind }} of {{ $labels.name }} in {{ $labels.namespace }} has been valid for more than two weeks. Complete the rotation: set `retire` next to `generation`, or remove `previousToken`.",
      },
      {
        alert: "TrivyVolumeNearlyFull",
        expr: 'kubelet_volume_stats_available_bytes{persistentvolumeclaim=~"redis|trivy-.+"} / kubelet_volume_stats_capacity_bytes{persistentvolumeclaim=~"redis|trivy-.+"} < 0.1',
        for: "15m",
        severity: "warning",
        summary: "A volume is nearly full",
        description:
          "The volume {{ $labels.persistentvolumeclaim }} in {{ $labels.namespace }} has {{ $value | humanizePercentage }} of its space left. Raise its size: `redis.persistence.size` for redis or trivy-redis, `registryScan.reports.size` for trivy-reports, `database.mirror.size` for trivy-database.",
      },
      {
        alert: "TrivyMonitoringMissing",
        expr: `up${exporter} == 0`,
        absent: `trivy_servers_ready${exporter}`,
        for: "15m",
        severity: "warning",
        summary: "The Trivy servers are not monitored",
        description:
          "Prometheus has had no metrics of the servers for 15 minutes, so no other alert about them can fire. Check that the pod of the Deployment trivy-exporter is ready, and that Prometheus' namespace is listed in `monitoring.namespaces`.",
      },
    ],
  },
  {
    name: "trivy-probe",
    subject: "probe",
    rules: [
      {
        alert: "TrivyProbeFails",
        expr: `trivy_probe_consecutive_failures${exporter} >= 3`,
        severity: "critical",
        summary: "Synthetic scans fail",
        description:
          "The last {{ $value }} synthetic scans in {{ $labels.namespace }} have failed, so scans of clients probably fail too. `kubectl logs deployment/trivy-exporter -n {{ $labels.namespace }}` has the reason.",
      },
      {
        alert: "TrivyProbeMissed",
        expr: `(time() - trivy_probe_timestamp_seconds${exporter} > 3 * trivy_probe_interval_seconds${exporter}) or (trivy_probe_interval_seconds${exporter} unless trivy_probe_timestamp_seconds${exporter})`,
        for: "20m",
        severity: "warning",
        summary: "No synthetic scan has run for a while",
        description:
          "The exporter in {{ $labels.namespace }} has received no result of a synthetic scan for more than three intervals. Run `kubectl get jobs -l app.kubernetes.io/component=probe -n {{ $labels.namespace }}`.",
      },
    ],
  },
  {
    name: "trivy-gateway",
    subject: "gateway",
    rules: [
      {
        alert: "TrivyGatewayDown",
        expr: `sum by (namespace, job) (up${gateway}) == 0`,
        absent: `up${gateway}`,
        for: "5m",
        severity: "critical",
        summary: "No gateway pod can be reached; no image can be scanned",
        description:
          "Prometheus has reached no pod of the gateway for five minutes. Run `kubectl describe pod -l app.kubernetes.io/component=gateway`. If the pods are ready, check that Prometheus' namespace is listed in `monitoring.namespaces`.",
      },
      {
        alert: "TrivyGatewayPodDown",
        expr: `up${gateway} == 0`,
        for: "15m",
        severity: "warning",
        summary: "A gateway pod cannot be reached",
        description:
          "The pod {{ $labels.pod }} in {{ $labels.namespace }} has not been reached for 15 minutes. Run `kubectl describe pod {{ $labels.pod }}`.",
      },
      {
        alert: "TrivyScansSlow",
        expr: `histogram_quantile(0.95, sum by (namespace, le) (rate(trivy_gateway_client_scan_duration_seconds_bucket${clients}[15m]))) > 10 and on (namespace) sum by (namespace) (increase(trivy_gateway_client_scan_duration_seconds_count${clients}[15m])) > 20`,
        for: "15m",
        severity: "warning",
        summary: "Scans are slow",
        description:
          "One scan in 20 in {{ $labels.namespace }} waits more than {{ $value | humanizeDuration }} for the servers. If requests queue in the gateway, raise `server.replicas` or enable `server.autoscaling`.",
      },
    ],
  },
  objectiveAlerts,
  {
    name: "trivy-redis",
    subject: "redis",
    rules: [
      {
        alert: "TrivyCacheDown",
        expr: `redis_up${redis} == 0`,
        for: "2m",
        severity: "critical",
        summary: "Redis does not respond; scans wait or fail",
        description:
          "Redis in {{ $labels.namespace }} has not responded for two minutes. Run `kubectl describe pod redis-0`: common causes are a volume that cannot be attached to any available node, too little memory, and an append-only file that is still loading.",
      },
      {
        alert: "TrivyCacheMetricsMissing",
        expr: `up${redis} == 0`,
        absent: `up${redis}`,
        for: "15m",
        severity: "warning",
        summary: "The cache is not monitored",
        description:
          "Prometheus has not scraped the Redis exporter for 15 minutes, so no other alert about the cache can fire. Check that the pod of the Redis exporter is ready and that Prometheus' namespace is listed in `monitoring.namespaces` or `redis.monitors`.",
      },
      {
        alert: "TrivyCacheNearlyFull",
        expr: `redis_memory_used_bytes${redis} / redis_memory_max_bytes${redis} > 0.8`,
        for: "1h",
        severity: "warning",
        summary: "The cache is nearly full; Redis will start to evict entries",
        description:
          "Redis in {{ $labels.namespace }} has used {{ $value | humanizePercentage }} of its memory for an hour. Raise `redis.maxMemory`, or shorten `redis.ttl` if it is longer than the interval between scans of an image.",
      },
      {
        alert: "TrivyCacheEvicts",
        expr: `increase(redis_evicted_keys_total${redis}[1h]) > 0.01 * sum without (db) (redis_db_keys${redis})`,
        for: "15m",
        severity: "warning",
        summary: "The cache is too small and evicts entries that are still in use",
        description:
          "Redis in {{ $labels.namespace }} has evicted {{ $value | humanize }} entries within an hour, more than 1 % of all entries. The affected images are analysed again at their next scan, and a scan fails if its own entries are evicted before it ends. Raise `redis.maxMemory`, or shorten `redis.ttl`.",
      },
      {
        alert: "TrivyCacheEvictsFreshEntries",
        // At this rate all entries are replaced within an hour, so those of a scan in progress are evicted as well.
        expr: `increase(redis_evicted_keys_total${redis}[15m]) > 0.25 * sum without (db) (redis_db_keys${redis})`,
        for: "5m",
        severity: "critical",
        summary: "The cache evicts fresh entries, and scans fail because of it",
        description:
          "Redis in {{ $labels.namespace }} has evicted {{ $value | humanize }} entries within 15 minutes, more than a quarter of all entries, so an entry lives for less than an hour. Raise `redis.maxMemory`.",
      },
      {
        alert: "TrivyCacheLost",
        // Without persistence, every restart loses the cache.
        expr: `redis_aof_enabled${redis} == 1 and redis_uptime_in_seconds${redis} < 3600 and on (namespace) sum by (namespace) (redis_db_keys${redis}) < 0.1 * sum by (namespace) (max_over_time(redis_db_keys${redis}[2h]))`,
        for: "5m",
        severity: "warning",
        summary: "Redis restarted without its entries; images are analysed again",
        description:
          "Redis in {{ $labels.namespace }} has fewer than a tenth of the entries that it had before its restart. Either its volume is another one, or the append-only file on it could not be read and was set aside. Run `kubectl logs redis-0`.",
      },
      {
        alert: "TrivyCacheWritesFail",
        expr: `redis_aof_last_write_status${redis} == 0`,
        for: "1m",
        severity: "critical",
        summary: "Redis cannot write its append-only file and rejects new entries",
        description:
          "Redis in {{ $labels.namespace }} cannot write to its volume and rejects everything that scans want to store. The volume is full or faulty: raise `redis.persistence.size`, or set `redis.persistence.enabled` to false until it is repaired.",
      },
      {
        alert: "TrivyCacheRewriteFails",
        expr: `redis_aof_last_bgrewrite_status${redis} == 0`,
        for: "15m",
        severity: "warning",
        summary: "Redis cannot rewrite its append-only file, which will fill the volume",
        description:
          "The last rewrite of the append-only file in {{ $labels.namespace }} failed; the file grows until the volume is full. `kubectl logs redis-0` shows the cause: too little space (raise `redis.persistence.size`) or too little memory for the copy (raise `redis.maxMemory`, from which the container's limit is derived).",
      },
      {
        alert: "TrivyCacheLoginsRefused",
        expr: `increase(redis_acl_access_denied_auth_total${redis}[15m]) > 5`,
        severity: "warning",
        summary: "Redis rejects logins with a wrong password",
        description:
          "Redis in {{ $labels.namespace }} has rejected {{ $value | humanize }} logins within 15 minutes. After a rotation, a server may still use a password that was retired too early (`redis.generation`, `redis.retire`): run `up` again. Otherwise someone may be guessing the password.",
      },
    ],
  },
  {
    name: "trivy-registry-scan",
    subject: "registryScan",
    rules: [
      {
        alert: "TrivyRegistryScanMissed",
        // A run that the cluster has missed is started up to an hour later.
        expr: `(trivy_registry_scan_scheduled_timestamp_seconds${exporter} < time() - 5400 unless on (namespace) (trivy_registry_scan_start_timestamp_seconds${registryScan} >= on (namespace) group_left () trivy_registry_scan_scheduled_timestamp_seconds${exporter})) unless on (namespace) (trivy_registry_scan_running${registryScan} == 1)`,
        for: "10m",
        severity: "warning",
        summary: "A scheduled registry scan has not run",
        description:
          "The registry scan in {{ $labels.namespace }} should have started at {{ $value | humanizeTimestamp }}, and no run has begun since. Run `kubectl describe cronjob trivy-registry-scan -n {{ $labels.namespace }}`.",
      },
      {
        alert: "TrivyRegistryScanErrors",
        expr: `trivy_registry_scan_images{job="trivy-registry-scan", outcome="failed"} > 0 or trivy_registry_scan_problems{job="trivy-registry-scan", kind="error"} > 0`,
        for: "15m",
        severity: "warning",
        summary: "The last registry scan could not scan everything",
        description:
          "The last registry scan in {{ $labels.namespace }} has {{ $value }} images or targets that could not be scanned; their findings are those of an earlier run. The report has the reason of each.",
      },
      {
        alert: "TrivyMessageUndelivered",
        expr: `trivy_registry_scan_undelivered_alerts${registryScan} + trivy_registry_scan_refused_alerts${registryScan} > 0`,
        for: "1h",
        severity: "warning",
        summary: "A receiver does not accept messages about new findings",
        description:
          "{{ $value }} messages for the receiver {{ $labels.receiver }} in {{ $labels.namespace }} have been waiting for an hour, or are refused. `kubectl logs trivy-reports-0` has the receiver's answer. Check its URL in `registryScan.alerts` and that the NetworkPolicy allows it.",
      },
      {
        alert: "TrivyReportsVolumeFails",
        expr: `trivy_registry_scan_volume_trouble${registryScan} == 1`,
        for: "5m",
        severity: "critical",
        summary: "The reports server cannot write to its volume; the registry scan waits",
        description:
          "The volume of the reports server in {{ $labels.namespace }} refuses writes, and runs wait until it accepts them. It is full or faulty: raise `registryScan.reports.size`, or lower `registryScan.reports.keep`.",
      },
      {
        alert: "TrivyReportsMissing",
        expr: `up${registryScan} == 0`,
        absent: `up${registryScan}`,
        for: "15m",
        severity: "warning",
        summary: "The registry scan is not monitored",
        description:
          "Prometheus has not reached the reports server for 15 minutes, so no other alert about the registry scan can fire. Check that the pod trivy-reports-0 is ready and that Prometheus' namespace is listed in `monitoring.namespaces` or `registryScan.reports.viewers`.",
      },
    ],
  },
  {
    name: "trivy-mirror",
    subject: "mirror",
    rules: [
      {
        alert: "TrivyMirrorNotRefreshed",
        // Not of a mirror that queries no repository, because builds are pushed by hand.
        expr: `time() - trivy_mirror_last_success_timestamp_seconds${mirror} > 12 * 3600 and on (namespace, repository) sum by (namespace, repository) (increase(trivy_mirror_upstream_requests_total${mirror}[6h])) > 0`,
        for: "15m",
        severity: "warning",
        summary: "The database mirror has not reached its source for 12 hours",
        description:
          "The last answer of a source of {{ $labels.repository }} to the mirror in {{ $labels.namespace }} was {{ $value | humanizeDuration }} ago. The mirror serves the last good build. Its log has the reason; check that it can reach `database.repositories`.",
      },
      {
        alert: "TrivyMirrorRefusesBuilds",
        expr: `increase(trivy_mirror_refused_builds_total${mirror}[6h]) > 0 or trivy_mirror_upstream_refused${mirror} == 1`,
        severity: "warning",
        summary: "The database mirror refuses a build",
        description:
          "The mirror in {{ $labels.namespace }} has refused a build of {{ $labels.repository }} (reason: {{ $labels.reason }}) and serves the last good one. If it lasts, the source is broken or someone has tampered with it.",
      },
    ],
  },
  {
    name: "trivy-copy",
    subject: "copy",
    rules: [
      {
        alert: "TrivyDatabaseNotCopied",
        expr: `trivy_database_copy_last_success_timestamp_seconds${exporter} < on (namespace) group_left () trivy_database_copy_scheduled_timestamp_seconds${exporter}`,
        for: "12h",
        severity: "warning",
        summary: "The database has not been copied to the registry for 12 hours",
        description:
          "The CronJob trivy-database in {{ $labels.namespace }} has not copied the {{ $labels.artifact }} database for 12 hours, although it was scheduled. The servers use the last copy. The log of its last pod has the reason: a source, or the login and the permission to push to `database.mirror.to`.",
      },
      {
        alert: "TrivyDatabaseCopyRefused",
        expr: `trivy_database_copy_refused${exporter} == 1`,
        severity: "warning",
        summary: "A build of the database was refused and not copied",
        description:
          "The CronJob trivy-database in {{ $labels.namespace }} has refused a build of the {{ $labels.artifact }} database (reason: {{ $labels.reason }}). The servers use the last copy. If it lasts, the source is broken or someone has tampered with it.",
      },
    ],
  },
];
