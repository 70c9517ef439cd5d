# Everything a person does here. `make` lists the targets.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/millrace/target
export PATH := $(HOME)/.cargo/bin:$(PATH)
WEB := workers/delivery/web

.DEFAULT_GOAL := help
.PHONY: help install web build demo demo-up demo-down test unit lint fmt crd events openapi sqlx values chart bench bench-operator faults fuzz nightly dev cluster cluster-down cluster-lean cluster-lean-down images reload kind kind-down e2e

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## install the missing Debian packages (asks for sudo when not root)
	@tests/install.sh

web: install ## bundle the player page (npm)
	@tests/web.sh

build: install web ## build the release programs into target/demo/bin
	@tests/build.sh target/demo/bin

demo: build ## a stream from a looped clip; prints where to watch it; Ctrl-C ends everything
	@exec target/demo/bin/millrace-demo run

demo-up: build ## the same in the background; writes target/demo/env; DEMO_PUBLISH=0: you publish
	@exec target/demo/bin/millrace-demo up

demo-down: ## end what demo-up started
	@if [ -x target/demo/bin/millrace-demo ]; then exec target/demo/bin/millrace-demo down; else echo "No demo was ever started here."; fi

test: install web ## every test: unit, real servers, the stream end to end, the browser
	@tests/run.sh

unit: install web ## build everything; the tests of the pure parts
	@tests/with-target.sh cargo build --locked --workspace --bins
	@tests/with-target.sh cargo test --locked -p millrace-media -p millrace-transcode --lib

dev: install ## the operator from source against KUBECONFIG (or its own API server), with reload
	@exec tests/dev.sh

cluster: ## a real Kubernetes node, with DNS and an Ingress, without Docker (as root); prints its KUBECONFIG
	@tests/cluster/node.sh up

cluster-down: ## end it and forget it
	@tests/cluster/node.sh down

images: install web ## build the images with buildah into target/images
	@tests/images.sh

reload: install web ## build, and bring it to the cluster of KUBECONFIG (or that of make cluster)
	@tests/reload.sh

kind: ## a cluster in Docker with images, chart, all servers and the example
	@tests/kind.sh up

kind-down: ## end it
	@tests/kind.sh down

e2e: install web ## the tests that need a cluster with nodes (on that of make cluster, or E2E_KUBECONFIG's)
	@tests/e2e.sh

cluster-lean: ## a real API server without a node, in target/cluster; prints its KUBECONFIG
	@tests/cluster/lean.sh up target/cluster >/dev/null
	@echo "export KUBECONFIG=$(CURDIR)/target/cluster/admin.kubeconfig"

cluster-lean-down: ## end it and forget it
	@tests/cluster/lean.sh down target/cluster drop

lint: ## formatting, clippy, chart, licences and sources of dependencies
	@tests/lint.sh

fmt: ## format the code
	@cargo fmt --all

crd: ## write crds/, docs/livestream.md and docs/conditions.md from the Rust types
	@mkdir -p crds
	@tests/with-target.sh cargo run -q --locked -p millrace-operator -- crd >crds/.new && mv crds/.new crds/livestreams.millrace.dev.yaml
	@cp crds/*.yaml charts/millrace/files/crds/
	@tests/with-target.sh cargo run -q --locked -p millrace-operator -- crd --docs >docs/.new && mv docs/.new docs/livestream.md
	@tests/with-target.sh cargo run -q --locked -p millrace-operator -- conditions >docs/.new && mv docs/.new docs/conditions.md

values: ## write docs/values.md from the chart's values.yaml
	@awk -f tests/chart/values.awk charts/millrace/values.yaml >docs/.new && mv docs/.new docs/values.md

chart: install web ## the chart: lint, its tests against a real helm and API server
	@for values in tests/chart/values/*.yaml; do "$$(tests/cluster/build.sh helm)/helm" lint --quiet --strict --kube-version 1.35.0 --values "$$values" charts/millrace || exit 1; done
	@tests/run.sh --workspace --test chart

openapi: install web ## write docs/openapi.json from the handlers of the API
	@tests/with-target.sh cargo run -q --locked -p millrace-delivery --example openapi >docs/.new && mv docs/.new docs/openapi.json

events: ## write docs/events/*.json from the Rust types
	@tests/with-target.sh cargo run -q --locked -p millrace-operator -- event-schemas docs/events

sqlx: install ## write the metadata of the compile-time checked queries
	@tests/with-target.sh tests/sqlx-prepare.sh

bench: install web ## the measured figures, beside peers (docs/benchmarks.md)
	@tests/bench.sh

faults: install web ## kill what a live stream needs, and count what viewers lose (docs/faults.md)
	@tests/faults.sh

fuzz: install ## strange bytes for everything that reads them, a minute each (FUZZ_SECONDS, FUZZ_TARGETS)
	@tests/fuzz.sh $${FUZZ_SECONDS:-60} $$FUZZ_TARGETS

nightly: install web ## what is longer: images twice, e2e and faults of the release build, all benches (docs/nightly)
	@tests/nightly.sh $(STAGES)

bench-operator: install web ## 500 and 10,000 LiveStreams against an API server (docs/benchmarks.md)
	@tests/bench-operator.sh
