import { credentials, credentialsSecret } from "./common.ts";
import * as v from "./kinds/index.ts";

export const database = v
  .block("DatabaseArgs", {
    repositories: v
      .listOf(v.repository())
      .min(1, { error: "is empty; use at least one repository, or remove the setting for the public ones" })
      // Upstream's order, then Amazon's copy.
      .default(["mirror.gcr.io/aquasec/trivy-db:2", "ghcr.io/aquasecurity/trivy-db:2", "public.ecr.aws/aquasecurity/trivy-db:2"])
      .describe(
        "OCI repositories of the vulnerability database, in the order in which they are tried. The next one is tried when one answers 408, 429 or 5xx, not when it cannot be reached.",
      ),
    plainHttp: v
      .flag()
      .default(false)
      .describe("Tries plain HTTP when HTTPS fails. Trivy then verifies the certificate of no registry; prefer `server.caCertificates`."),
    credentials: credentials(),
    existingSecret: credentialsSecret(),
    cidrs: v
      .listOf(v.cidr())
      .default([])
      .describe(
        "CIDR blocks that the servers may reach on any port, in addition to the repositories' hosts: for private addresses behind public names, or blobs stored on other hosts.",
      ),
  })
  .meta({ description: "Where the servers get the vulnerability database.", conflicts: [["existingSecret", "credentials"]] })
  .prefault({});
