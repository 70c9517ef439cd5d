#!/usr/bin/env bash
# Builds the programs of a test cluster from the Go module hyperkube/ and prints their folder.
#   build.sh lean [VERSION]     etcd, kube-apiserver, kube-controller-manager, kubectl
#   build.sh node               these, the rest of Kubernetes, CoreDNS, Skipper, a storage provisioner, helm
#   build.sh helm               helm
# Needs Go 1.21 or newer; about 4 minutes of two cores for lean and 6 for node the first time, nothing
# afterwards: what was built is kept by a stamp over the sources, and node serves as the others too.
# VERSION: a Kubernetes other than the module's, for example v1.30.14; its dependencies are resolved
# anew and not held by go.sum.
. "$(dirname "$0")/../services/lib.sh"
CLUSTER=$(cd "$(dirname "$0")" && pwd)
CLUSTER_HOME=${MILLRACE_CLUSTER_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace/kubernetes}
usage() { sed -n '2,9s/^# \?//p' "$0"; exit 2; }
group=${1:-}
case $group in lean) ;; node | helm) [ $# = 1 ] || usage ;; *) usage ;; esac

cd "$CLUSTER/hyperkube" || exit 1
own=$(awk '$1 == "require" && $2 == "k8s.io/kubernetes" { print $3 }' go.mod)
version=${2:-$own}
stamp=$(cat "$CLUSTER/build.sh" go.mod go.sum ./*.go cmd/*/*.go | sha256sum | cut -c1-12)
folder=$CLUSTER_HOME/$group-$version-$stamp
# Prints the folder and ends where it is there, or that of the whole.
there() {
  local have
  for have in "$folder" "$CLUSTER_HOME/node-$version-$stamp"; do
    if [ -e "$have/whole" ]; then echo "$have"; exit 0; fi
  done
}
there
command -v go >/dev/null || die "the test cluster is built with Go, which is not installed"
mkdir -p "$CLUSTER_HOME"
exec 9>"$CLUSTER_HOME/.lock"; flock 9
there
new=$folder.new; rm -rf "$new"; mkdir -p "$new"
if [ "$version" != "$own" ]; then
  # The same program on another Kubernetes. That one names its own parts v0.0.0, which stand for
  # modules v0.MINOR.PATCH.
  cp main.go "$new"; cd "$new" || exit 1
  files=$(go mod download -json "k8s.io/kubernetes@$version" | awk -F'"' '$2 == "GoMod" { print $4 }')
  {
    printf 'module hyperkube\n\ngo 1.22\n\nrequire k8s.io/kubernetes %s\n' "$version"
    awk -v part="v0.${version#v1.}" '$2 == "v0.0.0" && $1 ~ /^k8s.io\// { print "replace", $1, "=>", $1, part }' "$files"
  } >go.mod
  go mod tidy >&2
fi
package=k8s.io/component-base/version minor=${version#v1.}
export CGO_ENABLED=0 # Static: they run on any machine, and in an image that holds nothing else.
build() {
  go build -trimpath -ldflags "-s -w -X $package.gitVersion=$version -X $package.gitMajor=1 \
    -X $package.gitMinor=${minor%%.*} -X $package.gitTreeState=clean -X $package.gitCommit=none \
    -X $package.buildDate=1970-01-01T00:00:00Z" "$@" >&2
}
programs=(etcd kube-apiserver kube-controller-manager kubectl)
case $group in
lean)
  say "Kubernetes $version: building (about 4 minutes, once)"
  build -tags lean -o "$new/hyperkube" . ;;
node)
  say "Kubernetes $version, CoreDNS, Skipper, helm: building (about 6 minutes, once)"
  build -o "$new/" . ./cmd/coredns ./cmd/smoketool github.com/zalando/skipper/cmd/skipper helm.sh/helm/v3/cmd/helm
  # On its own: two spellings of a module's name in one build are refused.
  build -o "$new/" github.com/rancher/local-path-provisioner
  programs+=(kube-scheduler kube-proxy kubelet) ;;
helm)
  say "helm: building (about 2 minutes, once)"
  build -o "$new/" helm.sh/helm/v3/cmd/helm
  programs=() ;;
esac
for name in "${programs[@]}"; do ln -s hyperkube "$new/$name"; done
touch "$new/whole"
rm -rf "$folder"; mv "$new" "$folder"
echo "$folder"
