import { sha256 } from "../shared/generated-secret.ts";

/** The user of the Trivy servers. */
export const serverUser = "trivy";

/**
 * The user of the metrics exporter, whose password is not valid for any other user. The servers' password is valid for it too, for
 * `kubectl exec` in Redis' pod.
 */
export const monitorUser = "monitor";

/** The user of health checks, who may PING with any password and nothing else. */
export const probeUser = "probe";

/**
 * Returns Redis' ACL file, with the hashes of the valid passwords of two users: a user for Trivy, limited to Trivy's commands on Trivy's keys, one for
 * metrics, one for health checks.
 *
 * Measured: go-redis sends HELLO, AUTH, CLIENT SETINFO and PING, and SELECT for the database of a trust domain; Trivy sends GET, SET and DEL. In addition to INFO, the exporter sends
 * SLOWLOG LEN and SLOWLOG GET, which cannot be switched off.
 */
export function usersAcl(server: readonly string[], monitor: readonly string[]): string {
  const hashes = (passwords: readonly string[]) => passwords.map((password) => `#${sha256(password)}`).join(" ");
  return [
    "user default off",
    `user ${serverUser} on ${hashes(server)} resetchannels ~fanal::* -@all +hello +auth +client|setinfo +select +ping +get +set +del`,
    `user ${monitorUser} on ${hashes([...monitor, ...server])} resetkeys resetchannels -@all +ping +info +slowlog|len +slowlog|get`,
    `user ${probeUser} on nopass resetkeys resetchannels -@all +ping`,
    "",
  ].join("\n");
}
