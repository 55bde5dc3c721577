# `make` alone prints what can be done.

GOLANGCI_LINT_VERSION := v2.15.0
ACTIONLINT_VERSION    := v1.7.12
GOVULNCHECK_VERSION   := v1.9.0
GORELEASER_VERSION    := v2.15.2
CYCLONEDX_VERSION     := v1.10.0
GRAFANA_UI_VERSION    := 11.6.16
FUZZTIME              ?= 30s
FUZZCOUNT             ?= 1000
BASE                  ?= HEAD
BIN                   := $(CURDIR)/.bin

.PHONY: help
help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## the service, an emulated Dwolla and an identity provider on this machine
	go run ./cmd/sandbox

.PHONY: test
test: ## every test, the service's with the race detector
	go test -race -shuffle=on -timeout 20m ./...
	cd deploy && go test -shuffle=on ./...

.PHONY: test-quick
test-quick: ## the packages with changes since BASE (default HEAD), without the race detector
	@dirs=$$( (git diff --name-only --diff-filter=d $(BASE) -- '*.go'; git ls-files -o --exclude-standard -- '*.go') \
		| grep -v -e '^deploy/' -e '^conformance/' | xargs -rn1 dirname | sort -u | sed 's|^|./|'); \
	if [ -z "$$dirs" ]; then echo "no Go file has changed since $(BASE)"; else go test $$dirs; fi

# The tests in *_soak_test.go and no others: they repeat races for minutes.
.PHONY: test-soak
test-soak: ## the long-running races, with the race detector
	@files=$$(git ls-files '*_soak_test.go'); \
	names=$$(sed -n 's/^func \(Test[A-Za-z0-9_]*\)(.*/\1/p' $$files | paste -sd'|'); \
	go test -race -tags soak -timeout 20m -run "^($$names)$$" $$(dirname $$files | sort -u | sed 's|^|./|')

.PHONY: test-faults
test-faults: ## the server, its stores and Dwolla with faults between them (about five minutes); UPDATE=1 puts the table into docs/faults.md
	FAULTS_UPDATE="$(if $(UPDATE),$(CURDIR)/docs/faults.md)" \
		go test -tags faults -count=1 -timeout 15m -parallel 6 ./faults

# These tests write files, and check nothing about the server. They run when rules or
# metrics have changed.
.PHONY: alert-series
alert-series: ## real runs with faults for the tests of alerts, deploy/prometheus/tests (about 22 minutes)
	go test -tags faults,series -count=1 -timeout 40m -parallel 20 -run '^TestSeriesForAlerts$$' ./faults

# Grafana's components for charts, without Grafana. No script of a package runs.
DASHBOARD_TOOLS := $(BIN)/dashboard-$(GRAFANA_UI_VERSION)

.PHONY: dashboard-picture
dashboard-picture: $(DASHBOARD_TOOLS) ## docs/dashboard.png from a real run (about 20 minutes; needs prometheus, chromium and Node); RUN=folder keeps the run, or draws it again
	@set -e; folder="$(abspath $(RUN))"; if [ -z "$$folder" ]; then folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; fi; \
	mkdir -p "$$folder"; [ -e "$$folder/times.json" ] || DASHBOARD_RUN="$$folder" \
		go test -tags faults,series -count=1 -timeout 30m -run '^TestRunForTheDashboard$$' ./faults; \
	MODULES="$</node_modules" node hack/dashboard-picture/draw.mjs "$$folder" docs/dashboard.png

# One build of the sandbox serves all files of tests. npm test runs three files at a
# time, each with a Chromium and a sandbox.
.PHONY: test-browser
test-browser: browser/node_modules/.package-lock.json ## the components and the demo page in Chromium (needs Node 20 and Chromium)
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	go build -o "$$folder/sandbox" ./cmd/sandbox && cd browser && SANDBOX="$$folder/sandbox" npm test --silent

browser/node_modules/.package-lock.json: browser/package-lock.json
	cd browser && npm ci --no-audit --no-fund
	touch $@

