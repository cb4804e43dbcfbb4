// Entry point of the plugin. Pulumi's language host compiles the TypeScript that it loads itself with an old compiler, but Node loads what a module
// imports.
import "./main.ts";
