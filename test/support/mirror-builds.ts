import { writeFileSync } from "node:fs";
import type { Build } from "../../database-mirror/build-store.ts";
import { blobPath, createLayout } from "../../database-mirror/layout.ts";
import { emptyConfig, manifestOf, parseManifest, sha256 } from "../../database-mirror/manifest.ts";
import type { MirroredDatabase } from "../../database-mirror/mirrored-database.ts";

/** Adds a build whose layer has this content to a mirror, unverified. */
export async function addBuild({ artifact, store }: MirroredDatabase, content: string, updatedAt: string): Promise<Build> {
  const text = manifestOf(artifact, { digest: sha256(content), size: content.length });
  const digest = sha256(text);
  const { config, layer } = parseManifest(text, digest, artifact);
  await createLayout(store.incoming, text);
  writeFileSync(blobPath(store.incoming, layer.digest), content);
  writeFileSync(blobPath(store.incoming, config.digest), emptyConfig);
  const build: Build = { digest, config, layer, updatedAt, source: "test" };
  await store.add(build);
  return build;
}
