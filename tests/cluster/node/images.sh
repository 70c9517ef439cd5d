#!/usr/bin/env bash
# The images of what the cluster itself runs, made from nothing, and one of busybox with the smoke
# test's server and client; prints their folder.   images.sh PROGRAMS
. "$(dirname "$0")/../../services/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
[ -n "${1:-}" ] || { sed -n '2,3s/^# \?//p' "$0"; exit 2; }
programs=$1
folder=$programs/images-$(cat "$0" "$here/pause.c" | sha256sum | cut -c1-12)
[ -d "$folder" ] && { echo "$folder"; exit 0; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
buildah() { command buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs "$@"; }
mkdir "$work/images"
image() { # NAME CONFIGURATION... : of the folder of that name
  local name=$1 container; shift
  container=$(buildah from scratch)
  buildah copy -q "$container" "$work/$name" / >/dev/null
  buildah config "$@" "$container"
  buildah commit -q "$container" "oci-archive:$work/images/$name.tar:localhost/$name:1" >/dev/null
  buildah rm "$container" >/dev/null
}
mkdir "$work/pause"; gcc -O2 -static -s -o "$work/pause/pause" "$here/pause.c"
image pause --entrypoint '["/pause"]' --user 65535:65535
mkdir -p "$work"/busybox/{bin,etc,tmp,root,www}
cp /bin/busybox "$programs/smoketool" "$work/busybox/bin/"
for applet in $(/bin/busybox --list); do [ "$applet" = busybox ] || ln -s busybox "$work/busybox/bin/$applet"; done
echo 'root:x:0:0:root:/root:/bin/sh' >"$work/busybox/etc/passwd"; echo 'root:x:0:' >"$work/busybox/etc/group"
chmod 1777 "$work/busybox/tmp"
image busybox --cmd /bin/sh --env PATH=/bin
for name in coredns skipper local-path-provisioner; do
  mkdir "$work/$name"; cp "$programs/$name" "$work/$name/"
  image "$name" --entrypoint "[\"/$name\"]"
done
mv "$work/images" "$folder.$$"
mv -T "$folder.$$" "$folder" 2>/dev/null || rm -rf "$folder.$$"
echo "$folder"
