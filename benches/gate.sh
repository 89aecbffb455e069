#!/usr/bin/env bash
# How gannet, curl -Z and aria2 come to terms with an origin that allows 10 in flight (each takes 50 ms, so 200 a
# second), and with one that allows 100 a second; both answer 429 to what is more. All may have 64 at once. The origin
# says each half second what it let in and what it refused. Needs curl; aria2c is left out if it is not installed.
#
#   benches/gate.sh [SECONDS] [SVG]      default 30 s for each client and origin, drawn into docs/gate.svg
#
# Exits 1 if gannet, from the 5th second on, gets less than 0.9 of what is allowed or has 2 % or more refused.
source "$(dirname "$0")/origin.sh"
seconds=${1:-30} svg=${2:-docs/gate.svg}
mkdir "$dir/out" "$dir/series"
client() {
    case $1 in
    gannet) fetch -j 64 --per-host 64 --deadline "${seconds}s" ;;
    curl)
        sed 's/.*/url = "&"\noutput = "\/dev\/null"/' "$dir/urls" > "$dir/config"
        timeout "$seconds" curl -Z --parallel-max 64 --retry 10 -s -K "$dir/config" 2> /dev/null || true
        ;;
    aria2)
        timeout "$seconds" aria2c -q -i "$dir/urls" -j 64 -x 16 -s 1 -d "$dir/out" --max-tries=10 --retry-wait=1 \
            --auto-file-renaming=false --file-allocation=none --no-conf > /dev/null || true
        rm -rf "$dir/out"
        ;;
    esac
}
for limits in concurrency=10 rate=100/s; do
    for name in gannet curl aria2; do
        command -v ${name/aria2/aria2c} > /dev/null || [ $name = gannet ] || continue
        origin_start --counts-every 500 --limits "/=$limits" --behave '/=delay=50ms'
        urls $((seconds * 400)) > "$dir/urls"
        client $name
        origin_stop
        cp "$dir/origin" "$dir/series/${limits%%=*}.$name"
    done
done
python3 benches/figures.py gate "$dir/series" "$svg"
