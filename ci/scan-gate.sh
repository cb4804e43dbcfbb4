#!/bin/sh
# Stops a pipeline when an image has vulnerabilities. One scan per image, through the scan service, produces the verdict and every report.
#
#   scan-gate.sh [IMAGE...]     without arguments, the images in SCAN_GATE_IMAGES
#
# Settings are environment variables, listed in docs/guides/ci.md. Exit code: 0 clean, 1 findings, 2 no verdict.
# Runs in every POSIX shell with the standard tools; curl or wget is required only to download the client.
set -uf
export LC_ALL=C

# The client version that is downloaded unless the server or the settings name another one. The checksums of its archives are part of this
# script, because an attacker who can replace a release can also replace the checksums published next to it.
default_version=0.74.0
pinned_checksum() {
  case $1 in
    0.74.0_Linux-64bit) echo 2ae6fe3ee734b7fdf11335663e18c75ea12dccc76062f09f164a3b0f8be4371a ;;
    0.74.0_Linux-ARM64) echo b94ce1976bbf3c15b514b605ee88be7c6d94a29be2302847ff01cb794d47aad5 ;;
    0.74.0_macOS-64bit) echo 472816f6888dda689d075c30254d4210b4d1035acf365aa72332f584c2f60485 ;;
    0.74.0_macOS-ARM64) echo 1caada5e0e2091909357c7525d3aa76f4b660b13821bc143b190c7483e31cc11 ;;
  esac
}

# Trivy exits with 1 on every failure, so findings get a status of their own.
findings_status=10

say() { printf '%s\n' "scan-gate: $*"; }
# annotate error|warning TEXT: prints the text; on GitHub, as an annotation of the job
annotate() {
  if [ "${GITHUB_ACTIONS:-}" = true ]; then printf '::%s title=scan-gate::%s\n' "$1" "$2"; else say "$1: $2"; fi
}
no_verdict() {
  annotate error "$1"
  exit 2
}

# --- settings: all problems are reported at once ---------------------------------------------------------------------------------------

problems=
problem() {
  problems="$problems
  $1"
}
one_of() {
  value=$1
  shift
  for allowed in "$@"; do [ "$value" != "$allowed" ] || return 0; done
  return 1
}
must_be_file() { [ -z "$2" ] || [ -r "$2" ] || problem "$1: cannot read the file $2"; }
must_be_url() {
  case $2 in
    *[[:space:]]*) problem "$1: must be a URL such as $3" ;;
    http://*@* | https://*@*) problem "$1: must not contain a user or password, which would appear in the log" ;;
    http://?* | https://?*) ;;
    *) problem "$1: must be a URL such as $3" ;;
  esac
}

# CI systems pass omitted inputs as empty variables, which Trivy would treat as values.
for name in TRIVY_SERVER TRIVY_TOKEN TRIVY_SEVERITY TRIVY_IGNORE_UNFIXED TRIVY_IGNOREFILE TRIVY_VEX TRIVY_CACERT TRIVY_TIMEOUT TRIVY_INSECURE; do
  eval "[ -n \"\${$name:-}\" ] || unset $name"
done
# The gate decides these itself.
unset TRIVY_FORMAT TRIVY_OUTPUT TRIVY_TEMPLATE TRIVY_EXIT_CODE TRIVY_EXIT_ON_EOL TRIVY_SCANNERS TRIVY_COMPLIANCE TRIVY_INPUT

