/** The components, for other Pulumi programs. */

export type * from "./args.ts";
export type { CacheConnection } from "./cache/connection.ts";
export { RedisCache, type RedisCacheArgs } from "./cache/redis-cache.ts";
export { RedisExporter, type RedisExporterArgs } from "./cache/redis-exporter.ts";
export type { MirrorConnection } from "./database-mirror/connection.ts";
export { DatabaseCopy, type DatabaseCopyArgs } from "./database-mirror/database-copy.ts";
export { DatabaseMirror, type DatabaseMirrorComponentArgs } from "./database-mirror/database-mirror.ts";
export { type Backend, Exposure, type ExposureArgs } from "./exposure/exposure.ts";
export { Gateway, type GatewayComponentArgs, type GatewayServers } from "./gateway/gateway.ts";
export { MetricsExporter, type MetricsExporterArgs, type MonitoredServers, type MonitoredStack } from "./monitoring/metrics-exporter.ts";
export { Monitoring, type MonitoringComponentArgs } from "./monitoring/monitoring.ts";
export { SyntheticScan, type SyntheticScanArgs } from "./monitoring/synthetic-scan.ts";
export { Namespace, type NamespaceArgs } from "./namespace/namespace.ts";
export { RegistryScan, type RegistryScanComponentArgs } from "./registry-scan/registry-scan.ts";
export { ReportsServer, type ReportsServerArgs } from "./registry-scan/reports-server.ts";
export { ScanJob, type ScanJobArgs, type ServiceConnection } from "./registry-scan/scan-job.ts";
export { ScanService, type ScanServiceArgs } from "./scan-service.ts";
export { TrivyServer, type TrivyServerArgs } from "./server/trivy-server.ts";
export type { Context, Identity } from "./shared/context.ts";
export { trivyVersion } from "./shared/images.ts";
export { gatewaySelector, serverSelector } from "./shared/labels.ts";
export type { EgressRule, Peer } from "./shared/network.ts";
export type { SecretKey } from "./shared/pod.ts";
export { PrivateAuthority, type PrivateAuthorityArgs } from "./shared/private-authority.ts";
export type { Transform } from "./shared/transform.ts";
