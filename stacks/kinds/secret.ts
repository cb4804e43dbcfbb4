import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { keyProblem } from "./certificate.ts";
import { hostProblem, isWebUrl, webUrlAdvice } from "./network.ts";

/** What `npm start` puts in the place of an encrypted setting, which it cannot read. */
export const isUnreadable = (text: string) => /^encrypted[0-9a-f]{32}@$/.test(text);

/** A value that appears in no message, and leaves this module only as a secret. `problem` returns what would be valid. */
const secret = (advice: string, problem: (value: string) => string | undefined) =>
  z
    .string({ error: (issue) => `${issue.input === undefined ? "is missing" : "is not a text"}; ${advice}` })
    .superRefine((value, context) => {
      const found = problem(value);
      if (found !== undefined) context.addIssue({ code: "custom", message: `is not usable; ${found}` });
    })
    .transform((value) => pulumi.secret(value))
    .meta({ kind: "secret" });

export const secretText = (advice: string) => secret(advice, (value) => (value.length > 0 ? undefined : advice));

const tokenAdvice = "use at least 16 printable characters without spaces";
export const token = () => secret(tokenAdvice, (value) => (/^[\x21-\x7e]{16,}$/.test(value) ? undefined : tokenAdvice));

export const privateKey = () =>
  secret("use the key's whole text, -----BEGIN PRIVATE KEY-----…", (value) => (isUnreadable(value) ? undefined : keyProblem(value)));

/** The URL of a host that pods connect to. */
export const secretUrl = () =>
  secret(webUrlAdvice, (value) => {
    if (isUnreadable(value)) return undefined;
    if (!isWebUrl(value)) return webUrlAdvice;
    const problem = hostProblem(new URL(value).hostname);
    return problem && `it is on a host that ${problem}`;
  });
