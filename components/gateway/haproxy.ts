/**
 * What the two HAProxy processes of a gateway pod have in common. The edge faces the clients; the balancer, which only the edge reaches,
 * faces the servers. They are separate because a process has one size of buffers: the balancer holds whole requests to retry them (1 MiB
 * each), which would let clients without a token fill its memory with connections.
 */

/** The ports of the gateway's pods, above 1024, because HAProxy does not run as root. */
export const gatewayPorts = { http: 8080, https: 8443, admin: 8405, edgeAdmin: 8406 } as const;

/** Where the pods have their files. */
export const gatewayPaths = {
  configuration: "/etc/trivy-gateway/configuration",
  clients: "/etc/trivy-gateway/clients",
  certificate: "/etc/trivy-gateway/certificate",
  cacheCertificate: "/etc/trivy-gateway/cache-certificate",
  databaseAuthority: "/etc/trivy-gateway/database-authority",
} as const;

/** The abstract Unix socket from the edge to the balancer: only containers of the same pod reach it, and no port forwarding does. */
export const balancerSocket = "abns@trivy-gateway";

/** Name of the header in which the edge gives the balancer the client's name. */
export const clientHeader = "X-Trivy-Client";

/** Maximum number of requests in a gateway pod at a time. */
export const concurrentRequests = 1000;

/** Maximum number of requests without a token, such as health checks, that a gateway pod passes to the servers at a time. */
export const concurrentChecks = 16;

/** Seconds of the longest request, the scan of a very large image: as long as the client's own timeout. */
export const longestRequest = 300;

/** How the processes find servers by DNS. */
export const resolvers = `resolvers cluster
  parse-resolv-conf
  # Enough for a hundred addresses in one answer.
  accepted_payload_size 8192
  hold valid 2s
  hold nx 5s
  hold obsolete 5s
  timeout resolve 1s
  timeout retry 1s
`;

/** Returns an answer in the form of Trivy's servers, a Twirp error. The message must not contain an apostrophe. */
export const twirp = (status: number, code: string, message: string) =>
  `status ${status} content-type application/json string '${JSON.stringify({ code, msg: message })}'`;

/** Returns an answer after which the client retries. */
export const retry = (message: string) => twirp(503, "unavailable", `${message}; retrying`);

/** One JSON object per request, without token, query and body. Times are in milliseconds. */
export const logFormat = [
  "%{+json}o%(time)[accept_date(ms),ms_utime(%Y-%m-%dT%H:%M:%S.%3NZ)]",
  "%(client)[var(txn.client)]",
  "%(source)ci",
  "%(method)HM",
  "%(path)HPO",
  "%(status)ST",
  "%(reason)[var(txn.reason)]",
  "%(server)s",
  "%(retries)rc",
  "%(ended)ts",
  "%(request_bytes)U",
  "%(response_bytes)B",
  "%(ms_receive)TR",
  "%(ms_queue)Tw",
  "%(ms_connect)Tc",
  "%(ms_response)Tr",
  "%(ms_total)Ta",
].join(" ");
