# Sourced by kafka.sh: a node's server.properties, sized for a small machine and for tests that
# should not wait minutes for retention, compaction or a dead broker to show.

write_config() { # DIR NODE PORT VOTERS NODES ADVERTISE
  local secure_port=${SECURE:-} pem_and_password
  local replicas=1 in_sync=1 listener='' advertised='' protocol=''
  [ "$5" -ge 3 ] && [ "${KAFKA_REPLICAS:-3}" != 1 ] && { replicas=3; in_sync=2; }
  [ -n "$6" ] && { listener=",PROXIED://127.0.0.1:$(($3 + 1000))"; advertised=",PROXIED://$6"; protocol=",PROXIED:PLAINTEXT"; }
  if [ -n "$secure_port" ]; then
    pem_and_password=${secure_port#*:}; secure_port=${secure_port%%:*}
    listener+=",SECURE://127.0.0.1:$secure_port"; advertised+=",SECURE://127.0.0.1:$secure_port"; protocol+=,SECURE:SASL_SSL
  fi
  cat >"$1/server.properties" <<P
process.roles=broker,controller
node.id=$2
controller.quorum.voters=$4
listeners=PLAINTEXT://127.0.0.1:$3,CONTROLLER://127.0.0.1:$(($3 + 1))$listener
advertised.listeners=PLAINTEXT://127.0.0.1:$3$advertised
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT$protocol
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$1/data
# the operator makes topics, with settings that matter: none may appear by accident
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=$replicas
min.insync.replicas=$in_sync
offsets.topic.num.partitions=1
offsets.topic.replication.factor=$replicas
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$in_sync
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=$replicas
share.coordinator.state.topic.min.isr=$in_sync
group.initial.rebalance.delay.ms=0
group.coordinator.append.linger.ms=0
num.network.threads=2
num.io.threads=2
num.replica.fetchers=1
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
# small heap: the cleaner's default buffer of 128 MiB does not fit
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.threads=1
# retention and compaction become visible within seconds
log.retention.check.interval.ms=2000
log.initial.task.delay.ms=1000
log.cleaner.backoff.ms=1000
log.segment.delete.delay.ms=1000
# a broker's death is seen within about a second
broker.heartbeat.interval.ms=250
broker.session.timeout.ms=1500
controller.quorum.election.timeout.ms=400
controller.quorum.election.backoff.max.ms=200
controller.quorum.fetch.timeout.ms=800
replica.lag.time.max.ms=3000
P
  [ -n "$secure_port" ] || return 0
  cat >>"$1/server.properties" <<P
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location=${pem_and_password%%:*}
listener.name.secure.sasl.enabled.mechanisms=PLAIN
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_millrace="${pem_and_password#*:}";
P
}
