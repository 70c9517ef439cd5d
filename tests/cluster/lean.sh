#!/usr/bin/env bash
# A real API server without a node: etcd, kube-apiserver and kube-controller-manager in a folder, on
# free ports, as this user. Objects are stored, checked, defaulted, watched and collected as in any
# cluster; no Pod ever runs.
#   lean.sh up DIR [VERSION]      starts it, or finds it running; prints variables for eval
#   lean.sh down DIR [drop]       ends it; drop: deletes the folder too
#   lean.sh stop|kill|start DIR PROGRAM     one of the three; starts again on its port and data
# OWNER=PID: it ends when that process does, however that ends.
# API_SERVER_FLAGS: more flags of kube-apiserver, for good.
# API_SERVER_CPUS: etcd and kube-apiserver run on these only, as 1 or 2-3.
# In DIR: admin.kubeconfig, kubectl, audit.log, PROGRAM.log
. "$(dirname "$0")/../services/lib.sh"
CLUSTER=$(cd "$(dirname "$0")" && pwd)
usage() { sed -n '2,11s/^# \?//p' "$0"; exit 2; }
[ -n "${2:-}" ] || usage
command=$1

# Every one of them can run on what an earlier run left.
start() { # PROGRAM
  local name=$1 port flags more=() on=()
  alive "$dir/$name.pid" && return 0
  port=$(cat "$dir/port")
  case $name in
  etcd) flags=(
    --name test --data-dir "$dir/etcd" --unsafe-no-fsync --log-level warn
    --listen-client-urls "http://127.0.0.1:$((port + 1))" --advertise-client-urls "http://127.0.0.1:$((port + 1))"
    --listen-peer-urls "http://127.0.0.1:$((port + 2))" --initial-advertise-peer-urls "http://127.0.0.1:$((port + 2))"
    --initial-cluster "test=http://127.0.0.1:$((port + 2))") ;;
  kube-apiserver) flags=(
    --etcd-servers "http://127.0.0.1:$((port + 1))" --bind-address 127.0.0.1 --advertise-address 127.0.0.1
    --secure-port "$port" --service-cluster-ip-range 10.96.0.0/16 --endpoint-reconciler-type none
    # Some real clusters have it: who makes an owner wait for a child needs the right to.
    --enable-admission-plugins OwnerReferencesPermissionEnforcement
    --authorization-mode RBAC --client-ca-file "$dir/pki/ca.crt"
    --tls-cert-file "$dir/pki/kube-apiserver.crt" --tls-private-key-file "$dir/pki/kube-apiserver.key"
    --service-account-issuer https://kubernetes.default.svc.cluster.local
    --service-account-key-file "$dir/pki/sa.pub" --service-account-signing-key-file "$dir/pki/sa.key"
    # A line is in the file before the next request of the same connection is looked at.
    --audit-policy-file "$CLUSTER/audit.yaml" --audit-log-path "$dir/audit.log" --audit-log-mode blocking
    --audit-log-maxsize 4096)
    read -ra more <"$dir/kube-apiserver.flags" || true ;;
  # Its own limits, 20 requests a second, would be the slowest thing in a test of hundreds of streams.
  kube-controller-manager) flags=(
    --kubeconfig "$dir/pki/kube-controller-manager.kubeconfig" --bind-address 127.0.0.1 --secure-port $((port + 3))
    --leader-elect=false --kube-api-qps 1000 --kube-api-burst 2000 --service-cluster-ip-range 10.96.0.0/16
    --root-ca-file "$dir/pki/ca.crt" --service-account-private-key-file "$dir/pki/sa.key") ;;
  *) die "there is no program $name in a lean cluster" ;;
  esac
  [ -z "${API_SERVER_CPUS:-}" ] || [ "$name" = kube-controller-manager ] || on=(taskset -c "$API_SERVER_CPUS")
  spawn "$dir/$name.pid" "$dir/$name.log" "${on[@]}" "$(cat "$dir/programs")/$name" "${flags[@]}" "${more[@]}"
}
ask() { # PATH
  curl -sf -o "$dir/answer" --max-time 5 --cacert "$dir/pki/ca.crt" --cert "$dir/pki/admin.crt" --key "$dir/pki/admin.key" \
    "https://127.0.0.1:$(cat "$dir/port")$1"
}
# until_answers PROGRAM PATH : fails when the program has died
until_answers() {
  local i
  for ((i = 0; i < 1200; i++)); do
    alive "$dir/$1.pid" || return 1
    ask "$2" && return 0
    sleep 0.05
  done
  return 1
}
up() {
  start etcd; start kube-apiserver
  until_answers kube-apiserver /readyz || return 1
  start kube-controller-manager
  # The first that pods and tests need of the controllers.
  until_answers kube-controller-manager /api/v1/namespaces/default/serviceaccounts/default
}
down() {
  local name
  # Nothing of it is wanted again unless the folder stays: then etcd ends in order, last.
  for name in kube-controller-manager kube-apiserver; do halt "$dir/$name.pid" KILL; done
  halt "$dir/etcd.pid" "$([ "${1:-}" = drop ] && echo KILL || echo TERM)"
  if [ "${1:-}" = drop ]; then rm -rf "$dir"; fi
}

