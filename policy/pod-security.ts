import { containersOf, type Pod, type Properties } from "./resource.ts";
import { ifKnown, isCertain, itemsOf } from "./values.ts";

/** Types of volumes that the profile restricted allows. */
const volumeTypes = ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
const safeSysctls =
  /^(kernel\.shm_rmid_forced|net\.ipv4\.(ip_local_port_range|ip_unprivileged_port_start|tcp_syncookies|ping_group_range|ip_local_reserved_ports|tcp_keepalive_(time|intvl|probes)|tcp_fin_timeout|tcp_rmem|tcp_wmem))$/;

/**
 * Returns how a pod violates the Pod Security Standard restricted, version 1.35, on Linux. The namespace enforces the same at admission; here
 * it shows before anything is created, and where the namespace is not the program's. A read-only root file system is not part of the standard.
 */
export function* podSecurityProblems(pod: Pod): Generator<string> {
  const { spec } = pod;
  const podContext = ifKnown(() => spec.securityContext ?? {}, {});
  for (const field of ["hostNetwork", "hostPID", "hostIPC"]) if (isCertain(() => spec[field])) yield `${field} is true`;
  yield* contextProblems("securityContext", podContext);
  for (const [, sysctl] of itemsOf<Properties>(() => podContext.sysctls))
    if (isCertain(() => !safeSysctls.test(sysctl.name))) yield `securityContext.sysctls has ${sysctl.name}`;
  for (const [index, volume] of itemsOf<Properties>(() => spec.volumes)) {
    const type = Object.keys(volume).find((key) => key !== "name" && !volumeTypes.includes(key));
    if (type !== undefined) yield `volumes[${index}] is a ${type}`;
  }
  for (const key of Object.keys(ifKnown(() => pod.annotations ?? {}, {})))
    if (/apparmor/.test(key) && isCertain(() => pod.annotations[key] === "unconfined")) yield `annotation ${key} is unconfined`;
  for (const [path, container] of containersOf(pod)) yield* containerProblems(path, container, podContext);
}

function* containerProblems(path: string, container: Properties, podContext: Properties): Generator<string> {
  const context = ifKnown(() => container.securityContext ?? {}, undefined);
  // Everything below depends on it.
  if (context === undefined) return;
  const at = `${path}.securityContext`;
  yield* contextProblems(at, context);
  if (isCertain(() => context.privileged)) yield `${at}.privileged is true`;
  if (isCertain(() => context.allowPrivilegeEscalation !== false)) yield `${at}.allowPrivilegeEscalation is not false`;
  if (isCertain(() => context.readOnlyRootFilesystem !== true)) yield `${at}.readOnlyRootFilesystem is not true`;
  if (isCertain(() => (context.runAsNonRoot ?? podContext.runAsNonRoot) !== true)) yield `${at}.runAsNonRoot is not true`;
  if (isCertain(() => (context.seccompProfile ?? podContext.seccompProfile)?.type === undefined)) yield `${at}.seccompProfile is missing`;
  if (isCertain(() => !(context.capabilities?.drop ?? []).includes("ALL"))) yield `${at}.capabilities.drop lacks ALL`;
  for (const [, name] of itemsOf<string>(() => context.capabilities?.add))
    if (name !== "NET_BIND_SERVICE") yield `${at}.capabilities.add has ${name}`;
  if (isCertain(() => context.procMount !== undefined && context.procMount !== "Default")) yield `${at}.procMount is not Default`;
  for (const [, port] of itemsOf<Properties>(() => container.ports))
    if (isCertain(() => (port.hostPort ?? 0) !== 0)) yield `${path}.ports has a hostPort`;
  for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"])
    if (isCertain(() => container[probe]?.httpGet?.host ?? container[probe]?.tcpSocket?.host)) yield `${path}.${probe} has a host`;
  for (const hook of ["preStop", "postStart"])
    if (isCertain(() => container.lifecycle?.[hook]?.httpGet?.host ?? container.lifecycle?.[hook]?.tcpSocket?.host))
      yield `${path}.lifecycle.${hook} has a host`;
}

/** What a pod and a container have in common. */
function* contextProblems(at: string, context: Properties): Generator<string> {
  if (isCertain(() => context.runAsUser === 0)) yield `${at}.runAsUser is 0`;
  if (isCertain(() => context.runAsNonRoot === false)) yield `${at}.runAsNonRoot is false`;
  if (isCertain(() => !["RuntimeDefault", "Localhost", undefined].includes(context.seccompProfile?.type)))
    yield `${at}.seccompProfile is Unconfined`;
  if (isCertain(() => context.appArmorProfile?.type === "Unconfined")) yield `${at}.appArmorProfile is Unconfined`;
  if (isCertain(() => !selinuxTypes.includes(context.seLinuxOptions?.type ?? ""))) yield `${at}.seLinuxOptions.type is not allowed`;
  if (isCertain(() => context.seLinuxOptions?.user || context.seLinuxOptions?.role)) yield `${at}.seLinuxOptions has a user or role`;
  if (isCertain(() => context.windowsOptions?.hostProcess)) yield `${at}.windowsOptions.hostProcess is true`;
}

const selinuxTypes = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
