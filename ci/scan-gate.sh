#!/bin/sh
# Stops a pipeline when an image has vulnerabilities: one scan through the scan service gives the verdict and every report.
#
#   scan-gate.sh [IMAGE...]     without arguments, the images in SCAN_GATE_IMAGES
#
# Settings come from the environment: docs/guides/ci.md lists them. Ends with 0: clean, 1: findings, 2: cannot tell.
# For any POSIX shell, with the tools that every image has; curl or wget only where the client is downloaded.
set -uf
export LC_ALL=C

# The client that is downloaded unless the server or the settings name another. Its archives' checksums stand here: whoever could replace
# a release could replace the checksums beside it as well.
default_version=0.74.0
pinned_checksum() {
  case $1 in
    0.74.0_Linux-64bit) echo 2ae6fe3ee734b7fdf11335663e18c75ea12dccc76062f09f164a3b0f8be4371a ;;
    0.74.0_Linux-ARM64) echo b94ce1976bbf3c15b514b605ee88be7c6d94a29be2302847ff01cb794d47aad5 ;;
    0.74.0_macOS-64bit) echo 472816f6888dda689d075c30254d4210b4d1035acf365aa72332f584c2f60485 ;;
    0.74.0_macOS-ARM64) echo 1caada5e0e2091909357c7525d3aa76f4b660b13821bc143b190c7483e31cc11 ;;
  esac
}

# Trivy's own status for any failure is 1, so findings get another one.
findings_status=10

say() { printf '%s\n' "scan-gate: $*"; }
# annotate error|warning TEXT: the text, and on GitHub the same beside the job
annotate() {
  if [ "${GITHUB_ACTIONS:-}" = true ]; then printf '::%s title=scan-gate::%s\n' "$1" "$2"; else say "$1: $2"; fi
}
cannot_tell() {
  annotate error "$1"
  exit 2
}

# --- settings: everything that is wrong is said at once --------------------------------------------------------------------------------

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
must_be_file() { [ -z "$2" ] || [ -r "$2" ] || problem "$1: there is no file $2 to read"; }
must_be_url() {
  case $2 in
    *[[:space:]]*) problem "$1: must be an address such as $3" ;;
    http://*@* | https://*@*) problem "$1: must hold no user or password; they would be in the log" ;;
    http://?* | https://?*) ;;
    *) problem "$1: must be an address such as $3" ;;
  esac
}

# An input that was left out arrives as an empty variable, which Trivy would take for a value.
for name in TRIVY_SERVER TRIVY_TOKEN TRIVY_SEVERITY TRIVY_IGNORE_UNFIXED TRIVY_IGNOREFILE TRIVY_VEX TRIVY_CACERT TRIVY_TIMEOUT TRIVY_INSECURE; do
  eval "[ -n \"\${$name:-}\" ] || unset $name"
done
# These are the gate's to say.
unset TRIVY_FORMAT TRIVY_OUTPUT TRIVY_TEMPLATE TRIVY_EXIT_CODE TRIVY_EXIT_ON_EOL TRIVY_SCANNERS TRIVY_COMPLIANCE TRIVY_INPUT

