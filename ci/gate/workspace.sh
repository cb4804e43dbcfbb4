# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables
# trivy.yaml and the ignore file, which the repository under test contains. Sourced by scan-gate.sh, once there is a client.

# from_config KEY: whether trivy.yaml has the key. A key of the same name in another place counts as well: then Trivy's default applies, which is stricter.
from_config() {
  [ -n "$config" ] && sed 's/#.*//' "$config" | grep -Eiq "(^|[^a-z0-9_-])$1[\"']?[[:space:]]*:"
}

# resolved KEY: the value as Trivy reads it, with lists joined by commas; KEY is the path in the file such as `vulnerability.vex`
resolved() {
  awk -v wanted="$1" '
    { match($0, /^ */); depth = RLENGTH / 4; text = substr($0, RLENGTH + 1) }
    text ~ /^- / && found { sub(/^- /, "", text); list = list (list == "" ? "" : ",") text; next }
    found { exit }
    match(text, /^[^:]*:/) {
      keys[depth] = substr(text, 1, RLENGTH - 1)
      path = keys[0]
      for (d = 1; d <= depth; d++) path = path "." keys[d]
      if (path != wanted) next
      found = 1
      list = substr(text, RLENGTH + 2)
      if (list == "[]" || list == "\"\"") list = ""
    }
    END { gsub(/"/, "", list); print list }' "$work/trivy-default.yaml"
}

# settle NAME ORIGIN KEY PATH DEFAULT: decides one setting. Sets $value and $from; without a variable and trivy.yaml, exports the default.
settle() {
  eval "value=\${TRIVY_$1:-}"
  from=$2
  [ -z "$from" ] || return 0
  if from_config "$3"; then
    value=$(resolved "$4") from=$config
  else
    value=$5 from=default
    [ -z "$value" ] || export "TRIVY_$1=$value"
  fi
}

# Decides the settings that trivy.yaml can contain, and sets $precedence to their description and $in_force to the repository's files that apply.
inspect_workspace() {
  config='' in_force=''
  if [ "$repository_config" = ignore ]; then
    # Files of these names in the repository have no effect; named explicitly, they do.
    : >"$work/empty.yaml" && : >"$work/none"
    [ -n "${TRIVY_CONFIG:-}" ] || export TRIVY_CONFIG="$work/empty.yaml"
    [ -n "${TRIVY_SECRET_CONFIG:-}" ] || export TRIVY_SECRET_CONFIG="$work/none.yaml"
    [ -n "$ignorefile_origin" ] || export TRIVY_IGNOREFILE="$work/none"
  fi
  if [ -n "${TRIVY_CONFIG:-}" ] && [ ! -r "$TRIVY_CONFIG" ]; then
    problem "TRIVY_CONFIG: cannot read the file $TRIVY_CONFIG"
    return 0
  fi
  if [ "${TRIVY_CONFIG:-}" = "$work/empty.yaml" ]; then
    :
  elif [ -n "${TRIVY_CONFIG:-}" ]; then
    config=$TRIVY_CONFIG
  elif [ -e trivy.yaml ]; then
    config=trivy.yaml
  fi
  if [ -n "$config" ]; then
    in_force=$config
    case $config in /*) absolute=$config ;; *) absolute=$PWD/$config ;; esac
    # What the file says, without the variables of this job.
    if ! (cd "$work" && env -i PATH="$PATH" HOME="${HOME:-/}" "$trivy" image --generate-default-config --config "$absolute" --format table \
      --template '' --compliance '' --input '' --ignorefile /dev/null --quiet=false none) >"$work/config.log" 2>&1 || [ ! -s "$work/trivy-default.yaml" ]; then
      sed 's/.*Fatal error//; s/.*convert flags to options: //' "$work/config.log" | tail -n 1 >"$work/config.error"
      problem "$config: Trivy cannot read it: $(excerpt "$work/config.error")"
      return 0
    fi
    # The only key that makes every scan with another format fail and that no option can override.
    if from_config table-mode; then
      awk '/^[^ \t#-]/ { skip = tolower($0) ~ /^["\047]?table-mode["\047]?[ \t]*:/ } !skip' "$config" >"$work/trivy.yaml"
      export TRIVY_CONFIG="$work/trivy.yaml"
      config=$TRIVY_CONFIG
      ! from_config table-mode || problem "$in_force: table-mode makes Trivy refuse to write a document; remove it, or write it as a block of its own"
      config=$in_force
    fi
  fi

  settle SEVERITY "$severity_origin" severity severity HIGH,CRITICAL
  severity=$value precedence="severity $value ($from)"
  settle IGNORE_UNFIXED "$ignore_unfixed_origin" ignore-unfixed vulnerability.ignore-unfixed true
  ignore_unfixed=$value precedence="$precedence; ignore-unfixed $value ($from)"
  settle SCANNERS "$scanners_origin" scanners scan.scanners vuln
  scanners=$value precedence="$precedence; scanners $value ($from)"
  settle IGNOREFILE "$ignorefile_origin" ignorefile ignorefile ''
  if [ "$from" = "$config" ]; then
    # Trivy checks that the file exists, so it was asked without this key.
    value=$(sed -n 's/^[[:space:]{,]*["'\'']\{0,1\}[Ii]gnore[Ff]ile["'\'']\{0,1\}[[:space:]]*:[[:space:]]*["'\'']\{0,1\}\([^"'\'',}#]*[^"'\'',}# ]\).*/\1/p' "$config" | head -n 1)
  elif [ "$from" = default ]; then
    for value in .trivyignore .trivyignore.yaml ''; do [ ! -f "$value" ] || break; done
    [ "$repository_config" != ignore ] || value=
  fi
  precedence="$precedence; ignore file ${value:-none} ($from)"
  [ -z "$value" ] || { in_force="${in_force:+$in_force, }$value" && check_ignorefile "$value" "$from"; }
  settle VEX "$vex_origin" vex vulnerability.vex ''
  precedence="$precedence; VEX ${value:-none} ($from)"
  [ -z "$value" ] || in_force="${in_force:+$in_force, }VEX $value"

  if from_config ignore-policy; then policy=$(resolved ignore-policy); else policy=${TRIVY_IGNORE_POLICY:-}; fi
  [ -z "$policy" ] || in_force="${in_force:+$in_force, }$policy"
  if [ -z "$end_of_life" ]; then
    # Trivy's own way to ask for that.
    end_of_life=warn
    if from_config exit-on-eol; then eol_status=$(resolved exit-on-eol); else eol_status=${TRIVY_EXIT_ON_EOL:-0}; fi
    [ "$eol_status" = 0 ] || end_of_life=fail
  fi
  unset TRIVY_EXIT_ON_EOL
  unrecognised=${SCAN_GATE_UNRECOGNISED:-$end_of_life}
}

# Whether inspect_workspace asks the client.
has_files() {
  for file in trivy.yaml .trivyignore.yaml; do [ ! -e "$file" ] || return 0; done
  case ${TRIVY_CONFIG:-}${TRIVY_IGNOREFILE:-} in '') return 1 ;; esac
}

# check_ignorefile FILE ORIGIN
check_ignorefile() {
  if [ ! -f "$1" ] || [ ! -r "$1" ]; then
    problem "$2: cannot read the ignore file $1"
    return 0
  fi
  case $1 in
    *.yaml | *.yml)
      # Trivy checks it without a scan, on an empty report.
      echo '{"SchemaVersion":2,"ArtifactName":"none","ArtifactType":"container_image"}' >"$work/empty.json"
      : >"$work/none.yaml"
      env -u TRIVY_IGNORE_POLICY "$trivy" convert --config "$work/none.yaml" --ignorefile "$1" --format json --output "$work/ignored" \
        "$work/empty.json" >"$work/config.log" 2>&1 ||
        problem "$1: is not a valid ignore file: $(sed -n 's/.*parse error: //p' "$work/config.log" | head -n 1 | cut -c 1-120 | tr -cd '[:print:]')"
      sections=$(sed 's/#.*//' "$1" | sed -n 's/^["'\'']*\([A-Za-z_-]*\)["'\'']*[[:space:]]*:.*/\1/p')
      for section in $sections; do
        one_of "$section" vulnerabilities misconfigurations secrets licenses ||
          problem "$1: '$section' has no effect in an ignore file; use vulnerabilities, misconfigurations, secrets or licenses"
      done
      ;;
    *)
      wrong=$(awk '{ sub(/\r$/, "") }
        /^[ \t]*(#|$)/ { next }
        $1 !~ /^[A-Za-z0-9][A-Za-z0-9._:-]*$/ { print FNR; exit }
        { for (i = 2; i <= NF; i++) {
            if ($i ~ /^#/) break
            if ($i ~ /^exp:/ && $i !~ /^exp:[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]$/) { print FNR; exit } } }' "$1")
      [ -z "$wrong" ] ||
        problem "$1: line $wrong is not valid in an ignore file; use an identifier such as CVE-2021-36159, with exp:2026-12-31 behind it if it expires"
      ;;
  esac
}
