/** The package's only entry point. In the repository, examples and tests reach it through the export condition `@trivy-server/source`. */
export * from "../components/index.ts";
export { ScanService } from "./scan-service.ts";