export TRIVY_DISABLE_VEX_NOTICE=true TRIVY_SEVERITY="${TRIVY_SEVERITY:-HIGH,CRITICAL}" TRIVY_IGNORE_UNFIXED="${TRIVY_IGNORE_UNFIXED:-true}"
on_unreachable=${SCAN_GATE_ON_UNREACHABLE:-fail}
reports=$(printf %s "${SCAN_GATE_REPORTS:-sarif,junit}" | tr ', \n' '   ')
output=${SCAN_GATE_OUTPUT:-scan-gate}
download=${SCAN_GATE_TRIVY_URL:-https://github.com/aquasecurity/trivy/releases/download}
templates=$(cd "$(dirname "$0")" && pwd)/templates

if [ -z "${TRIVY_SERVER:-}" ]; then
  problem "TRIVY_SERVER: is not set; it is the address of the scan service, such as https://trivy.example.com"
else
  must_be_url TRIVY_SERVER "$TRIVY_SERVER" https://trivy.example.com
  while [ "$TRIVY_SERVER" != "${TRIVY_SERVER%/}" ]; do TRIVY_SERVER=${TRIVY_SERVER%/}; done
  export TRIVY_SERVER
fi
for severity in $(printf %s "$TRIVY_SEVERITY," | tr ', ' ' ,'); do
  one_of "$severity" UNKNOWN LOW MEDIUM HIGH CRITICAL && continue
  problem "TRIVY_SEVERITY: must be some of UNKNOWN,LOW,MEDIUM,HIGH,CRITICAL, with commas between; it is '$TRIVY_SEVERITY'"
  break
done
one_of "$TRIVY_IGNORE_UNFIXED" true false || problem "TRIVY_IGNORE_UNFIXED: must be true or false; it is '$TRIVY_IGNORE_UNFIXED'"
must_be_file TRIVY_IGNOREFILE "${TRIVY_IGNOREFILE:-}"
must_be_file TRIVY_CACERT "${TRIVY_CACERT:-}"
for source in $(printf %s "${TRIVY_VEX:-}" | tr , ' '); do
  case $source in repo | oci) ;; *) must_be_file TRIVY_VEX "$source" ;; esac
done
[ -z "${TRIVY_TIMEOUT:-}" ] || printf %s "$TRIVY_TIMEOUT" | tr '\n' ' ' | grep -Eq '^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$' ||
  problem "TRIVY_TIMEOUT: must be a time such as 10m or 1m30s; it is '$TRIVY_TIMEOUT'"
one_of "$on_unreachable" fail warn standalone ||
  problem "SCAN_GATE_ON_UNREACHABLE: must be fail, warn or standalone; it is '$on_unreachable'"
for report in $reports; do
  one_of "$report" sarif junit gitlab codequality || problem "SCAN_GATE_REPORTS: knows sarif, junit, gitlab and codequality; not '$report'"
done
[ -r "$templates/summary.tpl" ] || problem "$0: its folder templates must lie beside it; there is no $templates/summary.tpl"
must_be_url SCAN_GATE_TRIVY_URL "$download" https://mirror.example.com/trivy/releases/download
[ -z "${SCAN_GATE_TRIVY:-}" ] || command -v "$SCAN_GATE_TRIVY" >/dev/null 2>&1 ||
  problem "SCAN_GATE_TRIVY: there is no program '$SCAN_GATE_TRIVY'"
case ${SCAN_GATE_TRIVY_VERSION:-0.0.0} in
  *[!0-9.]* | *.*.*.* | .* | *. | *..*) wrong=yes ;;
  *.*.*) wrong='' ;;
  *) wrong=yes ;;
