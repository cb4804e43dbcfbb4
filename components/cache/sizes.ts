import { quantity } from "../shared/quantity.ts";

/**
 * Returns the container's memory for `maxMemory` bytes of data. Rewriting the append-only file forks the process, and pages that change
 * meanwhile exist twice; without persistence, a quarter of the memory is enough for buffers and fragmentation.
 */
export function containerMemory(maxMemory: number, persistence: boolean): string {
  return quantity(persistence ? maxMemory * 2 : maxMemory / 0.75);
}

/**
 * Returns the size of the claim for `maxMemory` bytes of data: the old append-only file of at most twice the data, the new one that
 * replaces it, and a reserve.
 */
export function claimSize(maxMemory: number): string {
  return quantity(maxMemory * 4);
}
