#!/usr/bin/env bash
# The first process of the node, in mount, network, pid, uts and ipc namespaces of its own, where
# node.sh starts it. When it ends the kernel ends every process below it, and the node's mounts and
# network go with them. The second node has no control plane.
set -euo pipefail
. "$(dirname "$0")/place.sh"
here=$(cd "$(dirname "$0")" && pwd)
trap 'exit 0' TERM INT

hostname $name
mount --make-rprivate /
mount -t tmpfs -o mode=755 node-run /run
# /sys anew, for the network namespace's own view; with the cgroups that were in the old one.
mkdir -p /run/cgroup && mount --rbind /sys/fs/cgroup /run/cgroup
umount -l /sys && mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup && umount -l /run/cgroup
for folder in /var/lib/kubelet /var/lib/cni /var/lib/containerd /var/log /etc/cni; do
  mkdir -p "$work/root$folder"
  mount --bind "$work/root$folder" "$folder"
done
mount --make-rshared /

ip link set lo up
until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
ip addr add $node_ip/30 dev eth0
ip link set eth0 up
# Nothing leaves the machine. A Service's address needs some route before its rule rewrites it.
ip route add unreachable default
ip route add $service_cidr via $host_ip
if [ $name != $api_node ]; then ip route add $api_node_net via $host_ip; ip route add $pod_cidr via $host_ip; fi
sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
mkdir -p /etc/cni/net.d
cat >/etc/cni/net.d/10-bridge.conflist <<END
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$node_pod_cidr"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
END

cat >"$work/containerd.toml" <<END
version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  # A root without CAP_SYS_RESOURCE cannot lower an oom_score_adj.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
END
# In a network namespace of its own kube-proxy cannot set the four sizes of conntrack.
cat >"$work/kube-proxy.yaml" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: $name
clusterCIDR: $pod_cidr
clientConnection: {kubeconfig: $pki/kube-proxy.kubeconfig}
oomScoreAdj: 0
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
END
printf 'nameserver 127.0.0.1\n' >"$work/resolv.conf"
# From version 1.35 a kubelet takes cgroups of version 1 only when told to.
cat >"$work/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /$cgroup
clusterDNS: [$dns_ip]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
resolvConf: $work/resolv.conf
failSwapOn: false
failCgroupV1: false
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
shutdownGracePeriod: 0s
oomScoreAdj: 0
END

start() { "$here/programs.sh" start "$1"; }
# A first process has to stay, and bash takes in every orphan.
stay() { while :; do sleep 3600 & wait $! || true; done; }
start containerd
if [ $name != $api_node ]; then
  start kube-proxy; start kubelet
  touch "$work/run/started"; stay
fi
start etcd; start kube-apiserver
(
  until ctr version >/dev/null 2>&1; do sleep 0.1; done
  for file in "$work"/images/*.tar; do ctr -n k8s.io images import "$file"; done
  touch "$work/run/images"
) >>"$log/images.log" 2>&1 &
until curl -sf --cacert "$pki/ca.crt" --cert "$pki/admin.crt" --key "$pki/admin.key" https://127.0.0.1:6443/readyz >/dev/null; do sleep 0.1; done
touch "$work/run/api"
for program in kube-controller-manager kube-scheduler kube-proxy kubelet; do start $program; done
touch "$work/run/started"; stay
