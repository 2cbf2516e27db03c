# The image to build and deploy.
IMG ?= embedded-user-operator:latest
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

TOOL := go tool -modfile=go.tools.mod
LDFLAGS := -s -w -X main.version=$(VERSION)
# Commands of recipes that need a control plane. The first time they take minutes, and say so.
CONTROL_PLANE := KUBEBUILDER_ASSETS=$$(hack/control-plane.sh) && export KUBEBUILDER_ASSETS &&
CONTROLLER_MANAGER := KUBE_CONTROLLER_MANAGER=$$(hack/control-plane.sh kube-controller-manager) && export KUBE_CONTROLLER_MANAGER &&
KUBECTL ?= kubectl

.DEFAULT_GOAL := help
.PHONY: help
help: ## Show this help.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Try it

.PHONY: demo
demo: build ## Run the operator on a local control plane. USERS=n, KEEP=1, ALLOY_API_KEY=... for the real API.
	@$(CONTROL_PLANE) bin/demo

.PHONY: run
run: ## Run the operator against the cluster of your kubeconfig.
	go run -ldflags '$(LDFLAGS)' ./cmd/operator --zap-devel $(ARGS)

##@ Develop

.PHONY: build
build: ## Build the programs into bin/.
	@echo 'Building the programs; the first time takes minutes'
	CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/... ./hack/demo

# Tests without the race detector, under which they take up to ten times as long: simulations and plans run in one goroutine, and long
# lists spend their time decoding and encoding, in the same goroutines as the short lists of other tests. Most tests in test/ run the
# operator as a process that is built without the race detector, and mostly wait for it.
UNRACED := ^Test(Simulation|Bounds_|Plan_|Long_)
TEST := go test -count=1 -timeout 30m -covermode=atomic -coverpkg=./internal/...

.PHONY: test
test: ## Run the tests, against a real kube-apiserver and etcd.
	@$(CONTROL_PLANE) $(CONTROLLER_MANAGER) \
		echo 'Building the operator and running the tests; takes about 14 minutes on 2 cores, longer the first time' && set -x && \
		$(TEST) -race -skip '$(UNRACED)' -coverprofile=cover-race.out $$(go list ./... | grep -v /test/) ./test/chaos && \
		$(TEST) -run '$(UNRACED)' -coverprofile=cover-unraced.out ./internal/... && \
		go test -count=1 -timeout 30m -p 3 $$(go list ./test/... | grep -v /test/chaos)
	@{ cat cover-race.out; tail -n +2 cover-unraced.out; } > cover.out && go tool cover -func=cover.out | tail -n 1

.PHONY: test-sim
test-sim: ## Simulate the sender's state machine. RUNS=n, or SEED=n to repeat one run and print its trace.
	go test -count=1 -timeout 30m -run '^TestSimulation$$' $(if $(SEED),-v) ./internal/sender -args -runs $(or $(RUNS),20000) -seed $(or $(SEED),0)

.PHONY: test-chaos
test-chaos: ## Inject random failures and check that the records agree. SEEDS=n, SEED=the first.
	@$(CONTROL_PLANE) $(CONTROLLER_MANAGER) \
		echo 'Building the operator and injecting failures; takes about 10 seconds for each seed' && set -x && \
		go test -v -timeout 60m -parallel $(or $(PARALLEL),6) ./test/chaos -args -seeds $(or $(SEEDS),20) -seed $(or $(SEED),1)

.PHONY: test-hostile
test-hostile: ## Try lists that are made to exhaust the memory (10 minutes).
	@$(CONTROL_PLANE) \
		echo 'Building the operator and trying hostile lists; takes about 10 minutes' && set -x && \
		go test -v -count=1 -timeout 60m ./test/hostile -args -all

