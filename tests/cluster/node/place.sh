# Sourced: where the nodes of the test cluster are and which addresses they take. There is one cluster on
# a machine, shared by all clones, since its addresses are fixed. NODE=second: that other node.
home=${MILLRACE_NODE_HOME:-/var/tmp/millrace-node}
pki=$home/pki
api_node=millrace-node api_node_ip=10.123.0.2 api_node_net=10.123.0.0/30
pod_cidr=10.244.0.0/16 service_cidr=10.96.0.0/16 api_ip=10.96.0.1 dns_ip=10.96.0.10
# work: what up makes and down removes. link: the end of the link to the node that is outside of it.
case ${NODE:-first} in
first)
  work=$home name=$api_node link=millrace0
  host_ip=10.123.0.1 node_ip=$api_node_ip node_net=$api_node_net node_pod_cidr=10.244.0.0/24 ;;
second)
  work=$home/second name=millrace-node-2 link=second0
  host_ip=10.123.0.5 node_ip=10.123.0.6 node_net=10.123.0.4/30 node_pod_cidr=10.244.1.0/24 ;;
esac
cgroup=$name # parent of every pod's cgroup
log=$work/log
node_pid() { cut -d' ' -f1 "$work/node.pid"; }
# A command in all of the node's namespaces.
in_node() { nsenter -t "$(node_pid)" -m -n -p -u -i -- "$@"; }
kubectl() { "$home/bin/kubectl" --kubeconfig "$pki/admin.kubeconfig" "$@"; }
