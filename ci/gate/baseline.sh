# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables
# The baseline: the image with which the scanned one is compared. Sourced by scan-gate.sh.

# target_branch: the branch into which the change would be merged, in the CI systems that say so
target_branch() {
  branch=${GITHUB_BASE_REF:-${CI_MERGE_REQUEST_TARGET_BRANCH_NAME:-${CHANGE_TARGET:-${SYSTEM_PULLREQUEST_TARGETBRANCH:-}}}}
  # Buildkite says false outside of pull requests.
  [ -n "$branch" ] || [ "${BUILDKITE_PULL_REQUEST:-false}" = false ] || branch=${BUILDKITE_PULL_REQUEST_BASE_BRANCH:-}
  printf %s "${branch#refs/heads/}"
}

# baseline_of IMAGE BRANCH: the baseline's name; nothing if the pattern needs a branch and there is none
baseline_of() {
  case $baseline_pattern in *'{branch}'*) [ -n "$2" ] || return 0 ;; esac
  printf %s "$baseline_pattern" | awk -v repository="$(without_tag "$1")" -v branch="$(printf %s "$2" | tr -c 'A-Za-z0-9_.-' '-')" '{
    while (i = index($0, "{repository}")) $0 = substr($0, 1, i - 1) repository substr($0, i + 12)
    while (i = index($0, "{branch}")) $0 = substr($0, 1, i - 1) branch substr($0, i + 8)
    printf "%s", $0
  }'
}

# scan_baseline BASELINE PLATFORM FILE OPTION...: scans without filters, because a finding that the image's filters let through may have been filtered in
# the baseline for a reason that has changed since, such as a fix that became available. Runs in the background, because it becomes the client.
scan_baseline() {
  baseline_image=$1 baseline_platform=$2 baseline_file=$3
  shift 3
  : >"$baseline_file"
  client "$baseline_file" --exit-code 0 --severity UNKNOWN,LOW,MEDIUM,HIGH,CRITICAL --ignore-unfixed=false \
    ${baseline_platform:+--platform "$baseline_platform"} ${1+"$@"} -- "$baseline_image" >"$baseline_file.log" 2>&1
}
