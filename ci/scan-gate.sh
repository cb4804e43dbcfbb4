#!/bin/sh
# Stops a pipeline when an image has findings. One scan per image, through the scan service, produces the verdict and every report.
# The parts are in the folder gate/ next to this file.
set -uf
export LC_ALL=C

gate_version=1.0.0

usage() {
  cat <<'EOF'
usage: scan-gate.sh [IMAGE...]

Scans images through the scan service. Without arguments, the images in SCAN_GATE_IMAGES.

  --help       prints this text
  --version    prints the version of the gate and of the Trivy client that it downloads by default

Settings are environment variables: TRIVY_SERVER is required, TRIVY_TOKEN usually. docs/guides/ci.md lists all of them.

exit code 0    scanned with an up-to-date database, and nothing found that counts
          1    stopped: findings that count
          2    no verdict, or invalid settings
EOF
}

case $0 in */*) parts=${0%/*} ;; *) parts=. ;; esac
parts=$(cd "$parts" && pwd)/gate
if [ ! -r "$parts/settings.sh" ]; then
  echo "scan-gate: $0 needs the folder gate next to it; cannot read $parts/settings.sh" >&2
  exit 2
fi
# shellcheck source=gate/log.sh
. "$parts/log.sh"
# shellcheck source=gate/client.sh
. "$parts/client.sh"
# shellcheck source=gate/service.sh
. "$parts/service.sh"
# shellcheck source=gate/baseline.sh
. "$parts/baseline.sh"
# shellcheck source=gate/scan.sh
. "$parts/scan.sh"

case ${1:-} in
  --help | -h) usage && exit 0 ;;
  --version) echo "scan-gate $gate_version, Trivy $default_version" && exit 0 ;;
esac

work=$(mktemp -d) || no_verdict "cannot create a temporary folder; set TMPDIR to a writable folder"
programs='' probe='' scanning='' comparing='' held='' releasing='' releasing_baseline=''
# shellcheck disable=SC2086 # nothing if there is none
trap '[ -z "$held" ] || release_clients "{"; cancel TERM $scanning $comparing; cancel KILL $releasing $releasing_baseline; rm -rf "$work" ${programs:+"$programs"} ${probe:+"$probe"}' EXIT
trap 'exit 2' HUP INT TERM
mkfifo "$work/stream" "$work/held.yaml" "$work/held-baseline.yaml" || no_verdict "cannot write into the temporary folder $work; set TMPDIR to a writable folder"
# Starting the client takes longer than all checks of the settings.
ask_client "${SCAN_GATE_TRIVY:-trivy}" &
asking=$!

# shellcheck source=gate/settings.sh
. "$parts/settings.sh"
# shellcheck source=gate/workspace.sh
. "$parts/workspace.sh"
# shellcheck source=gate/platforms.sh
. "$parts/platforms.sh"
# shellcheck source=gate/reports.sh
. "$parts/reports.sh"

# begin_scan IMAGE PLATFORM: starts a scan, and that of its baseline
begin_scan() {
  baseline='' baseline_problem='' comparing=''
  [ -n "$service_lost" ] || begin_attempt "$@"
  [ -n "$baseline_pattern" ] || return 0
  baseline=$(baseline_of "$1" "$(target_branch)")
  if [ -z "$baseline" ]; then
    baseline_problem="there is no baseline: this is not a change with a target branch"
  elif [ -z "$service_lost" ]; then
    # One of two clients downloads the Java database; this one does not.
    scan_baseline "$baseline" "$2" "$work/baseline.json" ${held:+--config "$work/held-baseline.yaml"} --skip-java-db-update 4<&- &
    comparing=$!
  fi
}

db_epoch='' db_oldest='' db_oldest_next='' served='' service='' service_lost='' begun=''
trivy=${SCAN_GATE_TRIVY:-trivy}
inspected=
if [ -z "$problems" ] && ! has_files && command -v "$trivy" >/dev/null 2>&1; then
  inspect_workspace
  inspected=yes
  if [ -z "$problems" ] && [ "$platforms" != all ]; then
    begun=$trivy held=yes
    begin_scan "$1" "${platforms%% *}"
  fi
fi
[ -n "$problems" ] || ask_service
wait "$asking"
read_client
installed=$version
if [ -z "$inspected" ] && [ -n "$installed" ] && ! is_older "$installed" "$minimum_version"; then
  inspect_workspace
  inspected=yes
fi
report_problems
choose_client
if [ -n "$begun" ] && [ "$begun" = "$trivy" ]; then
  release_clients ''
elif [ -n "$begun" ]; then
  release_clients '{'
  # shellcheck disable=SC2086 # nothing if there is none
  cancel TERM $scanning $comparing
  exec 4<&-
  begun='' scanning='' comparing=''
fi
[ -n "$inspected" ] || inspect_workspace
report_problems

# --- what is scanned -------------------------------------------------------------------------------------------------------------------------

look_at_clock
started=$time
note_database "$db_updated" "$db_next"
check_database
all_images=$*
say "gate $gate_version, Trivy $version, service $TRIVY_SERVER${served:+ ($served)}, database $database, $# image(s)"
say "$precedence"
[ -z "$in_force" ] || say "files in force: $in_force"
[ "$service" != foreign ] || annotate warning "$TRIVY_SERVER/version is not answered by the service: $foreign"
[ "$service" = down ] || [ -z "$stale" ] || annotate warning "$stale"
# Escaped while the scan is running.
footer=$(printf %s "$precedence${in_force:+; files in force: $in_force}" | sed 's/&/\&amp;/g; s/</\&lt;/g; s/[][|`*_]/\\&/g')
if_end_of_life=$(when "$end_of_life")
if_unrecognised=$(when "$unrecognised")
case ",$scanners," in *,vuln,*) ;; *) if_unrecognised= ;; esac

# The queue: an image and a platform each. `-` is the platform that Trivy chooses.
broken='' done=' ' stopped=0 undecided=0 passed=0 warned=0 java_failed=' ' queue=''
begin_reports
for image in "$@"; do
  case $done in *" $image "*) continue ;; esac
  done="$done$image "
  if [ "$platforms" = all ]; then
    if list_platforms "$image"; then
      for platform in ${listed:--}; do queue="$queue $image $platform"; done
    else
      queue="$queue $image ?"
    fi
  else
    for platform in ${platforms:--}; do queue="$queue $image $platform"; done
  fi
done

# conclude OUTCOME TEXT: counts the end of a scan, and reports it in the log
conclude() {
  case $1 in
    passed) passed=$((passed + 1)) && say "$unit: $2" ;;
    warned) passed=$((passed + 1)) warned=$((warned + 1)) && annotate warning "$unit: $2" ;;
    unscanned) warned=$((warned + 1)) && annotate warning "$unit: $2" ;;
    stopped) stopped=$((stopped + 1)) && annotate error "$unit: $2" ;;
    undecided) undecided=$((undecided + 1)) && annotate error "$unit: $2" ;;
  esac
}

# no_result: the scan has no verdict, because of $reason
no_result() {
  report_nothing error fatal "no verdict: $reason"
  conclude undecided "no verdict: $reason"
}

# compare PLATFORM: waits for the baseline, and scans it again if that failed
compare() {
  compared=1
  if [ -n "$comparing" ]; then
    wait "$comparing"
    compared=$?
    # shellcheck disable=SC2086 # nothing if there is none
    cancel KILL $releasing_baseline
    releasing_baseline=
  fi
  if [ "$compared" -ne 0 ]; then
    ${standalone:+without_service} scan_baseline "$baseline" "$1" "$work/baseline.json" &
    comparing=$!
    wait "$comparing"
    compared=$?
  fi
  comparing=
  [ "$compared" -eq 0 ] || : >"$work/baseline.json"
}

# decide IMAGE PLATFORM: turns the verdict of a scan into its outcome
decide() {
  [ -z "$baseline" ] || compare "$2"
  read_document
  # Trivy takes the image as it is if it has one platform only.
  if [ -z "$reason" ] && [ -n "$2" ] && [ "${fact_platform#"$2"}" = "$fact_platform" ] && [ "${2#"$fact_platform"}" = "$2" ]; then
    reason="the image has no variant for the platform $2; it is for $fact_platform"
  fi
  if [ -n "$reason" ]; then
    no_result
    return 0
  fi
  if [ -n "$baseline" ] && [ -z "$fact_compared" ]; then
    harmless <"$work/baseline.json.log" | tail -n 3
    baseline_problem="the baseline $baseline cannot be scanned"
    baseline=
  fi
  look_at_clock
  check_database
  text="$fact_platform, ${fact_counts:-nothing found}"
  [ "$fact_known" -eq 0 ] || text="$text, $fact_known known from the baseline"
  [ -z "$fact_notices" ] || text="$text; $fact_notices"
  [ -z "$baseline_problem" ] || text="$text; $baseline_problem"
  outcome=passed
  if [ -n "$baseline_problem" ] && [ "$baseline_required" = true ]; then
    outcome=undecided reason=$baseline_problem
  elif [ "$fact_counted" -gt 0 ]; then
    outcome=stopped
  elif [ -n "$stale" ] && [ "$on_unreachable" != warn ]; then
    outcome=undecided reason=$stale
  elif [ -n "$stale" ]; then
    outcome=warned text="$text; $stale"
  elif [ -n "$fact_notices" ] || [ -n "$baseline_problem" ]; then
    outcome=warned
  fi
  if [ "$outcome" = undecided ]; then
    cp "$work/document" "$output/$slug.json" || broken="${broken:+$broken; }$output/$slug.json cannot be written"
    render table "$work/marked"
    no_result
  else
    report_scan "$text"
    [ "$outcome" = passed ] || [ "$fact_counted" -gt 0 ] || message warn "$unit: $text"
    conclude "$outcome" "$text"
  fi
}

# shellcheck disable=SC2086 # word splitting is intended
set -- $queue
while [ $# -gt 0 ]; do
  image=$1 platform=${2#-}
  shift 2
  unit=$image${platform:+ ($platform)}
  case $java_failed in *" $unit "*) say "$unit: retrying" && sleep 30 ;; esac
  if [ "$platform" != '?' ]; then
    [ -n "$begun" ] || begin_scan "$image" "$platform"
    begun=
  fi
  case $java_failed in
    *" $unit "*) ;;
    *)
      slug=$(printf %s "$unit" | tr -d '()' | tr -c 'A-Za-z0-9._-' '-')
      while [ -e "$work/$slug.name" ]; do slug=$slug-; done
      : >"$work/$slug.name"
      ;;
  esac
  rm -f "$output/$slug.json" "$output/$slug.sarif"
  if [ "$platform" = '?' ]; then
    reason="the registry does not say the platforms of the image (HTTP ${http:-no answer}); list them in SCAN_GATE_PLATFORMS"
    no_result
    continue
  fi
  scan "$image" "$platform"
  case $verdict in
    clean | findings)
      decide "$image" "$platform"
      continue
      ;;
  esac
  # shellcheck disable=SC2086 # nothing if there is none
  cancel TERM $comparing
  # shellcheck disable=SC2086 # nothing if there is none
  cancel KILL $releasing_baseline
  comparing='' releasing_baseline=''
  case $verdict$java_failed in
    java*" $unit "*) no_result ;;
    java*)
      java_failed="$java_failed$unit "
      say "$unit: the Java database cannot be downloaded; retrying after the other images"
      set -- ${1+"$@"} "$image" "${platform:--}"
      ;;
    *)
      if [ "$verdict" = unreachable ] && [ "$on_unreachable" = warn ]; then
        report_nothing skip warn "not scanned: $reason"
        conclude unscanned "not scanned: $reason"
      else
        no_result
      fi
      ;;
  esac
done

# --- reports, summary, verdict --------------------------------------------------------------------------------------------------------------

# A server with an older database than the first one may have answered in the meantime.
check_database
if [ -n "$stale" ] && [ "$on_unreachable" != warn ] && [ "$passed" -gt 0 ]; then
  undecided=$((undecided + passed)) passed=0
  annotate error "no verdict: $stale"
fi
message info "Trivy $version, service $TRIVY_SERVER, database $database"
write_reports

if [ "$stopped" -gt 0 ]; then
  result="stopped" style=error code=1
elif [ "$undecided" -gt 0 ]; then
  result="no verdict" style=error code=2
elif [ -n "$broken" ]; then
  result="no verdict: a report could not be written" style=error code=2
elif [ "$warned" -gt 0 ]; then
  result="passed, with a warning" style=warning code=0
else
  result="passed" style=success code=0
fi
{
  printf '## Scan gate: %s\n\n' "$result"
  cat "$work/all.md"
  printf 'Trivy %s, database %s. %s.\n' "$version" "$database" "$footer"
  [ -z "$broken" ] || printf '\nReports that could not be written: %s.\n' "$broken"
} >"$work/summary.md"
cp "$work/summary.md" "$output/summary.md" || broken="${broken:+$broken; }$output/summary.md"
[ -z "$broken" ] || annotate error "$broken"
[ -z "${GITHUB_STEP_SUMMARY:-}" ] || cat "$work/summary.md" >>"$GITHUB_STEP_SUMMARY"
if command -v buildkite-agent >/dev/null 2>&1; then
  buildkite-agent annotate --style "$style" --context "scan-gate-${BUILDKITE_JOB_ID:-}" <"$work/summary.md" || say "the annotation could not be created"
fi
say "$result: $passed clean, $stopped with findings, $undecided without a verdict; reports in $output"
exit "$code"
