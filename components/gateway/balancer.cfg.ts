import {
  balancerSocket,
  clientHeader,
  concurrentChecks,
  concurrentRequests,
  gatewayPaths,
  gatewayPorts,
  logFormat,
  longestRequest,
  resolvers,
  retry,
  twirp,
} from "./haproxy.ts";

/**
 * The configuration of the gateway's balancer. It follows from the behaviour of Trivy's client, which retries a request, for about 37 seconds, only after a
 * Twirp error with the code `unavailable`, or after a 502, 503 or 504 that is not a Twirp error. Every other answer, and a broken
 * connection, ends the scan. The body decides, not the status.
 */

/**
 * Bytes of one buffer. A request that fits, such as that of a layer with about 5,000 packages, can be retried on another server; larger
 * ones are passed through.
 */
const bufferBytes = 2 ** 20;

/** Bytes of the longest body that fits into a buffer with the headers that the edge lets through. */
const retriedBytes = bufferBytes - 2 ** 15;

/** Servers that answer the same clients. */
export interface ServerGroup {
  /** The trust domain whose clients they answer. @default all clients that are in no other group */
  readonly domain?: { readonly name: string; readonly clients: readonly string[] };
  /** Complete DNS name, which resolves to the address of every ready server. */
  readonly host: string;
  /** Maximum number of servers, including those that start and stop in a rollout. */
  readonly slots: number;
}

export interface BalancerOptions {
  /** The groups of servers, one of them without a trust domain. */
  readonly servers: readonly ServerGroup[];
  /** The servers' port. */
  readonly port: number;
  /** Maximum number of requests that this pod sends to one server at a time. */
  readonly requests: number;
  readonly cache: {
    readonly host: string;
    readonly port: number;
    /** User who may PING with any password. Without one the health check has no login, and a refusal counts as an answer. */
    readonly user?: string | undefined;
    readonly tls: boolean;
    /** Whether the cache requires a client certificate. */
    readonly clientCertificate: boolean;
  };
  /** Bytes of memory for requests and answers. */
  readonly memory: number;
  /** Maximum number of requests per minute that this pod accepts from one client. @default no limit */
  readonly rateLimit?: number | undefined;
}

/** Upper limits of the buckets in which the durations of scans are counted, in seconds. */
const durationBuckets = [0.1, 0.5, 2.5, 10, 60] as const;

/**
 * The counters of each client, in the order of HAProxy's general purpose counters. What a client is refused because of its own limits is not
 * a failure of the service.
 */
const counters = ["queueMilliseconds", "failures", "unavailable", "errors", "scans", "scanMilliseconds", ...durationBuckets] as const;

/** Returns the index of a counter in HAProxy. */
const gpc = (name: (typeof counters)[number]) => counters.indexOf(name);

