#!/usr/bin/env bash
# A private Redis.
#   redis.sh start DIR PORT [durable]   TCP on 127.0.0.1:PORT, 16 databases
#   redis.sh stop  DIR [fast]           fast: kill
# Without "durable" nothing is written to disk. REDIS_MAXMEMORY (default 1gb), never evicting:
# what is full must say so instead of losing parts silently.
. "$(dirname "$0")/lib.sh"

case ${1:-} in
start)
  command -v redis-server >/dev/null || die "redis-server is not installed: run make install"
  mkdir -p "$2"; dir=$(cd "$2" && pwd); port=$3
  alive "$dir/pid" && exit 0
  # Where it ran before, only its own last connections may still be closing.
  if [ -f "$dir/log" ]; then port_open "$port"; else port_used "$port"; fi && die "port $port is taken"
  keep=(--appendonly no); [ "${4:-}" = durable ] && keep=(--appendonly yes --appendfsync everysec)
  spawn "$dir/pid" "$dir/log" redis-server --bind 127.0.0.1 --port "$port" --dir "$dir" --databases 16 \
    --maxmemory "${REDIS_MAXMEMORY:-1gb}" --maxmemory-policy noeviction --daemonize no --save '' "${keep[@]}"
  wait_port "$port" "$dir/pid" "$dir/log" ;;
stop) halt "$2/pid" "$([ "${3:-}" = fast ] && echo KILL || echo TERM)" ;;
*) sed -n '2,6s/^# \?//p' "$0"; exit 2 ;;
esac
