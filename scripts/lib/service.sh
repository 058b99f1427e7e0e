# shellcheck shell=bash
# Programs that outlive the script which started them: each has a record of one line in $state,
# `PID START-TIME PORT...`. The start time (clock ticks since boot) tells the process from a later
# one with the same pid, so that nobody else's process is ever stopped. Needs common.sh.
# shellcheck disable=SC2154  # $state belongs to the script

# Prints the start time of a process that lives; a zombie does not (in a container nobody may
# ever collect it).
start_time() {
  local stat fields
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  read -ra fields <<<"${stat##*) }" # behind the name, which may hold blanks and brackets
  [[ ${fields[0]} != Z ]] && echo "${fields[19]}"
}

service_record() { cat "$state/$1.service" 2>/dev/null; }

service_pid() { service_record "$1" | cut -d ' ' -f 1; }

# service_ports NAME: prints the ports it was started with, also when it is gone.
service_ports() { service_record "$1" | cut -d ' ' -f 3-; }

service_lives() {
  local pid since
  # Not from a process of its own, which might outlive this script for a moment.
  { read -r pid since _ <"$state/$1.service"; } 2>/dev/null || return 1
  [[ $(start_time "$pid") == "$since" ]]
}

service_gone() { ! service_lives "$1"; }

# service_start NAME "PORT..." COMMAND...: in a session of its own, so that no Ctrl-C and no
# closing terminal reaches it, its output in $state/NAME.log.
service_start() {
  local name=$1 ports=$2
  shift 2
  service_launching=1
  setsid "$@" </dev/null >"$state/$name.log" 2>&1 {lock}>&- {messages}>&- &
  printf '%s %s %s\n' "$!" "$(start_time "$!" || echo gone)" "$ports" >"$state/$name.service"
  service_launching=
}

# For an exit trap: the program that was started and has no record yet.
service_abort_launch() { [[ -z ${service_launching:-} ]] || kill "$!" 2>/dev/null || true; }

# Asks, waits, and only then forces. The record stays: the ports are tried again next time.
service_stop() {
  local pid
  service_lives "$1" || return 0
  pid=$(service_pid "$1")
  kill -TERM "$pid" 2>/dev/null || true
  wait_until 15 service_gone "$1" && return
  say "$1 (pid $pid) does not stop when asked; killing it"
  kill -KILL "$pid" 2>/dev/null || true
  wait_until 5 service_gone "$1"
}

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# pick_ports COUNT [OLD...]: the old ports if nobody has them, else new ones, into $ports. Below
# 32768, where the kernel gives none away to outgoing connections. Somebody may still take one
# before we do: whoever starts a service tries again.
pick_ports() {
  local count=$1 port
  local -a candidates=("${@:2}")
  while ((${#candidates[@]} < count + 200)); do candidates+=($((20000 + RANDOM % 12000))); done
  ports=
  for port in "${candidates[@]}"; do
    if [[ " $ports " == *" $port "* ]] || port_answers "$port"; then continue; fi
    ports+="${ports:+ }$port"
    ((--count)) || return 0
  done
  return 1
}
