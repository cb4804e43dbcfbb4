import * as k8s from "@pulumi/kubernetes";
import type { CustomResourceOptions } from "@pulumi/pulumi";
import { type Transform, transformed } from "./transform.ts";

/** A claim that stands alone, not in a StatefulSet's template: so it can grow in place and goes with the stack. */
export function volumeClaim(
  name: string,
  metadata: k8s.types.input.meta.v1.ObjectMeta,
  /** `storageClass`: @default the cluster's */
  { size, storageClass }: { readonly size: string; readonly storageClass?: string | undefined },
  transform: Transform<k8s.types.input.core.v1.PersistentVolumeClaim> | undefined,
  opts: CustomResourceOptions,
): k8s.core.v1.PersistentVolumeClaim {
  return new k8s.core.v1.PersistentVolumeClaim(
    name,
    transformed(transform, {
      // A class that waits for the first consumer binds only when the pod is there, and the pod waits for the claim.
      metadata: { ...metadata, annotations: { "pulumi.com/skipAwait": "true" } },
      spec: {
        accessModes: ["ReadWriteOnce"],
        resources: { requests: { storage: size } },
        ...(storageClass !== undefined && { storageClassName: storageClass }),
      },
    }),
    opts,
  );
}
