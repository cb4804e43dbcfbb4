# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables
# One scan. Sourced by scan-gate.sh.

# Trivy exits with 1 on every failure, so findings get a status of their own.
findings_status=10

# client FILE OPTION...: becomes the client, so it runs in the background. The options decide what a trivy.yaml could change to the harm of the document:
# its place, its format, its completeness, what is scanned. All filters apply here, and only here. HTTP tracing stays off because it would log the token.
client() {
  client_file=$1
  shift
  exec "$trivy" image --format json --output "$client_file" --exit-on-eol 0 --list-all-pkgs=true --dependency-tree=false --show-suppressed=false \
    --compliance '' --input '' --template '' --no-progress --quiet=false --skip-version-check --disable-telemetry --trace-http=false "$@" </dev/null
}

# The client takes most of a short scan to start. So the gate starts the first one before it knows whether it is the right client, and makes it wait: the
# client opens its configuration file, here a pipe, before it does anything else. $held is set until then.
# release_clients CONFIGURATION: lets the clients read the configuration. With one that is invalid, such as `{`, they end.
release_clients() {
  held=
  printf %s "$1" >"$work/held.yaml" &
  releasing=$!
  [ -n "$comparing" ] || return 0
  printf %s "$1" >"$work/held-baseline.yaml" &
  releasing_baseline=$!
}

# begin_attempt IMAGE PLATFORM [COMMAND...]: starts one scan, with COMMAND (which may change the environment) around the client. The client's output waits
# in a pipe for end_attempt.
begin_attempt() {
  target=$1 target_platform=$2
  shift 2
  : >"$work/document"
  # Opened for both directions first, so that opening it for one does not wait for the other end.
  # shellcheck disable=SC2094 # a pipe
  exec 3<>"$work/stream" 4<"$work/stream"
  ${1+"$@"} client "$work/document" ${held:+--config "$work/held.yaml"} --exit-code "$findings_status" ${target_platform:+--platform "$target_platform"} -- "$target" >&3 2>&1 3>&- 4<&- &
  scanning=$!
  exec 3>&-
}

# end_attempt: waits for the scan. Sets $verdict.
end_attempt() {
  tee "$work/log" <&4 | harmless "$work/held.yaml" 4<&-
  exec 4<&-
  wait "$scanning"
  status=$? scanning='' reason=''
  # shellcheck disable=SC2086 # nothing if there is none
  cancel KILL $releasing
  releasing=
  if [ -s "$work/document" ] && [ "$status" = 0 ]; then
    verdict=clean
  elif [ -s "$work/document" ] && [ "$status" = "$findings_status" ]; then
    verdict=findings
  else
    find_reason
  fi
}

# cancel SIGNAL PID...: ends processes in the background. A shell that opens a pipe may not react to other signals than KILL.
cancel() {
  signal=$1
  shift
  for pid in ${1+"$@"}; do
    kill -"$signal" "$pid"
    wait "$pid"
  done 2>/dev/null
}

# when fail|warn|ignore: the state that a note has in the reports
when() {
  case $1 in
    fail) echo new ;;
    warn) echo note ;;
  esac
}

# without_service COMMAND...: runs in the background or in a subshell
without_service() {
  unset TRIVY_SERVER TRIVY_TOKEN
  "$@"
}

