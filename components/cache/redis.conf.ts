/** Where the certificates of each side of mutual TLS are in the pod: Redis' own, and one for the probes, which come as clients. */
export const tlsPath = (side: string) => `/etc/redis/tls-${side}`;

export interface RedisConf {
  /** Bytes. */
  readonly maxMemory: number;
  /** Every write goes to an append-only file, so that a restart keeps the cache; at most a second of it is lost in a crash. */
  readonly persistence: boolean;
  /** Mutual TLS, and nothing else, on the same port. */
  readonly tls: boolean;
}

/**
 * The configuration of the embedded Redis, or Valkey: a cache for Trivy's servers and nothing else. The password is not in it: users come from an ACL file.
 */
export function redisConf({ maxMemory, persistence, tls }: RedisConf): string {
  return `# Listens on every address: the network policy says who may connect, the ACL file who may do what.
bind * -::*
protected-mode no
${tls ? encrypted : "port 6379"}
aclfile /etc/redis/acl/users.acl

# The least recently used entry goes when the memory is full: Trivy analyses that image again.
maxmemory ${maxMemory}
maxmemory-policy allkeys-lru
# Closer to the truly least recent: what a scan has just stored, and will ask for in a moment, must not go.
maxmemory-samples 10
lazyfree-lazy-eviction yes
lazyfree-lazy-expire yes
lazyfree-lazy-server-del yes

# No snapshots: a fork for them would need as much memory again, again and again.
save ""
dir /data
appendonly ${persistence ? "yes" : "no"}
appendfsync everysec
aof-load-truncated yes

tcp-keepalive 60
loglevel notice
`;
}

const encrypted = `port 0
tls-port 6379
tls-ca-cert-file ${tlsPath("server")}/ca.crt
tls-cert-file ${tlsPath("server")}/tls.crt
tls-key-file ${tlsPath("server")}/tls.key
tls-auth-clients yes`;
