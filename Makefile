# Signalbox: everything that is built, run and checked goes through here; CI calls nothing else.
# Needs Go, Node with npm, and make. What else a target needs it installs by itself.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := build

GO          ?= go
TOOL        := $(GO) tool -modfile=.ci/tools.mod
BIN         := bin/signalbox
SDKTEST     := cmd/signalbox/sdktest
# Modules of their own, so that the server's dependencies stay clean.
MODULES     := bench/peers cmd/signalbox/acmetest
# Its processes and their deadlines want the machine to themselves.
ALONE       := signalbox/cmd/signalbox/clustertest
NODEMODULES := $(SDKTEST)/node_modules/.package-lock.json
FUZZTIME    ?= 20000x
BENCHCOUNT  ?= 10
BENCHDIR    ?= bench-results
ARGS        ?=

# The limit of a package's tests: go's own, ten minutes, is near for some on one busy core.
TEST        := $(GO) test -shuffle=on -timeout 30m

# A checkout that git refuses to read (another owner's, or no repository at all) builds without its commit.
BUILDVCS := $(shell git rev-parse HEAD >/dev/null 2>&1 && echo auto || echo false)

# $(call install-command,command,Debian package): installs the package if the command is missing.
define install-command
if ! command -v $(1) >/dev/null; then
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "The tests need $(1): install it first (on Debian, as root: apt-get install $(2))." >&2
		exit 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get -o Acquire::Retries=5 update
	apt-get -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends $(2)
fi
endef

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/signalbox
	$(GO) build -buildvcs=$(BUILDVCS) -trimpath -o $(BIN) ./cmd/signalbox

# What a release is called, and the architectures it is built for.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
ARCHS   ?= amd64 arm64

