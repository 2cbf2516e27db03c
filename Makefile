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
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

.PHONY: test
test: ## Run the tests, against a real kube-apiserver and etcd.
	@$(CONTROL_PLANE) $(CONTROLLER_MANAGER) \
		echo 'Building the operator and running the tests; takes about 12 minutes on 2 cores, the first time 20' && set -x && \
		go test -race -count=1 -coverpkg=./internal/... -coverprofile=cover.out ./...
	@go tool cover -func=cover.out | tail -n 1

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

.PHONY: docs
docs: ## Generate the API reference.
	$(TOOL) crd-ref-docs --config hack/crd-ref-docs.yaml --source-path api/v1alpha1 --renderer markdown --output-path docs/api.md

.PHONY: verify
verify: generate manifests docs lint ## Fail if generated files are stale, a linter complains or go.mod is untidy.
	go mod tidy -diff
	cd hack/controlplane && go mod tidy -diff
	cd hack/kube-api-linter && go mod tidy -diff
	@git diff --exit-code --stat -- api config docs || { echo 'Generated files were stale; commit them.'; exit 1; }

##@ GitOps

GITOPS_MODULES := gitopstest argocd flux

.PHONY: test-gitops
test-gitops: ## Test with the libraries of Argo CD and Flux that batches are healthy, in sync and waited for.
	@$(CONTROL_PLANE) \
		echo 'Building parts of Argo CD and Flux, which takes 5 minutes the first time, and testing with them for 2 minutes' && set -x && \
		for module in $(GITOPS_MODULES); do go -C test/gitops/$$module test -v -count=1 -timeout 20m ./... || exit 1; done

.PHONY: argocd-cm
manifests: argocd-cm
argocd-cm: ## Generate the patch of Argo CD's settings from config/argocd/health.lua.
	@{ echo '# Generated from health.lua by make argocd-cm.'; \
		echo 'apiVersion: v1'; echo 'kind: ConfigMap'; echo 'metadata:'; echo '  name: argocd-cm'; echo 'data:'; \
		for kind in EmbeddedUserBatch EmbeddedUserSlice; do \
			echo "  resource.customizations.health.embedded.runalloy.com_$$kind: |"; sed 's/^./    &/' config/argocd/health.lua; \
		done; } > config/argocd/argocd-cm.yaml

.PHONY: tidy-gitops
verify: tidy-gitops
tidy-gitops:
	for module in $(GITOPS_MODULES); do go -C test/gitops/$$module mod tidy -diff || exit 1; done

##@ Install

.PHONY: docker-build
docker-build: ## Build the image.
	docker build --build-arg VERSION=$(VERSION) -t $(IMG) .

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
undeploy: ## Remove the operator, the CRDs and all batches. Users in Alloy stay.
	$(KUBECTL) delete --ignore-not-found -k config/default
