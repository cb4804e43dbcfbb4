export const verdicts = ["clean", "findings", "errors"] as const;
/** The result of a run: `errors` when an image could not be scanned or a repository not listed, whatever the findings. */
export type Verdict = (typeof verdicts)[number];

/** The exit code of a run's first pod for each verdict. */
export const exitCodes = { clean: 0, findings: 1, errors: 2 } as const satisfies Record<Verdict, number>;
