import type { ScanServiceArgs } from "../components/scan-service.ts";
import type { Settings } from "./schema.ts";

/** The settings as the components take them: without what has no meaning beside another. */
export function serviceArgs({
  redis,
  exposure,
  server,
  gateway,
  registryScan,
  access,
  clusterDomain,
  ...settings
}: Settings): Omit<ScanServiceArgs, "instance"> {
  return {
    ...settings,
    server: serverArgs(server, gateway.enabled),
    clients: access,
    gateway: gatewayArgs(gateway, clusterDomain),
    redis: redisArgs(redis),
    exposure: exposureArgs(exposure),
    registryScan: registryScanArgs(registryScan),
  };
}

function registryScanArgs({ enabled, targets, ...others }: Settings["registryScan"]): ScanServiceArgs["registryScan"] {
  if (!enabled) return undefined;
  return {
    ...others,
    targets,
  };
}

function serverArgs({ replicas, token, autoscaling, ...others }: Settings["server"], gateway: boolean): ScanServiceArgs["server"] {
  return { ...others, ...(autoscaling ? { autoscaling } : { replicas }), ...(!gateway && { token }) };
}

function gatewayArgs({ enabled, clients, tls, ...others }: Settings["gateway"], clusterDomain: string): ScanServiceArgs["gateway"] {
  if (!enabled) return undefined;
  const { enabled: encrypted, existingSecret, certificate, key, caCertificates, names, plainHttp } = tls;
  const generated = existingSecret === undefined && certificate === undefined;
  return {
    ...others,
    clusterDomain,
    clients: clients.map(({ name, generation, retire, token, previousToken }) =>
      token === undefined ? { name, generation, retire } : { name, token, previousToken },
    ),
    tls: encrypted ? { plainHttp, ...(generated ? { names } : { existingSecret, certificate, key, caCertificates }) } : undefined,
  };
}

function redisArgs(redis: Settings["redis"]): NonNullable<ScanServiceArgs["redis"]> {
  if (redis.mode === "external") {
    const {
      tls: { enabled, ...material },
      ...others
    } = redis;
    return { ...others, ...(enabled && { tls: material }) };
  }
  const {
    persistence: { enabled, ...claim },
    tls,
    ...others
  } = redis;
  const isDefault = Object.values(claim).every((value) => value === undefined);
  return { ...others, persistence: enabled && (isDefault || claim), ...(tls.enabled && { tls: {} }) };
}

function exposureArgs(exposure: Settings["exposure"]): ScanServiceArgs["exposure"] {
  switch (exposure.type) {
    case "none":
      return undefined;
    case "gatewayApi":
      return { ...exposure, type: "gateway" };
    default:
      return exposure;
  }
}
