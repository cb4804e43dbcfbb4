/** Returns the folder with the certificate of one side of mutual TLS in Redis' pod: `server` for Redis, `client` for the probes. */
export const tlsPath = (side: string) => `/etc/redis/tls-${side}`;

export interface RedisConf {
  /** Maximum size of the data, in bytes. */
  readonly maxMemory: number;
  /** Whether every write goes to an append-only file, so that a restart keeps the cache and a crash loses at most one second of it. */
  readonly persistence: boolean;
  /** Whether the port accepts only mutual TLS. */
  readonly tls: boolean;
}

/** Returns the configuration of the embedded Redis or Valkey. It contains no password: the users are in an ACL file. */
export function redisConf({ maxMemory, persistence, tls }: RedisConf): string {
  return `# Listens on every address: the network policy limits who may connect, the ACL file who may do what.
bind * -::*
protected-mode no
${tls ? encrypted : "port 6379"}
aclfile /etc/redis/acl/users.acl

# When the memory is full, the least recently used entry is evicted, and Trivy analyses that image again.
maxmemory ${maxMemory}
maxmemory-policy allkeys-lru
# A closer approximation of least recently used: entries that a scan has just stored must not be evicted before it reads them.
maxmemory-samples 10
lazyfree-lazy-eviction yes
lazyfree-lazy-expire yes
lazyfree-lazy-server-del yes

# No snapshots: each would fork, which can double the memory.
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
