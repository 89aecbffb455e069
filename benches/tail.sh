#!/usr/bin/env bash
# "The Tail at Scale" (Dean and Barroso, 2013) from real sockets: latencies lognormal (median 5 ms, sigma 0.3), one
# request in a hundred 50 or 100 times slower, drawn for each request; a list at 16 at once, so that the host's gate is
# always full. With --hedge auto beside --hedge off, in turn, by the same seed of the origin.
#
#   benches/tail.sh [COUNT] [SEEDS]      default 20000 URLs, 3 seeds; some 25 s each
#
# Milliseconds are from the start of a URL's first attempt to its end. Extras are counted by the origin: requests less
# different paths. The last line of each part holds the medians; exits 1 if the ratio of p99.9 is below 10 (20 with
# 100-fold stragglers) or any run has more than 2.0 % extra.
source "$(dirname "$0")/origin.sh"
count=${1:-20000} seeds=${2:-3}
for factor in 50 100; do
    : > "$dir/rows"
    for ((seed = 1; seed <= seeds; seed++)); do
        for hedge in off auto; do
            origin_start --seed "$seed" --behave "/=latency=lognormal:5ms,0.3&stragglers=1%x$factor"
            urls "$count" > "$dir/urls"
            fetch -j 16 --per-host 16 --hedge "$hedge" --hedge-budget 2%
            origin_stop
            python3 benches/figures.py row "$dir/report" "$dir/origin" stragglers=x$factor seed=$seed hedge=$hedge \
                | tee -a "$dir/rows"
        done
    done
    python3 benches/figures.py tail "$dir/rows" "$((factor / 5))" || failed=1
done
exit "${failed:-0}"
