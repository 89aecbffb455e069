#!/usr/bin/env bash
# A download that breaks off at two thirds, and a server that is right, changed or wrong when it is asked for the rest:
# who ends with the right file, who with bytes of two versions (or a page of an error) and calls it a success.
#
#   benches/resume_faults.sh            some 20 s; needs nothing but the programs that are compared
#
# curl, wget2 and aria2c are run twice, the second time with the option that goes on; gannet retries in one run. Programs
# that are missing are skipped. A file is right if it holds, byte for byte, what the server has at the second request.
# Prints a table in Markdown; exits 1 if gannet corrupts.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet -p gannet-cli -p gannet-origin 2>&1 | { grep -A9 "^error" || true; }
bin=$(realpath "${CARGO_TARGET_DIR:-target}")/debug
dir=$(mktemp -d)
export XDG_CONFIG_HOME=/dev/null XDG_STATE_HOME=$dir/run/state
origin_pid=
trap 'kill $origin_pid 2>/dev/null || true; rm -rf "$dir"' EXIT

# origin_start QUERY|QUERY: what the first and all further requests of /x get; the address is then in $url.
origin_start() {
    : > "$dir/origin"
    "$bin/gannet-origin" --quiet --behave "/x=$1" > "$dir/origin" &
    origin_pid=$!
    until [ -s "$dir/origin" ]; do sleep 0.01; done
    url=$(head -1 "$dir/origin")
}

origin_stop() {
    kill -TERM "$origin_pid"
    wait "$origin_pid" || true
    origin_pid=
}

run() { timeout 20 "$@" > /dev/null 2>&1 && code=0 || code=$?; }

with_curl() {
    run curl -fsS -o f "$url/x"
    run curl -fsS -C - -o f "$url/x"
}

# With -O it asks for the whole again, whatever -c says, so it names the file itself.
with_wget2() {
    run wget2 -q -t 1 -c "$url/x"
    run wget2 -q -t 1 -c "$url/x"
    if [ -f x ]; then mv x f; fi
}

with_aria2c() {
    for _ in 1 2; do
        run aria2c -q -c -m 1 -x 1 -s 1 --no-conf --auto-file-renaming=false --file-allocation=none -o f "$url/x"
    done
}

with_gannet() { run "$bin/gannet" -q --retry 1 --retry-delay 10ms -o f "$url/x"; }

# verdict SEED: what f is.
verdict() {
    if [ "$code" = 0 ]; then
        if [ -f f ] && cmp -s f "$dir/whole$1"; then echo right; else echo "**corrupt**, exit 0"; fi
    elif [ ! -f f ]; then
        echo "fails, exit $code, no file"
    elif cmp -s f "$dir/whole$1"; then
        echo "right, exit $code"
    elif cmp -s -n "$(stat -c %s f)" f "$dir/whole1" || cmp -s -n "$(stat -c %s f)" f "$dir/whole$1"; then
        echo "fails, exit $code"
    else
        echo "**corrupt**, exit $code"
    fi
}

have=()
for program in curl wget2 aria2c; do
    if command -v "$program" > /dev/null; then have+=("$program"); else echo "skipped: no $program" >&2; fi
done
have+=(gannet)

origin_start ""
for seed in 1 2; do curl -fsS -o "$dir/whole$seed" "$url/w?size=3m&seed=$seed"; done
origin_stop

# Of each validator: what sets it, what sets it once the body changed, and its name. Of each answer: how a range gets it, and
# its name.
dated='last-modified=784111777&header=date:%20Sun,%2006%20Nov%201994%2009:49:37%20GMT'
redated=${dated/784111777/784111778}
strong="etag=strong;etag=strong;strong ETag"
modified="$dated;$redated;Last-Modified only"
validators=("$strong" "etag=weak;etag=weak;weak ETag" "$modified" "range=ok;range=ok;no validator")
answers=(
    "ok;a right 206"
    "ignore;200 for the range"
    "wrong-start;206 with another start"
    "wrong-total;206 with another total"
    "416;416 without a length"
    "404;404 with a page"
)

rows=0
declare -A corrupt
for program in "${have[@]}"; do corrupt[$program]=0; done

# row changed|unchanged VALIDATOR ANSWER
row() {
    local first second validator range answer seed=2
    IFS=';' read -r first second validator <<< "$2"
    IFS=';' read -r range answer <<< "$3"
    if [ "$1" = unchanged ]; then second=$first seed=1; fi
    printf '| %s, %s: %s |' "$1" "$validator" "$answer"
    for program in "${have[@]}"; do
        rm -rf "$dir/run" && mkdir "$dir/run" && cd "$dir/run"
        origin_start "size=3m&seed=1&$first&truncate=2m|size=3m&seed=$seed&$second&range=$range"
        "with_$program"
        told=$(verdict "$seed")
        origin_stop
        cd - > /dev/null
        printf ' %s |' "$told"
        if [[ $told = *corrupt* ]]; then corrupt[$program]=$((corrupt[$program] + 1)); fi
    done
    printf '\n'
    rows=$((rows + 1))
}

printf '| the body and its validator: the answer to the second request |'
printf ' %s |' "${have[@]}"
printf '\n|---|'
printf -- '---|%.0s' "${have[@]}"
printf '\n'
for validator in "${validators[@]}"; do
    for answer in "${answers[@]}"; do row changed "$validator" "$answer"; done
done
# So far gannet got the whole each time, by If-Range or since it sent no Range: wrong answers come to it only from here on.
for validator in "$strong" "$modified"; do row changed "$validator" "ignore-if-range;206, If-Range not heeded"; done
for validator in "$strong" "$modified"; do
    for answer in "${answers[@]}"; do row unchanged "$validator" "$answer"; done
done
for answer in "changed-etag;206 with another ETag" "no-content-range;206 without Content-Range" \
    "multipart;206 in several parts" "503;503 with a page"; do
    row unchanged "$strong" "$answer"
done
printf '| corrupt, of %s |' "$rows"
for program in "${have[@]}"; do printf ' %s |' "${corrupt[$program]}"; done
printf '\n'
[ "${corrupt[gannet]}" = 0 ]
