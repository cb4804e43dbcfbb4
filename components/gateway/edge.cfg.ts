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

export interface EdgeOptions {
  /** Whether HTTPS is served. */
  readonly tls: boolean;
  /** Whether plain HTTP is served to clients outside of the pod. */
  readonly plainHttp: boolean;
  /** Maximum size of a request, in bytes. */
  readonly maxRequestBytes: number;
  /** Maximum number of connections from one address that have not presented a valid token. */
  readonly connectionsPerAddress: number;
  /** The mirror of the Java database, which clients download through the gateway. @default none */
  readonly database?: { readonly host: string; readonly port: number; readonly repository: string } | undefined;
  /** Bytes of memory for data that is being passed through. */
  readonly memory: number;
}

/** Bytes of one buffer: the most that a request's line and headers may have. */
const bufferBytes = 2 ** 14;

/** The longest body that is read of a request without a valid token, so that its sender gets an answer instead of a broken connection. */
const refusedBytes = 8192;

/**
 * The calls of a scan, by all versions of Trivy's client that the servers work with. There are others, such as DeleteBlobs, with which one
 * client could remove what another has uploaded.
 */
const calls = [
  "/twirp/trivy.scanner.v1.Scanner/Scan",
  "/twirp/trivy.cache.v1.Cache/PutArtifact",
  "/twirp/trivy.cache.v1.Cache/PutBlob",
  "/twirp/trivy.cache.v1.Cache/MissingBlobs",
];

/** TLS 1.2 only with forward secrecy and authenticated encryption. */
const ciphers = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

/**
 * Returns the configuration of the edge, which terminates TLS, identifies clients by their tokens, and bounds what a connection without a
 * valid token can use: little memory, a few seconds, and a number of connections per address.
 */