export TRIVY_DISABLE_VEX_NOTICE=true TRIVY_SEVERITY="${TRIVY_SEVERITY:-HIGH,CRITICAL}" TRIVY_IGNORE_UNFIXED="${TRIVY_IGNORE_UNFIXED:-true}"
on_unreachable=${SCAN_GATE_ON_UNREACHABLE:-fail}
reports=$(printf %s "${SCAN_GATE_REPORTS:-sarif,junit}" | tr ', \n' '   ')
output=${SCAN_GATE_OUTPUT:-scan-gate}
download=${SCAN_GATE_TRIVY_URL:-https://github.com/aquasecurity/trivy/releases/download}
templates=$(cd "$(dirname "$0")" && pwd)/templates

if [ -z "${TRIVY_SERVER:-}" ]; then
  problem "TRIVY_SERVER: is not set; set it to the URL of the scan service, such as https://trivy.example.com"
else
  must_be_url TRIVY_SERVER "$TRIVY_SERVER" https://trivy.example.com
  while [ "$TRIVY_SERVER" != "${TRIVY_SERVER%/}" ]; do TRIVY_SERVER=${TRIVY_SERVER%/}; done
  export TRIVY_SERVER
fi
for severity in $(printf %s "$TRIVY_SEVERITY," | tr ', ' ' ,'); do
  one_of "$severity" UNKNOWN LOW MEDIUM HIGH CRITICAL && continue
  problem "TRIVY_SEVERITY: must be a comma-separated list of UNKNOWN, LOW, MEDIUM, HIGH and CRITICAL; it is '$TRIVY_SEVERITY'"
  break
done
one_of "$TRIVY_IGNORE_UNFIXED" true false || problem "TRIVY_IGNORE_UNFIXED: must be true or false; it is '$TRIVY_IGNORE_UNFIXED'"
must_be_file TRIVY_IGNOREFILE "${TRIVY_IGNOREFILE:-}"
must_be_file TRIVY_CACERT "${TRIVY_CACERT:-}"
for source in $(printf %s "${TRIVY_VEX:-}" | tr , ' '); do
  case $source in repo | oci) ;; *) must_be_file TRIVY_VEX "$source" ;; esac
done
[ -z "${TRIVY_TIMEOUT:-}" ] || printf %s "$TRIVY_TIMEOUT" | tr '\n' ' ' | grep -Eq '^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$' ||
  problem "TRIVY_TIMEOUT: must be a duration such as 10m or 1m30s; it is '$TRIVY_TIMEOUT'"
one_of "$on_unreachable" fail warn standalone ||
  problem "SCAN_GATE_ON_UNREACHABLE: must be fail, warn or standalone; it is '$on_unreachable'"
for report in $reports; do
  one_of "$report" sarif junit gitlab codequality || problem "SCAN_GATE_REPORTS: '$report' is not a valid report; use sarif, junit, gitlab or codequality"
done
[ -r "$templates/summary.tpl" ] || problem "$0: needs the folder templates next to it; cannot read $templates/summary.tpl"
must_be_url SCAN_GATE_TRIVY_URL "$download" https://mirror.example.com/trivy/releases/download
[ -z "${SCAN_GATE_TRIVY:-}" ] || command -v "$SCAN_GATE_TRIVY" >/dev/null 2>&1 ||
  problem "SCAN_GATE_TRIVY: '$SCAN_GATE_TRIVY' is not an executable program"
case ${SCAN_GATE_TRIVY_VERSION:-0.0.0} in
  *[!0-9.]* | *.*.*.* | .* | *. | *..*) wrong=yes ;;
  *.*.*) wrong='' ;;
  *) wrong=yes ;;
