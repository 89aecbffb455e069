#!/usr/bin/env bash
# What a journal costs: the CPU time that it adds for each URL, and the start of a job of which nine tenths are done.
#
#   benches/journal.sh [URLS]      default 1000000
#
# Prints microseconds of CPU for each URL without and with a journal, and the time and memory until the first request
# of a job that goes on. Exits 1 if a URL costs more than LIMIT (default 3.0) microseconds more, or the start takes more
# than 3 s or 64 MB.
set -euo pipefail
cd "$(dirname "$0")/.."
urls=${1:-1000000} limit=${LIMIT:-3.0}
cargo build -q --release -p gannet --features journal --example journal_cost
program=${CARGO_TARGET_DIR:-target}/release/examples/journal_cost
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
TIMEFORMAT='%U %S'
# The least of three runs: other work on the machine only adds.
cpu() {
    for _ in 1 2 3; do
        rm -rf "$folder/cost"
        { time "$program" "$1" "$urls" "$folder/cost" 2>/dev/null; } 2>&1
    done | awk -v urls="$urls" '{ t = ($1 + $2) * 1e6 / urls } NR == 1 || t < least { least = t } END { printf "%.2f", least }'
}
plain=$(cpu plain)
journal=$(cpu journal)
added=$(awk "BEGIN { printf \"%.2f\", $journal - $plain }")
echo "CPU for each URL: $plain us without, $journal us with a journal: $added us more (limit $limit)"
"$program" begin "$urls" "$folder/start" 2>/dev/null
start=$("$program" start "$urls" "$folder/start" 2>&1 | head -1)
echo "nine tenths of $urls are done: $start (limits 3000 ms, 65536 kB)"
awk -v added="$added" -v limit="$limit" -v start="$start" 'BEGIN {
    split(start, word, " "); exit !(added <= limit && word[4] <= 3000 && word[7] <= 65536) }'
