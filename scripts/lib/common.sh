# shellcheck shell=bash
# What every script here needs: where the tree is, how to speak, how to fail, how to stay alive
# in the eyes of the one who waits. Sourced, never run.
# shellcheck disable=SC2034  # variables are read by the scripts

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
program=$(basename "$0")
cache=${XDG_CACHE_HOME:-~/.cache}/mqtt-to-blob

# Progress goes to stderr, so that what a script answers on stdout can be used by others.
say() { printf '%s: %s\n' "$program" "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

# The comment at the head of a script is its help: written once, read in both places.
help_text() { sed -n '2,/^$/{/^#/!d;s/^# \{0,1\}//;p}' "$0"; }

# Exit code 64 is EX_USAGE of sysexits.h, as in the daemon.
usage_error() {
  printf '%s: error: %s\n\n' "$program" "$*" >&2
  help_text >&2
  exit 64
}

# alive WHAT COMMAND...: runs the command and says every ten seconds that it still does. The
# ticker waits in `read -t` on a pipe nobody writes to, because a `sleep` would outlive it and
# keep the caller's pipe open; it ends by itself when the script is killed, which it sees by having
# another parent then.
alive() {
  local what=$1 status=0 ticker begin=$SECONDS self parent
  shift
  (
    exec {never}<> <(:) >&2
    read -ra self </proc/self/stat
    parent=${self[3]}
    while [[ ${self[3]} == "$parent" ]]; do
      read -r -t 1 -u "$never" _ || true
      ((SECONDS == begin || (SECONDS - begin) % 10)) || say "$what: $((SECONDS - begin)) s"
      read -ra self </proc/self/stat
    done
  ) &
  ticker=$!
  "$@" || status=$?
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  return "$status"
}

# in_log FILE COMMAND...: to be used inside of `alive`, whose own lines must not end in the file.
in_log() { ("${@:2}") >"$1" 2>&1; }

# wait_until SECONDS COMMAND...: true as soon as the command is, false when the time is over.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.2
  done
}
