#!/usr/bin/env bash
# Instructions a step of the scheduler, from a thousand known hosts to a million: a request is queued behind its host,
# taken in turn, let in at the gate and answered. Callgrind counts them, so the figures do not depend on the machine's
# other work. Needs valgrind.
#
#   benches/scheduler.sh [STEPS] [HOSTS...]      default 20000 steps at 1000, 10000, 100000 and 1000000 hosts
#
# Prints the instructions of one step for each number of hosts, and how often a step allocates. Exits 1 if the most are more than LIMIT (default 1.3)
# times the fewest.
set -euo pipefail
cd "$(dirname "$0")/.."
steps=${1:-20000} limit=${LIMIT:-1.3}
shift || true
hosts=("$@")
[ ${#hosts[@]} -gt 0 ] || hosts=(1000 10000 100000 1000000)
command -v valgrind >/dev/null || { echo "SKIPPED: valgrind is not installed"; exit 77; }
program=$(cargo test -p gannet --lib --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*\/gannet-[^"]*\)".*/\1/p' | tail -1)
out=$(mktemp)
trap 'rm -f "$out"' EXIT
test=engine::hosts::tests::a_step_gives_back_what_it_took_however_many_hosts_are_known
figures=()
for known in "${hosts[@]}"; do
    GANNET_BENCH_HOSTS=$known GANNET_BENCH_STEPS=$steps valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        --toggle-collect='*one_step*' "$program" --exact "$test" > "$out" 2>&1
    grep -q '1 passed' "$out" || { cat "$out"; exit 1; }
    each=$(awk -v steps="$steps" '/Collected/ { printf "%.0f", $4 / steps }' "$out")
    echo "$known hosts: $each instructions a step"
    figures+=("$each")
done
# Twice as many steps less the half of them: what the beginning allocates falls out.
allocations() {
    GANNET_BENCH_HOSTS=1000 GANNET_BENCH_STEPS=$1 valgrind --leak-check=no "$program" --exact "$test" 2>&1 |
        awk '/total heap usage/ { gsub(",", "", $5); print $5 }'
}
awk "BEGIN { printf \"%.2f allocations a step\n\", ($(allocations $((2 * steps))) - $(allocations "$steps")) / $steps }"
printf '%s\n' "${figures[@]}" | sort -n | awk -v limit="$limit" '
    NR == 1 { least = $1 } { most = $1 }
    END { printf "ratio %.2f (limit %s)\n", most / least, limit; exit !(most / least <= limit) }'