.PHONY: test-sdk
test-sdk: browser/sdk/node_modules/.package-lock.json ## Dwolla's own SDK for TypeScript against the emulator (needs Node 20)
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	go build -o "$$folder/sandbox" ./cmd/sandbox && cd browser/sdk && SANDBOX="$$folder/sandbox" npm test --silent

browser/sdk/node_modules/.package-lock.json: browser/sdk/package-lock.json
	cd browser/sdk && npm ci --no-audit --no-fund
	touch $@

# oidc-provider is a certified OpenID provider, in Node.
.PHONY: install-providers
install-providers: providers/oidc-provider/node_modules/.package-lock.json ## oidc-provider, which make test skips without (needs Node 20)

.PHONY: test-providers
test-providers: install-providers ## sign-in with the providers of docs/authentication.md, and with oidc-provider
	go test -race -count=1 ./providers

providers/oidc-provider/node_modules/.package-lock.json: providers/oidc-provider/package-lock.json
	cd providers/oidc-provider && npm ci --no-audit --no-fund
	touch $@

.PHONY: test-proxies
test-proxies: ## the configurations of examples/proxies; needs nginx, haproxy and caddy
	go test -tags proxies -count=1 ./examples/proxies

.PHONY: test-signin
test-signin: examples/signin/node_modules/.package-lock.json ## the mode forward with better-auth, Auth.js and Django (needs Node 20 and Debian's python3-django)
	go test -tags signin -count=1 ./examples/signin

examples/signin/node_modules/.package-lock.json: examples/signin/package-lock.json
	cd examples/signin && npm ci --no-audit --no-fund --ignore-scripts
	touch $@

# A module of its own, because the validator brings many dependencies.
.PHONY: test-conformance
test-conformance: ## the emulator and the client against Dwolla's OpenAPI description (see docs/emulator.md)
	cd conformance && go test -count=1 ./...

