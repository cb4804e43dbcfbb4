import * as pulumi from "@pulumi/pulumi";
import { provider } from "./provider.ts";

pulumi.provider.main(provider, process.argv.slice(2));
