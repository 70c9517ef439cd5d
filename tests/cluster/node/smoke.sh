#!/usr/bin/env bash
# What the cluster has to do before tests on it are worth running: about 50 s.
#   smoke.sh [IMAGE...]     with the images of Millrace on the node: their programs run too
. "$(dirname "$0")/../../services/lib.sh"; set +e
here=$(cd "$(dirname "$0")" && pwd)
. "$here/place.sh"
alive "$work/node.pid" || die "the cluster is not up: make cluster"
export -f kubectl in_node node_pid; export home work pki
passed=0 failed=0
check() { # WHAT COMMAND...
  local what=$1 said result from=${EPOCHREALTIME/./}; shift
  if said=$("$@" 2>&1); then passed=$((passed + 1)); result=ok; else failed=$((failed + 1)); result=FAILED; fi
  printf '%-6s %5d ms  %-46s %s\n' $result $(((${EPOCHREALTIME/./} - from) / 1000)) "$what" "$(tr '\n' ' ' <<<"$said" | cut -c1-110)"
}
sh() { bash -o pipefail -c "$1"; }
in_probe() { kubectl exec probe -- "$@"; }
# Up to 5 s until it holds.
soon() { local i; for ((i = 0; i < 50; i++)); do "$@" && return; sleep 0.1; done; return 1; }
get() { curl -sfm 3 "$@"; }
both() { for _ in {1..20}; do get "http://$address/"; done | sort -u | [ "$(wc -l)" = 2 ]; }
forward() {
  local pid status
  # Not the function kubectl: its shell would be ended in the place of it.
  "$work/bin/kubectl" --kubeconfig "$pki/admin.kubeconfig" port-forward service/web 18080:80 >/dev/null & pid=$!
  soon get http://127.0.0.1:18080/; status=$?
  kill $pid; return $status
}
in_order() { # POD
  kubectl logs -f "$1" | grep 'stopped in order' & local reader=$!
  kubectl delete pod "$1" --wait && wait $reader
}
no_volume() { [ -z "$(kubectl get pv -o name | grep pvc-)" ]; }
program() { # IMAGE PROGRAM ARGUMENT : with a root that cannot be written to, as nobody special
  kubectl run "program-$RANDOM" --rm -i --quiet --restart=Never --image="$1" --image-pull-policy=Never --overrides='{"spec":{
    "securityContext":{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}},"containers":[{"name":"it","image":"'"$1"'",
    "imagePullPolicy":"Never","command":["'"$2"'","'"$3"'"],"securityContext":{"readOnlyRootFilesystem":true,
    "allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}'
}
for image in "$@"; do
  case $image in
  */operator:*) programs=(millrace-operator) ;;
  */transcode:*) programs=(millrace-operator ffmpeg) ;;
  */quickstart:*) programs=(/usr/lib/postgresql/15/bin/postgres redis-server versitygw java) ;;
  *) die "nothing is known of the image $image" ;;
  esac
  for program in "${programs[@]}"; do
    option=--version; [ "$program" = ffmpeg ] && option=-version
    check "$program of $image" program "$image" "$program" "$option"
  done
done
check apply kubectl apply -f "$here/smoke/app.yaml"
check "rollout of 2 pods" kubectl rollout status deployment/web --timeout=50s
check "pod ready" kubectl wait --for=condition=Ready pod/probe --timeout=30s
check "claim bound" kubectl wait --for=jsonpath='{.status.phase}'=Bound pvc/smoke --timeout=10s
check "DNS from a pod" in_probe nslookup web.default.svc.cluster.local
check "Service by name from a pod" in_probe smoketool get http://web
address=$(kubectl get service web -o jsonpath='{.spec.clusterIP}')
check "Service's address from a pod" in_probe smoketool get "http://$address"
check "Service's address from the node" in_node curl -sfm 3 "http://$address"
check "Service's address from here" get "http://$address/"
check "NodePort from here" get "http://$node_ip:30080/"
check "a Service spreads over both pods" both
pod=$(kubectl get pod -l app=web -o jsonpath='{.items[0].metadata.name}')
check logs sh "kubectl logs $pod | grep 'serving as $pod'"
check exec sh "kubectl exec $pod -- hostname | grep $pod"
check "exec with standard input" sh "echo through | kubectl exec -i $pod -- cat | grep through"
check "exec's exit status" sh "kubectl exec $pod -- sh -c 'exit 7'; test \$? = 7"
check "downward API" sh "kubectl exec $pod -- sh -c 'ip a | grep \$POD_IP'"
check "emptyDir in memory" sh "kubectl exec $pod -- mount | grep 'tmpfs on /www'"
check "hostPath volume" kubectl exec "$pod" -- ls /host-run/containerd/containerd.sock
check "both pods wrote to the claim's volume" kubectl exec "$pod" -- sh -c 'test $(wc -l </pv/starts) -ge 2'
check "memory limit is in force" sh "kubectl exec $pod -- sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max' 2>/dev/null | grep 67108864"
check port-forward forward
kubectl exec "$pod" -- rm /www/live
check "liveness probe restarts the container" kubectl wait --for=jsonpath='{.status.containerStatuses[0].restartCount}'=1 "pod/$pod" --timeout=50s
check "and it is ready again" kubectl wait --for=condition=Ready "pod/$pod" --timeout=30s
check "Ingress by host, from here" soon get -H 'Host: web.example.test' "http://$node_ip/"
check "Ingress, other host: 404" sh "curl -sm 3 -o /dev/null -w '%{http_code}' -H 'Host: other.test' http://$node_ip/ | grep 404"
check "Ingress, a long poll of 20 s" curl -sfm 25 -H 'Host: web.example.test' "http://$node_ip/late?after=20s"
check "Ingress, WebSocket" "$work/bin/smoketool" ws $node_ip:80 web.example.test /echo
check "delete waits for the pod's own stop" in_order "$pod"
check "its place is taken" kubectl rollout status deployment/web --timeout=50s
check "Job runs to its end" sh "kubectl create job smoke --image=localhost/busybox:1 -- echo done && kubectl wait --for=condition=Complete job/smoke --timeout=30s"
check "claim of the default StorageClass" sh "kubectl apply -f $here/smoke/claim.yaml && kubectl wait --for=jsonpath='{.status.phase}'=Succeeded pod/dynamic --timeout=40s && kubectl logs dynamic | grep kept"
check "the claim is deleted" kubectl delete --wait -f "$here/smoke/claim.yaml"
check "and its volume goes with it" soon no_volume
check "scale to 0" sh "kubectl scale deployment/web --replicas=0 && kubectl wait --for=delete pod -l app=web --timeout=40s"
check "clean up" sh "kubectl delete --wait -f $here/smoke/app.yaml; kubectl delete job/smoke"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