# The linters do not read conformance, because they would analyze its validator for minutes.
.PHONY: lint
lint: $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION) $(BIN)/actionlint-$(ACTIONLINT_VERSION) ## format, vet and linters
	go vet -tags faults,series,soak,proxies,signin ./...
	go mod tidy -diff
	$< run --build-tags faults,series,soak,proxies,signin ./...
	$< fmt --diff ./...
	cd deploy && go vet ./... && go mod tidy -diff && $< run --config ../.golangci.yml ./...
	cd conformance && go vet ./... && go mod tidy -diff
	$(BIN)/actionlint-$(ACTIONLINT_VERSION) .github/workflows/*.yml

.PHONY: bench
bench: ## the server next to simpler ones, alone and with Redis and PostgreSQL (about eight minutes); UPDATE=1 puts the plot into docs/latency.svg
	go run ./bench $(if $(UPDATE),-plot docs/latency.svg)

.PHONY: bench-many
bench-many: ## a vend with a million sessions and links in the stores next to one with a thousand (about five minutes, 3 GiB)
	go run ./bench -many 1000000

.PHONY: bench-against
bench-against: ## the server of the git revision REV next to this tree's, bearer tokens and sessions (about two minutes)
	go run ./bench -against "$(REV)"

.PHONY: bench-scale
bench-scale: ## 1, 2 and 3 replicas behind HAProxy, and kill -9 of one (about seven minutes; needs haproxy, pgbouncer, redis-server); ARGS='-duration 2s -rounds 1' tries it
	go run ./bench -scale $(or $(ARGS),-duration 10s -rounds 3)

.PHONY: bench-import
bench-import: ## a million links into the PostgreSQL at TEST_POSTGRES_URL (about a minute)
	go run ./bench/import

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME
	@set -e; for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

# `go test -fuzz` compiles every dependency anew, with counters for coverage:
# minutes for SQLite alone. A binary without them takes what is compiled already,
# and changes the seeds blindly. A number of inputs, not a time, since
# a time that ends on a busy machine fails the round.
.PHONY: fuzz-short
fuzz-short: ## every fuzz target for FUZZCOUNT inputs, as CI does (about a minute)
	@set -e; binary=$$(mktemp); seen=$$(mktemp -d); trap 'rm -rf "$$binary" "$$seen"' EXIT; \
	for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' internal | xargs -n 1 dirname | sort -u); do \
		go test -c -o "$$binary" "./$$dir"; \
		for target in $$(cd "$$dir" && "$$binary" -test.list '^Fuzz'); do \
			echo "$$dir $$target"; \
			(cd "$$dir" && "$$binary" -test.run '^$$' -test.fuzz "^$$target$$" -test.fuzztime $(FUZZCOUNT)x \
				-test.fuzzcachedir "$$seen" >"$$seen/log" 2>&1) || { cat "$$seen/log"; exit 1; }; \
		done; \
	done

# GOVULNDB is a Go vulnerability database, such as file:///… where the public one is
# out of reach. VULNDB_REQUIRED=1 fails without a database.
.PHONY: vulncheck
vulncheck: $(BIN)/govulncheck-$(GOVULNCHECK_VERSION) ## known vulnerabilities in the Go modules and npm packages; skipped if a database is out of reach
	GOVULNCHECK=$< GOVULNDB="$(GOVULNDB)" VULNDB_REQUIRED="$(VULNDB_REQUIRED)" hack/vulncheck

# Both tools are in PATH, since goreleaser runs cyclonedx-gomod by its name.
RELEASE_TOOLS := $(BIN)/release-$(GORELEASER_VERSION)-$(CYCLONEDX_VERSION)

.PHONY: verify-release
verify-release: $(RELEASE_TOOLS) ## a release of HEAD, built twice and compared, without publishing (about ten minutes)
	PATH="$<:$$PATH" hack/verify-release

.PHONY: release
release: $(RELEASE_TOOLS) ## a draft release of the tag at HEAD; for the release workflow (docs/release.md)
	@notes=$$(mktemp); trap 'rm -f "$$notes"' EXIT; tag=$$(git describe --exact-match --tags --match 'v*') && \
	hack/release-notes "$$tag" >"$$notes" && PATH="$<:$$PATH" goreleaser release --clean --release-notes "$$notes"

.PHONY: verify-kubernetes
verify-kubernetes: ## every rendering on a real API server with fake nodes (needs etcd; the first run builds Kubernetes)
	hack/verify-kubernetes

.PHONY: verify-image
verify-image: ## build the image, check it, and run it as two users (needs Docker or Podman)
	hack/verify-image

.PHONY: verify-compose
verify-compose: ## each profile of compose, from a fresh clone, with a sign-in through Chromium (needs Docker)
	hack/verify-compose

.PHONY: check
check: lint vulncheck install-providers test test-soak fuzz-short test-faults test-browser test-sdk test-conformance ## what CI runs

# Built from source: the linter's own advice against that is about versions
# that drift, and this one is pinned.
$(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION):
	GOBIN=$(BIN) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(BIN)/golangci-lint $@

$(BIN)/actionlint-$(ACTIONLINT_VERSION):
	GOBIN=$(BIN) go install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)
	mv $(BIN)/actionlint $@

$(BIN)/govulncheck-$(GOVULNCHECK_VERSION):
	GOBIN=$(BIN) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	mv $(BIN)/govulncheck $@

$(RELEASE_TOOLS):
	GOBIN=$@.new go install github.com/goreleaser/goreleaser/v2@$(GORELEASER_VERSION)
	GOBIN=$@.new go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)
	mv $@.new $@

$(DASHBOARD_TOOLS):
	npm install --no-audit --no-fund --ignore-scripts --no-save --prefix $@.new \
		@grafana/ui@$(GRAFANA_UI_VERSION) @grafana/data@$(GRAFANA_UI_VERSION) esbuild@0.28.2 react@18.3.1 react-dom@18.3.1 upng-js@2.1.0
	mv $@.new $@
