# goemu's build. Every target sets up what it needs; see README.md.
SHELL := /bin/bash
export CGO_ENABLED := 0
export GOFLAGS := -trimpath

ORACLES := qemu-system-x86 qemu-utils ovmf nasm acpica-tools libnbd-bin python3-libnbd nbdkit e2fsprogs gdb bzip2
BENCH_TOOLS := grub-pc-bin grub-common xorriso mtools
BENCH_DEBIAN ?= $(or $(GOEMU_CACHE),$(CURDIR)/.cache)/debian.qcow2

# The user's own guest for `make demo`.
KERNEL ?=
INITRD ?=
DISK ?=
APPEND ?= console=ttyS0
DEMO_FLAGS ?= -M pc -cpu max -m 512 -smp 2

.PHONY: build generate check test test-race test-diff fuzz bench demo man clean oracles

build:
	go build -ldflags='-s -w' -o bin/goemu ./cmd/goemu

generate:
	go generate ./...

oracles:
	@.ci/setup $(ORACLES)

check:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt: the files above are not formatted"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	GOARCH=arm64 go build ./...
	go mod tidy -diff
	go run ./internal/tools/qapigen -check
	go test ./internal/archtest

test: oracles build
	go test -timeout 15m ./...

# Everything without generated code under the race detector, which needs cgo.
test-race: oracles
	CGO_ENABLED=1 go test -race -short -timeout 30m ./internal/... ./block/... ./hw/... ./migration/... ./target/... ./tcg/interp/... ./accel/kvm

# Long random runs of every instruction against the host CPU, and of the engines against each other.
test-diff: oracles
	go test -timeout 60m -count=1 ./tests/diff/native -diff.long
	go test -timeout 60m -count=1 ./tests/diff/loops

# Each fuzz target for FUZZTIME, little of it for making inputs smaller (the default would take all).
FUZZTIME ?= 20s
fuzz:
	@set -e; for pkg in $$(go list ./...); do \
		for f in $$(go test -list '^Fuzz' $$pkg 2>/dev/null | grep '^Fuzz' || true); do \
			echo "== $$pkg $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$pkg; done; done

bench: oracles build
	@.ci/setup $(BENCH_TOOLS)
	@.ci/debian-image $(BENCH_DEBIAN) || true
	go run ./tests/bench -goemu bin/goemu $$([ ! -e $(BENCH_DEBIAN) ] || echo -debian $(BENCH_DEBIAN)) $(BENCHFLAGS)

demo: build
	@.ci/demo "$(KERNEL)" "$(INITRD)" "$(DISK)" "$(APPEND)" $(DEMO_FLAGS)

clean:
	rm -rf bin .cache
