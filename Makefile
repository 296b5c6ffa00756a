# The two things a contributor types. CI runs .ci/run, which is these and the lints.
.PHONY: test test-tools fuzz soak

# Every test, against a real authorization server, real clients, a real NATS and Redis, and librdkafka's Kafka. With
# every feature, so that things are built once.
test: test-tools
	cargo test --locked --all-features

# What the tests run against, under target/test-tools; does nothing the second time.
test-tools:
	@bash tests/tools.sh

# Every fuzz target in turn, MINUTES each. tests/fuzz/README.md says what they look for.
MINUTES ?= 1
fuzz:
	MINUTES=$(MINUTES) bash tests/fuzz/run.sh

# Load, reloads, new certificates, revocations and attacks at once, for SOAK_MINUTES. Linux, two cores.
SOAK_MINUTES ?= 20
soak: test-tools
	MINUTES=$(SOAK_MINUTES) cargo bench --locked --bench proxy -- soak
