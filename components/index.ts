/** The components, for use in other Pulumi programs. */
export {
  type BackendArgs,
  Exposure,
  type ExposureArgs,
  type GatewayRouteArgs,
  type IngressArgs,
  type LoadBalancerArgs,
} from "./exposure.ts";
export { type ClientArgs, Gateway, type GatewayArgs, type GatewayComponentArgs, type GatewayTlsArgs } from "./gateway.ts";
export { type ImagesArgs, trivyVersion } from "./images.ts";
export type { Identity } from "./kubernetes/labels.ts";
export type { ClientsArgs, ProxyArgs } from "./kubernetes/network.ts";
export type { PodArgs, Resources, SchedulingArgs, SecretKey } from "./kubernetes/pod.ts";
export type { Transform } from "./kubernetes/transform.ts";
export { Namespace, type NamespaceArgs, type NamespaceSettings } from "./namespace.ts";
export { PrivateAuthority } from "./private-authority.ts";
export {
  type CacheConnection,
  type EmbeddedRedisArgs,
  type ExternalRedisArgs,
  type PersistenceArgs,
  type RedisArgs,
  RedisCache,
  type RedisCacheArgs,
  type RedisTlsArgs,
} from "./redis-cache.ts";
export { RedisExporter, type RedisExporterArgs } from "./redis-exporter.ts";
export type { LoginArgs } from "./registry-login.ts";
export type { TargetArgs } from "./registry-scan/model.ts";
export {
  type BucketArgs,
  type ReceiverArgs,
  RegistryScan,
  type RegistryScanArgs,
  type RegistryScanComponentArgs,
  type ReportsArgs,
} from "./registry-scan.ts";
export { ScanService, type ScanServiceArgs } from "./scan-service.ts";
export {
  type AutoscalingArgs,
  type DatabaseArgs,
  type ServerArgs,
  type TokenArgs,
  TrivyServer,
  type TrivyServerArgs,
} from "./trivy-server.ts";
