# Sourced: where the node of the test cluster is and which addresses it takes. There is one of it on a
# machine, shared by all clones, since its addresses are fixed.
# What up makes and down removes.
work=${MILLRACE_NODE_HOME:-/var/tmp/millrace-node}
name=millrace-node
cgroup=millrace-node # parent of every pod's cgroup
link=millrace0       # this side of the link to the node's network
host_ip=10.123.0.1 node_ip=10.123.0.2 node_net=10.123.0.0/30
pod_cidr=10.244.0.0/16 node_pod_cidr=10.244.0.0/24
service_cidr=10.96.0.0/16 api_ip=10.96.0.1 dns_ip=10.96.0.10
pki=$work/pki log=$work/log
node_pid() { cut -d' ' -f1 "$work/node.pid"; }
# A command in all of the node's namespaces.
in_node() { nsenter -t "$(node_pid)" -m -n -p -u -i -- "$@"; }
kubectl() { "$work/bin/kubectl" --kubeconfig "$pki/admin.kubeconfig" "$@"; }