/** Returns the configuration of the balancer, which retries requests and distributes them fairly over the servers. */
export function balancerCfg(options: BalancerOptions): string {
  const { servers, port, requests, cache, rateLimit } = options;
  const uploads = Math.max(1, Math.floor(requests / 4));
  const buffers = Math.max(64, Math.floor(options.memory / bufferBytes));
  return `global
  log stdout format raw local0 info
  maxconn ${concurrentRequests + concurrentChecks}
  # More threads do not make scans faster, and a node may have a hundred cores.
  thread-hard-limit 4
  # After the soft stop, the longest request can still complete.
  hard-stop-after ${longestRequest}s
  tune.bufsize ${bufferBytes}
  # When all buffers are in use, requests wait: memory is bounded whatever clients send.
  tune.buffers.limit ${buffers}
  # The key of tls.crt is in tls.key, in the same folder.
  ssl-load-extra-del-ext

defaults
  mode http
  log global
  option dontlognull
  timeout connect 2s
  timeout client ${longestRequest}s
  timeout server ${longestRequest}s
  timeout http-request 10s
  timeout queue 30s
  timeout check 3s
  timeout tarpit 2s
  # A client that has its answer and keeps the connection open must not delay a drain.
  timeout client-fin 5s
  timeout server-fin 5s
  http-error ${twirp(408, "deadline_exceeded", "the request was too slow: its body must arrive within 60 s")}
  http-error ${twirp(502, "unavailable", "a Trivy server closed the connection; retrying")}
  http-error ${twirp(503, "unavailable", "no Trivy server is free or reachable; retrying")}
  http-error ${twirp(504, "unavailable", "a Trivy server did not answer in time; retrying")}

${resolvers}
frontend rpc
  bind ${balancerSocket} accept-proxy
  option httpclose
  log-format "${logFormat}"
${servers.map((group) => `  acl available nbsrv(${backendOf("servers", group)}) gt 0\n`).join("")}  http-request return status 200 content-type text/plain string "ok" if { path /healthz } available
  http-request return status 503 content-type text/plain string "no server" if { path /healthz }
  http-request set-var(txn.client) req.hdr(${clientHeader})
  http-request del-header ${clientHeader}
  http-request track-sc0 var(txn.client) table clients
${servers.map(selectDomain).join("")}  http-request set-var(txn.scan) bool(true) if { path_end /Scan }
${rateLimiting(rateLimit)}  # A fair share of the servers: a request waits as if it had arrived after all requests of its client that are in progress, at the rate at which the
  # servers accept requests (divided by four, in favour of clients with few requests). So a thousand requests of one client do not delay a single one of
  # another client. The offset is at most 20 s.
${servers
  .map(
    (group) => `  http-request set-var(txn.pace) be_sess_rate(${backendOf("servers", group)}),add(1)${inDomain(group)}
`,
  )
  .join("")}  http-request set-var(txn.wait) sc0_conn_cur,mul(4000),div(txn.pace)
  http-request set-priority-offset int(20000) if { var(txn.wait) -m int gt 20000 }
  http-request set-priority-offset var(txn.wait) if { var(txn.wait) -m int le 20000 }
  # Only a request that has arrived completely can be retried.
  http-request wait-for-body time 60s if { method POST }
  http-request set-var(txn.began) date(0,ms)
  acl known var(txn.client) -m found
  acl limited var(txn.reason) -m str rate-limit
  acl scanned var(txn.scan) -m bool
  http-request set-header Trivy-Token "\${SERVER_TOKEN}" if known
  http-request del-header Trivy-Token unless known
  http-after-response sc-add-gpc(${gpc("queueMilliseconds")},0) req.timer.queue if known
  http-after-response sc-inc-gpc(${gpc("failures")},0) if known { status ge 500 }
  http-after-response sc-inc-gpc(${gpc("unavailable")},0) if known { status gt 500 } !limited
  http-after-response sc-inc-gpc(${gpc("errors")},0) if known { status 500 }
  http-after-response set-var(txn.took) date(0,ms),sub(txn.began) if known scanned { status 200 }
  http-after-response sc-inc-gpc(${gpc("scans")},0) if known { var(txn.took) -m found }
  http-after-response sc-add-gpc(${gpc("scanMilliseconds")},0) var(txn.took) if known { var(txn.took) -m found }
${durationBuckets.map((limit) => `  http-after-response sc-inc-gpc(${gpc(limit)},0) if known { var(txn.took) -m int le ${1000 * limit} }\n`).join("")}  # Uploads that do not fit into the buffer pass through while they arrive. However slow they are, they hold only some of the places at the servers.
  acl large req.hdr(Content-Length),sub(${retriedBytes}) -m int gt 0
${servers
  .filter(({ domain }) => domain)
  .map(
    (group) =>
      `  use_backend ${backendOf("uploads", group)}${inDomain(group)} { method POST } large\n  use_backend ${backendOf("servers", group)}${inDomain(group)}\n`,
  )
  .join("")}  use_backend uploads if { method POST } large
  default_backend servers

${servers
  .flatMap((group) => [
    serversBackend(backendOf("servers", group), group, port, Math.max(1, requests - uploads)),
    serversBackend(backendOf("uploads", group), group, port, uploads),
  ])
  .join("\n")}
# Checks whether the cache answers: that distinguishes an outage, which passes, from a layer that is lost.
backend cache
  mode tcp
  option tcp-check
  tcp-check connect
  tcp-check send "${cache.user === undefined ? "" : `AUTH ${cache.user} x\\r\\n`}PING\\r\\n"
  tcp-check expect rstring ${cache.user === undefined ? "^(\\+PONG|-NOAUTH)" : "\\+PONG"}
  server cache ${cache.host}:${cache.port} check inter 500ms fall 1 rise 4 init-addr none resolvers cluster${cacheTls(cache)}

# The requests, bytes and failures of each client.
backend clients
  stick-table type string len 64 size 10k expire 24h store conn_cur,http_req_cnt,http_req_rate(1m),bytes_in_cnt,bytes_out_cnt,gpc(${counters.length})

frontend admin
  no log
  bind "$ADDRESS:${gatewayPorts.admin}" v4v6
  http-request use-service prometheus-exporter if { path /metrics }
  http-request return status 200 content-type "text/plain; version=0.0.4" lf-file ${gatewayPaths.configuration}/client-metrics.txt if { path /metrics/clients }
  http-request return status 503 content-type text/plain string "stopping" if { path /ready } { stopping }
  http-request return status 200 content-type text/plain string "ok"
`;
}

