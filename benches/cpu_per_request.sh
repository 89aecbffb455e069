#!/usr/bin/env bash
# CPU time of the client for one small keep-alive GET: gannet beside wrk, in pairs, against nginx on loopback.
# The client is pinned to one core and nginx to another. Needs nginx, wrk and taskset (util-linux).
#
#   benches/cpu_per_request.sh [PAIRS] [REQUESTS]      default 5 pairs of 200,000 requests
#
# Prints microseconds of CPU (user and system) a request for each run, and the ratio gannet / wrk of each pair; the
# last line holds the medians. Exits 1 if the median ratio is above LIMIT (default 1.6).
set -euo pipefail
cd "$(dirname "$0")/.."
pairs=${1:-5} requests=${2:-200000} limit=${LIMIT:-1.6} port=${PORT:-18080} connections=64
for tool in nginx wrk taskset; do
    command -v "$tool" >/dev/null || { echo "SKIPPED: $tool is not installed"; exit 77; }
done
# The profile that is shipped.
cargo build --profile dist --quiet -p gannet-cli
dir=$(mktemp -d)
trap 'kill "$(cat "$dir/nginx.pid")" 2>/dev/null || true; rm -rf "$dir"' EXIT
mkdir "$dir/www"
head -c 80 /dev/zero | tr '\0' x > "$dir/www/small"
cat > "$dir/nginx.conf" <<CONF
worker_processes 1;
pid $dir/nginx.pid;
error_log $dir/error.log;
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path $dir; proxy_temp_path $dir; fastcgi_temp_path $dir; uwsgi_temp_path $dir; scgi_temp_path $dir;
    server { listen 127.0.0.1:$port; root $dir/www; }
}
CONF
taskset -c 1 nginx -c "$dir/nginx.conf" -p "$dir" 2>/dev/null
for ((i = 0; i < requests; i++)); do echo "http://127.0.0.1:$port/small"; done > "$dir/urls"

# Runs a command on core 0 and prints its user and system time in microseconds.
cpu_of() {
    local me=$BASHPID before after
    before=$(awk '{ print $16 + $17 }' /proc/$me/stat)
    taskset -c 0 "$@" > "$dir/out" 2>&1
    after=$(awk '{ print $16 + $17 }' /proc/$me/stat)
    echo $(((after - before) * 1000000 / $(getconf CLK_TCK)))
}

gannet() {
    cpu_of target/dist/gannet -i "$dir/urls" --no-body -j "$connections" --per-host "$connections" --progress none -q
}
wrk_seconds=3
ratios=() ours=() theirs=()
cpu_of target/dist/gannet "http://127.0.0.1:$port/small" > /dev/null
for ((pair = 1; pair <= pairs; pair++)); do
    a=$(gannet)
    b=$(cpu_of wrk -t1 -c"$connections" -d"${wrk_seconds}s" "http://127.0.0.1:$port/small")
    done_by_wrk=$(awk '/requests in/ { print $1 }' "$dir/out")
    mine=$(awk "BEGIN { printf \"%.2f\", $a / $requests }")
    its=$(awk "BEGIN { printf \"%.2f\", $b / $done_by_wrk }")
    ratio=$(awk "BEGIN { printf \"%.2f\", $mine / $its }")
    echo "pair $pair: gannet $mine us, wrk $its us, ratio $ratio"
    ours+=("$mine") theirs+=("$its") ratios+=("$ratio")
done
median() { printf '%s\n' "$@" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
ratio=$(median "${ratios[@]}")
echo "median: gannet $(median "${ours[@]}") us, wrk $(median "${theirs[@]}") us, ratio $ratio (limit $limit)"
awk "BEGIN { exit !($ratio <= $limit) }"
