import * as pulumi from "@pulumi/pulumi";
import { type DeclaredObject, kubernetesObject } from "../../recorder/record.ts";
import { recordStack, stackConfig } from "../program.ts";
import { readProject, type StackFile } from "../stack-file.ts";

/**
 * Returns the cluster objects that a stack's program declares, found by recording it. Returns none if the program refuses the settings: the
 * engine reports that before it creates anything.
 *
 * @param folder the project's folder.
 */
export async function declaredObjects(folder: string, file: StackFile): Promise<DeclaredObject[]> {
  try {
    const { resources } = await recordStack(folder, file, stackConfig(readProject(folder), file));
    return resources.flatMap((resource) => kubernetesObject(resource) ?? []);
  } catch (error) {
    if (pulumi.RunError.isInstance(error)) return [];
    throw error;
  }
}
