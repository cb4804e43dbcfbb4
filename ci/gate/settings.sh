# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables
# The settings: where each value comes from, and whether it is valid. Sourced by scan-gate.sh. All problems are reported at once.
#
# The order of precedence: SCAN_GATE_* (which the inputs of the CI systems' files set), TRIVY_*, trivy.yaml, the gate's defaults.

problems=
problem() {
  problems="$problems
  $(printf %s "$1" | tr '\n\r\t' '   ' | tr -d '[:cntrl:]' | sed 's/##/# #/g')"
}
report_problems() {
  [ -n "$problems" ] || return 0
  [ "${GITHUB_ACTIONS:-}${TF_BUILD:-}" = "" ] || annotate error "the settings are invalid; see the log"
  say "the settings are invalid:$problems"
  exit 2
}

one_of() {
  value=$1
  shift
  for allowed in "$@"; do [ "$value" != "$allowed" ] || return 0; done
  return 1
}
# words TEXT: the words of a list that is separated by commas, spaces or line breaks. Runs in a subshell.
words() {
  IFS=",$IFS"
  # shellcheck disable=SC2086 # word splitting is intended; globbing is off
  printf '%s ' $1
}
must_be_file() { [ -z "$2" ] || { [ -f "$2" ] && [ -r "$2" ]; } || problem "$1: cannot read the file $2"; }
must_be_url() {
  case $2 in
    *[[:space:]]*) problem "$1: must be a URL such as $3" ;;
    http://*@* | https://*@*) problem "$1: must not contain a user or password, which would appear in the log" ;;
    http://?* | https://?*) ;;
    *) problem "$1: must be a URL such as $3" ;;
  esac
}
# must_be_list NAME VALUE WORD...
must_be_list() {
  list_name=$1 list=$2
  shift 2
  for word in $(printf %s "$list," | tr ', ' ' ,'); do
    one_of "$word" "$@" && continue
    problem "$list_name: must be a comma-separated list of $(echo "$*" | sed 's/ \([^ ]*\)$/ and \1/; s/ /, /g; s/, and, / and /'); it is '$list'"
    return 0
  done
}
must_be_image() {
  case $2 in '' | [!A-Za-z0-9]* | *[!A-Za-z0-9._:/@-]*) problem "$1: '$2' is not a valid image reference" ;; esac
}

# without_tag IMAGE: the repository; of an image without a tag and digest, the image itself
without_tag() {
  bare=${1%%@*}
  case ${bare##*/} in *:*) bare=${bare%:*} ;; esac
  printf %s "$bare"
}
# full_reference IMAGE: the same text for different spellings of a reference
full_reference() {
  full=$1
  case $full in */*) ;; *) full=docker.io/library/$full ;; esac
  case ${full%%/*} in
    *.* | *:* | localhost) ;;
    *) full=docker.io/$full ;;
  esac
  case $full in
    index.docker.io/*) full=docker.io/${full#*/} ;;
  esac
  case $full in *@*) ;; *) case ${full##*/} in *:*) ;; *) full=$full:latest ;; esac ;; esac
  printf %s "$full"
}

# --- where values come from -----------------------------------------------------------------------------------------------------------------

# CI systems pass omitted inputs as empty variables, which Trivy would treat as values.
for name in $(env | sed -n 's/^\(TRIVY_[A-Z0-9_]*\)=$/\1/p'); do unset "$name"; done
# The gate decides these itself.
unset TRIVY_FORMAT TRIVY_OUTPUT TRIVY_OUTPUT_PLUGIN_ARG TRIVY_TEMPLATE TRIVY_EXIT_CODE TRIVY_COMPLIANCE TRIVY_INPUT TRIVY_REPORT TRIVY_LIST_ALL_PKGS \
  TRIVY_DEPENDENCY_TREE TRIVY_SHOW_SUPPRESSED TRIVY_TABLE_MODE TRIVY_QUIET TRIVY_VERSION TRIVY_GENERATE_DEFAULT_CONFIG TRIVY_TRACE_HTTP
export TRIVY_DISABLE_VEX_NOTICE=true

# take NAME: SCAN_GATE_NAME overrides TRIVY_NAME. Sets $origin to the variable that has a value.
take() {
  origin=
  eval "given=\${SCAN_GATE_$1:-}"
  if [ -n "$given" ]; then
    origin=SCAN_GATE_$1
    export "TRIVY_$1=$given"
    # The client needs no second copy, least of all of the token.
    unset "SCAN_GATE_$1"
  else
    eval "[ -z \"\${TRIVY_$1:-}\" ]" || origin=TRIVY_$1
  fi
}
take SERVER
server_origin=${origin:-TRIVY_SERVER}
take TOKEN
take CACERT
cacert_origin=$origin
take TIMEOUT
timeout_origin=$origin
take JAVA_DB_REPOSITORY
take SEVERITY
severity_origin=$origin
take IGNORE_UNFIXED
ignore_unfixed_origin=$origin
take SCANNERS
scanners_origin=$origin
take IGNOREFILE
ignorefile_origin=$origin
take VEX
vex_origin=$origin
insecure=
[ "${TRIVY_INSECURE:-}" != true ] || insecure=yes

