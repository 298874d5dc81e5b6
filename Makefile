# make up      sets up what is missing, builds, starts a whole local cluster; Ctrl-C stops it
# make test    sets up what is missing, builds, runs all tests
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

orchestra := .build/release/orchestra
checks := --explicit-target-dependency-import-check error
# With Swift's libraries linked in, the same work takes a sixth less processor time, and the binary runs without a
# toolchain. lld, of the toolchain, because gold warns of what those libraries call. The same flags everywhere: others
# would build everything anew.
release := -c release --static-swift-stdlib -Xswiftc -use-ld=lld $(checks)

.PHONY: help setup build up run test conformance chaos failover fuzz sim ownership lint format bench clean

help:  ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup:  ## install what the build needs and the machine lacks
	@scripts/setup

build: setup  ## build the release binary at .build/release/orchestra
	@swift build $(release) --product orchestra

up: build  ## start a whole local cluster (ARGS='--ports auto' and the like); Ctrl-C stops it
	@exec $(orchestra) up $(ARGS)

run: setup  ## build one product for release and run it (PRODUCT=placement-sim ARGS='…')
	@swift build $(release) --product $(PRODUCT)
	@.build/release/$(PRODUCT) $(ARGS)

test:  ## build and run all tests
	@scripts/setup --tests
	@swift build --build-tests $(checks)
	@swift build $(release) --product orchestra
	@swift build $(release) --product chaos-orchestra
	@swift build $(release) --product peer-fuzz
	@swift build $(release) --product membership-sim
	@swift build $(release) --product ownership-sim
	@.build/debug/broker-fuzz
	@.build/release/peer-fuzz
	@.build/release/membership-sim faults 1 5000 || { echo "at commit $$(git rev-parse HEAD 2>/dev/null); replay a seed with: make sim SEED=n"; exit 1; }
	@.build/release/ownership-sim 1 2000 || { echo "at commit $$(git rev-parse HEAD 2>/dev/null); replay a seed with: make ownership SEED=n"; exit 1; }
	@Tests/Conformance/run
	@.venv/bin/python Tests/Conformance/prove_registry.py
	@.venv/bin/python Tests/Conformance/soak.py
	@.venv/bin/python -m unittest discover --start-directory Tests/Chaos
	@.venv/bin/python Tests/Chaos/membership.py
	@Tests/Chaos/run --lanes 2
	@swift test --skip-build --no-parallel --skip ClusterTests
	@BINARY_UNDER_TEST=$(CURDIR)/$(orchestra) swift test --skip-build --no-parallel --filter ClusterTests

conformance: build  ## certify the local broker and registry with foreign clients
	@scripts/setup --tests
	@Tests/Conformance/run
	@.venv/bin/python Tests/Conformance/prove_registry.py
	@.venv/bin/python Tests/Conformance/soak.py

chaos: build  ## break a cluster on purpose and prove that nothing was lost (SEED=n MINUTES=m)
	@scripts/setup --tests
	@swift build $(release) --product chaos-orchestra
	@Tests/Chaos/run $(if $(SEED),--seeds $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

failover: build  ## measure how long callers wait when a silo dies, leaves or joins
	@scripts/setup --tests
	@swift build $(release) --product chaos-orchestra
	@.venv/bin/python Tests/Chaos/failover.py

fuzz:  ## throw mutated frames at the broker and at nodes, under the address sanitizer (CASES=n)
	@scripts/setup
	@swift build --sanitize=address --scratch-path .build-fuzz --product broker-fuzz
	@swift build --sanitize=address --scratch-path .build-fuzz --product peer-fuzz
	@.build-fuzz/debug/broker-fuzz $(if $(CASES),--count $(CASES))
	@.build-fuzz/debug/peer-fuzz $(if $(CASES),--count $(CASES))

sim:  ## replay one run of the membership simulation (SEED=n)
	@SIMULATION_SEED=$(SEED) swift test --no-parallel --filter SimulationTests.FaultSimulationTests

ownership:  ## simulate silos and Kafka in virtual time (SEED=n with all that happens, or SEEDS='1 2000')
	@scripts/setup
	@swift build $(release) --product ownership-sim
	@.build/release/ownership-sim $(or $(SEED),$(SEEDS),1 200)

lint:  ## check formatting, scripts, generated code and the rules of the code base
	@scripts/setup --tests
	@scripts/lint

format:  ## rewrite the Swift sources in the project's format
	@swift format --in-place --recursive Package.swift Sources Tests Examples Benchmarks

bench: build  ## measure against the floors: calls, streams, workflows, failure detection, Avro
	@scripts/setup --bench
	@swift build $(release) --product TransportBenchmark
	@swift build $(release) --product StreamBenchmark
	@swift build $(release) --product avro-benchmark
	@Benchmarks/calls
	@Benchmarks/streams
	@Benchmarks/run
	@.venv/bin/python Benchmarks/membership --nodes 5
	@Benchmarks/avro

clean:  ## remove build products (not data)
	@rm -rf .build
