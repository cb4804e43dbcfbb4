/** The kinds of values that settings have. Each says in its messages what would be valid. */
export * from "./basic.ts";
export * from "./block.ts";
export { certificates } from "./certificate.ts";
export * from "./document.ts";
export * from "./image.ts";
export * from "./kubernetes.ts";
export { bucketName, cidr, dnsLabel, dnsName, hostName, noProxyEntry, proxyUrl, redisHost, region, serviceUrl, webUrl } from "./network.ts";
export { cpu, duration, size } from "./quantity.ts";
export * from "./schedule.ts";
export { privateKey, secretText, secretUrl, token } from "./secret.ts";
export { anyText } from "./text.ts";