on_unreachable=${SCAN_GATE_ON_UNREACHABLE:-fail}
end_of_life=${SCAN_GATE_END_OF_LIFE:-}
reports=$(words "${SCAN_GATE_REPORTS:-sarif,junit}")
output=${SCAN_GATE_OUTPUT:-scan-gate}
download=${SCAN_GATE_TRIVY_URL:-https://github.com/aquasecurity/trivy/releases/download}
baseline_required=${SCAN_GATE_BASELINE_REQUIRED:-false}
repository_config=${SCAN_GATE_REPOSITORY_CONFIG:-use}
max_age_setting=${SCAN_GATE_MAX_DATABASE_AGE:-72h}
platforms=$(words "${SCAN_GATE_PLATFORMS:-}") platforms=${platforms% }

# --- validity ---------------------------------------------------------------------------------------------------------------------------------

if [ -z "${TRIVY_SERVER:-}" ]; then
  problem "TRIVY_SERVER: is not set; set it to the URL of the scan service, such as https://trivy.example.com"
else
  must_be_url "$server_origin" "$TRIVY_SERVER" https://trivy.example.com
  while [ "$TRIVY_SERVER" != "${TRIVY_SERVER%/}" ]; do TRIVY_SERVER=${TRIVY_SERVER%/}; done
  export TRIVY_SERVER
fi
[ -z "$severity_origin" ] || must_be_list "$severity_origin" "$TRIVY_SEVERITY" UNKNOWN LOW MEDIUM HIGH CRITICAL
[ -z "$ignore_unfixed_origin" ] || one_of "$TRIVY_IGNORE_UNFIXED" true false ||
  problem "$ignore_unfixed_origin: must be true or false; it is '$TRIVY_IGNORE_UNFIXED'"
[ -z "$scanners_origin" ] || must_be_list "$scanners_origin" "$TRIVY_SCANNERS" vuln secret misconfig license
must_be_file "$ignorefile_origin" "${TRIVY_IGNOREFILE:-}"
must_be_file "$cacert_origin" "${TRIVY_CACERT:-}"
for source in $(words "${TRIVY_VEX:-}"); do
  case $source in repo | oci) ;; *) must_be_file "$vex_origin" "$source" ;; esac
done
[ -z "$timeout_origin" ] || printf %s "$TRIVY_TIMEOUT" | tr '\n' ' ' | grep -Eq '^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$' ||
  problem "$timeout_origin: must be a duration such as 10m or 1m30s; it is '$TRIVY_TIMEOUT'"
one_of "$on_unreachable" fail warn standalone ||
  problem "SCAN_GATE_ON_UNREACHABLE: must be fail, warn or standalone; it is '$on_unreachable'"
one_of "${end_of_life:-warn}" fail warn ignore || problem "SCAN_GATE_END_OF_LIFE: must be fail, warn or ignore; it is '$end_of_life'"
one_of "${SCAN_GATE_UNRECOGNISED:-warn}" fail warn ignore ||
  problem "SCAN_GATE_UNRECOGNISED: must be fail, warn or ignore; it is '$SCAN_GATE_UNRECOGNISED'"
if [ "$max_age_setting" = 0 ]; then
  max_age=0
elif seconds "$max_age_setting"; then
  max_age=$duration
else
  problem "SCAN_GATE_MAX_DATABASE_AGE: must be a duration such as 72h or 3d, or 0; it is '$max_age_setting'"
fi
for report in $reports; do
  one_of "$report" sarif junit gitlab codequality || problem "SCAN_GATE_REPORTS: '$report' is not a valid report; use sarif, junit, gitlab or codequality"
done
one_of "$repository_config" use ignore || problem "SCAN_GATE_REPOSITORY_CONFIG: must be use or ignore; it is '$repository_config'"
must_be_url SCAN_GATE_TRIVY_URL "$download" https://mirror.example.com/trivy/releases/download
if [ -n "${SCAN_GATE_TRIVY:-}" ] && ! command -v "$SCAN_GATE_TRIVY" >/dev/null 2>&1; then
  if [ -f "$SCAN_GATE_TRIVY" ]; then
    problem "SCAN_GATE_TRIVY: '$SCAN_GATE_TRIVY' is not executable; check its mode, and whether its file system is mounted with noexec"
  else
    problem "SCAN_GATE_TRIVY: '$SCAN_GATE_TRIVY' is not an executable program"
  fi
fi
case ${SCAN_GATE_TRIVY_VERSION:-0.0.0} in
  *[!0-9.]* | *.*.*.* | .* | *. | *..*) wrong=yes ;;
  *.*.*) wrong='' ;;
  *) wrong=yes ;;