esac
[ -z "$wrong" ] || problem "SCAN_GATE_TRIVY_VERSION: must be a version such as $default_version; it is '$SCAN_GATE_TRIVY_VERSION'"
if [ -n "${SCAN_GATE_TRIVY_SHA256:-}" ]; then
  case $SCAN_GATE_TRIVY_SHA256 in *[!0-9a-f]*) wrong=yes ;; *) [ ${#SCAN_GATE_TRIVY_SHA256} -eq 64 ] && wrong='' || wrong=yes ;; esac
  [ -z "$wrong" ] || problem "SCAN_GATE_TRIVY_SHA256: must be the SHA-256 of the client's archive, 64 lowercase hexadecimal digits"
  [ -n "${SCAN_GATE_TRIVY_VERSION:-}" ] || problem "SCAN_GATE_TRIVY_SHA256: applies to one version only; set SCAN_GATE_TRIVY_VERSION as well"
fi

# shellcheck disable=SC2086 # word splitting is intended; globbing is off
[ $# -gt 0 ] || set -- ${SCAN_GATE_IMAGES:-}
[ $# -gt 0 ] || problem "SCAN_GATE_IMAGES: is empty; list the images there or pass them as arguments"
for image in "$@"; do
  case $image in '' | [!A-Za-z0-9]* | *[!A-Za-z0-9._:/@-]*) problem "SCAN_GATE_IMAGES: '$image' is not a valid image reference" ;; esac
done

if [ -n "$problems" ]; then
  [ "${GITHUB_ACTIONS:-}" != true ] || annotate error "the settings are invalid; see the log"
  say "the settings are invalid:$problems"
  exit 2
fi

work=$(mktemp -d) || no_verdict "cannot create a temporary folder; set TMPDIR to a writable folder"
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
mkdir -p "$output" || no_verdict "SCAN_GATE_OUTPUT: cannot create the folder $output; use a writable path"

# --- the client ------------------------------------------------------------------------------------------------------------------------

# fetch URL FILE SECONDS [CURL-OPTION...]
fetch() {
  url=$1 file=$2 seconds=$3
  shift 3
  if command -v curl >/dev/null 2>&1; then
    curl -fsSL --netrc-optional --retry 2 --max-time "$seconds" "$@" -o "$file" "$url"
  else
    # Some builds of BusyBox wget crash when given a timeout option.
    timeout "$seconds" wget -q -O "$file" "$url"
  fi
}

# Requests the service's version, without a token. The gate also works without a response.
ask_service() {
  set -- ${TRIVY_CACERT:+--cacert "$TRIVY_CACERT"}
  [ "${TRIVY_INSECURE:-}" != true ] || set -- "$@" --insecure
  fetch "$TRIVY_SERVER/version" "$work/version" 10 "$@" 2>/dev/null
}

version_of() { "$1" --version 2>/dev/null | sed -n 's/^Version: *\([0-9][0-9.]*\)$/\1/p' | head -n 1; }

checksum() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

# Sets $trivy and $version: an installed client of the wanted version, or a downloaded one.
choose_client() {
  served=
  ask_service && served=$(sed -n 's/.*"Version":"\([0-9][0-9]*\.[0-9][0-9]*\.[0-9][0-9]*\)".*/\1/p' "$work/version" | head -n 1)
  wanted=${SCAN_GATE_TRIVY_VERSION:-$served}
  trivy=${SCAN_GATE_TRIVY:-trivy}
  version=$(version_of "$trivy")
  if [ -z "${SCAN_GATE_TRIVY:-}" ] && { [ -z "$version" ] || [ "$version" != "${wanted:-$version}" ]; }; then
    wanted=${wanted:-$default_version}
    download_client
    version=$(version_of "$trivy")
  fi
  case $version in
    '') no_verdict "'$trivy --version' prints no version; set SCAN_GATE_TRIVY to a Trivy client" ;;
    0.69.[456]) no_verdict "Trivy $version is a malicious release (GHSA-69fq-xp46-6x23); use $default_version" ;;
  esac
  [ "$version" = "${served:-$version}" ] ||
    annotate warning "the client is Trivy $version but the service is $served: they share no cache entries, so every image is analysed again"
  say "Trivy $version, service $TRIVY_SERVER${served:+ ($served)}, $TRIVY_SEVERITY, $([ "$TRIVY_IGNORE_UNFIXED" = false ] || echo "fixable only, ")$# image(s)"
}

download_client() {
  case $(uname -s)/$(uname -m) in
    Linux/x86_64 | Linux/amd64) platform=Linux-64bit ;;
    Linux/aarch64 | Linux/arm64) platform=Linux-ARM64 ;;
    Darwin/x86_64) platform=macOS-64bit ;;
    Darwin/arm64) platform=macOS-ARM64 ;;
    *) no_verdict "Trivy has no release for $(uname -s) on $(uname -m); install Trivy $wanted and set SCAN_GATE_TRIVY to its path" ;;
  esac
  expected=${SCAN_GATE_TRIVY_SHA256:-$(pinned_checksum "${wanted}_$platform")}
  if [ -z "$expected" ] && [ -n "${SCAN_GATE_TRIVY_VERSION:-}" ]; then
    no_verdict "the checksum of Trivy $wanted for $platform is unknown; set SCAN_GATE_TRIVY_SHA256"
  elif [ -z "$expected" ]; then
    # The checksum of the service's version is unknown: use the installed client, or else download the default version.
    [ -z "$version" ] || return 0
    wanted=$default_version
    expected=$(pinned_checksum "${wanted}_$platform")
  fi
  archive=trivy_${wanted}_$platform.tar.gz
  say "downloading $download/v$wanted/$archive"
  fetch "$download/v$wanted/$archive" "$work/$archive" 300 ||
    no_verdict "the client cannot be downloaded from $download; set SCAN_GATE_TRIVY_URL to a mirror or SCAN_GATE_TRIVY to an installed client"
  actual=$(checksum "$work/$archive")
  [ "$actual" = "$expected" ] ||
    no_verdict "$archive does not match the release: its SHA-256 is $actual, expected $expected; it was neither unpacked nor run"
  tar -xzf "$work/$archive" -C "$work" trivy || no_verdict "$archive cannot be unpacked"
  rm -f "$work/$archive"
  trivy=$work/trivy
}

