import type { ComponentResourceOptions, Resource } from "@pulumi/pulumi";

/** What a component was told to wait for: its children do not wait by themselves. */
export function dependencies({ dependsOn = [] }: ComponentResourceOptions = {}): Resource[] {
  return (Array.isArray(dependsOn) ? dependsOn : [dependsOn]) as Resource[];
}
