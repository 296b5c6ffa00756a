# The two things a contributor types. CI runs .ci/run, which is these and the lints.
.PHONY: test test-tools fuzz

# Every test, against a real authorization server, real clients and a real NATS.
test: test-tools
	cargo test --locked

# What the tests run against, under target/test-tools; does nothing the second time.
test-tools:
	@bash tests/tools.sh

# Every fuzz target in turn, MINUTES each. tests/fuzz/README.md says what they look for.
MINUTES ?= 1
fuzz:
	MINUTES=$(MINUTES) bash tests/fuzz/run.sh
