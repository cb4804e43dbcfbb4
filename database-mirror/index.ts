/** The database mirror's public interface: everything that components/, stacks/ and commands/ may use of it. */
export { type Artifact, type ArtifactName, artifacts } from "./artifacts.ts";
export type { CopyConfiguration, MirrorConfiguration, Source } from "./configuration.ts";
export { mirrorName, mirrorPaths, mirrorPorts } from "./names.ts";
