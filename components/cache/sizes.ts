import { quantity } from "../shared/quantity.ts";

/**
 * Returns the container's memory for `maxMemory` bytes of data. Rewriting the append-only file forks the process, and pages that change
 * meanwhile exist twice. With a limit of twice the data, Redis 8 was killed within seconds of writes of 2 KB to 2 MB while rewrites followed
 * each other; the peaks were up to 2.8 times the data (measured with 16 to 512 MiB). What is above the usual need is limited, but not reserved.
 * Without persistence, a quarter of the memory is enough for buffers and fragmentation.
 */
export function containerMemory(maxMemory: number, persistence: boolean): { readonly request: string; readonly limit: string } {
  if (!persistence) return { request: quantity(maxMemory / 0.75), limit: quantity(maxMemory / 0.75) };
  return { request: quantity(maxMemory * 2), limit: quantity(maxMemory * 3 + 32 * 2 ** 20) };
}

/**
 * Returns the size of the claim for `maxMemory` bytes of data: the old append-only file of at most twice the data, the new one that
 * replaces it, and a reserve.
 */
export function claimSize(maxMemory: number): string {
  return quantity(maxMemory * 4);
}
