# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables
# Requests to the scan service, and the age of its vulnerability database. Sourced by scan-gate.sh.

# fetch URL FILE SECONDS [CURL-OPTION...]
fetch() {
  url=$1 file=$2 seconds=$3
  shift 3
  if command -v curl >/dev/null 2>&1; then
    curl -fsSL --netrc-optional --retry 2 --max-time "$seconds" ${1+"$@"} -o "$file" "$url"
  else
    # Some builds of BusyBox wget crash when given a timeout option.
    timeout "$seconds" wget -q -O "$file" "$url"
  fi
}

# ask URL FILE [DATA]: sends a GET request, or a POST request with JSON, without a token and without following redirects. Writes the body to FILE and
# sets $http to the status: empty if there was no answer.
ask() {
  http=
  : >"$2"
  if command -v curl >/dev/null 2>&1; then
    set -- "$1" "$2" ${3:+-H 'Content-Type: application/json' --data "$3"}
    http=$(
      ask_url=$1 ask_file=$2
      shift 2
      curl -sS --netrc-optional --max-time 10 ${TRIVY_CACERT:+--cacert "$TRIVY_CACERT"} ${insecure:+--insecure} ${1+"$@"} -o "$ask_file" -w '%{http_code}' \
        "$ask_url" 2>"$work/ask.log"
    )
    [ "$http" != 000 ] || http=
  else
    # wget has no option for the status; it names the status of a failure only.
    timeout 10 wget ${insecure:+--no-check-certificate} ${3:+--header 'Content-Type: application/json' --post-data "$3"} \
      -O "$2" "$1" >"$work/ask.log" 2>&1 && http=200 ||
      http=$(sed -n -e 's/.*HTTP\/[0-9.]* \([0-9][0-9][0-9]\).*/\1/p' -e 's/.*ERROR \([0-9][0-9][0-9]\):.*/\1/p' "$work/ask.log" | tail -n 1)
  fi
}

# read_version FILE: reads the answer to a question for the version, of the service or of the client. Sets $served, $db_updated and $db_next if it says
# them, and $is_version if it is such an answer at all.
read_version() {
  served='' db_updated='' db_next='' is_version=''
  while IFS='=' read -r name value; do
    case $name in
      is_version) is_version=yes ;;
      served) served=$value ;;
      updated) db_updated=$value ;;
      next) db_next=$value ;;
    esac
  done <<EOF
$(awk '
    { gsub(/[ \t\r]/, ""); text = text $0 }
    function part(from, key) {
      if (!match(from, "\"" key "\":\"[0-9TZ:.+-]*\"")) return ""
      return substr(from, RSTART + length(key) + 4, RLENGTH - length(key) - 5)
    }
    END {
      if (index(text, "\"Version\":\"")) print "is_version="
      version = part(text, "Version")
      if (version ~ /^[0-9]+\.[0-9]+\.[0-9]+$/) print "served=" version
      if (!match(text, /"VulnerabilityDB":[{][^}]*[}]/)) exit
      database = substr(text, RSTART, RLENGTH)
      print "updated=" part(database, "UpdatedAt")
      print "next=" part(database, "NextUpdate")
    }' "$1")
EOF
}

# Asks the service for its version. Sets $service to `up`, `foreign` (an answer that is not Trivy's, described by $foreign) or `down`, and $served,
# $db_updated and $db_next if it says them.
ask_service() {
  service=down foreign='' served='' db_updated='' db_next=''
  ask "$TRIVY_SERVER/version" "$work/version"
  [ -n "$http" ] || return 0
  service=up
  read_version "$work/version"
  case $http in
    # The gateway in front of servers that are all down.
    502 | 503 | 504) service=down ;;
    200) [ -n "$is_version" ] || service=foreign ;;
    *) service=foreign ;;
  esac
  [ "$service" = up ] || foreign="HTTP $http, \"$(excerpt "$work/version")\""
}

# Describes the answer of whatever stands between the gate and the service: `HTTP 403, "Forbidden by policy"`.
describe_intermediary() {
  ask "$TRIVY_SERVER/twirp/trivy.cache.v1.Cache/MissingBlobs" "$work/answer" '{}'
  case $(head -c 200 "$work/answer") in
    '{"code":"'*) echo "${1:-an unknown status}" ;;
    *) echo "HTTP ${http:-${1:-status unknown}}, \"$(excerpt "$work/answer")\"" ;;
  esac
}

# epoch TIME: seconds since 1970 of an RFC 3339 time in UTC
epoch() {
  echo "$1" | awk -F '[-T:.Z+]' 'NF >= 6 {
    year = $1; month = $2
    if (month <= 2) { year--; month += 12 }
    days = 365 * year + int(year / 4) - int(year / 100) + int(year / 400) + int((153 * (month - 3) + 2) / 5) + $3 - 719469
    printf "%.0f\n", days * 86400 + $4 * 3600 + $5 * 60 + $6
  }'
}

# seconds DURATION: sets $duration to the seconds of a duration such as 72h, 3d or 1h30m; fails if it is not one
seconds() {
  rest=$1 duration=0
  while [ -n "$rest" ]; do
    number=${rest%%[dhms]*}
    case $number in '' | "$rest" | *[!0-9]* | ??????????*) return 1 ;; esac
    rest=${rest#"$number"}
    # Numbers that begin with 0 would be octal.
    while [ "$number" != "${number#0}" ] && [ "$number" != 0 ]; do number=${number#0}; done
    case $rest in
      d*) duration=$((duration + number * 86400)) ;;
      h*) duration=$((duration + number * 3600)) ;;
      m*) duration=$((duration + number * 60)) ;;
      *) duration=$((duration + number)) ;;
    esac
    rest=${rest#?}
  done
}

# note_database UPDATED NEXT: remembers the oldest database that was seen
note_database() {
  [ -n "$1" ] && [ "$1" != "$db_oldest" ] || return 0
  built=$(epoch "$1")
  [ -n "$built" ] || return 0
  [ -z "$db_epoch" ] || [ "$built" -lt "$db_epoch" ] || return 0
  db_oldest=$1 db_epoch=$built db_oldest_next=$2
}

# look_at_clock: sets $now to the seconds since 1970, and $time to the time in words
look_at_clock() {
  read -r now time <<EOF
$(date -u '+%s %Y-%m-%dT%H:%M:%S')
EOF
}

# check_database: describes the database in $database, and in $stale why it must not decide, if so. Five minutes are for clocks that differ.
check_database() {
  stale=
  if [ -z "$db_epoch" ]; then
    database="of unknown age"
    [ "$max_age" = 0 ] || stale="the service does not say when its vulnerability database was built; set SCAN_GATE_MAX_DATABASE_AGE to 0 to accept that"
    return 0
  fi
  age=$((now - db_epoch))
  shown=$((age > 0 ? age / 3600 : 0))
  database="built ${db_oldest%%.*}, $shown h ago${db_oldest_next:+, next due ${db_oldest_next%%.*}}"
  [ "$max_age" != 0 ] || return 0
  if [ "$age" -gt $((max_age + 300)) ]; then
    stale="the vulnerability database is too old: $database; the limit is $max_age_setting (SCAN_GATE_MAX_DATABASE_AGE)"
  elif [ "$age" -lt -3600 ]; then
    stale="the vulnerability database is from the future: $database; the clock of this job or of the service is wrong"
  fi
}