# --- one image -------------------------------------------------------------------------------------------------------------------------

# attempt IMAGE FILE [COMMAND...]: runs one scan, with COMMAND in front of the client. All filters (severity, unfixed, ignore file, VEX) apply
# here, so that every report agrees with the verdict. HTTP tracing stays off because it would log the token.
attempt() {
  target=$1 file=$2
  shift 2
  rm -f "$file" "$work/status"
  {
    "$@" "$trivy" image --scanners vuln --format json --output "$file" --exit-code "$findings_status" --exit-on-eol 0 \
      --no-progress --skip-version-check --disable-telemetry --trace-http=false -- "$target" </dev/null
    echo $? >"$work/status"
  } 2>&1 | tee "$work/log"
  status=$(cat "$work/status" 2>/dev/null)
  if [ -s "$file" ] && [ "$status" = 0 ]; then
    verdict=clean
  elif [ -s "$file" ] && [ "$status" = "$findings_status" ]; then
    verdict=findings
  else
    verdict=$(reason)
  fi
}

# Prints why there is no verdict, derived from the client's FATAL line: `refused`, `certificate`, `unreachable` or `error`.
reason() {
  last=$(grep FATAL "$work/log" | grep 'twirp error')
  case $last in
    *'twirp error unauthenticated'* | *'twirp error permission_denied'*) echo refused ;;
    *x509:* | *'tls: '*) echo certificate ;;
    *'twirp error unavailable'*) echo unreachable ;;
    # A slow service is not an unreachable one and must not let an image pass.
    *'failed to do request'*'context deadline exceeded'*) if ask_service; then echo error; else echo unreachable; fi ;;
    *'failed to do request'*) echo unreachable ;;
    *) echo error ;;
  esac
}

# scan IMAGE FILE: sets $verdict, after one retry if the first attempt gives none. A failure of the service itself is the verdict of all
# further images as well, which are then not attempted.
scan() {
  verdict=$settled
  if [ -z "$verdict" ]; then
    attempt "$1" "$2"
    case $verdict in
      unreachable | error)
        say "$1: Trivy exited with ${status:-a signal} and without a verdict; retrying"
        sleep 5
        attempt "$1" "$2"
        ;;
    esac
    case $verdict in unreachable | refused | certificate) settled=$verdict ;; esac
  fi
  if [ "$verdict" = unreachable ] && [ "$on_unreachable" = standalone ]; then
    annotate warning "$1: the service is unreachable; scanning standalone, with the client's own vulnerability database"
    attempt "$1" "$2" env -u TRIVY_SERVER -u TRIVY_TOKEN
  fi
}

# convert ARGUMENT...: converts the scan's result to another format
convert() { SCAN_GATE_IMAGE=$image "$trivy" convert --exit-code 0 --exit-on-eol 0 --quiet "$@"; }
from_template() { convert --format template --template "@$templates/$1.tpl" "$2"; }

# Appends one image's part of a report to the parts of the images before it.
collect() { # REPORT FILE SEPARATOR
  from_template "$1" "$2" >"$work/part" || return 1
  grep -q . "$work/part" || return 0
  [ ! -s "$work/$1" ] || printf '%s' "$3" >>"$work/$1"
  cat "$work/part" >>"$work/$1"
}

# --- all images ------------------------------------------------------------------------------------------------------------------------

choose_client "$@"
started=$(date -u +%Y-%m-%dT%H:%M:%S)
rm -f "$output/summary.md" "$output/junit.xml" "$output/gl-container-scanning-report.json" "$output/gl-code-quality-report.json"
settled='' broken='' done=' ' stopped=0 undecided=0 passed=0

