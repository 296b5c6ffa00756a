#!/usr/bin/env bash
# Fuzzes the targets that are named, or all, one after the other: `MINUTES=15 bash tests/fuzz/run.sh proof jwk`
# With the toolchain that builds clinch: what cargo-fuzz needs a nightly one for is one address sanitizer.
set -euo pipefail
cd "$(dirname "$0")"
minutes=${MINUTES:-1}
[ "$minutes" -gt 0 ] || { echo "MINUTES is a whole number above zero" >&2; exit 1; }
host=$(rustc -vV | sed -n 's/^host: //p')
command -v c++ >/dev/null || { echo "a C++ compiler is missing: apt-get install g++" >&2; exit 1; }
if [ $# -eq 0 ]; then
  for file in fuzz_targets/*.rs; do set -- "$@" "$(basename "$file" .rs)"; done
fi

cp ../../Cargo.lock Cargo.lock # the very versions that are shipped
export RUSTFLAGS="--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
  -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --release --target "$host"

for target in "$@"; do
  mkdir -p "corpus/$target" "artifacts/$target"
  echo "--- $target, $minutes min"
  "target/$host/release/$target" -dict=dictionary.txt -max_len=2048 -len_control=0 -timeout=10 -rss_limit_mb=2048 \
    -max_total_time=$((minutes * 60)) -print_final_stats=1 -verbosity=0 \
    -artifact_prefix="artifacts/$target/" "corpus/$target"
done
