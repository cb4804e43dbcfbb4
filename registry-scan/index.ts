/** What other parts of the project may know of the registry scan: its protocol, and what counts as the name of an image. */
export * from "./protocol/model.ts";
export { imageProblem, repositoryProblem, versionsProblem } from "./worker/targets.ts";
