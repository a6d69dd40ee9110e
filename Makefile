# Run `make` alone to see what there is to do.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory

# Set on the command line or in the environment; `make run LISTEN=127.0.0.1:9000`.
LISTEN   ?= 127.0.0.1:8080
DATA_DIR ?= .data
BASE_URL ?= http://127.0.0.1:8080
FUZZTIME ?= 200000x
CYCLES   ?= 1000
export LISTEN DATA_DIR BASE_URL FUZZTIME

# Results are never taken from the cache: the tests talk to a database, which
# the cache knows nothing of.
TESTFLAGS ?= -count=1 -shuffle=on -timeout=30m

##@ Use
.PHONY: help run quickstart

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nStart with `make run`, then follow what it prints.\n'

run: ## Start the whole platform on one port (LISTEN, DATA_DIR); Ctrl-C ends it
	@hack/need.sh go
	@echo "Building the platform; the first time takes a minute and shows nothing."
	@go build -o bin/ ./local/cmd/local
	@exec bin/local

quickstart: ## Walk the published quickstart with curl on a platform that runs (BASE_URL), once for each fresh DATA_DIR
	@hack/need.sh curl
	@e2e/quickstart.sh

##@ Test
.PHONY: engine test test-race fuzz crash bench

engine: ## Find the database engine, or build it once (about five minutes)
	@hack/need.sh go
	@go run ./svckit/engine/cmd/engine prepare

test: engine ## Run every test of every module against the real engine
	@hack/need.sh go git curl
	go test $(TESTFLAGS) work

test-race: engine ## The same under the race detector
	@hack/need.sh go git curl cc
	go test -race $(TESTFLAGS) work

fuzz: ## Run each fuzz target with FUZZTIME inputs
	@hack/need.sh go
	@hack/fuzz.sh

crash: engine ## Kill the platform and its database under load CYCLES times (SEED repeats a run)
	@hack/need.sh go
	@CYCLES=$(CYCLES) go -C e2e/crash test -count=1 -timeout 0 -run '^TestCrash$$'

bench: engine ## Measure what the platform does, beside a bare-driver yardstick
	@hack/need.sh go
	go run ./e2e/load

##@ Change
.PHONY: generate fmt lint verify ci clean

generate: ## Rewrite the generated files: OpenAPI JSON, configuration tables
	@hack/need.sh go
	go run ./hack/cmd/generate

fmt: ## Format all Go code
	@hack/need.sh go
	@hack/lint.sh fmt

lint: ## Check style and layer rules; builds the pinned linter the first time (minutes)
	@hack/need.sh go git
	@hack/lint.sh run

verify: ## Fail when generated files, go.mod files or formatting are not up to date
	@hack/need.sh go git
	@hack/verify.sh

ci: ## All that a change must pass: lint, verify, a short fuzz, tests with and without -race
	@$(MAKE) verify
	@$(MAKE) lint
	@$(MAKE) fuzz FUZZTIME=50000x
	@$(MAKE) test-race
	@$(MAKE) test

clean: ## Remove bin, and from DATA_DIR what local mode made there: the data are gone
	rm -rf bin
	@hack/clean.sh "$(DATA_DIR)"
