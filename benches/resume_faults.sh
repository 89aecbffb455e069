#!/usr/bin/env bash
# A download that breaks off at two thirds, and a server that is right, changed or wrong when it is asked for the rest:
# who ends with the right file, who with bytes of two versions (or a page of an error) and calls it a success.
#
#   benches/resume_faults.sh            some 30 s; needs nothing but the programs that are compared
#
# curl, wget2 and aria2c are run twice, the second time with the option that goes on; gannet retries in one run. Programs
# that are missing are skipped. A file is right if it holds, byte for byte, what the server has at the second request.
# Prints a table in Markdown; exits 1 if gannet corrupts.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet -p gannet-cli -p gannet-origin 2>&1 | { grep -A9 "^error" || true; }
bin=$(realpath "${CARGO_TARGET_DIR:-target}")/debug
export XDG_CONFIG_HOME=/dev/null
dir=$(mktemp -d)
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

# The validators of both replies, the seed of the second body, how its ranges are answered, and what that is called.
dated='last-modified=784111777&header=date:%20Sun,%2006%20Nov%201994%2009:49:37%20GMT'
redated=${dated/784111777/784111778}
cases=(
    "etag=strong;etag=strong;1;ok;nothing changed"
    "etag=strong;etag=strong;2;ok;changed, strong ETag"
    "etag=strong;etag=strong;2;ignore-if-range;changed, strong ETag, If-Range not heeded"
    "$dated;$redated;2;ok;changed, Last-Modified only"
    "$dated;$redated;2;ignore-if-range;changed, Last-Modified only, If-Range not heeded"
    "etag=weak;etag=weak;2;ok;changed, weak ETag"
    "range=ok;range=ok;2;ok;changed, no validator"
    "etag=strong;etag=strong;1;ignore;200 for the range"
    "etag=strong;etag=strong;1;wrong-start;206 with another start"
    "etag=strong;etag=strong;1;wrong-total;206 with another total"
    "etag=strong;etag=strong;1;changed-etag;206 with another ETag"
    "etag=strong;etag=strong;1;no-content-range;206 without Content-Range"
    "etag=strong;etag=strong;1;multipart;206 in several parts"
    "etag=strong;etag=strong;1;416;416 without a length"
    "etag=strong;etag=strong;1;404;404 with a page"
    "etag=strong;etag=strong;1;503;503 with a page"
)
corrupt=0
printf '| the server, at the second request |'
printf ' %s |' "${have[@]}"
printf '\n|---|'
printf -- '---|%.0s' "${have[@]}"
printf '\n'
for case in "${cases[@]}"; do
    IFS=';' read -r first second seed range name <<< "$case"
    printf '| %s |' "$name"
    for program in "${have[@]}"; do
        rm -rf "$dir/work" && mkdir "$dir/work" && cd "$dir/work"
        origin_start "size=3m&seed=1&$first&truncate=2m|size=3m&seed=$seed&$second&range=$range"
        "with_$program"
        told=$(verdict "$seed")
        origin_stop
        cd - > /dev/null
        printf ' %s |' "$told"
        if [[ $program = gannet && $told = *corrupt* ]]; then corrupt=1; fi
    done
    printf '\n'
done
exit "$corrupt"
