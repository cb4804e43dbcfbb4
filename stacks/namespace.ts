import * as v from "./kinds/index.ts";

export const namespace = v
  .block("NamespaceSettings", {
    name: v.namespaceName().default("trivy").describe("Name of the namespace."),
    create: v
      .plain(v.flag())
      .default(true)
      .describe(
        "Creates the namespace, with Pod Security `restricted`. If false, the namespace must exist, and only the service's own pods are isolated in it.",
      ),
  })
  .describe("The namespace that the service runs in.")
  .prefault({});
