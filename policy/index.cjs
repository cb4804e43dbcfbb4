/**
 * Where Pulumi starts the policy pack. CommonJS, because Pulumi loads it with `require`, after it has installed an old TypeScript compiler for
 * files that are loaded that way. Node strips the types of what `import` loads.
 */
module.exports = () => import("./pack.ts");
