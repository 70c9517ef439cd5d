#!/usr/bin/env bash
# Starts Postgres, Redis and Kafka in a folder, on free ports, and prints the variables that the
# integration tests read:   eval "$(tests/services/up.sh DIR)"     end them with down.sh DIR
# A second call finds them running, or starts them again on the same data.
#   KAFKA_NODES=3  three brokers (KAFKA_REPLICAS=1: each topic on one of them)
#   DURABLE=1  keep data over restarts      S3=1  also an S3 server (needs Go, builds for minutes once)
. "$(dirname "$0")/lib.sh"
[ -n "${1:-}" ] || { sed -n '2,7s/^# \?//p' "$0"; exit 2; }
mkdir -p "$1"; dir=$(cd "$1" && pwd)
exec 9>"$dir/.lock"; flock 9
durable=$([ "${DURABLE:-0}" = 1 ] && echo durable || true)

# start NAME PORTS COMMAND... : on the port of last time if nobody took it, else on others. Somebody
# may take a port between our look and the server's start, hence the tries.
start() {
  local name=$1 count=$2 port try pid_file=$dir/$1/pid; shift 2
  [ "$name" = kafka ] && pid_file=$dir/kafka/1/pid
  mkdir -p "$dir/$name"
  alive "$pid_file" && return 0
  for try in 1 2 3; do
    port=$(cat "$dir/$name.port" 2>/dev/null || free_ports "$count")
    echo "$port" >"$dir/$name.port"
    "$HERE/$name.sh" start "$dir/$name" "$port" "$@" 9>&- && return 0
    rm -f "$dir/$name.port"
    # Not a matter of ports: say it once.
    tail -n 5 "$dir/$name"/{,1/}log 2>/dev/null | grep -qiE 'in use|bind' || port_used "$port" || return 1
  done
  return 1
}

"$HERE/kafka.sh" install 9>&-
start postgres 1 $durable & jobs=($!)
start redis 1 $durable & jobs+=($!)
start kafka $((2 * ${KAFKA_NODES:-1})) "${KAFKA_NODES:-1}" & jobs+=($!)
if [ "${S3:-0}" = 1 ]; then start s3 1 & jobs+=($!); fi
failed=0
for job in "${jobs[@]}"; do wait "$job" || failed=1; done
if [ $failed = 1 ]; then MILLRACE_LOCKED=1 "$HERE/down.sh" "$dir" 9>&-; die "the servers in $dir did not start"; fi

{
  echo "export TEST_DATABASE_URL=postgres://postgres@127.0.0.1:$(cat "$dir/postgres.port")/postgres"
  echo "export TEST_REDIS_URL=redis://127.0.0.1:$(cat "$dir/redis.port")"
  echo "export TEST_KAFKA_BROKERS=$(cat "$dir/kafka/bootstrap")"
  if [ "${S3:-0}" = 1 ]; then
    echo "export TEST_S3_ENDPOINT=http://127.0.0.1:$(cat "$dir/s3.port")"
    echo "export TEST_S3_ACCESS_KEY_ID=millrace TEST_S3_SECRET_ACCESS_KEY=millrace-secret"
  fi
} | tee "$dir/env"
