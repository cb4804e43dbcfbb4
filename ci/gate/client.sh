# shellcheck shell=sh disable=SC2034,SC2154 # the parts share their variables
# The Trivy client: an installed one of the wanted version, or a downloaded one. Sourced by scan-gate.sh.

# The version that is downloaded unless the server or the settings name another one. The checksums of its archives are part of the gate, because an
# attacker who can replace a release can also replace the checksums published next to it.
default_version=0.74.0
pinned_checksum() {
  case $1 in
    0.74.0_Linux-64bit) echo 2ae6fe3ee734b7fdf11335663e18c75ea12dccc76062f09f164a3b0f8be4371a ;;
    0.74.0_Linux-ARM64) echo b94ce1976bbf3c15b514b605ee88be7c6d94a29be2302847ff01cb794d47aad5 ;;
    0.74.0_macOS-64bit) echo 472816f6888dda689d075c30254d4210b4d1035acf365aa72332f584c2f60485 ;;
    0.74.0_macOS-ARM64) echo 1caada5e0e2091909357c7525d3aa76f4b660b13821bc143b190c7483e31cc11 ;;
  esac
}

# Older clients do not write the service's database into the report.
minimum_version=0.70.0

# ask_client CLIENT: writes what the client says about itself to a file. A broken trivy.yaml in the working directory would make even this fail. Without
# garbage collection, the client needs two thirds of the time.
ask_client() { GOGC=off "$1" --version --config /dev/null >"$work/installed" 2>/dev/null </dev/null; }

# Sets $version to the version in that file, or to nothing.
read_client() {
  version=
  while read -r word value; do
    [ "$word" = Version: ] || continue
    case $value in '' | [!0-9]* | *[!0-9.]*) ;; *) version=$value ;; esac
    return 0
  done <"$work/installed"
}

# is_older A B
is_older() {
  [ "$1" != "$2" ] || return 1
  older=$1 newer=$2
  while :; do
    [ "${older%%.*}" -eq "${newer%%.*}" ] || break
    case $older$newer in *.*) ;; *) return 1 ;; esac
    older=${older#*.} newer=${newer#*.}
  done
  [ "${older%%.*}" -lt "${newer%%.*}" ]
}

checksum() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

# Sets $trivy and $version.
choose_client() {
  wanted=${SCAN_GATE_TRIVY_VERSION:-$served}
  trivy=${SCAN_GATE_TRIVY:-trivy}
  version=$installed
  if [ -z "${SCAN_GATE_TRIVY:-}" ] && { [ -z "$version" ] || [ "$version" != "${wanted:-$version}" ]; }; then
    wanted=${wanted:-$default_version}
    download_client
  fi
  case $version in
    '')
      "$trivy" --version >/dev/null 2>&1
      [ $? -ne 126 ] || no_verdict "'$trivy' is not executable; check its mode, and whether its file system is mounted with noexec"
      no_verdict "'$trivy --version' prints no version; set SCAN_GATE_TRIVY to a Trivy client"
      ;;
    0.69.[456]) no_verdict "Trivy $version is a malicious release (GHSA-69fq-xp46-6x23); use $default_version" ;;
  esac
  ! is_older "$version" "$minimum_version" ||
    no_verdict "the client '$trivy' is Trivy $version, which is too old; the gate needs $minimum_version or later"
  [ "$version" = "${served:-$version}" ] ||
    annotate warning "the client is Trivy $version but the service is $served: they share no cache entries, so every image is analysed again"
}

# can_execute FOLDER
can_execute() {
  printf '#!/bin/sh\nexit 0\n' >"$1/probe" 2>/dev/null && chmod 755 "$1/probe" && "$1/probe" 2>/dev/null
}

# Sets $programs to a new folder in which programs can be executed: hardened machines mount /tmp with `noexec`.
choose_programs_folder() {
  refused_folders=
  for parent in "$work" "${RUNNER_TEMP:-}" "${TMPDIR:-/tmp}" "$PWD" "${HOME:-}"; do
    [ -n "$parent" ] || continue
    programs=$(mktemp -d "$parent/scan-gate.XXXXXX" 2>/dev/null) || continue
    if can_execute "$programs"; then
      [ -z "$refused_folders" ] || say "$refused_folders does not allow execution (noexec); the client is put into $parent instead"
      return 0
    fi
    rm -rf "$programs"
    case $parent in "$work") parent=${work%/*} ;; esac
    case " $refused_folders" in *" $parent"*) ;; *) refused_folders=${refused_folders:+$refused_folders, }$parent ;; esac
  done
  programs=
  no_verdict "no folder allows the execution of programs (noexec): tried $refused_folders; set TMPDIR to one that does, or SCAN_GATE_TRIVY to an installed client"
}

download_client() {
  case $(uname -s)/$(uname -m) in
    Linux/x86_64 | Linux/amd64) release=Linux-64bit ;;
    Linux/aarch64 | Linux/arm64) release=Linux-ARM64 ;;
    Darwin/x86_64) release=macOS-64bit ;;
    Darwin/arm64) release=macOS-ARM64 ;;
    *) no_verdict "Trivy has no release for $(uname -s) on $(uname -m); install Trivy $wanted and set SCAN_GATE_TRIVY to its path" ;;
  esac
  expected=${SCAN_GATE_TRIVY_SHA256:-$(pinned_checksum "${wanted}_$release")}
  if [ -z "$expected" ] && [ -n "${SCAN_GATE_TRIVY_VERSION:-}" ]; then
    no_verdict "the checksum of Trivy $wanted for $release is unknown; set SCAN_GATE_TRIVY_SHA256"
  elif [ -z "$expected" ]; then
    # The checksum of the service's version is unknown: use the installed client, or else download the default version.
    [ -z "$version" ] || return 0
    wanted=$default_version
    expected=$(pinned_checksum "${wanted}_$release")
  fi
  choose_programs_folder
  archive=trivy_${wanted}_$release.tar.gz
  say "downloading $download/v$wanted/$archive"
  fetch "$download/v$wanted/$archive" "$programs/$archive" 300 ||
    no_verdict "the client cannot be downloaded from $download; set SCAN_GATE_TRIVY_URL to a mirror or SCAN_GATE_TRIVY to an installed client"
  actual=$(checksum "$programs/$archive")
  [ "$actual" = "$expected" ] ||
    no_verdict "$archive does not match the release: its SHA-256 is $actual, expected $expected; it was neither unpacked nor run"
  tar -xzf "$programs/$archive" -C "$programs" trivy || no_verdict "$archive cannot be unpacked into $programs"
  rm -f "$programs/$archive"
  trivy=$programs/trivy
  ask_client "$trivy"
  read_client
}
