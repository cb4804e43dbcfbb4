# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables
# The reports. All are written from the lines of marked.awk, whose findings decided the verdict, and read back. Sourced by scan-gate.sh.

# render REPORT [NAME=VALUE...] [FILE]: one part of a report
render() {
  renderer=$1
  shift
  awk -f "$parts/text.awk" -f "$parts/$renderer.awk" "$@"
}

# begin_reports: removes the reports of an earlier run
begin_reports() {
  rm -f "$probe" "$output/summary.md" "$output/junit.xml" "$output/gl-container-scanning-report.json" "$output/gl-code-quality-report.json" 2>/dev/null
  : >"$work/junit" && : >"$work/gitlab" && : >"$work/codequality" && : >"$work/all.md" && : >"$work/messages"
  expected_failures=0 expected_entries=0 expected_lines=0
}

# properties: what the reports say about a scan, as `NAME=VALUE` separated by tabs
properties() {
  printf 'platform=%s\tservice=%s\tdatabase=%s\tdigest=%s\toperating system=%s' "$fact_platform" "$TRIVY_SERVER" "$database" "$fact_digest" "$fact_os"
  [ -z "$baseline" ] || printf '\tbaseline=%s' "$baseline"
  [ -z "$in_force" ] || printf '\tfiles in force=%s' "$in_force"
}

# must_contain NUMBER BEGINNING END FILE: reads a report back. One that does not have as many lines with this beginning as there are findings, or is not
# complete, is removed and remembered in $broken.
must_contain() {
  actual=$(
    awk -v beginning="$2" -v end="$3" '
      index($0, beginning) == 1 || index($0, "," beginning) == 1 { count++ }
      { last = $0 }
      END { print count + 0 (last == end ? "" : ", incomplete") }' "$4" 2>/dev/null
  )
  [ "$actual" != "$1" ] || return 0
  if [ -f "$4" ]; then broken="${broken:+$broken; }$4 has ${actual:-0} of $1 entries or is incomplete"; else broken="${broken:+$broken; }$4 cannot be written"; fi
  rm -f "$4" 2>/dev/null
}

# in_background COMMAND...: starts a part of a report. The parts of one scan do not depend on each other.
in_background() {
  "$@" &
  rendering="$rendering $!"
}

# report_scan OUTCOME: adds a scan with a verdict to the summary and the reports, and prints its findings
report_scan() {
  entries=$((fact_counted + fact_known))
  lines=$((entries + fact_notes))
  repository=$(without_tag "$image")
  with_platform=
  [ -z "$platforms" ] || with_platform=/$fact_platform
  rendering=
  in_background cp "$work/document" "$output/$slug.json"
  for report in $reports; do
    case $report in
      sarif)
        in_background render sarif -v name="$unit" -v repository="$repository" -v image="$image" \
          -v category="scan-gate/$(category "$image")$with_platform" -v client="$version" -v compared="$baseline" -v properties="$(properties)" \
          "$work/marked" >"$output/$slug.sarif"
        ;;
      junit) in_background render junit -v name="$unit" -v properties="$(properties)" "$work/marked" >>"$work/junit" ;;
      gitlab)
        in_background render gitlab -v count="$expected_entries" -v name="$unit" -v repository="$repository$with_platform" -v image="$image" \
          -v default_image="$repository$with_platform:default" -v os="$fact_os" "$work/marked" >>"$work/gitlab"
        ;;
      codequality)
        in_background render codequality -v count="$expected_lines" -v name="$unit" -v repository="$repository$with_platform" "$work/marked" \
          >>"$work/codequality"
        ;;
    esac
  done
  in_background render summary -v name="$unit" -v outcome="$1" "$work/marked" >>"$work/all.md"
  render table "$work/marked"
  for part in $rendering; do
    wait "$part" || broken="${broken:+$broken; }the reports of $unit cannot be written"
  done
  case " $reports" in *' sarif '*) must_contain "$lines" '{"ruleId":' ']}]}' "$output/$slug.sarif" ;; esac
  expected_failures=$((expected_failures + fact_counted)) expected_entries=$((expected_entries + entries)) expected_lines=$((expected_lines + lines))
}

# category IMAGE: a name for code scanning that stays the same in the next build; with the tag if the run has several images of the repository
category() {
  case $all_images in *' '*) ;; *) without_tag "$1" && return 0 ;; esac
  repository=$(without_tag "$1")
  same=$(for other in $all_images; do [ "$(without_tag "$other")" != "$repository" ] || echo "$other"; done | sort -u | wc -l)
  if [ "$same" -gt 1 ]; then printf %s "$1" | tr '@' ':'; else printf %s "$repository"; fi
}

# report_nothing VARIABLE LEVEL TEXT: adds a scan that has no verdict (`error`) or did not take place (`skip`) to the summary and the reports
report_nothing() {
  : >"$work/marked"
  render junit -v name="$unit" -v "$1=$reason" -v properties="service=$TRIVY_SERVER" "$work/marked" >>"$work/junit" ||
    broken="${broken:+$broken; }the temporary folder $work cannot be written; set TMPDIR to one that has space"
  render summary -v name="$unit" -v outcome="$3" "$work/marked" >>"$work/all.md"
  message "$2" "$unit: $3"
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
        must_contain "$expected_failures" '      <failure ' '</testsuites>' "$output/junit.xml"
        ;;
      gitlab)
        look_at_clock
        {
          printf '{"version":"15.0.7","scan":{"analyzer":{%s},"scanner":{%s},"type":"container_scanning","status":"%s","start_time":"%s","end_time":"%s","messages":[' \
            "$product" "$product" "$([ "$undecided" -eq 0 ] && [ -z "$broken" ] && echo success || echo failure)" "$started" "$time"
          awk -f "$parts/text.awk" -f "$parts/messages.awk" "$work/messages"
          echo ']},"vulnerabilities":['
          cat "$work/gitlab"
          echo '],"remediations":[]}'
        } >"$output/gl-container-scanning-report.json"
        must_contain "$expected_entries" '{"id":' '],"remediations":[]}' "$output/gl-container-scanning-report.json"
        ;;
      codequality)
        { echo '[' && cat "$work/codequality" && echo ']'; } >"$output/gl-code-quality-report.json"
        must_contain "$expected_lines" '{"type":"issue"' ']' "$output/gl-code-quality-report.json"
        ;;
    esac
  done
}
