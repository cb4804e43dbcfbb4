/**
 * The configuration of the embedded Redis, or Valkey: a cache for Trivy's servers and nothing else. The password is not in it: users come from an ACL file.
 *
 * `maxMemory` is in bytes. With `persistence` every write goes to an append-only file, so that a restart keeps the cache; at most a second of it is lost in a crash.
 */
export function redisConf({ maxMemory, persistence }: { readonly maxMemory: number; readonly persistence: boolean }): string {
  return `# Listens on every address: the network policy says who may connect, the ACL file who may do what.
bind * -::*
protected-mode no
port 6379
aclfile /etc/redis/acl/users.acl

# The least recently used entry goes when the memory is full: Trivy analyses that image again.
maxmemory ${maxMemory}
maxmemory-policy allkeys-lru
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