.PHONY: release
release: ## build bin/release: static binaries of VERSION with all that goes beside them, and checksums
	@mkdir -p bin/release
	for arch in $(ARCHS); do
		name="signalbox-$(VERSION)-linux-$$arch"
		rm -rf "bin/release/$$name"
		mkdir "bin/release/$$name"
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build -buildvcs=$(BUILDVCS) -trimpath \
			-ldflags "-s -w -X main.version=$(VERSION)" -o "bin/release/$$name/signalbox" ./cmd/signalbox
		cp README.md CHANGELOG.md BENCHMARKS.md LICENSE cmd/signalbox/dist/* "bin/release/$$name"
		tar -C bin/release --sort=name --owner=0 --group=0 --numeric-owner -czf "bin/release/$$name.tar.gz" "$$name"
		rm -r "bin/release/$$name"
	done
	cd bin/release
	sha256sum *.tar.gz | tee SHA256SUMS

.PHONY: run
run: build ## build and start a server to try: no files, prints what to paste (ARGS=… adds flags)
	./$(BIN) serve --dev $(ARGS)

.PHONY: test
test: gotest e2e e2e-cluster ## run every test: Go, the official SDK in Node, WebRTC in Chromium

.PHONY: gotest
gotest: nginx iproute2 ## run the Go tests
	@packages=$$($(GO) list ./... | grep -v $(ALONE))
	$(TEST) $$packages
	$(TEST) $(ALONE)
	for module in $(MODULES); do (cd $$module && $(TEST) ./...); done

.PHONY: e2e
e2e: build browser $(NODEMODULES) ## run the SDK and browser tests against the built server, plain and over TLS
	@browser=$$(command -v "$${CHROMIUM_BIN:-chromium}")
	export SIGNALBOX_BIN="$(CURDIR)/$(BIN)" CHROMIUM_BIN="$$browser"
	cd $(SDKTEST)
	npm test

.PHONY: e2e-cluster
e2e-cluster: build browser $(NODEMODULES) ## run the SDK and browser tests against two nodes behind one address
	@$(GO) build -o bin/nats-server github.com/nats-io/nats-server/v2
	browser=$$(command -v "$${CHROMIUM_BIN:-chromium}")
	export SIGNALBOX_BIN="$(CURDIR)/$(BIN)" NATS_SERVER_BIN="$(CURDIR)/bin/nats-server" CHROMIUM_BIN="$$browser"
	cd $(SDKTEST)
	npm test

# -exec, not the environment of go test: that would hold the compiler to as few cores.
.PHONY: race
race: nginx iproute2 ## run the Go tests under the race detector, on one core and on four
	@packages=$$($(GO) list ./... | grep -v $(ALONE))
	for cores in 1 4; do
		echo "GOMAXPROCS=$$cores"
		$(TEST) -race -count=1 -exec "env GOMAXPROCS=$$cores" $$packages
	done
	$(TEST) -race -count=1 $(ALONE)

# A count, a few seconds' worth: a fuzz run that ends by time sometimes fails for that alone.
.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (20000x: so many inputs)
	@packages=$$($(GO) list ./...)
	for package in $$packages; do
		targets=$$($(GO) test -list '^Fuzz' "$$package" | awk '/^Fuzz/')
		for target in $$targets; do
			echo "$$package $$target"
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package"
		done
	done

.PHONY: lint
lint: ## check formatting, vet, staticcheck
	@unformatted=$$(find . -name '*.go' -not -path '*/node_modules/*' -exec gofmt -l {} +)
	if [ -n "$$unformatted" ]; then echo "gofmt would change: $$unformatted" >&2; exit 1; fi
	echo "gofmt, go vet, staticcheck"
	$(GO) vet ./...
	$(TOOL) staticcheck ./...

.PHONY: vuln
vuln: ## look for known vulnerabilities in what the server links
	$(TOOL) govulncheck ./...

.PHONY: microbench
microbench: ## run the micro benchmarks BENCHCOUNT (10) times, for benchstat
	$(GO) test -run '^$$' -bench . -benchmem -count=$(BENCHCOUNT) ./...

# The scenarios that start the server as bin/signalbox.
SCENARIOS := connect idle fanout latency direct presence reconnect slow soak peers cluster

.PHONY: bench
bench: build ## put load on the server in every scenario: raw results and a report in BENCHDIR
	@$(GO) build -buildvcs=$(BUILDVCS) -o bin/bench ./bench
	for scenario in $(SCENARIOS); do
		bin/bench "$$scenario" --server-bin $(BIN) --json "$(BENCHDIR)/$$scenario.json"
	done
	bin/bench sim --json "$(BENCHDIR)/sim.json"
	bin/bench report "$(BENCHDIR)"/*.json --out "$(BENCHDIR)/report.html"

.PHONY: bench-smoke
bench-smoke: build ## run each benchmark once and each scenario small, and see that figures come out
	$(GO) test -run '^$$' -bench . -benchtime=1x ./...
	$(GO) build -buildvcs=$(BUILDVCS) -o bin/bench ./bench
	results=$$(mktemp -d)
	trap 'rm -rf "$$results"' EXIT
	small() { bin/bench "$$@" --json "$$results/$$1.json"; }
	server() { small "$$@" --server-bin $(BIN); }
	server connect --connections 200 --rounds 1
	server idle --connections 100,200 --rest 1s --profile
	server fanout --tls --subscribers 50 --rounds 1 --for 200ms --warm-up 50ms
	server fanout --subscribers 50 --rounds 1 --for 200ms --warm-up 50ms
	server latency --subscribers 50 --shares 0.1 --for 200ms --warm-up 50ms
	server direct --pairs 10 --for 200ms --warm-up 50ms
	server presence --peers 50
	server reconnect --connections 100
	server slow --subscribers 50 --rounds 1 --for 200ms --warm-up 50ms
	server soak --peers 50 --channels 5 --for 1s --churn 5 --life 200ms --samples 2
	server peers --servers signalbox,gws --subscribers 50 --connections 40 --rounds 1 --for 100ms --warm-up 50ms --rest 1s
	server cluster --parts fanout,trips,storm,rest,connect,held --nodes 2 --subscribers 50 --rounds 1 --for 200ms --warm-up 50ms \
		--rest 500ms --pairs 10 --joins 50 --connects 50 --connections 300 --per-node 150
	small sim --sessions 1000,2000 --subscribers 200 --rounds 1 --for 100ms
	bin/bench report --complete "$$results"/*.json --out "$$results/report.html"

.PHONY: install
install: browser nginx iproute2 $(NODEMODULES) ## fetch what the tests need: modules, npm packages, a browser
	$(GO) mod download
	$(GO) mod download -modfile=.ci/tools.mod
	for module in $(MODULES); do (cd $$module && $(GO) mod download); done

.PHONY: ci
ci: ## everything a change must pass
	$(MAKE) install
	$(MAKE) build
	$(MAKE) lint
	$(MAKE) test
	$(MAKE) race
	$(MAKE) fuzz
	$(MAKE) bench-smoke

.PHONY: clean
clean: ## remove what was built
	rm -rf bin $(SDKTEST)/node_modules

# npm ci leaves a copy of the lock file behind: newer than the lock file, it says that all is installed.
$(NODEMODULES): $(SDKTEST)/package.json $(SDKTEST)/package-lock.json
	@$(call install-command,npm,npm)
	cd $(SDKTEST)
	echo "npm ci"
	npm ci
	touch node_modules/.package-lock.json

.PHONY: nginx
nginx:
	@$(call install-command,nginx,nginx libnginx-mod-stream)

.PHONY: iproute2
iproute2:
	@$(call install-command,ip,iproute2)

.PHONY: browser
browser:
	@$(call install-command,$${CHROMIUM_BIN:-chromium},chromium)
