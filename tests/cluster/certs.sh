#!/usr/bin/env bash
# The certificates and kubeconfigs of one test cluster, whose API server is at URL:
#   certs.sh DIR URL [NODE ADDRESS...]
# Does nothing where they are. With NODE, also those of a node of that name and of what runs beside it;
# ADDRESSes are the API server's. Other nodes of the cluster ask for theirs later.
set -euo pipefail
[ -n "${2:-}" ] || { sed -n '2,5s/^# \?//p' "$0"; exit 2; }
mkdir -p "$1"; cd "$1"; url=$2 node=${3:-}; shift $(($# > 2 ? 3 : 2))
umask 077

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
ca() { # NAME
  key "$1"
  openssl req -x509 -new -key "$1.key" -subj "/CN=millrace-test-$1" -days 30 -out "$1.crt" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}
# leaf CA NAME SUBJECT EXTENSION...
leaf() {
  local by=$1 name=$2 subject=$3; shift 3
  key "$name"
  openssl req -new -key "$name.key" -subj "$subject" |
    openssl x509 -req -CA "$by.crt" -CAkey "$by.key" -set_serial "0x$(openssl rand -hex 16)" -days 30 \
      -extfile <(printf '%s\n' keyUsage=critical,digitalSignature "$@") -out "$name.crt" 2>/dev/null
}
# user NAME SUBJECT : under a name that the audit log tells from others
user() {
  leaf ca "$1" "$2" extendedKeyUsage=clientAuth
  cat >"$1.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "$url", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
contexts: [{name: test, context: {cluster: test, user: $1}}]
current-context: test
END
}

of_node() { [ -z "$node" ] || [ -e "kubelet-$node.kubeconfig" ] || user "kubelet-$node" "/O=system:nodes/CN=system:node:$node"; }
if [ -e made ]; then of_node; exit; fi

ca ca
leaf ca kube-apiserver /CN=kube-apiserver extendedKeyUsage=serverAuth \
  "subjectAltName=DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1$(printf ',IP:%s' "$@" | sed 's/,IP:$//')"
# What signs the tokens of ServiceAccounts.
key sa; openssl ec -in sa.key -pubout -out sa.pub 2>/dev/null
user admin /O=system:masters/CN=admin
# One that may do everything: with a ServiceAccount for each controller a cluster starts 4 s later.
user kube-controller-manager /O=system:masters/CN=system:kube-controller-manager
if [ -n "$node" ]; then
  user kube-scheduler /CN=system:kube-scheduler
  user kube-proxy /CN=system:kube-proxy
  leaf ca apiserver-kubelet /O=system:masters/CN=apiserver-kubelet extendedKeyUsage=clientAuth
  ca front-proxy-ca
  leaf front-proxy-ca front-proxy /CN=front-proxy extendedKeyUsage=clientAuth
fi
of_node
touch made
