import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv, type ValidateFunction } from "ajv";

/** The API server's schema of Kubernetes 1.35, reduced to the kinds that the service uses; unknown fields are errors. */
const schema: unknown = JSON.parse(readFileSync(join(import.meta.dirname, "kubernetes-1.35.schema.json"), "utf8"));

const ajv = new Ajv({ allErrors: true, strict: false, formats: { "int-or-string": true } });
ajv.addSchema(schema as object, "kubernetes");

/** Kinds of custom resources, for which Kubernetes has no schema. */
const custom = ["gateway.networking.k8s.io/v1 HTTPRoute", "monitoring.coreos.com/v1 PodMonitor", "monitoring.coreos.com/v1 PrometheusRule"];

/** Returns the violations of Kubernetes' schema in a manifest. */
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
