#!/usr/bin/env bash
# A real cluster of one node without Docker and without a registry: kubelet and containerd, DNS, an
# Ingress controller (class skipper, port 80 of the node), a StorageClass (local-path). Needs root.
#   node.sh up                starts it, or finds it running; prints variables for eval
#   node.sh down              ends it and forgets it; LOGS=DIR keeps its logs there
#   node.sh kill|start PROGRAM     containerd, etcd, kubelet or another: ends it at once, starts it again
#   node.sh run COMMAND...    runs a command in the node
#   node.sh cut|mend          pulls the node's network, and puts it back
# NODE=second: the same for a second node, without a control plane; up joins it to the first, with the
# images that are there.
# The node lives in namespaces of its own below one process, and nothing in it reaches anything outside
# this machine. From here the node (10.123.0.2), Pods and Services are reached at their addresses.
. "$(dirname "$0")/../services/lib.sh"
CLUSTER=$(cd "$(dirname "$0")" && pwd)
. "$CLUSTER/node/place.sh"
usage() { sed -n '2,14s/^# \?//p' "$0"; exit 2; }
command=${1:-}; [ -n "$command" ] || usage; shift
[ "$(id -u)" = 0 ] || die "a node needs root"

# wait_for SECONDS WHAT COMMAND...
wait_for() {
  local end=$((SECONDS + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    alive "$work/node.pid" || { tail -n 5 "$log"/*.log >&2; die "the node ended; its logs are in $log"; }
    [ $SECONDS -lt "$end" ] || { tail -n 5 "$log"/*.log >&2; die "not in time: $what; the logs are in $log"; }
    sleep 0.1
  done
}
# Every pod's cgroup is below one of the cluster's own, in each tree of version 1 or in the one of 2. Its
# weight is that of many processes: else all pods together would get as much of the machine as one.
make_cgroups() {
  local tree
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "/sys/fs/cgroup/$cgroup"
    if [ -e "/sys/fs/cgroup/$cgroup/cpu.weight" ]; then echo 10000 >"/sys/fs/cgroup/$cgroup/cpu.weight"; fi
    return
  fi
  for tree in /sys/fs/cgroup/*/; do
    tree=${tree%/}
    [ "$(stat -fc %T "$tree")" = cgroupfs ] || continue
    mkdir -p "$tree/$cgroup"
    if [ -e "$tree/$cgroup/cpu.shares" ]; then echo 65536 >"$tree/$cgroup/cpu.shares"; fi
    if [ -e "$tree/cpuset.cpus" ]; then
      cat "$tree/cpuset.mems" >"$tree/$cgroup/cpuset.mems"; cat "$tree/cpuset.cpus" >"$tree/$cgroup/cpuset.cpus"
    fi
  done
}
remove_cgroups() {
  local i trees=(/sys/fs/cgroup/$cgroup /sys/fs/cgroup/*/$cgroup)
  for ((i = 0; i < 100; i++)); do
    find "${trees[@]}" -depth -type d -exec rmdir {} + 2>/dev/null || true
    [ -z "$(find "${trees[@]}" -maxdepth 0 -print -quit 2>/dev/null)" ] && return
    sleep 0.05
  done
  say "cgroups are left under /sys/fs/cgroup/*/$cgroup"
}
# The other end of the node's link is on this machine; that of the second node's in the first.
outside() {
  if [ $name = $api_node ]; then "$@"; else nsenter -t "$(cut -d' ' -f1 "$home/node.pid")" -n -- "$@"; fi
}
make_link() { # PID
  outside ip link add $link type veth peer name eth0 netns "$1"
  outside ip addr add $host_ip/30 dev $link
  mend
}
mend() {
  local net
  outside ip link set $link up
  if [ $name != $api_node ]; then outside ip route replace $node_pod_cidr via $node_ip; return; fi
  # Should the node die, its addresses must not follow this machine's default route out: below the
  # routes to it there are ones to nowhere.
  for net in $node_net $pod_cidr $service_cidr; do ip route replace unreachable $net metric 9000; done
  ip route replace $pod_cidr via $node_ip; ip route replace $service_cidr via $node_ip
}
remove_link() {
  local net
  if [ $name != $api_node ]; then
    if alive "$home/node.pid"; then outside ip link del $link 2>/dev/null || true; fi
    return
  fi
  ip link del $link 2>/dev/null || true
  for net in $node_net $pod_cidr $service_cidr; do ip route del unreachable $net metric 9000 2>/dev/null || true; done
}

up() {
  local outer pid deployment programs images
  mkdir -p "$work/run" "$log" /var/lib/kubelet /var/lib/cni /var/lib/containerd /etc/cni
  if [ $name = $api_node ]; then
    "$CLUSTER/../install.sh" cluster >&2
    programs=$("$CLUSTER/build.sh" node); images=$("$CLUSTER/node/images.sh" "$programs")
    ln -sfn "$programs" "$work/bin"; ln -sfn "$images" "$work/images"
    ln -sfn pki/admin.kubeconfig "$work/admin.kubeconfig"
  else alive "$home/node.pid" || die "there is no first node to join: node.sh up"; fi
  # The kubelet sets these three for the whole machine.
  sysctl -n vm.overcommit_memory kernel.panic kernel.panic_on_oops >"$work/sysctl"
  make_cgroups
  "$CLUSTER/certs.sh" "$pki" https://$api_node_ip:6443 $name $api_node_ip
  setsid unshare --mount --net --pid --uts --ipc --fork --kill-child --mount-proc \
    "$CLUSTER/node/first.sh" >"$log/node.log" 2>&1 </dev/null 9>&- &
  outer=$!
  echo "$outer $(start_time $outer)" >"$work/outer.pid"
  until pid=$(cat "/proc/$outer/task/$outer/children") && pid=${pid% } && [ -n "$pid" ]; do sleep 0.02; done
  echo "$pid $(start_time "$pid")" >"$work/node.pid"
  until [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
  make_link "$pid"
  if [ $name != $api_node ]; then
    wait_for 60 "the node's programs" test -e "$work/run/started"
    wait_for 60 "containerd" in_node ctr version
    # Those of a name; each has its digest as a second one.
    mapfile -t images < <(NODE=first "$CLUSTER/node.sh" run ctr -n k8s.io images ls -q | grep -v ^sha256:)
    NODE=first "$CLUSTER/node.sh" run ctr -n k8s.io images export - "${images[@]}" |
      in_node ctr -n k8s.io images import - >&2
    wait_for 90 "the node" kubectl wait --for=condition=Ready node/$name --timeout=1s
    return
  fi
  wait_for 120 "the API server" test -e "$work/run/api"
  wait_for 60 "the node's programs" test -e "$work/run/started"
  wait_for 60 "images" test -e "$work/run/images"
  wait_for 60 "the system's namespaces" kubectl get serviceaccount -n kube-system default
  kubectl apply -f "$CLUSTER/node/manifests" >/dev/null
  wait_for 90 "the node" kubectl wait --for=condition=Ready node/$name --timeout=1s
  for deployment in $(kubectl get deployment -n kube-system -o name); do
    wait_for 90 "$deployment" kubectl wait -n kube-system --for=condition=Available "$deployment" --timeout=1s
  done
}
down() {
  local values
  if [ $name = $api_node ]; then NODE=second "$CLUSTER/node.sh" down
  elif alive "$home/node.pid"; then kubectl delete node $name --ignore-not-found --request-timeout=10s >&2 || true; fi
  halt "$work/outer.pid" KILL; halt "$work/node.pid" KILL
  remove_link; remove_cgroups
  if [ -s "$work/sysctl" ]; then
    mapfile -t values <"$work/sysctl"
    sysctl -qw vm.overcommit_memory="${values[0]}" kernel.panic="${values[1]}" kernel.panic_on_oops="${values[2]}"
  fi
  grep -q " $work/" /proc/mounts && die "mounts are left under $work"
  if [ -n "${LOGS:-}" ]; then mkdir -p "$LOGS"; cp -r "$log/." "$LOGS"; fi
  rm -rf "$work"
  # An empty folder that another node has mounted over would go with its mount.
  [ $name = $api_node ] || return 0
  rmdir /var/lib/kubelet /var/lib/cni /var/lib/containerd /etc/cni/net.d /etc/cni 2>/dev/null || true
}
lock() { mkdir -p "$(dirname "$home")"; exec 9>"$home.lock-$name"; flock 9; }

case $command in
up)
  lock
  if ! alive "$work/node.pid" || ! kubectl get --raw /readyz >/dev/null 2>&1; then
    if [ -d "$work" ]; then down; fi
    up
  fi
  echo "export KUBECONFIG=$home/admin.kubeconfig PATH=$(readlink "$home/bin"):\$PATH" ;;
down)
  lock
  if [ -d "$work" ]; then down; fi
  rm -f "$home.lock-$name" ;;
cut | mend)
  alive "$work/node.pid" || die "the node is not up"
  if [ "$command" = mend ]; then mend; else outside ip link set $link down; fi ;;
kill | start)
  [ -n "${1:-}" ] || usage
  alive "$work/node.pid" || die "the cluster is not up"
  in_node "$CLUSTER/node/programs.sh" "$command" "$1" ;;
run)
  alive "$work/node.pid" || die "the cluster is not up"
  in_node "$@" ;;
*) usage ;;
esac