# Sets $verdict to the kind of failure, and $reason to its description. The client's message contains names from the image and the registry,
# so it is never the only evidence for what concerns other images, or what `warn` lets pass.
find_reason() {
  fatal=$(grep -a 'FATAL' "$work/log" | tail -n 1)
  # The client ends the message with the service's last answer.
  answer=$(printf %s "$fatal" | sed -n 's/.*(last error: twirp error \([a-z_]*: .*\))$/\1/p')
  verdict=error
  case $fatal in
    *'Java DB'* | *'java-db'* | *'javadb'*) verdict=java ;;
    *"no child with platform"*) verdict=platform ;;
  esac
  case $answer in
    'unauthenticated: Error from intermediary'* | 'permission_denied: '* | *'unexpected HTTP status code'* | *'failed to unmarshal'* | \
      *'Error from intermediary with HTTP status code 4'* | *'Error from intermediary with HTTP status code 3'* | *'Error from intermediary with HTTP status code 2'*)
      verdict=intermediary
      status_code=$(printf %s "$answer" | sed -n 's/.*HTTP status code \([0-9]*\).*/\1/p')
      ;;
    'unauthenticated: '*) verdict=refused ;;
    *x509:* | *'tls: '*) verdict=certificate ;;
    'unavailable: '* | *'failed to do request'*) verdict=unreachable ;;
  esac
  if [ "$verdict" = unreachable ]; then
    ask_service
    [ "$service" != up ] || verdict=error
    [ "$service" != foreign ] || verdict=intermediary status_code=$http
  fi
  case $verdict in
    refused) reason="the service rejected the token: TRIVY_TOKEN is $([ -n "${TRIVY_TOKEN:-}" ] && echo wrong || echo 'not set')" ;;
    certificate) reason="the service's certificate cannot be verified; set TRIVY_CACERT to a file with the certificate authority that signed it" ;;
    unreachable) reason="the service $TRIVY_SERVER is unreachable" ;;
    intermediary)
      reason="not the service but something in front of it answered, such as a proxy, an Ingress or a login page: $(
        describe_intermediary "HTTP $status_code"
      ); check TRIVY_SERVER and HTTPS_PROXY"
      ;;
    java) reason="the Java database cannot be downloaded; set TRIVY_JAVA_DB_REPOSITORY to a mirror, and keep TRIVY_CACHE_DIR between jobs" ;;
    platform) reason="the image has no variant for the platform $target_platform" ;;
    *)
      reason="Trivy exited with $status and without a verdict; see its last lines above"
      printf %s "$answer" >"$work/answer"
      [ -z "$answer" ] || reason="Trivy exited with $status and without a verdict; the last answer was \"$(excerpt "$work/answer")\""
      ;;
  esac
}

# scan IMAGE PLATFORM: sets $verdict and $reason, after one retry if the first attempt gives none. The first attempt may have begun already. An
# unreachable service is the verdict of all further images as well, which are then not attempted.
scan() {
  standalone=
  if [ -n "$service_lost" ]; then
    verdict=unreachable reason="the service $TRIVY_SERVER is unreachable"
  else
    end_attempt
    case $verdict in
      unreachable | error)
        say "$1: Trivy exited with $status and without a verdict; retrying"
        sleep 5
        begin_attempt "$1" "$2"
        end_attempt
        ;;
    esac
    [ "$verdict" != unreachable ] || service_lost=yes
  fi
  if [ "$verdict" = unreachable ] && [ "$on_unreachable" = standalone ]; then
    annotate warning "$1: the service is unreachable; scanning standalone, with the client's own vulnerability database"
    standalone=yes
    begin_attempt "$1" "$2" without_service
    end_attempt
  fi
}

# read_facts FILE: sets $fact_NAME from the lines of findings.awk
read_facts() {
  fact_updated='' fact_next='' fact_digest='' fact_compared='' fact_complete='' fact_counted='' fact_known='' fact_counts='' fact_notes='' fact_notices=''
  while IFS='	' read -r name value; do
    case $name in
      updated) fact_updated=$value ;;
      next) fact_next=$value ;;
      os) fact_os=$value ;;
      platform) fact_platform=$value ;;
      digest) fact_digest=$value ;;
      compared) fact_compared=$value ;;
      findings) fact_findings=$value ;;
      complete) fact_complete=$value ;;
      counted) fact_counted=$value ;;
      known) fact_known=$value ;;
      notes) fact_notes=$value ;;
      notices) fact_notices=$value ;;
      counts) fact_counts=$value ;;
    esac
  done <"$1"
}

# read_document: reads the document of a scan that ended, together with the baseline's, and compares it with the verdict
read_document() {
  : >"$work/facts"
  awk -v facts="$work/facts" -v baseline="${baseline:+$work/baseline.json}" -v end_of_life="$if_end_of_life" -v unrecognised="$if_unrecognised" \
    -f "$parts/text.awk" -f "$parts/findings.awk" -f "$parts/marked.awk" ${baseline:+"$work/baseline.json"} "$work/document" >"$work/marked" ||
    : >"$work/facts"
  read_facts "$work/facts"
  if [ -z "$fact_complete" ]; then
    reason="Trivy exited with $status but its document is incomplete or of another version"
  elif { [ "$verdict" = clean ] && [ "$fact_findings" -ne 0 ]; } || { [ "$verdict" = findings ] && [ "$fact_findings" -eq 0 ]; }; then
    reason="Trivy exited with $status but its document has $fact_findings findings"
  elif [ $((fact_counted + fact_known)) -lt "$fact_findings" ]; then
    reason="the findings cannot be counted"
  fi
  [ -z "$reason" ] || { verdict=error && return 0; }
  note_database "$fact_updated" "$fact_next"
  if [ -n "$standalone" ]; then
    (without_service "$trivy" version --format json) >"$work/own" 2>/dev/null
    read_version "$work/own"
    note_database "$db_updated" "$db_next"
  fi
}