PROFILES ?= bin/profiles
FUZZTIME ?= 10s
.PHONY: fuzz
fuzz: ## Fuzz the decoders, the key parser, the planner and the lists, each for FUZZTIME.
	go test -run '^$$' -fuzz '^FuzzClassifyBatch$$' -fuzztime $(FUZZTIME) ./internal/alloy
	go test -run '^$$' -fuzz '^FuzzDecodeList$$' -fuzztime $(FUZZTIME) ./internal/alloy
	go test -run '^$$' -fuzz '^FuzzParseKey$$' -fuzztime $(FUZZTIME) ./internal/alloy
	go test -run '^$$' -fuzz '^FuzzPlan$$' -fuzztime $(FUZZTIME) ./internal/plan
	go test -run '^$$' -fuzz '^FuzzRows$$' -fuzztime $(FUZZTIME) ./internal/users/decode
	go test -run '^$$' -fuzz '^FuzzCSV$$' -fuzztime $(FUZZTIME) ./internal/users/decode

.PHONY: bench
bench: ## Run the benchmarks (15 minutes) and write docs/benchmarks.md. CASES=a,f,... runs some and only prints the results.
	@echo 'Building and running the benchmarks of functions, which takes a minute, then those of the operator'
	go test -run '^$$' -bench . -benchmem ./internal/plan ./internal/users/decode
	@$(CONTROL_PLANE) set -x && go run ./test/bench -profile $(PROFILES) $(if $(CASES),-cases $(CASES),-output docs/benchmarks.md)

.PHONY: lint
lint: ## Run the linters.
	$(TOOL) golangci-lint run
	go tool -modfile=hack/kube-api-linter/go.mod golangci-lint-kube-api-linter run -c hack/kube-api-linter/golangci.yml ./api/...

.PHONY: generate
generate: ## Generate deepcopy functions and apply configurations.
	$(TOOL) controller-gen object:headerFile=hack/boilerplate.go.txt applyconfiguration:headerFile=hack/boilerplate.go.txt paths=./api/...

.PHONY: manifests
manifests: ## Generate CRDs and the roles of the operator.
	$(TOOL) controller-gen crd paths=./api/... output:crd:dir=config/crd/bases
	$(TOOL) controller-gen rbac:roleName=manager paths=./internal/... output:rbac:dir=config/rbac
	sed 's/^kind: ClusterRole$$/kind: Role/' config/rbac/role.yaml > config/tenant/role.yaml
	$(MAKE) --no-print-directory chart-files

.PHONY: docs
docs: ## Generate the API reference.
	$(TOOL) crd-ref-docs --config hack/crd-ref-docs.yaml --source-path api/v1alpha1 --renderer markdown --output-path docs/api.md

.PHONY: verify
verify: generate manifests docs lint ## Fail if generated files are stale, a linter complains or go.mod is untidy.
	go mod tidy -diff
	cd hack/controlplane && go mod tidy -diff
	cd hack/kube-api-linter && go mod tidy -diff
	cd hack/crane && go mod tidy -diff
	@git diff --exit-code --stat -- api config docs || { echo 'Generated files were stale; commit them.'; exit 1; }

##@ Helm chart

# Programs that are built once, each from a module of its own.
HELM := bin/tools/helm
HELM3 := bin/tools/helm3
HELM_DOCS := bin/tools/helm-docs
HELM_UNITTEST := bin/tools/helm-unittest
CHART_MODULES := hack/helm hack/helm3 hack/helm-docs hack/helm-unittest test/chart

# install-tool MODULE: the recipe that builds the only tool of a module in hack.
define install-tool
@echo 'Building $(@F); the first time takes minutes'
@mkdir -p $(@D)
cd hack/$(@F) && CGO_ENABLED=0 go build -ldflags '-s -w' -o $(abspath $@) tool
@touch $@
endef

bin/tools/%: hack/%/go.mod hack/%/go.sum
	$(install-tool)

