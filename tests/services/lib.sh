# Sourced by the scripts beside it: processes by pid file, free ports, where tools are kept.
# Everything listens on 127.0.0.1. One folder is one server: its pid file, log and data.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# What is downloaded or built once per machine.
SERVICES_HOME=${MILLRACE_SERVICES_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace/services}

die() { echo "error: $*" >&2; exit 1; }
say() { echo "$*" >&2; }

# A pid file holds "PID STARTTIME", so that a pid which the system gave to somebody else is never
# signalled. A zombie counts as dead: whoever must reap it may take a second.
start_time() { awk '{sub(/.*\) /,""); if ($1 != "Z") print $20}' "/proc/$1/stat" 2>/dev/null || true; }
alive() {
  local pid start
  [ -f "$1" ] && read -r pid start <"$1" && [ -n "${start:-}" ] && [ "$(start_time "$pid")" = "$start" ]
}

# spawn PIDFILE LOGFILE COMMAND... : in a session of its own, so that it outlives the caller and
# takes no Ctrl-C meant for it. Descriptor 9 is the caller's lock, not the child's.
spawn() {
  local pid_file=$1 log=$2; shift 2
  setsid nohup "$@" >>"$log" 2>&1 </dev/null 9>&- &
  echo "$! $(start_time $!)" >"$pid_file"
}

# halt PIDFILE [SIGNAL] [SECONDS] : signals, waits, kills what is still there afterwards.
halt() {
  local pid _ i
  alive "$1" || { rm -f "$1"; return 0; }
  read -r pid _ <"$1"; kill "-${2:-TERM}" "$pid" 2>/dev/null || true
  for ((i = 0; i < ${3:-10} * 50; i++)); do
    alive "$1" || { rm -f "$1"; return 0; }
    sleep 0.02
  done
  kill -KILL "$pid" 2>/dev/null || true
  sleep 0.1; rm -f "$1"
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# Used by any socket in any state, listening or not.
port_used() {
  local hex; printf -v hex ':%04X' "$1"
  awk -v port="$hex" 'substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' \
    /proc/net/tcp $([ -f /proc/net/tcp6 ] && echo /proc/net/tcp6)
}
# free_ports COUNT : the first of COUNT neighbouring free ports, below the range from which the
# system takes the ports of outgoing connections.
free_ports() {
  local try base i
  for ((try = 0; try < 200; try++)); do
    base=$((15000 + (RANDOM * 32768 + RANDOM) % 17000))
    for ((i = 0; i < $1; i++)); do port_used $((base + i)) && continue 2; done
    echo "$base"; return 0
  done
  die "no free port between 15000 and 32000"
}

# wait_port PORT PIDFILE LOG [SECONDS]
wait_port() {
  local i
  for ((i = 0; i < ${4:-30} * 50; i++)); do
    alive "$2" || { tail -n 20 "$3" >&2; die "the server died before port $1 opened; its log is $3"; }
    port_open "$1" && return 0
    sleep 0.02
  done
  tail -n 20 "$3" >&2; die "port $1 did not open within ${4:-30} s; the server's log is $3"
}
