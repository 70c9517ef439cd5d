#!/usr/bin/env bash
# One of the node's programs, run inside the node:   programs.sh start|kill PROGRAM
# Each can run on what an earlier run left. A pod outlives its containerd and kubelet.
. "$(dirname "$0")/../../services/lib.sh"
. "$(dirname "$0")/place.sh"
[ -n "${2:-}" ] || { sed -n '2,3s/^# \?//p' "$0"; exit 2; }
program=$2
case $program in
containerd) command=(containerd --config "$work/containerd.toml") ;;
etcd) command=("$home/bin/etcd" --data-dir "$work/etcd" --unsafe-no-fsync --log-level warn
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
  --listen-peer-urls http://127.0.0.1:2380) ;;
kube-apiserver) command=("$home/bin/kube-apiserver" --etcd-servers http://127.0.0.1:2379
  --advertise-address $node_ip --secure-port 6443 --service-cluster-ip-range $service_cidr --allow-privileged
  # Some real clusters have the second: who makes an owner wait for a child needs the right to.
  --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction,OwnerReferencesPermissionEnforcement
  --client-ca-file "$pki/ca.crt" --tls-cert-file "$pki/kube-apiserver.crt" --tls-private-key-file "$pki/kube-apiserver.key"
  --kubelet-client-certificate "$pki/apiserver-kubelet.crt" --kubelet-client-key "$pki/apiserver-kubelet.key"
  --kubelet-preferred-address-types InternalIP
  --service-account-issuer https://kubernetes.default.svc.cluster.local
  --service-account-key-file "$pki/sa.pub" --service-account-signing-key-file "$pki/sa.key"
  --requestheader-client-ca-file "$pki/front-proxy-ca.crt" --requestheader-allowed-names front-proxy
  --requestheader-extra-headers-prefix X-Remote-Extra- --requestheader-group-headers X-Remote-Group
  --requestheader-username-headers X-Remote-User
  --proxy-client-cert-file "$pki/front-proxy.crt" --proxy-client-key-file "$pki/front-proxy.key") ;;
kube-controller-manager) command=("$home/bin/kube-controller-manager" --kubeconfig "$pki/kube-controller-manager.kubeconfig"
  --leader-elect=false --allocate-node-cidrs --cluster-cidr $pod_cidr --service-cluster-ip-range $service_cidr
  --root-ca-file "$pki/ca.crt" --service-account-private-key-file "$pki/sa.key"
  --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key") ;;
kube-scheduler) command=("$home/bin/kube-scheduler" --kubeconfig "$pki/kube-scheduler.kubeconfig" --leader-elect=false) ;;
kube-proxy) command=("$home/bin/kube-proxy" --config "$work/kube-proxy.yaml") ;;
kubelet) command=("$home/bin/kubelet" --config "$work/kubelet.yaml" --kubeconfig "$pki/kubelet-$name.kubeconfig"
  --hostname-override $name --node-ip $node_ip) ;;
*) die "there is no program $program on the node" ;;
esac
case $1 in
start) alive "$work/run/$program.pid" || spawn "$work/run/$program.pid" "$log/$program.log" "${command[@]}" ;;
kill) halt "$work/run/$program.pid" KILL ;;
esac