export function edgeCfg({ tls, plainHttp, maxRequestBytes, connectionsPerAddress, database, memory }: EdgeOptions): string {
  return `global
  log stdout format raw local0 info
  # HAProxy derives the maximum number of connections from this number of files, or from the platform's limit if that is lower: about 10,000.
  fd-hard-limit 20000
  thread-hard-limit 4
  # After the soft stop, the longest request can still complete.
  hard-stop-after ${longestRequest}s
  tune.bufsize ${bufferBytes}
  # When all buffers are in use, requests wait: memory is bounded whatever clients send.
  tune.buffers.limit ${Math.max(1024, Math.floor(memory / bufferBytes))}
  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
  ssl-default-bind-ciphers ${ciphers}
  # The key of tls.crt is in tls.key, in the same folder.
  ssl-load-extra-del-ext

defaults
  mode http
  log global
  option dontlognull
  timeout connect 2s
  # For all that happens before the token is known: handshake, headers, and the body of a request that is refused.
  timeout client 5s
  timeout http-request 5s
  timeout server ${longestRequest + 60}s
  timeout queue 30s
  # A client that has its answer and keeps the connection open must not delay a drain.
  timeout client-fin 5s
  timeout server-fin 5s
  # A client that is too slow is disconnected. HAProxy would read on after an answer, for as long as the client sends.
  errorfile 408 /dev/null
  http-error ${twirp(502, "unavailable", "the gateway closed the connection; retrying")}
  http-error ${twirp(503, "unavailable", "the gateway is starting or has too many requests; retrying")}
  http-error ${twirp(504, "unavailable", "the gateway did not answer in time; retrying")}

${database ? `${resolvers}\n` : ""}frontend edge
  bind ${plainHttp ? '"$ADDRESS' : '"127.0.0.1'}:${gatewayPorts.http}" v4v6${
    tls ? `\n  bind "$ADDRESS:${gatewayPorts.https}" v4v6 ssl crt ${gatewayPaths.certificate}/tls.crt alpn http/1.1` : ""
  }
  # One connection per request: Go does not retry a POST on a reused connection that is closed at a drain.
  option httpclose
  # HTTP/2 would let one connection carry a hundred requests.
  option disable-h2-upgrade
  log-format "${logFormat}"
  # Connections whose requests have a valid token are counted separately, so that many clients can share one address.
  tcp-request connection set-var(sess.address) src,ipmask(32,64)
  tcp-request connection set-var(sess.address) src if { src 0.0.0.0/0 }
  tcp-request connection track-sc1 var(sess.address) table addresses
  tcp-request connection set-var(sess.authenticated) var(sess.address),table_conn_cur(authenticated)
  tcp-request connection reject if { sc1_conn_cur,sub(sess.authenticated) -m int gt ${connectionsPerAddress} }
  # Identifies the client: the map contains hashes of tokens, so the time of a lookup reveals nothing about a token.
  http-request set-var(txn.client) req.hdr(Trivy-Token),sha2(256),hex,lower,map_str(${gatewayPaths.clients}/clients.map)
${databaseLogin(database)}  acl known var(txn.client) -m found
  acl chunked req.hdr(Transfer-Encoding) -m found
  acl sized req.hdr(Content-Length) -m found
  # HAProxy reads the rest of a refused request's body for as long as the client sends it, so a long one is refused without an answer.
  http-request reject if !known chunked
  http-request reject if !known { req.hdr_val(Content-Length) gt ${refusedBytes} }
  http-request wait-for-body time 5s at-least ${refusedBytes} if !known sized
  # Load balancers and clients check the service without a token, by requests without a body.
  http-request set-var(txn.check) bool(true) if { method GET HEAD } { path / /healthz /version } !chunked !sized
  acl check var(txn.check) -m bool
  http-request set-path /healthz if check { path / }
  http-request set-header ${clientHeader} %[var(txn.client)] if known
  http-request del-header ${clientHeader} unless known
${databaseRefusals(database)}  http-request return ${twirp(401, "unauthenticated", "invalid token")} unless known or check
  http-request track-sc2 var(sess.address) table authenticated
  # Waiting for the answer does not count, only a client that neither sends nor reads.
  http-request set-timeout client 15s
  http-request track-sc0 var(txn.client) table clients
  http-request return ${twirp(404, "bad_route", "the service has no such call")} unless check or registry or { method POST } { path ${calls.join(" ")} }
  http-request return ${twirp(411, "invalid_argument", "the request has no Content-Length")} if !check !registry chunked or !check !registry !sized
  http-request return ${twirp(413, "resource_exhausted", `the request is larger than gateway.maxRequestSize, ${maxRequestBytes} bytes`)} if { req.hdr(Content-Length),sub(${maxRequestBytes}) -m int gt 0 }
  # No client may use all connections to the balancer.
  http-request set-var(txn.reason) str(connection-limit) if { sc0_conn_cur gt ${concurrentRequests / 2} }
  http-request return ${retry("this client has too many requests in progress")} if { sc0_conn_cur gt ${concurrentRequests / 2} }
  use_backend checks if check
${database ? "  use_backend database if registry\n" : ""}  default_backend requests

backend requests
  option httpclose
  http-reuse never
  # The balancer logs the requests that reach it.
  http-response set-log-level silent
  server balancer ${balancerSocket} send-proxy-v2 maxconn ${concurrentRequests}

# Few at a time, so that requests without a token cannot take the place of others.
backend checks
  option httpclose
  http-reuse never
  timeout queue 3s
  timeout server 10s
  http-response set-log-level silent
  server balancer ${balancerSocket} send-proxy-v2 maxconn ${concurrentChecks}

${databaseBackend(database)}# The connections of each address, of IPv6 each network of 64 bits.
backend addresses
  stick-table type ipv6 size 100k expire 1m store conn_cur

backend authenticated
  stick-table type ipv6 size 100k expire 1m store conn_cur

backend clients
  stick-table type string len 64 size 10k expire 1m store conn_cur

frontend admin
  no log
  bind "$ADDRESS:${gatewayPorts.edgeAdmin}" v4v6
  http-request use-service prometheus-exporter if { path /metrics }
  http-request return status 503 content-type text/plain string "stopping" if { path /ready } { stopping }
  http-request return status 200 content-type text/plain string "ok"
`;
}

/**
 * Identifies clients that download the Java database, as from a registry. Their registry login is any user name and the token as the
 * password: Trivy has no other header for registries.
 */
function databaseLogin(database: EdgeOptions["database"]): string {
  if (!database) return "  acl registry always_false\n";
  return `  acl registry path /v2 /v2/
  acl registry path_beg /v2/${database.repository}/
  http-request set-var(txn.client) http_auth_pass,sha2(256),hex,lower,map_str(${gatewayPaths.clients}/clients.map) if registry
`;
}

function databaseRefusals(database: EdgeOptions["database"]): string {
  if (!database) return "";
  return `  http-request return status 401 content-type application/json hdr WWW-Authenticate "Basic realm=trivy" string '{"errors":[{"code":"UNAUTHORIZED","message":"log in with a token as the password"}]}' if registry !known
  http-request return status 405 if registry !{ method GET HEAD }
  http-request reject if registry sized or registry chunked
`;
}

/** While the mirror cannot be reached, the answer is 503, after which Trivy tries the next repository. */
function databaseBackend(database: EdgeOptions["database"]): string {
  if (!database) return "";
  const { host, port } = database;
  return `backend database
  option httpclose
  http-reuse never
  http-request del-header Authorization
  http-request del-header Trivy-Token
  http-request del-header ${clientHeader}
  http-request set-header Host ${host}
  server database ${host}:${port} ssl verify required ca-file ${gatewayPaths.databaseAuthority}/ca.crt verifyhost ${host} sni str(${host}) check inter 1s fall 2 rise 1 init-addr none resolvers cluster

`;
}
