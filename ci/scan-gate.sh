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

case ${1:-} in
  --help | -h) usage && exit 0 ;;
  --version) echo "scan-gate $gate_version, Trivy $default_version" && exit 0 ;;
esac

work=$(mktemp -d) || no_verdict "cannot create a temporary folder; set TMPDIR to a writable folder"
programs=''
trap 'rm -rf "$work" ${programs:+"$programs"}' EXIT
trap 'exit 2' HUP INT TERM
# Starting the client takes longer than all checks of the settings.
version_of "${SCAN_GATE_TRIVY:-trivy}" >"$work/installed" &
asking=$!

# shellcheck source=gate/settings.sh
. "$parts/settings.sh"
# shellcheck source=gate/workspace.sh
. "$parts/workspace.sh"
# shellcheck source=gate/platforms.sh
. "$parts/platforms.sh"
# shellcheck source=gate/scan.sh
. "$parts/scan.sh"
# shellcheck source=gate/reports.sh
. "$parts/reports.sh"

db_epoch='' db_oldest='' db_oldest_next='' served='' service=''
[ -n "$problems" ] || ask_service
wait "$asking"
installed=$(cat "$work/installed")
inspected=
if [ -n "$installed" ] && ! is_older "$installed" "$minimum_version"; then
  trivy=${SCAN_GATE_TRIVY:-trivy}
  inspect_workspace
  inspected=yes
fi
report_problems
choose_client
[ -n "$inspected" ] || inspect_workspace
report_problems

# --- what is scanned -------------------------------------------------------------------------------------------------------------------------

note_database "$db_updated" "$db_next"
check_database
all_images=$*
say "gate $gate_version, Trivy $version, service $TRIVY_SERVER${served:+ ($served)}, database $database, $# image(s)"
say "$precedence"
[ -z "$in_force" ] || say "files in force: $in_force"
[ "$service" != foreign ] || annotate warning "$TRIVY_SERVER/version is not answered by the service: $foreign"
[ "$service" = down ] || [ -z "$stale" ] || annotate warning "$stale"

# The queue: an image and a platform each. `-` is the platform that Trivy chooses.
started=$(date -u +%Y-%m-%dT%H:%M:%S)
broken='' service_lost='' done=' ' stopped=0 undecided=0 passed=0 warned=0 java_failed=' ' queue=''
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

# conclude OUTCOME TEXT: reports the end of a scan in the log and the summary; OUTCOME is passed, warned, stopped or undecided
conclude() {
  case $1 in
    passed) passed=$((passed + 1)) && say "$unit: $2" ;;
    warned) passed=$((passed + 1)) warned=$((warned + 1)) && annotate warning "$unit: $2" ;;
    unscanned) warned=$((warned + 1)) && annotate warning "$unit: $2" ;;
    stopped) stopped=$((stopped + 1)) && annotate error "$unit: $2" ;;
    undecided) undecided=$((undecided + 1)) && annotate error "$unit: $2" ;;
  esac
  printf '**%s**: %s\n\n' "$unit" "$(printf %s "$2" | sed 's/&/\&amp;/g; s/</\&lt;/g; s/[][|`*_]/\\&/g')" >>"$work/all.md"
}

# scan_unit IMAGE PLATFORM: scans, with the baseline at the same time
scan_unit() {
  baseline='' baseline_problem=''
  : >"$work/baseline"
  if [ -n "$baseline_pattern" ]; then
    baseline=$(baseline_of "$1" "$(target_branch)")
    [ -n "$baseline" ] || baseline_problem="there is no baseline: this is not a change with a target branch"
  fi
  comparing=
  if [ -n "$baseline" ] && [ -z "$service_lost" ]; then
    # One of two clients downloads the Java database; this one does not.
    scan_baseline "$baseline" "$2" "$work/baseline.json" --skip-java-db-update &
    comparing=$!
  fi
  scan "$1" "$2" "$work/$slug.json"
  if [ -n "$baseline" ] && { [ "$verdict" = clean ] || [ "$verdict" = findings ]; }; then
    compared=failed
    if [ -n "$comparing" ] && wait "$comparing"; then
      compared=yes
    elif ${standalone:+without_service} scan_baseline "$baseline" "$2" "$work/baseline.json"; then
      compared=yes
    fi
    [ "$compared" = failed ] || awk -f "$parts/text.awk" -f "$parts/findings.awk" "$work/baseline.json" >"$work/baseline" || compared=failed
    [ "$compared" = failed ] || grep -q '^fact	complete	true' "$work/baseline" || compared=failed
    if [ "$compared" = failed ]; then
      harmless <"$work/baseline.json.log" | tail -n 3
      baseline_problem="the baseline $baseline cannot be scanned"
      baseline=
      : >"$work/baseline"
    fi
  elif [ -n "$comparing" ]; then
    kill "$comparing" 2>/dev/null
    wait "$comparing" 2>/dev/null
  fi
}

