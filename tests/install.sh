#!/usr/bin/env bash
# Installs what a Debian 12 with git, make and Rust still lacks, as root or through sudo.
#   install.sh          everything that build, demo and tests need
#   install.sh bench    says so where nginx lacks the RTMP module that the benchmarks measure beside us
#   install.sh cluster  what a node of tests/cluster and the images are made with
# Says nothing and does nothing when all is there. Starts no server and touches none: the packages'
# own services are kept from starting, and PostgreSQL from making a cluster.
set -euo pipefail

fail() { echo "error: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
node_at_least_18() { have node && [ "$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge 18 ]; }

packages=()
need() { packages+=("$@"); }
# By what a package is for, not by its name: another source of the same tool is as good.
{ have gcc && have g++ && have make; } || need build-essential
have perl || need perl
have pkg-config || need pkg-config
[ -f /usr/include/openssl/ssl.h ] || need libssl-dev
have curl || need curl ca-certificates
have unzip || need unzip
have flock || need util-linux
{ have ffmpeg && have ffprobe; } || need ffmpeg
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || need postgresql
have psql || need postgresql-client
have redis-server || need redis-server
have openssl || need openssl
compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || need libfaketime
have java || need openjdk-17-jre-headless
have mvn || need maven
have chromium || need chromium
[ -f /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || need fonts-dejavu-core
node_at_least_18 || need nodejs
have npm || need npm
have pip3 || need python3-pip
# With the module for the benchmarks: once there is an nginx, it would be switched on in it.
{ have nginx || [ -x /usr/sbin/nginx ]; } || need nginx libnginx-mod-rtmp

case ${1:-} in
'') ;;
bench)
  if [ ! -f /usr/lib/nginx/modules/ngx_rtmp_module.so ] && [[ " ${packages[*]} " != *" nginx "* ]]; then
    # Its package would switch the module on in the nginx that is there.
    echo "The nginx of this machine has no RTMP module, and is left as it is."
  fi ;;
cluster)
  # Some are in folders that are only in root's path.
  [ -e /usr/bin/containerd ] || need containerd
  [ -e /usr/sbin/runc ] || need runc
  [ -e /usr/lib/cni/bridge ] || need containernetworking-plugins
  [ -e /usr/sbin/nft ] || need nftables
  [ -e /usr/sbin/iptables ] || need iptables
  [ -e /usr/sbin/conntrack ] || need conntrack
  [ -e /bin/busybox ] || need busybox-static
  have ip || [ -e /sbin/ip ] || need iproute2
  have buildah || need buildah
  have mmdebstrap || need mmdebstrap ;;
*) fail "unknown group $1; there are: bench, cluster" ;;
esac

missing_rust() { ! have cargo && [ ! -x "$HOME/.cargo/bin/cargo" ]; }
if missing_rust; then fail "Rust is not installed. Get it from https://rustup.rs, then run this again."; fi
if [ ${#packages[@]} = 0 ]; then exit 0; fi

have apt-get || fail "needed but not installed, and there is no apt-get here: ${packages[*]}"
root=()
if [ "$(id -u)" != 0 ]; then
  have sudo || fail "installing needs root; run as root or install sudo. Missing: ${packages[*]}"
  root=(sudo)
fi
echo "Installing ${#packages[@]} Debian packages: ${packages[*]}"

# Debian asks this program whether a package may start its service: 101 is no. PostgreSQL's packages
# read the other file before they make a first cluster. Both go away again when we are done.
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.d/millrace.conf
made=()
log=$(mktemp)
cleanup() { if [ ${#made[@]} -gt 0 ]; then "${root[@]}" rm -f "${made[@]}"; fi; rm -f "$log"; }
trap cleanup EXIT
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee $policy >/dev/null
  made+=($policy)
  "${root[@]}" chmod 755 $policy
fi
"${root[@]}" mkdir -p "$(dirname $cluster)"
echo 'create_main_cluster = false' | "${root[@]}" tee $cluster >/dev/null
made+=($cluster)

apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 -q)
run() { # WHAT COMMAND... : shows that it lives, and the end of its output when it fails
  local what=$1 pid start=$SECONDS; shift
  "$@" >"$log" 2>&1 </dev/null & pid=$!
  while kill -0 $pid 2>/dev/null; do
    if [ -t 1 ]; then printf '\r  %s … %d s \033[K' "$what" $((SECONDS - start))
    elif [ $(((SECONDS - start) % 10)) = 9 ]; then echo "  $what … $((SECONDS - start)) s: $(tail -n 1 "$log" | cut -c1-80)"; fi
    sleep 1
  done
  if [ -t 1 ]; then printf '\r\033[K'; fi
  wait $pid || { tail -n 15 "$log" >&2; fail "$what failed (above). Packages: ${packages[*]}"; }
  echo "  $what: done in $((SECONDS - start)) s"
}
run "package lists" "${apt[@]}" update
# "Need to get 153 MB/253 MB of archives." and "After this operation, 1,012 MB of additional …"
"${apt[@]}" install --no-install-recommends --assume-no "${packages[@]}" 2>/dev/null </dev/null |
  grep -E '^(Need to get|After this operation)' | sed 's/^/  /' || true
run "download" "${apt[@]}" install -y --no-install-recommends --download-only "${packages[@]}"
run "unpack and set up" "${apt[@]}" install -y --no-install-recommends "${packages[@]}"
# What came with our packages must not start at the next boot either; what was there stays as it was.
for service in redis-server postgresql nginx containerd; do
  if [[ " ${packages[*]} " == *" $service "* ]] && have systemctl; then
    "${root[@]}" systemctl disable -q "$service" 2>/dev/null || true
  fi
done
echo "Installed after $SECONDS s."
