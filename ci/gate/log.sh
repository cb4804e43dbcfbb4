# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables
# Messages. Sourced by scan-gate.sh.

say() { printf '%s\n' "scan-gate: $*"; }

# annotate error|warning TEXT: prints the text; on GitHub and Azure as an annotation next to the job
annotate() {
  if [ "${GITHUB_ACTIONS:-}" = true ]; then
    case $2 in *%*) set -- "$1" "$(printf %s "$2" | sed 's/%/%25/g')" ;; esac
    printf '::%s title=scan-gate::%s\n' "$1" "$2"
  elif [ "${TF_BUILD:-}" = True ]; then
    printf '##vso[task.logissue type=%s]scan-gate: %s\n' "$1" "$2"
  else
    say "$1: $2"
  fi
}

no_verdict() {
  annotate error "$1"
  exit 2
}

# Prints standard input without effects on terminals and CI systems: no control characters, nothing of it at the beginning of a line, and no `##[`
# or `##vso[`, which are commands anywhere in a line.
# harmless [TEXT]: leaves out lines with that text
harmless() {
  awk -v hidden="${1:-}" 'hidden == "" || !index($0, hidden) {
    gsub(/[\001-\010\013-\037\177]|\302[\200-\237]|\342\200[\213-\217\250-\256]|\342\201[\240-\257]|\357\273\277/, "")
    while (index($0, "##")) gsub(/##/, "# #")
    print "| " $0
    fflush()
  }'
}

# excerpt FILE: the first words of a file in one harmless line, without HTML tags
excerpt() {
  head -c 2000 "$1" 2>/dev/null | tr -c '[:alnum:] .,:/_=<>-' ' ' | sed 's/<[^>]*>/ /g; s/[<>]/ /g; s/   */ /g; s/^ *//' | cut -c 1-80 | sed 's/ *$//'
}