.PHONY: chart-files
chart-files: ## Copy the files that the chart has in common with config/.
	rm -rf dist/chart/files && mkdir -p dist/chart/files/crds
	cp config/crd/bases/*.yaml dist/chart/files/crds/
	cp config/rbac/role.yaml dist/chart/files/
	cp $(wildcard config/prometheus/rules.yaml config/prometheus/dashboard.json) dist/chart/files/

.PHONY: chart-docs
chart-docs: $(HELM_DOCS) ## Write the README of the chart.
	$(HELM_DOCS) --chart-search-root dist/chart --sort-values-order file --log-level warning
docs: chart-docs

.PHONY: test-chart
test-chart: $(HELM) $(HELM3) $(HELM_UNITTEST) ## Test the Helm chart with Helm 3 and 4 against a kube-apiserver (two minutes).
	$(HELM_UNITTEST) --strict dist/chart
	@$(CONTROL_PLANE) set -x && cd test/chart && go test -count=1 ./...

.PHONY: verify-chart
verify-chart: manifests docs
	for module in $(CHART_MODULES); do (cd $$module && go mod tidy -diff) || exit 1; done
	cd test/chart && go tool -modfile=../../go.tools.mod golangci-lint run
	@git diff --exit-code --stat -- dist/chart || { echo 'Generated files of the chart were stale; commit them.'; exit 1; }
verify: verify-chart

##@ Monitor

PROMTOOL ?= go tool -modfile=hack/promtool/go.mod promtool

# The PrometheusRule has the groups of rules.yaml.
RULE := config/prometheus/prometheus_rule.yaml
.PHONY: prometheus-rule
manifests: prometheus-rule
prometheus-rule:
	{ sed '/^spec:$$/q' $(RULE) && sed '/^#/d; s/^/  /' config/prometheus/rules.yaml; } > $(RULE).new && mv $(RULE).new $(RULE)

.PHONY: verify-promtool
verify: verify-promtool
verify-promtool:
	cd hack/promtool && go mod tidy -diff

.PHONY: test-rules
test-rules: ## Check the alerts, and test that each fires and is silent. Builds promtool, which takes minutes; PROMTOOL=promtool runs the one of a Debian package.
	$(PROMTOOL) check rules --lint-fatal config/prometheus/rules.yaml
	$(PROMTOOL) test rules test/monitoring/testdata/rules_test.yaml

.PHONY: test-monitoring
test-monitoring: test-rules ## Test the metrics, the alerts, and the dashboard on Prometheus, which must be installed.
	@$(CONTROL_PLANE) set -x && \
		go test -count=1 -timeout 20m -v ./test/monitoring -args -tools $(if $(PICTURE),-picture docs/images/dashboard.svg)

##@ GitOps

GITOPS_MODULES := gitopstest argocd flux

.PHONY: test-gitops
test-gitops: ## Test with the libraries of Argo CD and Flux that batches are healthy, in sync and waited for.
	@$(CONTROL_PLANE) \
		echo 'Building parts of Argo CD and Flux, which takes 5 minutes the first time, and testing with them for 2 minutes' && set -x && \
		for module in $(GITOPS_MODULES); do go -C test/gitops/$$module test -v -count=1 -timeout 20m ./... || exit 1; done

.PHONY: argocd-cm
manifests: argocd-cm
argocd-cm: ## Generate the patch of Argo CD's settings from the scripts in config/argocd.
	@{ echo '# Generated from the scripts in this folder by make argocd-cm.'; \
		echo 'apiVersion: v1'; echo 'kind: ConfigMap'; echo 'metadata:'; echo '  name: argocd-cm'; echo 'data:'; \
		for kind in EmbeddedUserBatch EmbeddedUserSlice; do \
			echo "  resource.customizations.health.embedded.runalloy.com_$$kind: |"; sed 's/^./    &/' config/argocd/health.lua; \
		done; \
		echo '  resource.customizations.actions.embedded.runalloy.com_EmbeddedUserBatch: |'; \
		echo '    discovery.lua: |'; sed 's/^./      &/' config/argocd/actions/discovery.lua; \
		echo '    definitions:'; \
		for action in reconcile suspend resume approve; do \
			echo "    - name: $$action"; echo '      action.lua: |'; sed 's/^./        &/' config/argocd/actions/$$action/action.lua; \
		done; } > config/argocd/argocd-cm.yaml

.PHONY: tidy-gitops
verify: tidy-gitops
tidy-gitops:
	for module in $(GITOPS_MODULES); do go -C test/gitops/$$module mod tidy -diff || exit 1; done

##@ kubectl plugin

PLUGIN := cmd/kubectl-eub
# Where a release is published, for the manifest of the plugin.
HOMEPAGE ?= https://github.com/embedded-user-operator/embedded-user-operator

.PHONY: plugin
plugin: ## Build the kubectl plugin into bin/, beside what completes it. PATH="$PWD/bin:$PATH" kubectl eub runs it.
	CGO_ENABLED=0 go build -C $(PLUGIN) -ldflags '$(LDFLAGS)' -o $(abspath bin)/kubectl-eub .
	cp $(PLUGIN)/kubectl_complete-eub bin/
build: plugin

.PHONY: test-plugin
test-plugin: ## Test the kubectl plugin; part of test.
	@$(CONTROL_PLANE) $(CONTROLLER_MANAGER) echo 'Building and testing the kubectl plugin' && set -x && \
		cd $(PLUGIN) && go test -count=1 -timeout 20m ./...
test: test-plugin

.PHONY: plugin-docs
plugin-docs: ## Write the page of each command of the plugin to docs/kubectl-eub; part of docs.
	go run -C $(PLUGIN) ./internal/manual $(abspath docs/kubectl-eub)
docs: plugin-docs

.PHONY: plugin-pictures
plugin-pictures: ## Draw the pictures of the plugin in docs/images anew, from a terminal of tmux, which must be installed.
	@$(CONTROL_PLANE) $(CONTROLLER_MANAGER) set -x && cd $(PLUGIN) && \
		go test -count=1 -v ./test/live -run TestPictures -args -pictures $(abspath docs/images)

.PHONY: verify-plugin
verify-plugin: # that its modules are tidy, and what a linter says; a test compares the pages
	cd $(PLUGIN) && go mod tidy -diff
	cd hack/freeze && go mod tidy -diff
	cd $(PLUGIN) && go tool -modfile=../../go.tools.mod golangci-lint run
verify: verify-plugin

.PHONY: plugin-archives
plugin-archives: ## Build the plugin for Linux, macOS and Windows into bin/plugin, with its manifest for krew, and check them. RELEASE=v0.1.0.
	rm -rf bin/plugin
	hack/plugin-archives.sh bin/plugin $(RELEASE) $(HOMEPAGE)
	cd $(PLUGIN) && go test -v -count=1 ./test/archives -args -archives $(abspath bin/plugin)

##@ Images

# The image of the simulated API.
SIMULATOR_IMG ?= embedded-user-operator-simulator:latest
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
DOCKER_BUILD := docker build --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION)

.PHONY: docker-build
docker-build: ## Build the images of the operator and the simulator. IMG=name, SIMULATOR_IMG=name.
	$(DOCKER_BUILD) -t $(IMG) .
	$(DOCKER_BUILD) --target simulator -t $(SIMULATOR_IMG) .

.PHONY: image-test
image-test: ## Build the images with buildah, on bases made of this machine's files, and check them.
	go test -v -count=1 -timeout 30m ./test/image -args -build

.PHONY: pin
pin: ## Add the digests of the base images to the Dockerfile, for a release. Asks their registries.
	hack/pin.sh

.PHONY: test-e2e
test-e2e: $(HELM) ## Test on the cluster of KUBECONFIG, from which the operator and its CRDs are removed. See CONTRIBUTING.md.
	KUBECTL=$(KUBECTL) HELM=$(abspath $(HELM)) go test -v -count=1 -timeout 40m ./test/e2e $(if $(RUN),-run '$(RUN)') -args -cluster

##@ Install

.PHONY: install
install: ## Install the CRDs.
	$(KUBECTL) apply --server-side -k config/crd

.PHONY: uninstall
uninstall: ## Remove the CRDs and all batches. Users in Alloy stay.
	$(KUBECTL) delete --ignore-not-found -k config/crd

.PHONY: deploy
deploy: ## Install the CRDs and the operator.
	$(KUBECTL) kustomize config/default | sed 's|image: embedded-user-operator:latest|image: $(IMG)|' | $(KUBECTL) apply --server-side -f -

.PHONY: undeploy
undeploy: ## Remove the operator. The CRDs and all batches stay, and users in Alloy.
	$(KUBECTL) delete --ignore-not-found namespace embedded-user-operator-system
	$(KUBECTL) delete --ignore-not-found clusterroles,clusterrolebindings -l app.kubernetes.io/name=embedded-user-operator

##@ Release

# The program whose SBOM is written, and its architecture.
SBOM_ARCH ?= $(shell go env GOARCH)
SBOM_PROGRAM := bin/operator-linux-$(SBOM_ARCH)

.PHONY: sbom
sbom: ## Write the SBOM of the operator to bin/, and check it. SBOM_ARCH=amd64|arm64.
	CGO_ENABLED=0 GOOS=linux GOARCH=$(SBOM_ARCH) go build -ldflags '$(LDFLAGS)' -o $(SBOM_PROGRAM) ./cmd/operator
	go tool -modfile=hack/cyclonedx-gomod/go.mod cyclonedx-gomod bin -json -std -version $(VERSION) -output $(SBOM_PROGRAM).cdx.json $(SBOM_PROGRAM)
	cd hack/cyclonedx-gomod && go test -v -count=1 . -args -sbom $(abspath $(SBOM_PROGRAM).cdx.json) -program $(abspath $(SBOM_PROGRAM))

.PHONY: release-notes
release-notes: ## Print the section of a version in CHANGELOG.md. RELEASE_VERSION=0.1.0.
	@awk -v version='$(RELEASE_VERSION)' '/^## \[/ {found = index($$0, "## [" version "]") == 1; next} /^\[/ {found = 0} found {lines++; print} \
		END {if (!lines) {print "CHANGELOG.md has no version " version > "/dev/stderr"; exit 1}}' CHANGELOG.md

.PHONY: test-chart-docs
test-chart-docs: $(HELM) # the commands of the chart's README; part of test-chart
	@$(CONTROL_PLANE) set -x && go test -count=1 ./test/docs -run '^TestCommands' -args -helm
test-chart: test-chart-docs

.PHONY: actionlint
actionlint: # of the workflows; part of lint
	go tool -modfile=hack/actionlint/go.mod actionlint
lint: actionlint

.PHONY: verify-release
verify-release: # that the modules of its tools are tidy; part of verify
	cd hack/actionlint && go mod tidy -diff
	cd hack/cyclonedx-gomod && go mod tidy -diff
verify: verify-release

##@ Publish

# The release that dist/install.yaml installs, and the repository of its image, before which a registry may be named.
RELEASE ?= v0.1.0
RELEASE_IMAGE ?= embedded-user-operator

.PHONY: dist
dist: manifests ## Write dist/install.yaml. RELEASE=v0.1.0, RELEASE_IMAGE=repository of the image.
	@mkdir -p dist && kubectl=$$(hack/control-plane.sh kubectl) && echo 'kubectl kustomize config/default > dist/install.yaml' && \
		$$kubectl kustomize config/default | sed 's|image: embedded-user-operator:latest|image: $(RELEASE_IMAGE):$(RELEASE)|' > dist/install.yaml

verify: verify-dist
.PHONY: verify-dist
verify-dist: dist # is stale if it differs from what is committed
	cd test/manifests/crds && go mod tidy -diff
	@git diff --exit-code --stat -- dist/install.yaml || { echo 'dist/install.yaml was stale; commit it.'; exit 1; }
