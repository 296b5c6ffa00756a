# The two things a contributor types. CI runs .ci/run, which is these and the lints.
.PHONY: test test-tools

# Every test, against a real authorization server, real clients and a real NATS.
test: test-tools
	cargo test --locked

# What the tests run against, under target/test-tools; does nothing the second time.
test-tools:
	@bash tests/tools.sh
