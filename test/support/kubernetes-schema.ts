import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv, type ValidateFunction } from "ajv";

/** From the API server's own description of Kubernetes 1.35, cut down to the kinds that the service uses; an unknown field is an error there. */
const schema: unknown = JSON.parse(readFileSync(join(import.meta.dirname, "kubernetes-1.35.schema.json"), "utf8"));

const ajv = new Ajv({ allErrors: true, strict: false, formats: { "int-or-string": true } });
ajv.addSchema(schema as object, "kubernetes");

/** Kinds that come with custom resource definitions, and so have no schema of Kubernetes'. */
const custom = ["gateway.networking.k8s.io/v1 HTTPRoute"];

/** What Kubernetes' schema says against a manifest. */
export function schemaProblems(manifest: unknown): string[] {
  const { apiVersion, kind } = manifest as { apiVersion: string; kind: string };
  const type = `${apiVersion} ${kind}`;
  if (custom.includes(type)) return [];
  const validate: ValidateFunction | undefined = ajv.getSchema(
    `kubernetes#/properties/${encodeURIComponent(type).replaceAll("%2F", "~1")}`,
  );
  if (!validate) return [`there is no schema of ${type}`];
  return validate(manifest)
    ? []
    : (validate.errors ?? []).map(({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`);
}
