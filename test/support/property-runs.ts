/** Number of draws of a property test: few at the desk, because rendering a draw takes 25 ms of CPU; PROPERTY_RUNS=1000 in .ci/run. */
export const propertyRuns = Number(process.env["PROPERTY_RUNS"] ?? 40);
