#!/bin/sh
# start-redis.sh CONFIGURATION [FOLDER]: starts Redis or Valkey with a volume at FOLDER (/data). What is on the volume is only a cache, so whatever is
# wrong with it, Redis starts: without the data, or without the volume.
set -u
configuration=$1
# A volume of another owner may not even be entered; the root file system cannot be written.
cd "${2:-/data}" 2>/dev/null || cd /
files=appendonlydir aside=appendonlydir.unreadable
# What `npm run status` reports until the next start.
mark=started-empty
server=$(command -v redis-server || command -v valkey-server)
check=$(command -v redis-check-aof || command -v valkey-check-aof)

say() { echo "trivy-server: $*"; }
lost() {
  say "$*, and Redis starts empty"
  echo "$*" >$mark
}

# A file system that is full accepts empty files, and Redis writes some before it serves. cat names the reason.
writable() { reason=$({ head -c 65536 /dev/zero | cat >.writable; } 2>&1 && rm .writable) || { rm -f .writable 2>/dev/null; return 1; }; }

# A rewrite that was interrupted leaves a file of up to the size of the cache.
rm -f $mark temp-* $files/temp-* 2>/dev/null
writable || [ ! -e $aside ] || { say "the volume is full; removing $aside"; rm -rf $aside; }
writable || [ ! -e $files ] || { rm -rf $files; lost "the volume was full, so the cache on it was removed"; }
if ! writable; then
  say "the volume cannot be written (${reason##*: }): Redis starts without it, and loses the cache when it restarts"
  exec "$server" "$configuration" --appendonly no --dir /
fi

stopping=
"$server" "$configuration" &
redis=$!
trap 'stopping=yes; kill -TERM "$redis"' TERM INT
while :; do
  wait "$redis"
  status=$?
  # A signal also ends the wait.
  kill -0 "$redis" 2>/dev/null || break
done
[ "$status" -ne 0 ] && [ -z "$stopping" ] && [ -e $files ] || exit "$status"
# Whatever else has ended Redis, such as too little memory, the data does not explain it.
[ -n "$check" ] && "$check" $files/appendonly.aof.manifest >/dev/null 2>&1 && exit "$status"

rm -rf $aside
mv $files $aside || rm -rf $files
lost "the append-only file could not be read and was set aside in $aside"
# A new cache needs its size three times: an append-only file of twice the data, and another one while it is rewritten.
maxmemory=$(sed -n 's/^maxmemory //p' "$configuration")
df -Pk . | {
  read -r _
  read -r _ _ _ free _
  [ $((1024 * free)) -ge $((3 * ${maxmemory:-0})) ] || { say "too little space is left for a new cache next to $aside; removing it"; rm -rf $aside; }
}
exec "$server" "$configuration"
