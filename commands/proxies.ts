import { EnvHttpProxyAgent, setGlobalDispatcher } from "undici";
import { urlEndpoint } from "../components/shared/egress.ts";
import { isDirect } from "../components/shared/proxy.ts";

const loopback = ["localhost", "127.0.0.0/8", "::1"];

/** Returns the first of some variables of the environment that is set, whose names may be in lower case. */
const read = (env: NodeJS.ProcessEnv, name: string): string | undefined => env[name] || env[name.toLowerCase()] || undefined;

/** Returns the proxy through which kubectl and Pulumi, as Go programs, reach a URL in an environment; undefined if they reach it directly. */
export function proxyOf(url: string, env: NodeJS.ProcessEnv): string | undefined {
  if (!URL.canParse(url)) return undefined;
  const proxy = read(env, url.startsWith("http:") ? "HTTP_PROXY" : "HTTPS_PROXY");
  const entries = (read(env, "NO_PROXY") ?? "").split(",").map((entry) => entry.trim());
  if (proxy === undefined || entries.includes("*") || isDirect(urlEndpoint(url), [...loopback, ...entries])) return undefined;
  return proxy.includes("://") ? proxy : `http://${proxy}`;
}

/** Makes `fetch` use the proxies of the environment: Node itself does so only with a variable that few users set. */
export function useProxies(env: NodeJS.ProcessEnv): void {
  if (read(env, "HTTPS_PROXY") === undefined && read(env, "HTTP_PROXY") === undefined) return;
  const noProxy = [read(env, "NO_PROXY"), "localhost", "127.0.0.1", "[::1]"].filter((entry) => entry !== undefined).join(",");
  setGlobalDispatcher(new EnvHttpProxyAgent({ noProxy }));
}