for image in "$@"; do
  case $done in *" $image "*) continue ;; esac
  done="$done$image "
  name=$(printf %s "$image" | tr -c 'A-Za-z0-9._-' '-')
  while [ -e "$work/$name.name" ]; do name=$name-; done
  : >"$work/$name.name"
  json=$output/$name.json
  rm -f "$json" "$output/$name.sarif"
  scan "$image" "$json"

  case $verdict in
    clean | findings)
      # A report that cannot be written turns "clean" into "no verdict"; "findings" stays.
      from_template summary "$json" >"$work/summary" || broken=yes
      counts=$(head -n 1 "$work/summary")
      convert --format table --scanners vuln --table-mode detailed "$json" || broken=yes
      for report in $reports; do
        case $report in
          sarif) convert --format sarif --output "$output/$name.sarif" "$json" || broken=yes ;;
          junit) collect junit "$json" '' || broken=yes ;;
          *) collect "$report" "$json" , || broken=yes ;;
        esac
      done
      ;;
  esac
  why=
  case $verdict in
    clean) passed=$((passed + 1)) text="nothing found" ;;
    findings) stopped=$((stopped + 1)) text=$counts ;;
    refused) why="the service rejected the token: TRIVY_TOKEN is $([ -n "${TRIVY_TOKEN:-}" ] && echo wrong || echo 'not set')" ;;
    certificate) why="the service's certificate cannot be verified; set TRIVY_CACERT to a file with the certificate authority that signed it" ;;
    unreachable) why="the service $TRIVY_SERVER is unreachable" ;;
    *) why="Trivy exited with ${status:-a signal} and without a verdict; see its last lines above" ;;
  esac
  if [ "$verdict" = unreachable ] && [ "$on_unreachable" = warn ]; then
    text="not scanned: $why"
    annotate warning "$image: $text"
  elif [ -n "$why" ]; then
    undecided=$((undecided + 1)) text="no verdict: $why"
    annotate error "$image: $text"
    printf '  <testsuite name="%s" tests="1" failures="0" errors="1" skipped="0">\n    <testcase classname="%s" name="scan"><error message="no verdict"/></testcase>\n  </testsuite>\n' \
      "$image" "$image" >>"$work/junit"
  elif [ "$verdict" = findings ]; then
    annotate error "$image: $text"
  else
    say "$image: $text"
  fi
  printf '**%s**: %s\n\n' "$image" "$text" >>"$work/all.md"
  [ "$verdict" != findings ] || tail -n +2 "$work/summary" >>"$work/all.md"
done

# --- reports, summary, verdict ---------------------------------------------------------------------------------------------------------

product='"id":"trivy","name":"Trivy","vendor":{"name":"Aqua Security"},"version":"'$version'"'
content() { cat "$work/$1" 2>/dev/null; }
for report in $reports; do
  case $report in
    junit)
      { echo '<?xml version="1.0" encoding="UTF-8"?>' && echo '<testsuites name="scan-gate">' && content junit; echo '</testsuites>'; } >"$output/junit.xml"
      ;;
    gitlab)
      {
        printf '{"version":"15.0.7","scan":{"analyzer":{%s},"scanner":{%s},"type":"container_scanning","status":"%s","start_time":"%s","end_time":"%s"},"vulnerabilities":[' \
          "$product" "$product" "$([ "$undecided" -eq 0 ] && echo success || echo failure)" "$started" "$(date -u +%Y-%m-%dT%H:%M:%S)"
        content gitlab
        echo '],"remediations":[]}'
      } >"$output/gl-container-scanning-report.json"
      ;;
    codequality) { echo '[' && content codequality; echo ']'; } >"$output/gl-code-quality-report.json" ;;
  esac || broken=yes
done

if [ "$stopped" -gt 0 ]; then
  result="stopped" style=error code=1
elif [ "$undecided" -gt 0 ]; then
  result="no verdict" style=error code=2
elif [ -n "$broken" ]; then
  result="no verdict: a report could not be written" style=error code=2
elif [ "$settled" = unreachable ]; then
  result="passed, with a warning" style=warning code=0
else
  result="passed" style=success code=0
fi
{ printf '## Scan gate: %s\n\n' "$result" && cat "$work/all.md"; } >"$output/summary.md"
[ -z "${GITHUB_STEP_SUMMARY:-}" ] || cat "$output/summary.md" >>"$GITHUB_STEP_SUMMARY"
if command -v buildkite-agent >/dev/null 2>&1; then
  buildkite-agent annotate --style "$style" --context "scan-gate-${BUILDKITE_JOB_ID:-}" <"$output/summary.md" || say "the annotation could not be created"
fi
say "$result: $passed clean, $stopped with findings, $undecided without a verdict; reports in $output"
exit "$code"
