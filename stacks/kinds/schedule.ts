import { checked, text } from "./text.ts";

const cronFields = [
  { name: "minute", least: 0, most: 59, names: [] },
  { name: "hour", least: 0, most: 23, names: [] },
  { name: "day of the month", least: 1, most: 31, names: [] },
  { name: "month", least: 1, most: 12, names: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"] },
  { name: "day of the week", least: 0, most: 6, names: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] },
] as const;

const cronAdvice = "use minute, hour, day of the month, month and day of the week, such as `0 3 * * *` for every day at three";

/**
 * Checks a schedule as Kubernetes parses it: five fields, the names of some, and macros. Parsers for JavaScript accept more (seconds, `L`, `#`,
 * Sunday as 7), which the API server would refuse in the middle of an update.
 */
function cronProblem(value: string): string | undefined {
  if (/^(CRON_)?TZ=/.test(value)) return "the time zone has its own setting; use timeZone";
  if (/^@(yearly|annually|monthly|weekly|daily|midnight|hourly)$/.test(value)) return undefined;
  const fields = value.trim().split(/\s+/);
  if (fields.length !== cronFields.length) return `a cron expression has five fields, not ${fields.length}; ${cronAdvice}`;
  for (const [index, { name, least, most, names }] of cronFields.entries()) {
    const number = (text: string) => {
      const named = (names as readonly string[]).indexOf(text.toUpperCase());
      return named >= 0 ? named + least : /^\d+$/.test(text) ? Number(text) : Number.NaN;
    };
    for (const part of (fields[index] ?? "").split(",")) {
      const { from, to, step = "1" } = /^(?<from>[^-/]+)(?:-(?<to>[^-/]+))?(?:\/(?<step>\d+))?$/.exec(part)?.groups ?? {};
      const all = from === "*" || from === "?";
      const [first, last] = all ? [least, most] : [number(from ?? ""), number(to ?? from ?? "")];
      if (!(first >= least && last <= most && first <= last && Number(step) > 0) || (all && to !== undefined))
        return `its ${name} is ${part}, which is not from ${least} to ${most}; ${cronAdvice}`;
    }
  }
  const [, , days = "", months = "", weekdays = ""] = fields;
  return weekdays === "*" && !hasDay(days, months) ? `there is no such day; ${cronAdvice}` : undefined;
}

/** Days of the months, in a leap year. */
const lengths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Whether a month of a valid cron expression has a day of it. */
function hasDay(days: string, months: string): boolean {
  const first = Math.min(...days.split(",").map((part) => Number(part.split(/[-/]/)[0]) || 1));
  const names: readonly string[] = cronFields[3].names;
  const numberOf = (text: string) => names.indexOf(text.toUpperCase()) + 1 || Number(text);
  return months.split(",").some((part) => {
    const [from = "", to = from] = part.replace(/\/.*/, "").split("-");
    const [least, most] = /^[*?]$/.test(from) || part.includes("/") ? [1, 12] : [numberOf(from), numberOf(to)];
    return lengths.slice(least - 1, most).some((length) => first <= length);
  });
}

export const schedule = () =>
  checked("cron expression", "use a cron expression such as `0 3 * * *`", cronProblem, {
    pattern: /^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|\s*[^\s=@]+(\s+[^\s=]+){4}\s*)$/,
  });

export const timeZone = () =>
  text(
    "time zone",
    "use a name of the time zone database such as Europe/Berlin",
    (value) => {
      try {
        // JavaScript accepts offsets, Kubernetes does not.
        new Intl.DateTimeFormat("en", { timeZone: value });
        return !/^[+-]/.test(value) && value !== "Local";
      } catch {
        return false;
      }
    },
    /^(?!Local$)[A-Za-z][A-Za-z0-9_+/-]*$/,
  );
