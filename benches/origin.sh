# Sourced by the scripts that measure against gannet-origin: builds both programs, starts and stops the origin, and
# reads what it counted. Leaves nothing running.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --release --quiet -p gannet-cli -p gannet-origin 2>&1 | { grep -A9 "^error" || true; }
bin=${CARGO_TARGET_DIR:-target}/release
export XDG_CONFIG_HOME=/dev/null
dir=$(mktemp -d)
origin_pid=
trap 'kill $origin_pid 2>/dev/null || true; rm -rf "$dir"' EXIT

# origin_start FLAG...: its address is then in $url, and what it says in $dir/origin.
origin_start() {
    : > "$dir/origin"
    "$bin/gannet-origin" --quiet "$@" > "$dir/origin" &
    origin_pid=$!
    until [ -s "$dir/origin" ]; do sleep 0.01; done
    url=$(head -1 "$dir/origin")
}

# Its counts are then the last line of $dir/origin.
origin_stop() {
    kill -TERM "$origin_pid"
    wait "$origin_pid" || true
    origin_pid=
}

# urls COUNT: a list in which each URL has a path of its own, so that the origin can tell extras from firsts.
urls() {
    seq -f "$url/%.0f" 1 "$1"
}

# fetch FLAG...: fetches $dir/urls with a report in $dir/report, and what is said in $dir/stderr; a failed URL does not end
# the script.
fetch() {
    "$bin/gannet" get -i "$dir/urls" --no-body --progress none -q --report "$dir/report" "$@" \
        2> "$dir/stderr" || true
}
