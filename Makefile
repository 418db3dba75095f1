# Satchel. Two commands matter: `make demo` and `make test`.
#
#   build    both binaries into bin/
#   demo     collect this host, import the container, print a report
#   test     lint and every test; with CI set also race, fuzz, crash and e2e in their short forms
#   race     the tests of every package with concurrency under the race detector (needs a C compiler)
#   lint     gofmt, go vet, staticcheck and the import layers
#   fuzz     every FuzzX of the tree for FUZZTIME each (FUZZ=pattern narrows)
#   crash    cuts at every byte, flipped bits and failing writes; kill, power loss and full disk against the real
#            binaries (CRASH=long: 500 kills, CRASH_SEED=n repeats)
#   e2e      the demo, then the README's tour as a reader would type it, its promises and its links
#   bench    Go benchmarks and whole-command measures into build/bench/ (BENCH=pattern, COUNT=n)
#   cross    both binaries for every supported system into build/cross/
#   golden   rewrite golden files from what the code gives now
#   cover    coverage of the tests into build/cover.html
#   changelog  the unreleased fragments as one text
#   clean    remove bin/ and build/

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
MAKEFLAGS   += --no-print-directory

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X satchel/cmd/internal/command.Version=$(VERSION)
BUILD    = CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'
TOOL     = $(GO) tool -modfile=internal/tools/go.mod
EXE      = $(shell $(GO) env GOEXE)

TRIAGE_linux   = Linux.Triage
TRIAGE_darwin  = MacOS.Triage
TRIAGE_windows = Windows.Triage
TRIAGE        ?= $(TRIAGE_$(shell $(GO) env GOOS))

TESTFLAGS ?=
RACEFLAGS ?=
FUZZTIME  ?= 30s
FUZZ      ?= .
CRASH     ?= short
BENCH     ?= .
COUNT     ?= 1
CROSS     ?= linux/amd64 linux/arm64 linux/386 windows/amd64 windows/arm64 windows/386 darwin/amd64 darwin/arm64
# Other systems whose files `make lint` vets too; CI vets them, at a desk one may ask for it.
LINT_OS   ?= $(if $(CI),windows darwin,)

.PHONY: build demo test race lint fuzz crash e2e bench cross golden cover changelog clean

build:
	$(BUILD) -o bin/ ./cmd/collect ./cmd/ingest

demo: build
	@scripts/demo.sh $(TRIAGE) bin build/demo

test: lint
	$(GO) test $(TESTFLAGS) ./...
ifneq ($(CI),)
	$(MAKE) race RACEFLAGS=-short
	$(MAKE) fuzz FUZZTIME=2s
	$(MAKE) crash
	$(MAKE) e2e
endif

# Packages without goroutines or locks have nothing that the detector could see.
race:
	@scripts/need.sh gcc gcc libc6-dev
	CGO_ENABLED=1 $(GO) test -race -vet=off $(RACEFLAGS) $$(scripts/packages.sh concurrent)

lint:
	@bad=$$(gofmt -l $$(scripts/packages.sh dirs)); [ -z "$$bad" ] || { echo "gofmt -w these:"; echo "$$bad"; exit 1; }
	$(GO) vet ./...
	@for os in $(LINT_OS); do echo "GOOS=$$os $(GO) vet ./..."; GOOS=$$os CGO_ENABLED=0 $(GO) vet ./...; done
	$(TOOL) staticcheck ./...
	$(GO) test ./internal/layers

fuzz:
	scripts/fuzz.sh '$(FUZZTIME)' '$(FUZZ)'

crash:
	CRASH=$(CRASH) $(GO) test -count=1 -timeout 60m -run 'Cut|Flip|Every|PowerLoss|Fails|Crash|Fault' ./container ./internal/frame ./internal/fsx/... ./internal/spool ./internal/zipx
	CRASH=$(CRASH) $(GO) test -v -count=1 -timeout 60m -parallel 4 ./internal/crashtest

e2e: demo
	E2E=1 $(GO) test -v -count=1 ./internal/e2e

bench: build
	@mkdir -p build/bench
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) -timeout 60m $$(scripts/packages.sh bench) | tee build/bench/go.txt
	@[ ! -f build/bench/go.old.txt ] || $(TOOL) benchstat build/bench/go.old.txt build/bench/go.txt
	$(GO) run ./bench/run -bin bin -out build/bench/commands.md

cross:
	@for t in $(CROSS); do os=$${t%/*} arch=$${t#*/}; echo "build $$t"; mkdir -p build/cross/$$os-$$arch; \
	  GOOS=$$os GOARCH=$$arch $(BUILD) -o build/cross/$$os-$$arch/ ./cmd/collect ./cmd/ingest; done

golden:
	$(GO) test -count=1 $$(scripts/packages.sh golden) -update

cover:
	@mkdir -p build
	$(GO) test -coverprofile build/cover.out ./...
	$(GO) tool cover -html build/cover.out -o build/cover.html
	@$(GO) tool cover -func build/cover.out | tail -n 1

changelog:
	@for f in changelog/unreleased/*.md; do cat "$$f"; echo; done

clean:
	rm -rf bin build
