/** The engine's error for a stack that two other runs have locked. */
export const locked = `error: the stack is currently locked by 2 lock(s). Either wait for the other process(es) to end or delete the lock file with \`pulumi cancel\`.
  s3://state/.pulumi/locks/organization/trivy-server/dev/1.json: created by ann@laptop (pid 12) at 2026-11-22T10:00:00Z
  s3://state/.pulumi/locks/organization/trivy-server/dev/2.json: created by runner@ci-7 (pid 345) at 2026-11-22T10:00:01+01:00`;
