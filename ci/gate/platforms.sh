# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables
# The platforms of an image, from its registry. Sourced by scan-gate.sh.

# Prints `user:password` for a registry: Trivy's variables, or the login of Docker's configuration file. Credential helpers are not asked.
registry_login() {
  if [ -n "${TRIVY_USERNAME:-}" ]; then
    printf '%s:%s' "$TRIVY_USERNAME" "${TRIVY_PASSWORD:-}"
    return 0
  fi
  docker=${DOCKER_CONFIG:-${HOME:-}/.docker}/config.json
  [ -r "$docker" ] || return 0
  key=$1
  [ "$key" != registry-1.docker.io ] || key=https://index.docker.io/v1/
  tr -d '\n\r\t ' <"$docker" | awk -v key="\"$key\":{" '{
    if (!(i = index($0, key))) exit
    entry = substr($0, i + length(key))
    entry = substr(entry, 1, index(entry, "}"))
    if (match(entry, /"auth":"[A-Za-z0-9+\/=]*"/)) print substr(entry, RSTART + 8, RLENGTH - 9)
  }' | base64 -d 2>/dev/null
}

# registry_get URL [HEADER]: GET with the headers from standard input's configuration, so that no login is an argument. Sets $http.
registry_get() {
  http=$(printf '%s\n' "$2" | curl -sS -L --max-time 30 -K - ${insecure:+--insecure} -D "$work/registry.headers" -o "$work/registry.body" -w '%{http_code}' \
    -H 'Accept: application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json' \
    "$1" 2>"$work/registry.log") || http=
}

# Prints a curl configuration line with a value that cannot end it.
curl_option() { printf '%s = "%s"\n' "$1" "$(printf %s "$2" | sed 's/[\\"]/\\&/g' | tr -d '\n\r')"; }

# list_platforms IMAGE: sets $listed to the platforms of an image, or to nothing for an image of one platform. Fails if the registry does not say.
list_platforms() {
  listed=
  reference=$(full_reference "$1")
  host=${reference%%/*}
  path=${reference#*/}
  case $path in *@*) tag=${path#*@} path=$(without_tag "$path") ;; *) tag=${path##*:} path=${path%:*} ;; esac
  [ "$host" != docker.io ] || host=registry-1.docker.io
  login=$(registry_login "$host")
  basic=${login:+$(curl_option user "$login")}
  url=https://$host/v2/$path/manifests/$tag
  registry_get "$url" ''
  case $http$host in
    localhost* | 127.0.0.1* | 10.* | 192.168.*) url=http://${url#*://} && registry_get "$url" '' ;;
    *) if { [ -z "$http" ] || [ "$http" = 000 ]; } && [ "${TRIVY_INSECURE:-}${TRIVY_NON_SSL:-}" != '' ]; then url=http://${url#*://} && registry_get "$url" ''; fi ;;
  esac
  if [ "$http" = 401 ]; then
    challenge=$(tr -d '\r' <"$work/registry.headers" | sed -n 's/^[Ww][Ww][Ww]-[Aa]uthenticate: *//p' | tail -n 1)
    case $challenge in
      [Bb]earer*)
        realm=$(printf %s "$challenge" | sed -n 's/.*realm="\([^"]*\)".*/\1/p')
        issuer=$(printf %s "$challenge" | sed -n 's/.*service="\([^"]*\)".*/\1/p' | sed 's/ /%20/g')
        # A login is not sent to another place in plain text.
        case $realm in https://* | "${url%%://*}://"*) registry_get "$realm?service=$issuer&scope=repository:$path:pull" "$basic" ;; *) return 1 ;; esac
        bearer=$(tr -d '\n\r ' <"$work/registry.body" | sed -n 's/.*"\(access_\)\{0,1\}token":"\([^"]*\)".*/\2/p')
        registry_get "$url" "$(curl_option header "Authorization: Bearer $bearer")"
        ;;
      *) registry_get "$url" "$basic" ;;
    esac
  fi
  [ "$http" = 200 ] || return 1
  listed=$(tr -d '\n\r\t ' <"$work/registry.body" | awk '{
    while (match($0, /"platform":[{][^{}]*[}]/)) {
      entry = substr($0, RSTART, RLENGTH)
      $0 = substr($0, RSTART + RLENGTH)
      name = part(entry, "os") "/" part(entry, "architecture")
      variant = part(entry, "variant")
      # Attestations are listed as a platform.
      if (name !~ /unknown/) print name (variant == "" ? "" : "/" variant)
    }
  }
  function part(entry, key) {
    return match(entry, "\"" key "\":\"[a-z0-9_.]*\"") ? substr(entry, RSTART + length(key) + 4, RLENGTH - length(key) - 5) : ""
  }' | sort -u | tr '\n' ' ')
}
