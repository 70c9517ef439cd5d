#!/usr/bin/env bash
# A private PostgreSQL.
#   postgres.sh start DIR PORT [durable]   TCP on 127.0.0.1:PORT, user "postgres", trusted
#   postgres.sh stop  DIR [fast]           fast: without a checkpoint, for data that is dropped
#   postgres.sh drop  DIR                  deletes the data of a stopped server
# Without "durable" nothing is synced to disk. Never touches the machine's own clusters.
# PostgreSQL refuses to run as root: it then runs as the user postgres, and where that user cannot
# reach DIR (a clone under /root), the data lies in /var/tmp instead and DIR/location says where.
. "$(dirname "$0")/lib.sh"

BIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
ROOT=$([ "$(id -u)" = 0 ] && echo yes || echo no)
as_owner() { if [ $ROOT = yes ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

# Prints the folder that holds the data of DIR. One in /var/tmp that DIR does not remember belonged
# to a DIR which somebody deleted: its server is ended and its data dropped.
location() {
  if [ -f "$1/location" ]; then cat "$1/location"; return; fi
  local path=$1/server pid
  if [ $ROOT = yes ] && ! runuser -u postgres -- test -x "$1"; then
    path=/var/tmp/millrace-postgres-$(printf %s "$1" | cksum | cut -d' ' -f1)
    [ -L "$path" ] && die "$path is a symbolic link; remove it"
    pid=$(head -n 1 "$path/data/postmaster.pid" 2>/dev/null || true)
    if [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "-D $path/data "; then
      echo "$pid $(start_time "$pid")" >"$1/pid"; halt "$1/pid" INT 15
    fi
    rm -rf "$path"
  fi
  echo "$path" | tee "$1/location"
}

prepare() { # FOLDER : owned by whoever runs the server, closed to others
  mkdir -p -m 700 "$1"
  if [ $ROOT = yes ]; then chown postgres "$1"; fi
  [ -f "$1/data/PG_VERSION" ] && return
  rm -rf "$1/data"
  (cd "$1" && as_owner "$BIN/initdb" -D "$1/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
    --no-sync >"$dir/initdb.log" 2>&1) || { cat "$dir/initdb.log" >&2; die "initdb failed in $1"; }
}

case ${1:-} in
start)
  [ -n "$BIN" ] || die "PostgreSQL is not installed: run make install"
  mkdir -p "$2"; dir=$(cd "$2" && pwd); port=$3
  alive "$dir/pid" && exit 0
  server=$(location "$dir")
  # Where it ran before, only its own last connections may still be closing.
  if [ -f "$dir/log" ]; then port_open "$port"; else port_used "$port"; fi && die "port $port is taken"
  prepare "$server"
  speed=(-c fsync=off -c synchronous_commit=off -c full_page_writes=off)
  [ "${4:-}" = durable ] && speed=()
  # setpriv execs, runuser forks: the pid noted must be the server's own.
  user=(); [ $ROOT = yes ] && user=(setpriv --reuid postgres --regid postgres --init-groups)
  # One left by a killed server may name a pid that is somebody else's now.
  rm -f "$server/data/postmaster.pid"
  cd "$server"
  spawn "$dir/pid" "$dir/log" "${user[@]}" "$BIN/postgres" -D "$server/data" -p "$port" -h 127.0.0.1 -k '' \
    -c shared_buffers=32MB -c max_connections=200 -c max_wal_size=256MB -c autovacuum_naptime=30s -c jit=off "${speed[@]}"
  for ((i = 0; i < 1500; i++)); do
    alive "$dir/pid" || { tail -n 20 "$dir/log" >&2; die "PostgreSQL died at start; its log is $dir/log"; }
    "$BIN/pg_isready" -q -h 127.0.0.1 -p "$port" && exit 0
    sleep 0.02
  done
  die "PostgreSQL did not answer on port $port within 30 s; its log is $dir/log" ;;
stop) # INT disconnects clients; TERM would wait for them
  [ -d "$2" ] || exit 0
  halt "$2/pid" "$([ "${3:-}" = fast ] && echo QUIT || echo INT)" 15 ;;
drop)
  [ -d "$2" ] || exit 0
  alive "$2/pid" && die "the server in $2 still runs"
  dir=$(cd "$2" && pwd)
  rm -rf "$(location "$dir")" "$dir" ;;
*) sed -n '2,8s/^# \?//p' "$0"; exit 2 ;;
esac
