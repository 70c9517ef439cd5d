#!/usr/bin/env bash
# A private Apache Kafka (KRaft) of 1 or 3 nodes.
#   kafka.sh install                 jars, storage template, class-data archive: once per machine
#   kafka.sh start DIR PORT [NODES]  node i listens on PORT+2(i-1), its controller on the port after
#   kafka.sh stop  DIR [fast]        fast: kill, for data that is dropped
#   kafka.sh kill-node|start-node DIR I
#   kafka.sh bootstrap DIR           prints host:port,...
# ADVERTISE=host:port (1 node): a second listener on PORT+1000 that advertises that address, to put
# a fault proxy in front (it listens on ADVERTISE and forwards to 127.0.0.1:PORT+1000).
# SECURE=port:file:password (1 node): a listener that speaks TLS with the key and certificate in the
# PEM file, and lets in the user millrace with that password (SASL PLAIN).
. "$(dirname "$0")/lib.sh"
. "$HERE/kafka/config.sh"
HOME_DIR=$SERVICES_HOME/kafka
JARS=$HOME_DIR/jars
TEMPLATE=$HOME_DIR/template
ARCHIVE=$HOME_DIR/classes.jsa

# The archive only fits the same class path, so the jars stand in sorted order.
class_path() { local IFS=:; local -a jars=("$JARS"/*.jar); echo "${jars[*]}"; }
java_options() {
  echo "-Xmx${KAFKA_HEAP:-192m} -Xms32m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto" \
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=${KAFKA_LOG:-warn} -Dlog4j2.statusLoggerLevel=OFF"
}
# Kafka's form of a UUID; it must not begin with a dash.
uuid() {
  local id=-
  while [[ $id == -* ]]; do id=$(head -c16 /dev/urandom | base64 | tr '+/' '-_' | cut -c1-22); done
  echo "$id"
}

# What Kafka's StorageTool would write, without paying for a JVM.
format_node() { # DIR NODE CLUSTER_ID
  mkdir -p "$1/data"; cp "$TEMPLATE/bootstrap.checkpoint" "$1/data/"
  printf 'node.id=%s\ndirectory.id=%s\nversion=1\ncluster.id=%s\n' "$2" "$(uuid)" "$3" >"$1/data/meta.properties"
}
launch() { # NODE_DIR
  local archive=(); [ -f "$ARCHIVE" ] && archive=(-XX:SharedArchiveFile="$ARCHIVE")
  # shellcheck disable=SC2046
  spawn "$1/pid" "$1/log" java "${archive[@]}" $(java_options) -cp "$(class_path)" kafka.Kafka "$1/server.properties"
}

# Runs once to record the classes that a start needs, which halves the time of every later start.
make_template() {
  local work port
  work=$(mktemp -d); port=$(free_ports 2)
  write_config "$work" 1 "$port" "1@127.0.0.1:$((port + 1))" 1 ""
  java -XX:TieredStopAtLevel=1 -cp "$(class_path)" kafka.tools.StorageTool format -t "$(uuid)" \
    -c "$work/server.properties" >"$work/log" 2>&1 || { cat "$work/log" >&2; die "formatting Kafka's storage failed"; }
  # shellcheck disable=SC2046
  spawn "$work/pid" "$work/log" java -XX:ArchiveClassesAtExit="$ARCHIVE.tmp" -Xlog:cds=off -Xlog:cds+dynamic=off \
    $(java_options) -cp "$(class_path)" kafka.Kafka "$work/server.properties"
  wait_port "$port" "$work/pid" "$work/log" 60
  sleep 1; halt "$work/pid" TERM 60   # the archive is written on TERM
  cp "$work/data/bootstrap.checkpoint" "$TEMPLATE/"
  if [ -f "$ARCHIVE.tmp" ]; then mv "$ARCHIVE.tmp" "$ARCHIVE"; fi
  rm -rf "$work"
}

case ${1:-} in
install)
  stamp=$TEMPLATE/$(cksum <"$HERE/kafka/pom.xml" | tr ' ' -)
  [ -f "$stamp" ] && exit 0
  command -v mvn >/dev/null || die "Maven is not installed: run make install"
  command -v java >/dev/null || die "Java is not installed: run make install"
  mkdir -p "$HOME_DIR"; exec 9>"$HOME_DIR/.lock"; flock 9
  [ -f "$stamp" ] && exit 0
  say "Kafka: fetching about 45 jars (44 MB) from Maven, once per machine"
  rm -rf "$JARS" "$TEMPLATE" "$ARCHIVE"; mkdir -p "$JARS" "$TEMPLATE"
  mvn -q -B -ntp -f "$HERE/kafka/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$JARS" >&2
  say "Kafka: preparing the storage template and the class archive"
  make_template
  touch "$stamp"; say "Kafka: ready after $SECONDS s" ;;
start)
  dir=$(mkdir -p "$2" && cd "$2" && pwd); port=$3; nodes=${4:-1}
  "$0" install
  voters=; brokers=
  for ((i = 1; i <= nodes; i++)); do
    p=$((port + 2 * (i - 1)))
    voters+=${voters:+,}$i@127.0.0.1:$((p + 1)); brokers+=${brokers:+,}127.0.0.1:$p
  done
  [ -f "$dir/cluster.id" ] || uuid >"$dir/cluster.id"
  for ((i = 1; i <= nodes; i++)); do
    node=$dir/$i; p=$((port + 2 * (i - 1))); mkdir -p "$node"
    alive "$node/pid" && continue
    port_used "$p" && die "port $p is taken"
    port_used $((p + 1)) && die "port $((p + 1)) is taken"
    echo "$p" >"$node/port"
    write_config "$node" "$i" "$p" "$voters" "$nodes" "${ADVERTISE:-}"
    [ -f "$node/data/meta.properties" ] || format_node "$node" "$i" "$(cat "$dir/cluster.id")"
    launch "$node"
  done
  for ((i = 1; i <= nodes; i++)); do wait_port "$(cat "$dir/$i/port")" "$dir/$i/pid" "$dir/$i/log" 60; done
  echo "$brokers" >"$dir/bootstrap" ;;
stop)
  for node in "$2"/[0-9]*; do
    [ -d "$node" ] && { halt "$node/pid" "$([ "${3:-}" = fast ] && echo KILL || echo TERM)" 15 & }
  done
  wait ;;
kill-node) halt "$2/$3/pid" KILL ;;
start-node)
  node=$(cd "$2/$3" && pwd)
  alive "$node/pid" || launch "$node"
  wait_port "$(cat "$node/port")" "$node/pid" "$node/log" 60 ;;
bootstrap) cat "$2/bootstrap" ;;
*) sed -n '2,11s/^# \?//p' "$0"; exit 2 ;;
esac
