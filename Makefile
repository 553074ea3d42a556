# What a person types; CI runs .ci/run, which uses these.

.PHONY: test lint bench build

test:
	@bash .ci/test

lint:
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings

build:
	cargo build --release --locked

# The zipline CLI is only timed beside the plan; without it that line says so.
bench: build
	python3 bench/run.py --sizes 1000,10000,100000 $(if $(ZIPLINE),--zipline $(ZIPLINE))
