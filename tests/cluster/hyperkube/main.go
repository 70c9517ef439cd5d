// Command hyperkube is every program of a test cluster in one file, so that what they share is
// compiled and kept once. It acts as the program it is called as (a symbolic link's name) or as its
// first argument.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

// What a node needs besides goes into a file of its own with the constraint !lean, which adds to
// this in its init: the build with the tag lean leaves it out.
var programs = map[string]func(){
	"etcd": func() { etcdmain.Main(os.Args) },
	"kubectl": func() {
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			kubectlutil.CheckErr(err)
		}
	},
	"kube-apiserver":          func() { os.Exit(cli.Run(apiserver.NewAPIServerCommand())) },
	"kube-controller-manager": func() { os.Exit(cli.Run(controllermanager.NewControllerManagerCommand())) },
}

func main() {
	if run := programs[filepath.Base(os.Args[0])]; run != nil {
		run()
		return
	}
	if len(os.Args) > 1 {
		if run := programs[os.Args[1]]; run != nil {
			os.Args = os.Args[1:]
			run()
			return
		}
	}
	fmt.Fprintln(os.Stderr, "usage: hyperkube PROGRAM [FLAGS], where PROGRAM is one of:")
	for name := range programs {
		fmt.Fprintln(os.Stderr, "  "+name)
	}
	os.Exit(2)
}
