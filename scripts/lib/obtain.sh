# shellcheck shell=bash
# A program that Debian has not, found on the machine or obtained into the cache. Sourced, never
# run; needs common.sh and go.sh. The script that sources it sets
#   tool      the name in PATH and in the cache
#   title     how it is called in messages
#   variable  in which a caller may name one
#   module    what `go install` makes it of
# and defines runs PATH: whether that is the program and works here.

cached=${cache:?}/bin/${tool:?}
build=${cache:?}/$tool-build

find_here() {
  local candidate given=${!variable:-}
  if [[ -n $given ]]; then
    if runs "$given"; then
      realpath "$given"
      return
    fi
    say "\$$variable ($given) is no ${title:?} that runs here; looking further"
  fi
  for candidate in "$(command -v "$tool" || true)" "$cached"; do
    if [[ -n $candidate ]] && runs "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

# By rename, so that nobody ever sees half a file.
install_cached() {
  runs "$1" || return 1
  mkdir -p "${cached%/*}"
  mv -f "$1" "$cached"
}

# with_go ARGUMENTS...: a build by Go. Up to two gigabytes of modules and objects, needed once: kept
# apart from the user's own Go folders and removed after success. After a failure they stay, so that
# the next try goes on from there. Whoever builds several names a folder for their objects in
# GO_OBJECTS, and removes it: what two are made of is compiled once then, if the flags are the same.
with_go() {
  local go
  export GOPATH=$build/path GOCACHE=${GO_OBJECTS:-$build/cache} GOTMPDIR=$build/tmp
  # The caller's flags are meant for other programs; a toolchain must not be fetched behind us. Without
  # what debuggers need, which takes a good part of the time.
  export GOFLAGS='-trimpath -gcflags=all=-dwarf=false' GOTOOLCHAIN=local GOBIN=$build/bin CGO_ENABLED=0
  unset GOROOT
  mkdir -p "$GOTMPDIR"
  go=$(go_command) || return 1
  say "building $title from source with $("$go" version | cut -d ' ' -f 3), once"
  if ! alive "building $title" in_log "$build/log" "$go" "$@"; then
    tail -n 15 "$build/log" >&2
    say "the whole log: $build/log"
    return 1
  fi
}

from_source() {
  with_go install -ldflags='-s -w' "${module:?}" || return 1
  # Named after the last part of the module's path.
  module=${module%@*}
  install_cached "$GOBIN/${module##*/}"
}

# Go makes its module folders read-only.
remove_build() {
  [[ ! -d $build ]] || { chmod -R u+w "$build" && rm -rf "$build"; }
}

# obtain WAY...: prints the path; tries the ways in this order. Under a lock: whoever waited for it
# finds what the first one made.
obtain() {
  local way
  find_here 2>/dev/null && return
  mkdir -p "$cache"
  exec {lock}>"$cache/$tool.lock"
  if ! flock --nonblock "$lock"; then
    say "another run is obtaining $title; waiting for it"
    alive "waiting" flock "$lock"
  fi
  if find_here; then return; fi
  for way in "$@"; do
    if "$way"; then
      remove_build
      echo "$cached"
      return
    fi
  done
  die "no $title to be had; set $variable to one, or see the messages above"
}