case $command in
up)
  mkdir -p "$2"; dir=$(cd "$2" && pwd)
  exec 9>"$dir/.lock"; flock 9
  # Kept, so that a start of one program takes the version that is there.
  [ -f "$dir/programs" ] || { built=$("$CLUSTER/build.sh" lean ${3:+"$3"} 9>&-) && echo "$built" >"$dir/programs"; }
  ln -sfn "$(cat "$dir/programs")/kubectl" "$dir/kubectl"
  [ -f "$dir/kube-apiserver.flags" ] || echo "${API_SERVER_FLAGS:-}" >"$dir/kube-apiserver.flags"
  for try in 1 2 3; do
    [ -f "$dir/port" ] || free_ports 4 >"$dir/port"
    "$CLUSTER/certs.sh" "$dir/pki" "https://127.0.0.1:$(cat "$dir/port")"
    ln -sfn pki/admin.kubeconfig "$dir/admin.kubeconfig"
    if up; then break; fi
    down
    # Somebody may have taken a port between our look and the start: others, in a new cluster.
    if [ "$try" = 3 ] || ! grep -qs 'address already in use' "$dir"/*.log; then
      tail -n 5 "$dir"/*.log >&2; die "the cluster in $dir did not start"
    fi
    rm -rf "$dir/port" "$dir/pki" "$dir/etcd" "$dir"/*.log
  done
  if [ -n "${OWNER:-}" ]; then
    echo "$OWNER $(start_time "$OWNER")" >"$dir/owner"
    alive "$dir/watcher.pid" || spawn "$dir/watcher.pid" "$dir/watcher.log" "$0" watch "$dir"
  fi
  echo "export TEST_KUBECONFIG=$dir/admin.kubeconfig" ;;
watch)
  dir=$2
  # The pid file is ours as long as it names us: down and a later up end us by taking it away.
  while alive "$dir/owner"; do sleep 1; [ -f "$dir/watcher.pid" ] || exit 0; done
  rm -f "$dir/watcher.pid"
  exec "$0" down "$dir" drop ;;
down)
  [ -d "$2" ] || exit 0
  dir=$(cd "$2" && pwd)
  # An up that still starts some is waited for: else they would outlive us.
  exec 9>"$dir/.lock"; flock 9
  rm -f "$dir/watcher.pid"
  down "${3:-}" ;;
start)
  [ -n "${3:-}" ] || usage
  dir=$(cd "$2" && pwd)
  start "$3"
  [ "$3" != kube-apiserver ] || until_answers kube-apiserver /readyz ;;
stop | kill)
  [ -n "${3:-}" ] || usage
  dir=$(cd "$2" && pwd)
  # An API server that is asked to end takes no new connection, but waits a minute for open ones.
  halt "$dir/$3.pid" "$([ "$command" = stop ] && echo TERM || echo KILL)" 2 ;;
*) usage ;;
esac