esac
[ -z "$wrong" ] || problem "SCAN_GATE_TRIVY_VERSION: must be a version such as $default_version; it is '$SCAN_GATE_TRIVY_VERSION'"
if [ -n "${SCAN_GATE_TRIVY_SHA256:-}" ]; then
  case $SCAN_GATE_TRIVY_SHA256 in *[!0-9a-f]*) wrong=yes ;; *) [ ${#SCAN_GATE_TRIVY_SHA256} -eq 64 ] && wrong='' || wrong=yes ;; esac
  [ -z "$wrong" ] || problem "SCAN_GATE_TRIVY_SHA256: must be the 64 hexadecimal digits of the client's archive, in small letters"
  [ -n "${SCAN_GATE_TRIVY_VERSION:-}" ] || problem "SCAN_GATE_TRIVY_SHA256: belongs to one version; name it with SCAN_GATE_TRIVY_VERSION"
fi

# shellcheck disable=SC2086 # split into words on purpose; patterns are switched off
[ $# -gt 0 ] || set -- ${SCAN_GATE_IMAGES:-}
[ $# -gt 0 ] || problem "SCAN_GATE_IMAGES: names no image; give some there or as arguments"
for image in "$@"; do
  case $image in '' | [!A-Za-z0-9]* | *[!A-Za-z0-9._:/@-]*) problem "SCAN_GATE_IMAGES: '$image' is no image's name" ;; esac
done

if [ -n "$problems" ]; then
  [ "${GITHUB_ACTIONS:-}" != true ] || annotate error "the settings are wrong: see the log"
  say "cannot start:$problems"
  exit 2
fi

work=$(mktemp -d) || cannot_tell "no folder for temporary files can be made; TMPDIR must be one that can be written to"
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
mkdir -p "$output" || cannot_tell "SCAN_GATE_OUTPUT: the folder $output cannot be made"

# --- the client ------------------------------------------------------------------------------------------------------------------------

# fetch URL FILE SECONDS [CURL-OPTION...]
fetch() {
  url=$1 file=$2 seconds=$3
  shift 3
  if command -v curl >/dev/null 2>&1; then
    curl -fsSL --netrc-optional --retry 2 --max-time "$seconds" "$@" -o "$file" "$url"
  else
    # Some builds of BusyBox' wget crash when they are given a time limit.
    timeout "$seconds" wget -q -O "$file" "$url"
  fi
}

# Asks the service, without a token; nothing that cannot wait depends on the answer.
ask_service() {
  set -- ${TRIVY_CACERT:+--cacert "$TRIVY_CACERT"}
  [ "${TRIVY_INSECURE:-}" != true ] || set -- "$@" --insecure
  fetch "$TRIVY_SERVER/version" "$work/version" 10 "$@" 2>/dev/null
}

version_of() { "$1" --version 2>/dev/null | sed -n 's/^Version: *\([0-9][0-9.]*\)$/\1/p' | head -n 1; }

checksum() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

# Sets $trivy and $version to the client to use: an installed one of the wanted version, or one that is downloaded.
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
    '') cannot_tell "'$trivy --version' names no version: SCAN_GATE_TRIVY must be Trivy" ;;
    0.69.[456]) cannot_tell "Trivy $version is a release with malware in it (GHSA-69fq-xp46-6x23); use $default_version" ;;
  esac
  [ "$version" = "${served:-$version}" ] ||
    annotate warning "the client is Trivy $version and the service $served: they share no cache entries, and every image is analysed again"
  say "Trivy $version, service $TRIVY_SERVER${served:+ ($served)}, $TRIVY_SEVERITY, $([ "$TRIVY_IGNORE_UNFIXED" = false ] || echo "fixable only, ")$# image(s)"
}

download_client() {
  case $(uname -s)/$(uname -m) in
    Linux/x86_64 | Linux/amd64) platform=Linux-64bit ;;
    Linux/aarch64 | Linux/arm64) platform=Linux-ARM64 ;;
    Darwin/x86_64) platform=macOS-64bit ;;
    Darwin/arm64) platform=macOS-ARM64 ;;
    *) cannot_tell "there is no client to download for $(uname -s) on $(uname -m); install Trivy $wanted and name it with SCAN_GATE_TRIVY" ;;
  esac
  expected=${SCAN_GATE_TRIVY_SHA256:-$(pinned_checksum "${wanted}_$platform")}
  if [ -z "$expected" ] && [ -n "${SCAN_GATE_TRIVY_VERSION:-}" ]; then
    cannot_tell "the checksum of Trivy $wanted for $platform is not known; give it with SCAN_GATE_TRIVY_SHA256"
  elif [ -z "$expected" ]; then
    # Nobody vouches for the service's version: another one that is installed will do, and then the one that is known.
    [ -z "$version" ] || return 0
    wanted=$default_version
    expected=$(pinned_checksum "${wanted}_$platform")
  fi
  archive=trivy_${wanted}_$platform.tar.gz
  say "downloading $download/v$wanted/$archive"
  fetch "$download/v$wanted/$archive" "$work/$archive" 300 ||
    cannot_tell "the client cannot be downloaded from $download; SCAN_GATE_TRIVY_URL can name a mirror, SCAN_GATE_TRIVY an installed client"
  actual=$(checksum "$work/$archive")
  [ "$actual" = "$expected" ] ||
    cannot_tell "$archive is not what was released: its SHA-256 is $actual and must be $expected. It was not unpacked or run"
  tar -xzf "$work/$archive" -C "$work" trivy || cannot_tell "$archive cannot be unpacked"
  rm -f "$work/$archive"
  trivy=$work/trivy
}

