/**
 * The gateway's configuration. What is in it follows from what Trivy's client does: it repeats a request, for about 37 seconds, only when it is told
 * `unavailable` by a Twirp error, or gets a 502, 503 or 504 that no server of Trivy's wrote; every other answer, and a connection that breaks, end the
 * scan. The status alone decides nothing: the body does.
 */

/** Where things are in the gateway's pod. Ports are above 1024, because nobody is root. */
export const gatewayPorts = { http: 8080, https: 8443, admin: 8405 } as const;
export const gatewayPaths = {
  configuration: "/etc/trivy-gateway/configuration",
  clients: "/etc/trivy-gateway/clients",
  certificate: "/etc/trivy-gateway/certificate",
  cacheCertificate: "/etc/trivy-gateway/cache-certificate",
} as const;

/** Bytes of one buffer: a request that fits, a layer of about 5,000 packages, can be repeated on another server. Larger ones pass through. */
const bufferBytes = 2 ** 20;

/** Longest request, in seconds: the scan of a very large image; as long as the client's own time-out. */
export const longestRequest = 300;

/** Connections at once. */
const connections = 1000;

export interface HaproxyOptions {
  readonly servers: {
    /** DNS name, whole, that has every server's address. */
    readonly host: string;
    readonly port: number;
    /** Most servers that there may be, with those that come and go in a rollout. */
    readonly slots: number;
    /** Requests at once that this gateway sends to one server. */
    readonly requests: number;
  };
  readonly cache: {
    readonly host: string;
    readonly port: number;
    /** User who may PING with any password. Without one the cache is asked without login, and its refusal is an answer too. */
    readonly user?: string | undefined;
    readonly tls: boolean;
    /** Whether the cache wants a certificate of us. */
    readonly clientCertificate: boolean;
  };
  /** Memory for requests and answers, in bytes. */
  readonly memory: number;
  /** Bytes of the largest request. */
  readonly maxRequestBytes: number;
  /** Requests a minute that this gateway takes from one client. */
  readonly rateLimit?: number | undefined;
  /** Whether there is a certificate to serve HTTPS with. */
  readonly tls: boolean;
  /** Whether plain HTTP is served to others than this pod itself. */
  readonly plainHttp: boolean;
}

/** An answer as Trivy's servers give it: a Twirp error. With the code `unavailable` the client tries again. */
const twirp = (status: number, code: string, message: string) =>
  `status ${status} content-type application/json string '${JSON.stringify({ code, msg: message })}'`;
const again = (message: string) => twirp(503, "unavailable", `${message}; trying again`);

