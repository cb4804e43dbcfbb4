import { z } from "zod";
import { wrong } from "./message.ts";

/** A whole number, both bounds included. */
export function count(least: number, most: number) {
  const error = wrong(`use a whole number from ${least} to ${most}`);
  return z.int({ error }).min(least, { error }).max(most, { error }).meta({ kind: "whole number" });
}

export const flag = () => z.boolean({ error: wrong("use true or false") }).meta({ kind: "true or false" });

export const choice = <const Values extends readonly [string, ...string[]]>(values: Values) =>
  z.enum(values, { error: wrong(`use one of ${values.join(", ")}`) }).meta({ kind: values.join(", ") });