# --- one image -------------------------------------------------------------------------------------------------------------------------

# attempt IMAGE FILE [COMMAND...]: one scan, by the command before the client if there is one. Every filter (severity, unfixed, ignore file,
# VEX) works here, so that all reports tell what the verdict tells. A trace of HTTP would have the token in it.
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

# Why there is no verdict, from the client's last words: `refused`, `certificate`, `unreachable` or `error`.
reason() {
  last=$(grep FATAL "$work/log" | grep 'twirp error')
  case $last in
    *'twirp error unauthenticated'* | *'twirp error permission_denied'*) echo refused ;;
    *x509:* | *'tls: '*) echo certificate ;;
    *'twirp error unavailable'*) echo unreachable ;;
    # A service that is there and only slow is no reason to let an image pass.
    *'failed to do request'*'context deadline exceeded'*) if ask_service; then echo error; else echo unreachable; fi ;;
    *'failed to do request'*) echo unreachable ;;
    *) echo error ;;
  esac
}

# scan IMAGE FILE: sets $verdict, after one more try if the first gave none. What went wrong with the service itself holds for all further
# images, which do not wait for it.
scan() {
  verdict=$settled
  if [ -z "$verdict" ]; then
    attempt "$1" "$2"
    case $verdict in
      unreachable | error)
        say "$1: Trivy ended with ${status:-a signal} and without a verdict; trying once more"
        sleep 5
        attempt "$1" "$2"
        ;;
    esac
    case $verdict in unreachable | refused | certificate) settled=$verdict ;; esac
  fi
  if [ "$verdict" = unreachable ] && [ "$on_unreachable" = standalone ]; then
    annotate warning "$1: the service is out of reach; scanning without it, with a vulnerability database of the client's own"
    attempt "$1" "$2" env -u TRIVY_SERVER -u TRIVY_TOKEN
  fi
}

# convert ARGUMENT...: another form of what the scan found
convert() { SCAN_GATE_IMAGE=$image "$trivy" convert --exit-code 0 --exit-on-eol 0 --quiet "$@"; }
from_template() { convert --format template --template "@$templates/$1.tpl" "$2"; }

# Appends a report's part about one image to what it has of the others.
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
      # A report that cannot be written leaves a verdict of "clean" open, never one of "findings".
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
    refused) why="the service refused the token: TRIVY_TOKEN is $([ -n "${TRIVY_TOKEN:-}" ] && echo wrong || echo 'not set')" ;;
    certificate) why="the service's certificate cannot be verified: TRIVY_CACERT must name the file with the authority that signed it" ;;
    unreachable) why="the service $TRIVY_SERVER is out of reach" ;;
    *) why="Trivy ended with ${status:-a signal} and without a verdict; its last lines above say why" ;;
  esac
  if [ "$verdict" = unreachable ] && [ "$on_unreachable" = warn ]; then
    text="not scanned: $why"
    annotate warning "$image: $text"
  elif [ -n "$why" ]; then
    undecided=$((undecided + 1)) text="cannot tell: $why"
    annotate error "$image: $text"
    printf '  <testsuite name="%s" tests="1" failures="0" errors="1" skipped="0">\n    <testcase classname="%s" name="scan"><error message="there is no verdict"/></testcase>\n  </testsuite>\n' \
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
  result="cannot tell" style=error code=2
elif [ -n "$broken" ]; then
  result="cannot tell: a report could not be written" style=error code=2
elif [ "$settled" = unreachable ]; then
  result="passed, with a warning" style=warning code=0
else
  result="passed" style=success code=0
fi
{ printf '## Scan gate: %s\n\n' "$result" && cat "$work/all.md"; } >"$output/summary.md"
[ -z "${GITHUB_STEP_SUMMARY:-}" ] || cat "$output/summary.md" >>"$GITHUB_STEP_SUMMARY"
if command -v buildkite-agent >/dev/null 2>&1; then
  buildkite-agent annotate --style "$style" --context "scan-gate-${BUILDKITE_JOB_ID:-}" <"$output/summary.md" || say "no annotation could be made"
fi
say "$result: $passed clean, $stopped with findings, $undecided without a verdict; reports in $output"
exit "$code"