export function haproxyCfg(options: HaproxyOptions): string {
  const { servers, cache, tls, plainHttp, rateLimit, maxRequestBytes } = options;
  const buffers = Math.max(64, Math.floor(options.memory / bufferBytes));
  return `global
  log stdout format raw local0 info
  maxconn ${connections}
  # More threads than this do not make scans faster, and a node may have a hundred cores.
  thread-hard-limit 4
  # After the soft stop, the longest request may still end.
  hard-stop-after ${longestRequest}s
  tune.bufsize ${bufferBytes}
  # When they are all in use, requests wait: memory is bounded whatever clients send.
  tune.buffers.limit ${buffers}
  ssl-default-bind-options ssl-min-ver TLSv1.2
  # The key stands beside tls.crt in tls.key.
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
  # Who got an answer and does not hang up must not hold up a drain.
  timeout client-fin 5s
  timeout server-fin 5s
  http-error ${twirp(408, "deadline_exceeded", "the request came too slowly: its body must be here within 60 s")}
  http-error ${twirp(502, "unavailable", "a Trivy server broke off; trying again")}
  http-error ${twirp(503, "unavailable", "no Trivy server is free or can be reached; trying again")}
  http-error ${twirp(504, "unavailable", "a Trivy server did not answer in time; trying again")}

resolvers cluster
  parse-resolv-conf
  # A hundred addresses in one answer.
  accepted_payload_size 8192
  hold valid 2s
  hold nx 5s
  hold obsolete 5s
  timeout resolve 1s
  timeout retry 1s

frontend rpc
  bind ${plainHttp ? `:::${gatewayPorts.http} v4v6` : `127.0.0.1:${gatewayPorts.http}`}${
    tls ? `\n  bind :::${gatewayPorts.https} v4v6 ssl crt ${gatewayPaths.certificate}/tls.crt alpn http/1.1` : ""
  }
  # One connection a request: Go does not repeat a POST on a kept connection that is closed under it at a drain.
  option httpclose
  log-format "${logFormat}"
  http-request return status 200 content-type text/plain string "ok" if { path /healthz } { nbsrv(servers) gt 0 }
  http-request return status 503 content-type text/plain string "no server" if { path /healthz }
  # Who it is: the map holds hashes of tokens, and looking one up takes no longer for a good one.
  http-request set-var(txn.client) req.hdr(Trivy-Token),sha2(256),hex,lower,map_str(${gatewayPaths.clients}/clients.map)
  http-request return ${twirp(401, "unauthenticated", "invalid token")} unless { var(txn.client) -m found } || { path /version }
  http-request track-sc0 var(txn.client) table clients
  http-request return ${twirp(411, "invalid_argument", "the request does not tell its length")} if { method POST } !{ req.hdr(Content-Length) -m found }
  http-request return ${twirp(413, "resource_exhausted", `the request is larger than gateway.maxRequestSize, ${maxRequestBytes} bytes`)} if { req.hdr(Content-Length),sub(${maxRequestBytes}) -m int gt 0 }
  # No client may take all connections.
  http-request return ${again("too many requests of this client at once")} if { sc0_conn_cur gt ${connections / 2} }
${rateLimiting(rateLimit)}  # A fair share: a request waits as if each one that its client has under way had come before it, at the pace at which the servers take them (four
  # times as slow, in favour of who asks little). So one client's thousand do not stand before another's one. After 20 s everybody's turn has come.
  http-request set-var(txn.pace) be_sess_rate(servers),add(1)
  http-request set-var(txn.wait) sc0_conn_cur,mul(4000),div(txn.pace)
  http-request set-priority-offset int(20000) if { var(txn.wait) -m int gt 20000 }
  http-request set-priority-offset var(txn.wait) if { var(txn.wait) -m int le 20000 }
  # Only what is here as a whole can be repeated.
  http-request wait-for-body time 60s if { method POST }
  http-request set-header Trivy-Token "\${SERVER_TOKEN}"
  http-after-response sc-add-gpc(0,0) req.timer.queue if { var(txn.client) -m found }
  http-after-response sc-inc-gpc(1,0) if { var(txn.client) -m found } { status ge 500 }
  default_backend servers

backend servers
  balance leastconn
  # A kept connection that dies is closed towards the client without an answer, which ends its scan.
  http-reuse never
  option httpclose
  # A node that is lost answers nothing for ever: after nine seconds the request goes to another server. (To shut sessions of a server that is marked
  # down would end them without an answer.)
  option srvtcpka
  srvtcpka-idle 3s
  srvtcpka-intvl 2s
  srvtcpka-cnt 3
  option httpchk GET /healthz
  http-check expect status 200
  # A scan may take its time; a look into the cache does not, however large the layer.
  http-request set-timeout server 20s if !{ path_end /Scan }
  retries 2
  option redispatch 1
  retry-on conn-failure empty-response junk-response response-timeout 401 500 502 503 504
  # A cache outage, or a request that a stopping server gave up, is 500 "internal", which is final for the client.
  http-response wait-for-body time 2s if { status 500 }
  acl failed status 500
  acl lost res.body -m sub "layer cache missing"
  acl full res.body -m sub "OOM command"
  acl panicked res.body -m sub "service panic"
  acl cache_away nbsrv(cache) eq 0
${failures.map(failureRules).join("")}  default-server check inter 1s fastinter 500ms fall 2 rise 1 maxconn ${servers.requests} observe layer4 error-limit 2 on-error mark-down init-addr none resolvers cluster
  server-template server ${servers.slots} ${servers.host}:${servers.port}

# Whether the cache answers: that tells an outage, which passes, from a layer that was lost.
backend cache
  mode tcp
  option tcp-check
  tcp-check connect
  tcp-check send "${cache.user === undefined ? "" : `AUTH ${cache.user} x\\r\\n`}PING\\r\\n"
  tcp-check expect rstring ${cache.user === undefined ? "^(\\+PONG|-NOAUTH)" : "\\+PONG"}
  server cache ${cache.host}:${cache.port} check inter 500ms fall 1 rise 4 init-addr none resolvers cluster${cacheTls(cache)}

# What clients do: who, how much, how often without success.
backend clients
  stick-table type string len 64 size 10k expire 24h store conn_cur,http_req_cnt,http_req_rate(1m),bytes_in_cnt,bytes_out_cnt,gpc(2)

frontend admin
  no log
  bind :::${gatewayPorts.admin} v4v6
  http-request use-service prometheus-exporter if { path /metrics }
  http-request return status 200 content-type "text/plain; version=0.0.4" lf-file ${gatewayPaths.configuration}/client-metrics.txt if { path /metrics/clients }
  http-request return status 503 content-type text/plain string "stopping" if { path /ready } { stopping }
  http-request return status 200 content-type text/plain string "ok"
`;
}