# decide: turns the verdict of a scan into its outcome
decide() {
  read_document "$work/$slug.json"
  if [ "$verdict" = error ]; then
    report_failure "$reason"
    conclude undecided "no verdict: $reason"
    return 0
  fi
  case $2 in
    - | "$fact_platform") ;;
    # Trivy takes the image as it is if it has one platform only.
    *)
      if [ "${fact_platform#"$2"}" = "$fact_platform" ] && [ "${2#"$fact_platform"}" = "$2" ]; then
        reason="the image has no variant for the platform $2; it is for $fact_platform"
        report_failure "$reason"
        conclude undecided "no verdict: $reason"
        return 0
      fi
      ;;
  esac
  check_database
  awk -v baseline="$work/baseline" -f "$parts/text.awk" -f "$parts/marked.awk" "$work/baseline" "$work/lines" >"$work/marked" || : >"$work/marked"
  read_facts "$work/marked"
  if [ -z "$fact_counted" ] || [ $((fact_counted + fact_known)) -lt "$fact_findings" ]; then
    reason="the findings cannot be counted"
    report_failure "$reason"
    conclude undecided "no verdict: $reason"
    return 0
  fi
  cp "$work/$slug.json" "$output/$slug.json" || broken="${broken:+$broken; }$output/$slug.json cannot be written"
  render table "$work/marked"
  text="$fact_platform, ${fact_counts:-nothing found}"
  [ "$fact_known" -eq 0 ] || text="$text, $fact_known known from the baseline"
  [ -z "$fact_notices" ] || text="$text; $fact_notices"
  [ -z "$baseline_problem" ] || text="$text; $baseline_problem"
  if [ -n "$baseline_problem" ] && [ "$baseline_required" = true ]; then
    outcome=undecided text="no verdict: $baseline_problem"
  elif [ "$fact_counted" -gt 0 ]; then
    outcome=stopped
  elif [ -n "$stale" ] && [ "$on_unreachable" != warn ]; then
    outcome=undecided text="no verdict: $stale"
  elif [ -n "$stale" ]; then
    outcome=warned text="$text; $stale"
  elif [ -n "$fact_notices" ] || [ -n "$baseline_problem" ]; then
    outcome=warned
  else
    outcome=passed
  fi
  if [ "$outcome" = undecided ]; then
    report_failure "${text#no verdict: }"
  else
    report_scan
    [ "$outcome" = passed ] || [ "$fact_counted" -gt 0 ] || message warn "$unit: $text"
  fi
  conclude "$outcome" "$text"
  [ "$outcome" = undecided ] || render summary "$work/marked" >>"$work/all.md"
}

# shellcheck disable=SC2086 # word splitting is intended
set -- $queue
while [ $# -gt 0 ]; do
  image=$1 platform=$2
  shift 2
  unit=$image
  [ "$platform" = - ] || unit="$image ($platform)"
  slug=$(printf %s "$unit" | tr -d '()' | tr -c 'A-Za-z0-9._-' '-')
  case $java_failed in
    *" $unit "*) say "$unit: retrying" && sleep 30 ;;
    *)
      while [ -e "$work/$slug.name" ]; do slug=$slug-; done
      : >"$work/$slug.name"
      ;;
  esac
  rm -f "$output/$slug.json" "$output/$slug.sarif"
  if [ "$platform" = '?' ]; then
    reason="the registry does not say the platforms of the image (HTTP ${http:-no answer}); list them in SCAN_GATE_PLATFORMS"
    report_failure "$reason"
    conclude undecided "no verdict: $reason"
    continue
  fi
  [ "$platform" != - ] || platform=
  scan_unit "$image" "$platform"
  case $verdict in
    clean | findings) decide "$image" "${platform:--}" ;;
    java)
      case $java_failed in
        *" $unit "*)
          report_failure "$reason"
          conclude undecided "no verdict: $reason"
          ;;
        *)
          java_failed="$java_failed$unit "
          say "$unit: the Java database cannot be downloaded; retrying after the other images"
          set -- "$@" "$image" "${platform:--}"
          ;;
      esac
      ;;
    *)
      if [ "$verdict" = unreachable ] && [ "$on_unreachable" = warn ]; then
        report_skipped "$reason"
        conclude unscanned "not scanned: $reason"
      else
        report_failure "$reason"
        conclude undecided "no verdict: $reason"
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
  printf 'Trivy %s, database %s. %s.\n' "$version" "$database" "$(printf %s "$precedence${in_force:+; files in force: $in_force}" | sed 's/&/\&amp;/g; s/</\&lt;/g; s/[][|`*_]/\\&/g')"
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
