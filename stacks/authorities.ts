import { generation, retire } from "./common.ts";
import * as v from "./kinds/index.ts";

export const authorities = v
  .block("AuthoritiesArgs", {
    generation: generation("authority"),
    retire: retire("authority"),
  })
  .describe("The certificate authorities that the stack generates: of the gateway, Redis, the reports server and the database mirror.")
  .prefault({});
