#!/usr/bin/env bash
# Whether hedging harms where it cannot help: goodput with --hedge auto beside --hedge off, in pairs, by the same seed.
#   overload  an origin of 8 workers that take 20 ms each (sigma 0.3), a queue before them, and work for those who have
#             left is done all the same; asked in open loop at 1.2 times what it can do (--rate, places enough)
#   slow      an origin that is 10 times slower for everybody from the 3,000th URL to the 4,000th of 5,000
#
#   benches/overload.sh [PAIRS]      default 5; some 50 s each
#
# Goodput is URLs obtained a second. Exits 1 if the median of the ratios is below 0.98 in either part, or any run has
# more extras, counted by the origin, than 2 % or 10.
source "$(dirname "$0")/origin.sh"
pairs=${1:-5}
# What 8 workers do in a second whose mean is 20 ms x exp(0.3^2 / 2).
capacity=382 rate=459
for part in overload slow; do
    : > "$dir/rows"
    for ((seed = 1; seed <= pairs; seed++)); do
        for hedge in off auto; do
            if [ $part = overload ]; then
                origin_start --seed "$seed" --limits /=workers=8 --behave "/=latency=lognormal:20ms,0.3"
                urls $((capacity * 10)) > "$dir/urls"
                fetch -j 2000 --per-host 2000 --rate $rate/s --hedge $hedge
            else
                origin_start --seed "$seed" --behave "/=latency=lognormal:20ms,0.3&slow=3000..4000x10"
                urls 5000 > "$dir/urls"
                fetch -j 16 --per-host 16 --hedge $hedge
            fi
            origin_stop
            python3 benches/figures.py row "$dir/report" "$dir/origin" part=$part seed=$seed hedge=$hedge \
                | tee -a "$dir/rows"
        done
    done
    python3 benches/figures.py goodput "$dir/rows" || failed=1
done
exit "${failed:-0}"
