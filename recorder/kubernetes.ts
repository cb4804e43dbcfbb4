import { createHash } from "node:crypto";
import { plain, type Registered, type Registration } from "./sdk.ts";

/** Identifies an object in a cluster. */
export interface KubernetesObject {
  /** The API group; empty for the core group. */
  readonly group: string;
  readonly kind: string;
  /** Absent for cluster-scoped objects. */
  readonly namespace: string | undefined;
  /** The name in the cluster, generated or not. */
  readonly name: string;
}

/** An object that a program declares. */
export interface DeclaredObject extends KubernetesObject {
  readonly apiVersion: string;
}

interface Metadata {
  readonly name?: string;
  readonly namespace?: string;
}

export const isKubernetes = ({ type }: Pick<Registration, "type">) => type.startsWith("kubernetes:");

/** Returns the cluster object that a resource represents; undefined for components and other providers' resources. */
export function kubernetesObject({ type, state }: Pick<Registration, "type"> & Pick<Registered, "state">): DeclaredObject | undefined {
  const { apiVersion, kind, metadata } = plain(state) as { apiVersion?: string; kind?: string; metadata?: Metadata };
  if (!isKubernetes({ type }) || apiVersion === undefined || kind === undefined) return undefined;
  const group = apiVersion.includes("/") ? apiVersion.replace(/\/.*/, "") : "";
  return { apiVersion, group, kind, namespace: metadata?.namespace, name: metadata?.name ?? "" };
}

/**
 * Completes a Kubernetes resource as its provider does, which generates a missing name. The provider uses random digits; here they follow
 * from the content, so that a test can see the references to a name change with the content.
 */
export function kubernetesAnswer({ name: logicalName, inputs }: Pick<Registration, "name" | "inputs">): Pick<Registered, "id" | "state"> {
  const metadata = (plain(inputs["metadata"]) ?? {}) as Metadata;
  const name = metadata.name ?? `${logicalName}-${contentHash(inputs)}`;
  return {
    id: metadata.namespace ? `${metadata.namespace}/${name}` : name,
    state: { ...inputs, metadata: { ...(inputs["metadata"] as object), name } },
  };
}

/** Returns eight hexadecimal digits that change when the value does. */
export function contentHash(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 8);
}
