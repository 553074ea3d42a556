# What a person types; CI runs .ci/run, which uses these.

.PHONY: test test-airflow lint bench build

test:
	@bash .ci/test

test-airflow:
	@bash .ci/test-airflow

lint:
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings

build:
	cargo build --release --locked

# The zipline CLI that `make test` installs is timed beside the plan; without it that line says so.
ZIPLINE ?= $(wildcard target/tools/zipline-1.28.0/bin/zipline)

# The Airflows that `make test-airflow` installs parse very large teams.
AIRFLOWS ?= $(wildcard target/tools/airflow-*/bin/python)

bench: build
	cargo build --release --locked --example bench-apply
	python3 bench/run.py --sizes 1000,10000,100000 $(if $(ZIPLINE),--zipline $(ZIPLINE))
	python3 bench/airflow.py --sizes 100,1000,10000 $(foreach it,$(AIRFLOWS),--python $(it))
