import { CoreV1Api, StorageV1Api } from "@kubernetes/client-node";
import { claimSize } from "../../components/cache/sizes.ts";
import { defaultVolume } from "../../components/database-mirror/volume.ts";
import { partOf } from "../../components/shared/labels.ts";
import { objectsName, parts } from "../../components/shared/parts.ts";
import { bytes } from "../../components/shared/quantity.ts";
import type { Settings } from "../../stacks/index.ts";
import { permitted, respond } from "../cluster/api.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { UserError } from "../user-error.ts";

/** A volume claim according to the settings. */
interface WantedClaim {
  readonly name: string;
  /** The block with its settings. */
  readonly setting: string;
  readonly size: string;
  readonly storageClass: string | undefined;
}

/**
 * Checks that the claims that shall grow can: the engine would wait for the API server's refusal in the middle of an update. Without the
 * permission to look, it still does.
 *
 * @throws UserError that names every claim whose StorageClass cannot expand volumes
 */
export async function checkClaims(cluster: Cluster, namespace: string, settings: Settings): Promise<void> {
  const labelSelector = `app.kubernetes.io/part-of=${partOf}`;
  const request = cluster.config.makeApiClient(CoreV1Api).listNamespacedPersistentVolumeClaim({ namespace, labelSelector });
  const { items } = (await permitted(respond(cluster, request))) ?? { items: [] };
  const problems = await Promise.all(
    wantedClaims(settings).map(async ({ name, setting, size, storageClass }) => {
      const spec = items.find(({ metadata }) => metadata?.name === name)?.spec;
      const present = spec?.resources?.requests?.["storage"];
      const current = spec?.storageClassName;
      // Another class means another claim.
      if (present === undefined || current === undefined || (storageClass !== undefined && storageClass !== current)) return [];
      if (bytes(size) <= bytes(present)) return [];
      const classes = cluster.config.makeApiClient(StorageV1Api);
      const found = await permitted(respond(cluster, classes.readStorageClass({ name: current })));
      if (!found || found.allowVolumeExpansion) return [];
      return [
        `  ${setting}.size would be ${size}, but the claim ${name} has ${present} of the StorageClass ${current}, which cannot expand volumes.\n` +
          `  Keep ${present}, or set ${setting}.storageClass to a class that can: the claim is then created anew, without its data.`,
      ];
    }),
  );
  if (problems.flat().length > 0) throw new UserError(["Volume claims cannot grow:", ...problems.flat()].join("\n"));
}

function wantedClaims({ namespace, redis, registryScan, database: { mirror } }: Settings): WantedClaim[] {
  const name = (part: (typeof parts)[keyof typeof parts]) => objectsName(part, !namespace.create);
  const cache = redis.mode === "embedded" && redis.persistence.enabled ? redis : undefined;
  return [
    ...(cache
      ? [
          {
            ...{ name: name(parts.cache), setting: "redis.persistence", storageClass: cache.persistence.storageClass },
            size: cache.persistence.size ?? claimSize(bytes(cache.maxMemory)),
          },
        ]
      : []),
    ...(registryScan.enabled
      ? [
          {
            ...{ name: name(parts.reports), setting: "registryScan.reports" },
            ...{ size: registryScan.reports.size, storageClass: registryScan.reports.storageClass },
          },
        ]
      : []),
    ...(mirror.enabled && mirror.to === undefined
      ? [
          {
            ...{ name: name(parts.database), setting: "database.mirror", storageClass: mirror.storageClass },
            size: mirror.size ?? defaultVolume(mirror.keep, mirror.java.enabled),
          },
        ]
      : []),
  ];
}
