#!/bin/sh
# Starts the gateway's HAProxy, and stands between it and the signals that it would misunderstand.
set -u
folder=/etc/trivy-gateway

haproxy -W -db -f "$folder/configuration/haproxy.cfg" &
haproxy=$!

# Kubernetes sends the image's stop signal, SIGTERM for many, which would cut requests off. SIGUSR1 lets them end.
trap 'kill -USR1 "$haproxy"' TERM USR1

# HAProxy reads certificates when it starts. A renewed one makes it reload, which closes no connection.
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
  # A signal ends the wait, too.
  kill -0 "$haproxy" 2>/dev/null || exit "$status"
done
