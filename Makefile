# Two commands do everything: `make run` and `make test`.
# Arguments for the store go into ARGS: make run ARGS="--http-port 4001 --data-dir /srv/shop"

.PHONY: help run test lint bench prerequisites

BINARY := target/release/orderstore

help:
	@echo "make run    build and start everything on this machine (Ctrl-C stops it)"
	@echo "make test   install what the tests need, and run them all"
	@echo "make bench  measure, and print ratios against limits taken in the same run"

run:
	@sh tools/prerequisites.sh run
	cargo build --release --locked --bin orderstore
	@exec $(BINARY) up $(ARGS)

test: prerequisites lint
	cargo test --workspace --locked

# Only where the toolchain has the components; a minimal one does not.
lint:
	@if cargo fmt --version >/dev/null 2>&1; then cargo fmt --all --check; fi
	@if cargo clippy --version >/dev/null 2>&1; then \
		cargo clippy --workspace --all-targets --locked -- -D warnings; fi

bench: prerequisites
	cargo run --release --locked --package bench -- $(ARGS)

prerequisites:
	@sh tools/prerequisites.sh
