#!/usr/bin/env bash
# What a journal costs: the CPU time that it adds for each URL, and the start of a job of which nine tenths are done.
#
#   benches/journal.sh [URLS]      default 1000000
#
# Prints microseconds of CPU for each URL without and with a journal, and the time and memory until the first request
# of a job that goes on. Then the program fetches nine tenths of a list from an origin on this machine, the list grows
# by the last tenth, and it is run again: when the first of the new lines was asked for, the memory, and the requests.
# With FILES=1 the last is done once more with a file for each body, which takes some minutes.
# Exits 1 if a URL costs more than LIMIT (default 3.0) microseconds more, if a start takes more than 3 s or 64 MB, or if
# another line than the new ones is asked for.
source "$(dirname "$0")/origin.sh"
count=${1:-1000000} limit=${LIMIT:-3.0}
cargo build -q --release -p gannet --features journal --example journal_cost
program=$bin/examples/journal_cost
TIMEFORMAT='%U %S'
# The least of three runs: other work on the machine only adds.
cpu() {
    for _ in 1 2 3; do
        rm -rf "$dir/cost"
        { time "$program" "$1" "$count" "$dir/cost" 2>/dev/null; } 2>&1
    done | awk -v urls="$count" '{ t = ($1 + $2) * 1e6 / urls } NR == 1 || t < least { least = t } END { printf "%.2f", least }'
}
plain=$(cpu plain)
journal=$(cpu journal)
added=$(awk "BEGIN { printf \"%.2f\", $journal - $plain }")
echo "CPU for each URL: $plain us without, $journal us with a journal: $added us more (limit $limit)"
"$program" begin "$count" "$dir/start" 2>/dev/null
start=$("$program" start "$count" "$dir/start" 2>&1 | head -1)
echo "nine tenths of $count are done: $start (limits 3000 ms, 65536 kB)"
awk -v added="$added" -v limit="$limit" -v start="$start" 'BEGIN {
    split(start, word, " "); exit !(added <= limit && word[4] <= 3000 && word[7] <= 65536) }'

# going_on NAME FLAG...: nine tenths of a list are done, it grows by the last tenth, and is run again.
going_on() {
    local name=$1 begun
    shift
    rm -rf "$dir/journal" "$dir/out"
    go() {
        /usr/bin/time -f %M -o "$dir/memory" "$bin/gannet" -i "$dir/list" --journal "$dir/journal" \
            --report "$dir/report" -q "$@"
    }
    origin_start
    urls $((count / 10 * 9)) > "$dir/list"
    go "$@"
    urls "$count" > "$dir/list"
    begun=$(date +%s%3N)
    go "$@"
    origin_stop
    python3 - "$dir" "$count" "$begun" "$(cat "$dir/memory")" "$name" <<'EOF'
import datetime, json, sys
folder = sys.argv[1]
urls, begun, memory = map(int, sys.argv[2:5])
old = urls // 10 * 9
asked = json.loads(open(folder + "/origin").read().splitlines()[-1])["requests"] - old
rows = (json.loads(row) for row in open(folder + "/report"))
started = (row["started"] for row in rows if row["type"] == "result" and row["seq"] >= old)
first = min(datetime.datetime.fromisoformat(when.replace("Z", "+00:00")).timestamp() * 1000 for when in started)
print(f"{sys.argv[5]}: {urls - old} lines more than {old}: first asked for after {first - begun:.0f} ms, {memory} kB at most, "
      f"{asked} requests")
sys.exit(not (first - begun <= 3000 and memory <= 65536 and asked == urls - old))
EOF
}

going_on "without bodies" --no-body
if [ -n "${FILES:-}" ]; then going_on "with files" -P "$dir/out"; fi
