#!/usr/bin/env bash
# How long a clean debug build takes of a program that depends on nothing but the library, beside one that depends on
# reqwest, each at its default features, in turn.
#
#   benches/compile_time.sh [ROUNDS]      default 2; some 90 seconds each on 2 cores
#
# Prints seconds of each build, by the clock and of CPU. What is downloaded is downloaded before the clock runs.
# Cargo builds what comes from a registry without the records of incremental builds; a path would be built with them.
set -euo pipefail
export CARGO_INCREMENTAL=0
cd "$(dirname "$0")/.."
rounds=${1:-2} root=$PWD
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
project() {
    mkdir -p "$dir/$1/src"
    echo 'fn main() {}' > "$dir/$1/src/main.rs"
    printf '[package]\nname = "uses-%s"\nversion = "0.1.0"\nedition = "2024"\n[dependencies]\n%s\n[workspace]\n' \
        "$1" "$2" > "$dir/$1/Cargo.toml"
    (cd "$dir/$1" && cargo fetch --quiet)
}
project gannet "gannet = { path = \"$root/crates/gannet\" }"
project reqwest 'reqwest = "0.13"'
TIMEFORMAT='%R s, %U s of CPU and %S s of the kernel'
for ((round = 1; round <= rounds; round++)); do
    for name in gannet reqwest; do
        rm -rf "$dir/$name/target"
        printf '%s: ' "$name" >&2
        time (cd "$dir/$name" && CARGO_TARGET_DIR="$dir/$name/target" cargo build --quiet --offline)
    done
done
