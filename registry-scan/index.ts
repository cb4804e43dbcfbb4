/** The registry scan's public interface: its protocol, and the rules for what can be scanned. */
export * from "./protocol/image-reference.ts";
export * from "./protocol/model.ts";
export * from "./protocol/targets.ts";
