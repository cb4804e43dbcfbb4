import { database } from "./database.ts";
import { domains } from "./domains.ts";
import { exposure } from "./exposure.ts";
import { gateway } from "./gateway.ts";
import { general } from "./general.ts";
import type { Mistakes } from "./mistake.ts";
import { monitoring } from "./monitoring.ts";
import { network } from "./network.ts";
import { redis } from "./redis.ts";
import { registryScan } from "./registry-scan.ts";
import { renamed } from "./renamed.ts";
import { server } from "./server.ts";

/** Single mistakes, by block. */
export const mistakes: Readonly<Record<string, Mistakes>> = {
  general,
  renamed,
  server,
  database,
  gateway,
  domains,
  network,
  redis,
  exposure,
  registryScan,
  monitoring,
};
