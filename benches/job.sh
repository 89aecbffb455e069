#!/usr/bin/env bash
# How long a job of 1,000 URLs takes at 16 at once when one request in a hundred is 50 times slower, beside the same job
# without such stragglers: latencies lognormal (median 5 ms, sigma 0.3), --hedge auto at a budget of 2 %.
#
#   benches/job.sh [SEEDS] [COUNT]      default 10 seeds, 1000 URLs; some 1.5 s each
#
# The last lines hold the ratios to the time without stragglers, and the most extras counted by the origin. Exits 1 if
# the median ratio with hedging is above 1.3, or any run has more than 2 % extra.
source "$(dirname "$0")/origin.sh"
seeds=${1:-10} count=${2:-1000}
: > "$dir/rows"
for ((seed = 1; seed <= seeds; seed++)); do
    for run in none:auto 1%x50:auto 1%x50:off; do
        stragglers=${run%:*} hedge=${run#*:}
        origin_start --seed "$seed" --behave "/=latency=lognormal:5ms,0.3&stragglers=${stragglers/none/0%x1}"
        urls "$count" > "$dir/urls"
        fetch -j 16 --per-host 16 --hedge "$hedge"
        origin_stop
        python3 benches/figures.py row "$dir/report" "$dir/origin" stragglers=$stragglers seed=$seed hedge=$hedge \
            | tee -a "$dir/rows"
    done
done
python3 benches/figures.py job "$dir/rows"
