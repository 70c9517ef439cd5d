#!/usr/bin/env bash
# Builds the images of Millrace from ../Dockerfile with buildah, on a Debian made here from the mirror
# that this machine's apt uses: without Docker, without a registry.
#   images.sh [TARGET...]     all three by default: operator, transcode, quickstart
# Leaves target/images/TARGET.tar and prints each image's name, digest and size. The name is
# docker.io/millrace/TARGET:TAG; TAG=content makes a tag of what is in the images, the default is the
# version. Two builds of the same sources have one digest as long as Debian's packages are the same.
# PROGRAMS: a folder with the programs, in place of a release build
# MILLRACE_IMAGES_HOME: where the base and the layers are kept
. "$(dirname "$0")/services/lib.sh"
cd "$HERE/../.." || exit 1
[[ ${1:-} != -* ]] || { sed -n '2,10s/^# \?//p' "$0"; exit 2; }
targets=("$@"); [ $# -gt 0 ] || targets=(operator transcode quickstart)
home=${MILLRACE_IMAGES_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace/images}
out=$PWD/target/images context=$PWD/target/images/context
tag=${TAG:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)}
epoch=$(sed -n 's/^ARG SOURCE_DATE_EPOCH=//p' Dockerfile | head -n 1)
base=localhost/millrace-debian:12
buildah() { command buildah --root "$home/layers" --runroot "$home/run" "$@"; }

# What debian:12-slim is: the same packages, without texts.
make_base() {
  local work container
  say "Debian: making the base of the images (a minute, once)"
  work=$(mktemp -d "$home/base.XXXXXX")
  apt-get indextargets --format 'deb $(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
    SOURCE_DATE_EPOCH=$epoch mmdebstrap --quiet --mode=root --variant=minbase --include=usr-is-merged \
      --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --format=tar \
      --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
      --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
      --dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$work/base.tar" - >"$home/base.log" 2>&1 ||
    { tail -n 20 "$home/base.log" >&2; die "Debian's packages could not be had"; }
  container=$(buildah from scratch)
  buildah add -q "$container" "$work/base.tar" / >/dev/null
  buildah config --cmd bash "$container"
  buildah commit -q --rm --timestamp "$epoch" "$container" $base >/dev/null
  rm -rf "$work"
}
# The folder that the Dockerfile is built from: what is compiled, and of the sources what goes in as it is.
make_context() {
  mkdir -p "$context/bin" "$context/tests"
  rm -rf "$context/images" "$context/tests/services" "$context/kafka"
  cp -r images "$context/"; cp -r tests/services "$context/tests/"; mkdir "$context/kafka"
  if [ -z "${PROGRAMS:-}" ]; then tests/build.sh "$context/bin" >&2; else
    rm -f "$context/bin"/millrace-*
    for program in operator ingest transcode delivery; do
      strip --strip-debug -o "$context/bin/millrace-$program" "$PROGRAMS/millrace-$program"
    done
  fi
  [[ " ${targets[*]} " == *" quickstart "* ]] || return 0
  tests/services/s3.sh install; tests/services/kafka.sh install
  cp "$SERVICES_HOME/bin/versitygw-$(sed -n 's/^VERSION=//p' tests/services/s3.sh)" "$context/bin/versitygw"
  cp "$SERVICES_HOME/kafka/jars"/*.jar "$context/kafka/"
}

tests/install.sh cluster >&2
make_context
mkdir -p "$home"
exec 9>"$home/.lock"; flock 9
buildah inspect --type image $base >/dev/null 2>&1 || make_base
digests=()
for target in "${targets[@]}"; do
  buildah bud -q --isolation chroot --layers --timestamp "$epoch" --target "$target" -t "docker.io/millrace/$target:built" \
    -f Dockerfile --build-arg BASE=$base --build-arg RUST=$base --build-arg GO=$base "$context" >"$home/build.log" 2>&1 9>&- ||
    { tail -n 20 "$home/build.log" >&2; die "image $target was not built"; }
  digests+=("$(buildah inspect --type image --format '{{.FromImageDigest}}' "docker.io/millrace/$target:built")")
done
[ "$tag" != content ] || tag=dev-$(sha256sum <<<"${digests[*]}" | cut -c1-12)
for i in "${!targets[@]}"; do
  target=${targets[i]} image=docker.io/millrace/${targets[i]}:$tag
  rm -f "$out/$target.tar"
  # Not compressed, other than an OCI archive: a tenth of the time.
  buildah push -q "docker.io/millrace/$target:built" "docker-archive:$out/$target.tar:$image" 9>&-
  echo "$image ${digests[i]} $(($(stat -c %s "$out/$target.tar") / 1000000)) MB"
done
# Layers of programs that nobody will ask for again.
buildah rmi --prune >/dev/null 2>&1 || true