function rateLimiting(rateLimit: number | undefined): string {
  if (rateLimit === undefined) return "";
  const above = `if { sc0_http_req_rate gt ${rateLimit} }`;
  return `  http-request set-var(txn.reason) str(rate-limit) ${above}
  # Held for a moment first: so the client's ten tries last longer.
  http-request tarpit ${again("this client is above gateway.rateLimit")} ${above}
`;
}

interface Failure {
  /** Condition of HAProxy's. */
  readonly when: string;
  /** What the log says. */
  readonly reason: string;
  /** What the client gets. @default the server's answer */
  readonly answer?: string;
}

/** What a server's answer means, and what the client is told instead. The first that applies decides. */
const failures: readonly Failure[] = [
  { when: "failed lost cache_away", reason: "cache-away", answer: again("the layer cache is away") },
  {
    when: "failed lost",
    reason: "cache-lost",
    // Only the client can upload the layer again, so trying again here would be in vain.
    answer: twirp(
      500,
      "internal",
      "the layer cache lost a layer of this image during the scan (emptied, evicted or expired): run the scan again; if it happens often, raise redis.maxMemory",
    ),
  },
  {
    when: "failed full",
    reason: "cache-full",
    answer: twirp(500, "internal", "the layer cache is full and takes no more: raise redis.maxMemory"),
  },
  {
    when: "failed !panicked",
    reason: "server-failed",
    answer: again("the layer cache cannot be reached, or a Trivy server is stopping"),
  },
  { when: "failed panicked", reason: "server-panic" },
  // The client's token was good: it is the servers' own that is being changed.
  { when: "{ status 401 }", reason: "server-token", answer: again("the token of the servers is being changed") },
];

const failureRules = ({ when, reason, answer }: Failure) =>
  [`set-var(txn.reason) str(${reason})`, ...(answer === undefined ? [] : [`return ${answer}`])]
    .map((action) => `  http-response ${action} if ${when}\n`)
    .join("");

/** One JSON object a request: no token, no query, no body. Times in milliseconds. */
const logFormat = [
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

/** The check sends no secret and believes no more than that somebody answers, so it need not know whose certificate that is. */
function cacheTls({ tls, clientCertificate }: HaproxyOptions["cache"]): string {
  if (!tls) return "";
  return ` ssl verify none${clientCertificate ? ` crt ${gatewayPaths.cacheCertificate}/tls.crt` : ""}`;
}

/** Metrics by client in Prometheus' format, whose values HAProxy fills in: its own exporter knows no clients. */
export function clientMetrics(clients: readonly string[]): string {
  const metrics = {
    requests_total: ["counter", "Requests.", "table_http_req_cnt(clients)"],
    failures_total: ["counter", "Requests answered with a status of 500 or above.", "table_gpc(1,clients)"],
    queue_milliseconds_total: ["counter", "Time that requests waited for a free server.", "table_gpc(0,clients)"],
    requests_running: ["gauge", "Requests under way or waiting.", "table_conn_cur(clients)"],
    received_bytes_total: ["counter", "Bytes of requests, in steps of 1024.", "table_kbytes_in(clients),mul(1024)"],
    sent_bytes_total: ["counter", "Bytes of answers, in steps of 1024.", "table_kbytes_out(clients),mul(1024)"],
  };
  return Object.entries(metrics)
    .map(([name, [type, help, fetch]]) => {
      const metric = `trivy_gateway_client_${name}`;
      const values = clients.map((client) => `${metric}{client="${client}"} %[str(${client}),${fetch}]\n`).join("");
      return `# HELP ${metric} ${help}\n# TYPE ${metric} ${type}\n${values}`;
    })
    .join("");
}
