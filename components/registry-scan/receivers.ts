import type { types } from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { blockDefaults, type ReceiverArgs } from "../args.ts";
import { urlEndpoint } from "../shared/egress.ts";
import { withDefaults } from "../shared/merge.ts";
import type { Endpoint } from "../shared/network.ts";

/** Receivers of alerts, and the Secret that holds what is secret of them. */
export interface Receivers {
  readonly alerts: readonly ReceiverArgs[];
  /** Name of the Secret with `receiverFiles`, if there are any. */
  readonly secret: pulumi.Input<string> | undefined;
}

/** Returns the files with the URLs and headers that are given as values. */
export function receiverFiles(alerts: readonly ReceiverArgs[]): Record<string, pulumi.Input<string>> {
  const files = alerts.flatMap(({ name, url, authorization }) => [
    ...(url === undefined ? [] : [[urlFile(name), url] as const]),
    ...(authorization === undefined ? [] : [[`${name}.authorization`, authorization] as const]),
  ]);
  return Object.fromEntries(files);
}

const urlFile = (name: string) => `${name}.url`;

/** Returns the sources of the volume with the files of all receivers. */
export function receiverSources({ alerts, secret }: Receivers): types.input.core.v1.VolumeProjection[] {
  const existing = alerts.flatMap(({ name, existingSecret }) => {
    if (!existingSecret) return [];
    const reference = withDefaults(blockDefaults.UrlSecretRef, existingSecret);
    return [{ secret: { name: reference.name, items: [{ key: reference.key, path: urlFile(name) }] } }];
  });
  return [...(secret === undefined ? [] : [{ secret: { name: secret } }]), ...existing];
}

/** Stands for a URL that only an existing Secret or Pulumi knows: a public address. */
const publicUrl = "https://example.com";

/**
 * Returns where the receivers listen: of a secret URL nothing but the port, or the namespace or address inside the cluster, which a policy
 * must show.
 */
export function receiverEndpoints(alerts: readonly ReceiverArgs[]): pulumi.Output<Endpoint[]> {
  const urls = pulumi.all(alerts.map(({ url }) => url ?? publicUrl));
  return pulumi.unsecret(urls.apply((all) => all.map((url) => urlEndpoint(URL.canParse(url) ? url : publicUrl))));
}
