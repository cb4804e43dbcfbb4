/** The components, for use in other Pulumi programs. */

export type { TargetArgs } from "../registry-scan/index.ts";
export {
  type CacheConnection,
  type EmbeddedRedisArgs,
  type ExternalRedisArgs,
  type PersistenceArgs,
  type RedisArgs,
  RedisCache,
  type RedisCacheArgs,
  type RedisTlsArgs,
} from "./cache/redis-cache.ts";
export { RedisExporter, type RedisExporterArgs } from "./cache/redis-exporter.ts";
export {
  type BackendArgs,
  Exposure,
  type ExposureArgs,
  type GatewayRouteArgs,
  type IngressArgs,
  type LoadBalancerArgs,
} from "./exposure/exposure.ts";
export { type ClientArgs, Gateway, type GatewayArgs, type GatewayComponentArgs, type GatewayTlsArgs } from "./gateway/gateway.ts";
export { Namespace, type NamespaceArgs, type NamespaceSettings } from "./namespace/namespace.ts";
export {
  type BucketArgs,
  type ReceiverArgs,
  RegistryScan,
  type RegistryScanArgs,
  type RegistryScanComponentArgs,
  type ReportsArgs,
} from "./registry-scan/registry-scan.ts";
export { ScanService, type ScanServiceArgs } from "./scan-service.ts";
export {
  type AutoscalingArgs,
  type DatabaseArgs,
  type ServerArgs,
  type TokenArgs,
  TrivyServer,
  type TrivyServerArgs,
} from "./server/trivy-server.ts";
export { type ImagesArgs, trivyVersion } from "./shared/images.ts";
export type { Identity } from "./shared/labels.ts";
export type { ClientsArgs, ProxyArgs } from "./shared/network.ts";
export type { PodArgs, Resources, SchedulingArgs, SecretKey } from "./shared/pod.ts";
export { PrivateAuthority } from "./shared/private-authority.ts";
export type { LoginArgs } from "./shared/registry-login.ts";
export type { Transform } from "./shared/transform.ts";