esac
if [ -n "$wrong" ]; then
  problem "SCAN_GATE_TRIVY_VERSION: must be a version such as $default_version; it is '$SCAN_GATE_TRIVY_VERSION'"
elif is_older "${SCAN_GATE_TRIVY_VERSION:-$minimum_version}" "$minimum_version"; then
  problem "SCAN_GATE_TRIVY_VERSION: $SCAN_GATE_TRIVY_VERSION is too old; the gate needs $minimum_version or later"
fi
if [ -n "${SCAN_GATE_TRIVY_SHA256:-}" ]; then
  case $SCAN_GATE_TRIVY_SHA256 in *[!0-9a-f]*) wrong=yes ;; *) [ ${#SCAN_GATE_TRIVY_SHA256} -eq 64 ] && wrong='' || wrong=yes ;; esac
  [ -z "$wrong" ] || problem "SCAN_GATE_TRIVY_SHA256: must be the SHA-256 of the client's archive, 64 lowercase hexadecimal digits"
  [ -n "${SCAN_GATE_TRIVY_VERSION:-}" ] || problem "SCAN_GATE_TRIVY_SHA256: applies to one version only; set SCAN_GATE_TRIVY_VERSION as well"
fi
[ -z "${SCAN_GATE_TRIVY:-}" ] || [ -z "${SCAN_GATE_TRIVY_VERSION:-}" ] || ! command -v "$SCAN_GATE_TRIVY" >/dev/null 2>&1 ||
  problem "SCAN_GATE_TRIVY_VERSION: has no effect because SCAN_GATE_TRIVY is set; remove one of the two"

# shellcheck disable=SC2086 # word splitting is intended; globbing is off
[ $# -gt 0 ] || set -- ${SCAN_GATE_IMAGES:-}
[ $# -gt 0 ] || problem "SCAN_GATE_IMAGES: is empty; list the images there or pass them as arguments"
for image in ${1+"$@"}; do must_be_image SCAN_GATE_IMAGES "$image"; done

[ -z "$platforms" ] || [ -z "${TRIVY_PLATFORM:-}" ] || problem "TRIVY_PLATFORM: conflicts with SCAN_GATE_PLATFORMS; remove one of the two"
for platform in $platforms; do
  case $platform in
    all) [ "$platforms" = all ] || problem "SCAN_GATE_PLATFORMS: all conflicts with the other platforms; list either" ;;
    */*/*/* | *[!a-z0-9/_.-]* | /* | */) problem "SCAN_GATE_PLATFORMS: '$platform' is not a valid platform; use one such as linux/arm64" ;;
    */*) ;;
    *) problem "SCAN_GATE_PLATFORMS: '$platform' is not a valid platform; use one such as linux/arm64" ;;
  esac
done
[ "$platforms" != all ] || command -v curl >/dev/null 2>&1 ||
  problem "SCAN_GATE_PLATFORMS: all needs curl to read the image's list of platforms; install curl or list the platforms"

one_of "$baseline_required" true false || problem "SCAN_GATE_BASELINE_REQUIRED: must be true or false; it is '$baseline_required'"
baseline_pattern=${SCAN_GATE_BASELINE:-}
[ "$baseline_pattern" != auto ] || baseline_pattern='{repository}:{branch}'
if [ -z "$baseline_pattern" ]; then
  [ "$baseline_required" != true ] || problem "SCAN_GATE_BASELINE_REQUIRED: has no effect without SCAN_GATE_BASELINE; set SCAN_GATE_BASELINE as well"
else
  must_be_image SCAN_GATE_BASELINE "$(baseline_of registry.example.com/a:1 main)"
  case $baseline_pattern in
    *'{repository}'*) ;;
    *)
      [ $# -lt 2 ] || [ -z "${2:-}" ] ||
        problem "SCAN_GATE_BASELINE: '$baseline_pattern' is one image, but there are $# images; use auto, or a pattern with {repository}"
      ;;
  esac
  for image in ${1+"$@"}; do
    baseline=$(baseline_of "$image" "$(target_branch)")
    [ -z "$baseline" ] || [ "$(full_reference "$baseline")" != "$(full_reference "$image")" ] ||
      problem "SCAN_GATE_BASELINE: the baseline $baseline is the image itself, so no finding could ever count"
  done
fi

command -v awk >/dev/null 2>&1 || problem "$0: needs awk, which is not installed"
if ! mkdir -p "$output" 2>/dev/null; then
  problem "SCAN_GATE_OUTPUT: cannot create the folder $output; use a writable path"
else
  probe=$output/.scan-gate-probe
  head -c 65536 /dev/zero >"$probe" 2>/dev/null ||
    problem "SCAN_GATE_OUTPUT: cannot write into the folder $output, which is read-only or full; use another path"
fi