/** Returns the name of the backend with a group's servers, for uploads or for all other requests. */
const backendOf = (purpose: "servers" | "uploads", { domain }: ServerGroup) => (domain ? `${purpose}-${domain.name}` : purpose);

const selectDomain = ({ domain }: ServerGroup) =>
  (domain?.clients ?? [])
    .map((client) => `  http-request set-var(txn.domain) str(${domain?.name}) if { var(txn.client) -m str ${client} }\n`)
    .join("");

const inDomain = ({ domain }: ServerGroup) => (domain ? ` if { var(txn.domain) -m str ${domain.name} }` : "");

/** Returns a backend with all servers of a group, which sends each of them a number of requests at a time. */
const serversBackend = (name: string, { slots, host }: ServerGroup, port: number, requests: number) => `backend ${name}
  balance leastconn
  # When a reused connection breaks, HAProxy closes the client's connection without an answer, which ends the scan.
  http-reuse never
  option httpclose
  # A lost node never answers: after nine seconds the request is retried on another server. (To shut down the sessions of a server that is marked down
  # would end them without an answer.)
  option srvtcpka
  srvtcpka-idle 3s
  srvtcpka-intvl 2s
  srvtcpka-cnt 3
  option httpchk GET /healthz
  http-check expect status 200
  # A scan may take long; a request to the cache does not, however large the layer is.
  http-request set-timeout server 20s if !{ path_end /Scan }
  retries 2
  option redispatch 1
  retry-on conn-failure empty-response junk-response response-timeout 401 500 502 503 504
  # A cache outage, or a request that a stopping server has abandoned, gives 500 "internal", after which the client does not retry.
  http-response wait-for-body time 2s if { status 500 }
  acl failed status 500
  acl lost res.body -m sub "layer cache missing"
  acl full res.body -m sub "OOM command"
  acl panicked res.body -m sub "service panic"
  acl cache_away nbsrv(cache) eq 0
${failures.map(failureRules).join("")}  default-server check inter 1s fastinter 500ms fall 2 rise 1 maxconn ${requests} observe layer4 error-limit 2 on-error mark-down init-addr none resolvers cluster
  server-template server ${slots} ${host}:${port}
`;

function rateLimiting(rateLimit: number | undefined): string {
  if (rateLimit === undefined) return "";
  const above = `if { sc0_http_req_rate gt ${rateLimit} }`;
  return `  http-request set-var(txn.reason) str(rate-limit) ${above}
  # Delayed for a moment first, so that the client's ten retries last longer.
  http-request tarpit ${retry("this client exceeds gateway.rateLimit")} ${above}
`;
}

interface Failure {
  /** Condition in HAProxy's syntax. */
  readonly when: string;
  /** The reason in the log. */
  readonly reason: string;
  /** The answer to the client. @default the server's */
  readonly answer?: string;
}

