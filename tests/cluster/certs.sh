#!/usr/bin/env bash
# The certificates and kubeconfigs of one test cluster:   certs.sh DIR PORT
# Does nothing where they are. The API server is at https://127.0.0.1:PORT.
set -euo pipefail
[ -n "${2:-}" ] || { sed -n '2,3s/^# \?//p' "$0"; exit 2; }
mkdir -p "$1"; cd "$1"; port=$2
[ -e made ] && exit 0
umask 077

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
# leaf NAME SUBJECT EXTENSION...
leaf() {
  local name=$1 subject=$2; shift 2
  key "$name"
  openssl req -new -key "$name.key" -subj "$subject" |
    openssl x509 -req -CA ca.crt -CAkey ca.key -set_serial "0x$(openssl rand -hex 16)" -days 30 \
      -extfile <(printf '%s\n' keyUsage=critical,digitalSignature "$@") -out "$name.crt" 2>/dev/null
}
# user NAME SUBJECT : who may do everything, under a name that the audit log tells from others
user() {
  leaf "$1" "$2" extendedKeyUsage=clientAuth
  cat >"$1.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:$port", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
contexts: [{name: test, context: {cluster: test, user: $1}}]
current-context: test
END
}

key ca
openssl req -x509 -new -key ca.key -subj /CN=millrace-test -days 30 -out ca.crt \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
leaf kube-apiserver /CN=kube-apiserver extendedKeyUsage=serverAuth \
  subjectAltName=DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1
# What signs the tokens of ServiceAccounts.
key sa; openssl ec -in sa.key -pubout -out sa.pub 2>/dev/null
user admin /O=system:masters/CN=admin
user kube-controller-manager /O=system:masters/CN=system:kube-controller-manager
touch made
