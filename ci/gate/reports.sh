# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables
# The reports. All are written from the lines of marked.awk, in which the findings that count decided the verdict, and read back. Sourced by scan-gate.sh.

# render REPORT [NAME=VALUE...] [FILE]: one part of a report
render() {
  renderer=$1
  shift
  awk -f "$parts/text.awk" -f "$parts/$renderer.awk" "$@"
}

# begin_reports: removes the reports of an earlier run
begin_reports() {
  rm -f "$output/summary.md" "$output/junit.xml" "$output/gl-container-scanning-report.json" "$output/gl-code-quality-report.json" 2>/dev/null
  : >"$work/junit" && : >"$work/gitlab" && : >"$work/codequality" && : >"$work/all.md" && : >"$work/messages"
  expected_failures=0 expected_entries=0 expected_lines=0
}

# properties: what the reports say about a scan, as `NAME=VALUE` separated by tabs
properties() {
  printf 'platform=%s\tservice=%s\tdatabase=%s\tdigest=%s\toperating system=%s' "$fact_platform" "$TRIVY_SERVER" "$database" "$fact_digest" "$fact_os"
  [ -z "$baseline" ] || printf '\tbaseline=%s' "$baseline"
  [ -z "$in_force" ] || printf '\tfiles in force=%s' "$in_force"
}

# append REPORT SEPARATOR VARIABLE...: appends a scan's part to the parts of the scans before it
append() {
  appended=$1 separator=$2
  shift 2
  render "$appended" "$@" "$work/marked" >"$work/part" || return 1
  [ -s "$work/part" ] || return 0
  [ ! -s "$work/$appended" ] || printf '%s' "$separator" >>"$work/$appended"
  cat "$work/part" >>"$work/$appended"
}

# count PATTERN FILE
count() { grep -ac "$1" "$2" 2>/dev/null || true; }

# must_contain NUMBER PATTERN END FILE: reads a report back. One that does not have as many entries as there are findings, or is not complete, is
# removed and remembered in $broken.
must_contain() {
  actual=$(count "$2" "$4")
  [ ! -f "$4" ] || [ "${actual:-0}" -ne "$1" ] || [ "$(tail -n 1 "$4")" != "$3" ] || return 0
  if [ -f "$4" ]; then broken="${broken:+$broken; }$4 has ${actual:-0} of $1 entries or is incomplete"; else broken="${broken:+$broken; }$4 cannot be written"; fi
  rm -f "$4" 2>/dev/null
}

# report_scan: adds a scan with a verdict to the reports
report_scan() {
  entries=$((fact_counted + fact_known))
  lines=$((entries + fact_notes))
  repository=$(without_tag "$image")
  with_platform=$([ -z "$platforms" ] || printf %s "/$fact_platform")
  for report in $reports; do
    case $report in
      sarif)
        render sarif -v name="$unit" -v repository="$repository" -v image="$image" -v category="scan-gate/$(category "$image")$with_platform" \
          -v client="$version" -v compared="$baseline" -v properties="$(properties)" "$work/marked" >"$output/$slug.sarif"
        must_contain "$lines" '^{"ruleId":' ']}]}' "$output/$slug.sarif"
        ;;
      junit) append junit '' -v name="$unit" -v properties="$(properties)" || broken="${broken:+$broken; }junit" ;;
      gitlab)
        append gitlab , -v name="$unit" -v repository="$repository$with_platform" -v image="$image" -v default_image="$repository$with_platform:default" \
          -v os="$fact_os" || broken="${broken:+$broken; }gitlab"
        ;;
      codequality) append codequality , -v name="$unit" -v repository="$repository$with_platform" || broken="${broken:+$broken; }codequality" ;;
    esac
  done
  expected_failures=$((expected_failures + fact_counted)) expected_entries=$((expected_entries + entries)) expected_lines=$((expected_lines + lines))
}

# category IMAGE: a name for code scanning that stays the same in the next build; with the tag if the run has several images of the repository
category() {
  case $all_images in *' '*) ;; *) without_tag "$1" && return 0 ;; esac
  repository=$(without_tag "$1")
  same=$(for other in $all_images; do [ "$(without_tag "$other")" != "$repository" ] || echo "$other"; done | sort -u | wc -l)
  if [ "$same" -gt 1 ]; then printf %s "$1" | tr '@' ':'; else printf %s "$repository"; fi
}

# report_failure REASON: adds a scan without a verdict to the reports
report_failure() {
  : >"$work/marked"
  append junit '' -v name="$unit" -v error="$1" -v properties="service=$TRIVY_SERVER"
  message "fatal" "$unit: no verdict: $1"
}

# report_skipped REASON: adds a scan that did not take place, as configured
report_skipped() {
  : >"$work/marked"
  append junit '' -v name="$unit" -v skip="$1" -v properties="service=$TRIVY_SERVER"
  message warn "$unit: not scanned: $1"
}

# message LEVEL TEXT: adds a message to GitLab's report
message() { printf '%s\t%s\n' "$1" "$2" >>"$work/messages"; }

# write_reports: writes the reports of all scans, and reads them back
write_reports() {
  product='"id":"trivy","name":"Trivy","vendor":{"name":"Aqua Security"},"version":"'$version'"'
  for report in $reports; do
    case $report in
      junit)
        { echo '<?xml version="1.0" encoding="UTF-8"?>' && echo '<testsuites name="scan-gate">' && cat "$work/junit" && echo '</testsuites>'; } \
          2>/dev/null >"$output/junit.xml"
        must_contain "$expected_failures" '^      <failure ' '</testsuites>' "$output/junit.xml"
        ;;
      gitlab)
        {
          printf '{"version":"15.0.7","scan":{"analyzer":{%s},"scanner":{%s},"type":"container_scanning","status":"%s","start_time":"%s","end_time":"%s","messages":[' \
            "$product" "$product" "$([ "$undecided" -eq 0 ] && [ -z "$broken" ] && echo success || echo failure)" "$started" "$(date -u +%Y-%m-%dT%H:%M:%S)"
          awk -f "$parts/text.awk" -f "$parts/messages.awk" "$work/messages"
          echo ']},"vulnerabilities":['
          cat "$work/gitlab"
          echo '],"remediations":[]}'
        } >"$output/gl-container-scanning-report.json"
        must_contain "$expected_entries" '^,\{0,1\}{"id":' '],"remediations":[]}' "$output/gl-container-scanning-report.json"
        ;;
      codequality)
        { echo '[' && cat "$work/codequality" && echo ']'; } >"$output/gl-code-quality-report.json"
        must_contain "$expected_lines" '^,\{0,1\}{"type":"issue"' ']' "$output/gl-code-quality-report.json"
        ;;
    esac
  done
}
