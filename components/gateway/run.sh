#!/bin/sh
# run.sh FILE: starts HAProxy with one of the configuration's files and translates the signals that it would misunderstand.
set -u
folder=/etc/trivy-gateway

# All addresses, of IPv6 as well where the node has it.
if [ -e /proc/net/if_inet6 ]; then ADDRESS=::; else ADDRESS=0.0.0.0; fi
export ADDRESS

haproxy -W -db -f "$folder/configuration/$1" &
haproxy=$!

# Kubernetes sends the image's stop signal, often SIGTERM, after which HAProxy would abort requests. After SIGUSR1 it completes them.
trap 'kill -USR1 "$haproxy"' TERM USR1

# HAProxy reads certificates only when it starts. After a renewal it reloads, which closes no connection.
certificate() { cat "$folder"/certificate/tls.crt "$folder"/certificate/tls.key | sha256sum; }
if [ -d "$folder/certificate" ]; then
  (
    old=$(certificate)
    while sleep 10; do
      new=$(certificate)
      [ "$new" = "$old" ] || kill -USR2 "$haproxy"
      old=$new
    done
  ) &
fi

while :; do
  wait "$haproxy"
  status=$?
  # A signal also ends the wait.
  kill -0 "$haproxy" 2>/dev/null || exit "$status"
done