/** The failures of servers, and what the gateway answers instead. The first one that applies decides. */
const failures: readonly Failure[] = [
  { when: "failed lost cache_away", reason: "cache-away", answer: retry("the layer cache is unreachable") },
  {
    when: "failed lost",
    reason: "cache-lost",
    // Only the client can upload the layer again, so a retry cannot succeed.
    answer: twirp(
      500,
      "internal",
      "the layer cache lost a layer of this image during the scan (flushed, evicted or expired): run the scan again; if it happens often, increase redis.maxMemory",
    ),
  },
  {
    when: "failed full",
    reason: "cache-full",
    answer: twirp(500, "internal", "the layer cache is full and stores nothing more: increase redis.maxMemory"),
  },
  {
    when: "failed !panicked",
    reason: "server-failed",
    answer: retry("the layer cache cannot be reached, or a Trivy server is stopping"),
  },
  { when: "failed panicked", reason: "server-panic" },
  // The client's token was valid: it is the servers' own token that is being changed.
  { when: "{ status 401 }", reason: "server-token", answer: retry("the token of the servers is being changed") },
];

const failureRules = ({ when, reason, answer }: Failure) =>
  [`set-var(txn.reason) str(${reason})`, ...(answer === undefined ? [] : [`return ${answer}`])]
    .map((action) => `  http-response ${action} if ${when}\n`)
    .join("");

/** The health check sends no secret and relies only on getting an answer, so it need not verify the certificate. */
function cacheTls({ tls, clientCertificate }: BalancerOptions["cache"]): string {
  if (!tls) return "";
  return ` ssl verify none${clientCertificate ? ` crt ${gatewayPaths.cacheCertificate}/tls.crt` : ""}`;
}

/**
 * Returns the metrics of each client in Prometheus' format, with expressions that HAProxy evaluates; its own exporter has no metrics by
 * client.
 */
export function clientMetrics(clients: readonly string[]): string {
  const metrics = {
    requests_total: ["counter", "Requests.", "table_http_req_cnt(clients)"],
    failures_total: ["counter", "Requests answered with a status of 500 or above.", counter("failures")],
    unavailable_total: [
      "counter",
      "Requests answered with a status above 500, which the client retries, except those over its limits.",
      counter("unavailable"),
    ],
    errors_total: ["counter", "Requests answered with status 500, which ends the scan.", counter("errors")],
    queue_milliseconds_total: ["counter", "Time that requests waited for a free server.", counter("queueMilliseconds")],
    requests_running: ["gauge", "Requests under way or waiting.", "table_conn_cur(clients)"],
    received_bytes_total: ["counter", "Bytes of requests, in steps of 1024.", "table_kbytes_in(clients),mul(1024)"],
    sent_bytes_total: ["counter", "Bytes of answers, in steps of 1024.", "table_kbytes_out(clients),mul(1024)"],
  };
  const header = (metric: string, help: string, type: string) => `# HELP ${metric} ${help}\n# TYPE ${metric} ${type}\n`;
  const simple = Object.entries(metrics).map(([name, [type = "", help = "", fetch = ""]]) => {
    const metric = `trivy_gateway_client_${name}`;
    return header(metric, help, type) + clients.map((client) => `${metric}{client="${client}"} ${value(client, fetch)}\n`).join("");
  });
  return [
    ...simple,
    header(durations, "Durations of successful scans, from the complete request to the answer.", "histogram"),
    ...clients.map(histogram),
  ].join("");
}

const durations = "trivy_gateway_client_scan_duration_seconds";

const counter = (name: (typeof counters)[number]) => `table_gpc(${gpc(name)},clients)`;

/** Returns an expression for a value of a client in the table `clients`. */
const value = (client: string, fetch: string) => `%[str(${client}),${fetch}]`;

function histogram(client: string): string {
  const bucket = (limit: string, name: (typeof counters)[number]) =>
    `${durations}_bucket{client="${client}",le="${limit}"} ${value(client, counter(name))}\n`;
  return [
    ...durationBuckets.map((limit) => bucket(String(limit), limit)),
    bucket("+Inf", "scans"),
    // HAProxy has no fractions: whole seconds.
    `${durations}_sum{client="${client}"} ${value(client, `${counter("scanMilliseconds")},div(1000)`)}\n`,
    `${durations}_count{client="${client}"} ${value(client, counter("scans"))}\n`,
  ].join("");
}
