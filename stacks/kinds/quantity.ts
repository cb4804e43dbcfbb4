import { z } from "zod";
import { bytes, bytesPattern, cores, quantity, seconds } from "../../components/shared/quantity.ts";
import { wrong } from "./message.ts";
import { checked } from "./text.ts";

const durationAdvice = "use a duration such as 168h or 1h30m";
const durationPattern = /^(\d+(\.\d+)?(h|m|s|ms))+$/;

/** What a value must at least be, and why: the rest of a sentence after "less than". */
interface Least {
  readonly least: string;
  readonly because: string;
}

const belowLeast = (value: number, { least, because }: Least, toNumber: (text: string) => number) =>
  value < toNumber(least) ? `less than ${because}; use at least ${least}` : undefined;

/** A duration in Go's notation, which is what Trivy reads. */
export const duration = (bound?: Least) =>
  checked(
    "duration",
    durationAdvice,
    (value) => {
      const days = /^(\d+)\s*d(ays?)?$/.exec(value)?.[1];
      if (days) return `which has no unit d; use ${Number(days) * 24}h`;
      if (!durationPattern.test(value)) return `which is not a valid duration; ${durationAdvice}`;
      if (!/[1-9]/.test(value)) return "which would mean forever; use a duration above zero";
      return bound && belowLeast(seconds(value), bound, seconds);
    },
    { joint: ", ", pattern: /^(?=.*[1-9])(\d+(\.\d+)?(h|m|s|ms))+$/ },
  );

const sizeAdvice = "use a Kubernetes quantity such as 512Mi or 2Gi (1Gi = 1024Mi)";

function sizeProblem(value: string, bound: Least | undefined): string | undefined {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([KMGT])i?B$/i.exec(value) ?? [];
  if (number && unit) return `quantities are written without B; use ${number}${unit.toUpperCase()}i`;
  const [, short, letter = ""] = /^(\d+(?:\.\d+)?)(?:([kmgt])|([kmgt])i)$/i.exec(value.replace(/i$/i, "")) ?? [];
  if (!bytesPattern.test(value)) return short === undefined ? sizeAdvice : `use ${short}${letter.toUpperCase()}i`;
  if (bytes(value) < 2 ** 20) return "that is less than a mebibyte; use a unit such as Mi or Gi";
  if (bytes(value) > 2 ** 50) return "that is more than a pebibyte; use less";
  const found = bound && belowLeast(bytes(value), bound, bytes);
  return found && `that is ${found}`;
}

/** Memory or disk space, spelt as the API server does: another spelling would show as a difference in every preview. */
export const size = (bound?: Least) =>
  checked("quantity of bytes", sizeAdvice, (value) => sizeProblem(value, bound))
    .transform((value) => quantity(bytes(value)))
    .meta({ kind: "quantity of bytes", advice: sizeAdvice, pattern: bytesPattern.source });

const cpuPattern = /^(?=.*[1-9])(\d+m|\d+(\.\d{1,3})?)$/;
const cpuAdvice = "use cores, such as 200m (a fifth of a core) or 2";

/** CPU: `200m` is a fifth of a core. Spelt as the API server does. */
export const cpu = ({ least = "1m" } = {}) =>
  z
    .union([z.string(), z.number()], { error: wrong(cpuAdvice) })
    .transform(String)
    .refine((value) => cpuPattern.test(value), { error: wrong(cpuAdvice), abort: true })
    .refine((value) => cores(value) >= cores(least), { error: wrong(`use at least ${least}, or the container would hardly run`) })
    .transform((value) => {
      const millicores = value.endsWith("m") ? Number.parseInt(value, 10) : Math.round(Number(value) * 1000);
      return millicores % 1000 === 0 ? String(millicores / 1000) : `${millicores}m`;
    })
    .meta({ kind: "quantity of cores", advice: cpuAdvice, pattern: cpuPattern.source });
