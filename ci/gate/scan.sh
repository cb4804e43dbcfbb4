# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables
# One scan. Sourced by scan-gate.sh.

# Trivy exits with 1 on every failure, so findings get a status of their own.
findings_status=10

# client FILE OPTION...: runs the client. The options decide what a trivy.yaml could change to the harm of the document: its place, its format, its
# completeness, what is scanned. All filters apply here, and only here. HTTP tracing stays off because it would log the token.
client() {
  client_file=$1
  shift
  "$trivy" image --format json --output "$client_file" --exit-on-eol 0 --list-all-pkgs=true --dependency-tree=false --show-suppressed=false \
    --compliance '' --input '' --template '' --no-progress --quiet=false --skip-version-check --disable-telemetry --trace-http=false "$@" </dev/null
}

# attempt IMAGE PLATFORM FILE [COMMAND...]: runs one scan, with COMMAND (which may change the environment) around the client. Sets $verdict.
attempt() {
  target=$1 target_platform=$2 file=$3
  shift 3
  rm -f "$file" "$work/status"
  {
    "$@" client "$file" --exit-code "$findings_status" ${target_platform:+--platform "$target_platform"} -- "$target" 2>&1
    echo $? >"$work/status"
  } | tee "$work/log" | harmless
  status=$(cat "$work/status" 2>/dev/null)
  reason=
  if [ -s "$file" ] && [ "$status" = 0 ]; then
    verdict=clean
  elif [ -s "$file" ] && [ "$status" = "$findings_status" ]; then
    verdict=findings
  else
    find_reason
  fi
}

without_service() (
  unset TRIVY_SERVER TRIVY_TOKEN
  "$@"
)

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
      reason="Trivy exited with ${status:-a signal} and without a verdict; see its last lines above"
      printf %s "$answer" >"$work/answer"
      [ -z "$answer" ] || reason="Trivy exited with ${status:-a signal} and without a verdict; the last answer was \"$(excerpt "$work/answer")\""
      ;;
  esac
}

# scan IMAGE PLATFORM FILE: sets $verdict and $reason, after one retry if the first attempt gives none. An unreachable service is the verdict of all
# further images as well, which are then not attempted.
scan() {
  standalone=
  if [ -n "$service_lost" ]; then
    verdict=unreachable reason="the service $TRIVY_SERVER is unreachable"
  else
    attempt "$1" "$2" "$3"
    case $verdict in
      unreachable | error)
        say "$1: Trivy exited with ${status:-a signal} and without a verdict; retrying"
        sleep 5
        attempt "$1" "$2" "$3"
        ;;
    esac
    [ "$verdict" != unreachable ] || service_lost=yes
  fi
  if [ "$verdict" = unreachable ] && [ "$on_unreachable" = standalone ]; then
    annotate warning "$1: the service is unreachable; scanning standalone, with the client's own vulnerability database"
    standalone=yes
    attempt "$1" "$2" "$3" without_service
  fi
}

# read_facts FILE: sets $fact_NAME from the lines of findings.awk and marked.awk
read_facts() {
  fact_service='' fact_updated='' fact_next='' fact_digest='' fact_complete='' fact_counted='' fact_known='' fact_counts='' fact_notes='' fact_notices=''
  while IFS='	' read -r word name value; do
    [ "$word" = fact ] || continue
    case $name in
      service) fact_service=$value ;;
      updated) fact_updated=$value ;;
      next) fact_next=$value ;;
      os) fact_os=$value ;;
      eosl) fact_eosl=$value ;;
      platform) fact_platform=$value ;;
      digest) fact_digest=$value ;;
      packages) fact_packages=$value ;;
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

# note STATE ID TITLE: adds a line that Trivy has no finding for
note() { printf '%s\t%s\tUNKNOWN\t%s\t\t\t\t\t\t\t%s\t\t\t\n' "$1" "$2" "$2" "$3" >>"$work/lines"; }

# Reads the document of a scan that ended, compares it with the verdict, and adds what Trivy says only in the log.
read_document() {
  awk -f "$parts/text.awk" -f "$parts/findings.awk" "$1" >"$work/lines" || : >"$work/lines"
  read_facts "$work/lines"
  if [ -z "$fact_complete" ] ||
    { [ "$verdict" = clean ] && [ "$fact_findings" -ne 0 ]; } || { [ "$verdict" = findings ] && [ "$fact_findings" -eq 0 ]; }; then
    reason="Trivy exited with $status but its document $([ -n "$fact_complete" ] && echo "has $fact_findings findings" || echo 'is incomplete or of another version')"
    verdict=error
    return 0
  fi
  note_database "$fact_updated" "$fact_next"
  if [ -n "$standalone" ]; then
    without_service "$trivy" version --format json >"$work/own" 2>/dev/null
    read_version "$work/own"
    note_database "$db_updated" "$db_next"
  fi
  if [ "$fact_eosl" = true ] && [ "$end_of_life" != ignore ]; then
    note "$([ "$end_of_life" = fail ] && echo new || echo note)" end-of-life \
      "$fact_os is end of life: it receives no security updates and no advisories any more, so vulnerabilities may be missing"
  fi
  case ",$scanners," in
    *,vuln,*)
      if [ "$fact_packages" -eq 0 ] && [ "$unrecognised" != ignore ]; then
        note "$([ "$unrecognised" = fail ] && echo new || echo note)" unrecognised \
          "Trivy finds no packages in this image${fact_os:+ of $fact_os}, so it cannot find vulnerabilities"
      fi
      ;;
  esac
}
