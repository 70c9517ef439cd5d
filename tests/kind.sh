#!/usr/bin/env bash
# A cluster in Docker with everything in it: images, chart, all servers, the example.
#   kind.sh up      makes what is missing; called again, it brings what has changed since
#   kind.sh down
. "$(dirname "$0")/services/lib.sh"
cd "$HERE/../.." || exit 1
needs() { command -v "$1" >/dev/null || die "$1 is not installed: $2"; }
instead="Without Docker, on a Debian 12 as root: make cluster, then make reload"
needs docker "https://docs.docker.com/engine/install. $instead"
docker info >/dev/null 2>&1 || die "Docker's daemon can't be reached (docker info says why). $instead"
needs kind https://kind.sigs.k8s.io
case ${1:-} in
up)
  needs kubectl https://kubernetes.io/docs/tasks/tools
  needs helm https://helm.sh/docs/intro/install
  context=kind-millrace options=()
  kind get clusters | grep -qx millrace || kind create cluster --config kind-config.yaml
  for target in operator transcode quickstart; do
    docker build --target $target -t "millrace/$target:built" .
    # Pods are replaced when their image has another name: one made of what is in it.
    id=$(docker image inspect --format '{{.Id}}' "millrace/$target:built")
    tag=dev-${id:7:12}
    docker tag "millrace/$target:built" "millrace/$target:$tag"
    # It does nothing where the node has the image.
    kind load docker-image --name millrace "millrace/$target:$tag"
    options+=(--set "image.$target.tag=$tag")
  done
  helm --kube-context $context upgrade --install millrace charts/millrace --namespace millrace --create-namespace \
    --set quickstart.enabled=true,publicUrl=http://localhost:8080 \
    --set delivery.service.type=NodePort,delivery.service.nodePort=30080 "${options[@]}" --wait --timeout 10m
  kubectl --context $context get namespace events >/dev/null 2>&1 || kubectl --context $context create namespace events
  kubectl --context $context apply -f examples/keynote.yaml
  kubectl --context $context -n events wait --for=condition=Ready livestream/keynote --timeout=5m
  cat <<END

The stream is ready. To publish to it from this machine:
  kubectl -n millrace port-forward \$(kubectl -n millrace get service -l millrace.dev/livestream=keynote -o name) 1935 &
  key=\$(kubectl -n events get secret keynote-publish-keys -o jsonpath='{.data.main}' | base64 -d)
  ffmpeg -re -i video.mp4 -c:v libx264 -g 60 -c:a aac -f flv "rtmp://localhost/live/\$key"
Watch it at http://localhost:8080/watch/events.keynote
END
  ;;
down) kind delete cluster --name millrace ;;
*) sed -n '2,4s/^# \?//p' "$0"; exit 2 ;;
esac
