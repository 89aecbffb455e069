#!/usr/bin/env bash
# What a job with --durability power has after the power was cut, at random moments: whether each row that says done has
# its whole body, whether the next run ends with the right files, and how much of a long body was lost.
#
#   sudo benches/power_cut.sh [CUTS] [URLS]       default 40 300; some 2 s a cut. SEED=N repeats the moments,
#                                                 DURABILITY=process shows what is lost without it
#
# Needs root, loop devices, mkfs.ext4, sqlite3, and mkfs.xfs (xfsprogs).
#
# What is cut: the job writes to an ext4 on a loop device whose disk is an image file on an XFS. A cut is a reflink of
# that file, which XFS makes in one instant: the clone holds what the file system had sent to its disk by then, and
# nothing of what was only in the kernel's memory (dirty pages, the running transaction of ext4's journal). The clone is
# mounted as after a power cut: ext4 replays its journal. So the disk is one that loses nothing of what it took; one
# that takes writes into a cache, and loses that, is not modelled. Every other job was killed before, and gone on with.
#
# The command, the list and the address stay the same, so a clone can be gone on with. Exits 1 if a promise is broken.
set -euo pipefail
cd "$(dirname "$0")/.."
cuts=${1:-40} urls=${2:-300} seed=${SEED:-$$} durability=${DURABILITY:-power}
for tool in mkfs.ext4 mkfs.xfs sqlite3 losetup cmp; do
    command -v $tool > /dev/null || { echo "power_cut.sh needs $tool" >&2; exit 2; }
done
[ "$(id -u)" = 0 ] || { echo "power_cut.sh needs root, to mount" >&2; exit 2; }
cargo build --quiet -p gannet-cli -p gannet-origin
bin=$(realpath "${CARGO_TARGET_DIR:-target}")/debug
export XDG_CONFIG_HOME=/dev/null
RANDOM=$seed
dir=$(mktemp -d)
origin_pid='' job_pid=''
tidy_up() {
    for pid in $job_pid $origin_pid; do kill "$pid" 2> /dev/null || true; done
    wait 2> /dev/null || true
    for mount in disk outer; do
        if mountpoint -q "$dir/$mount"; then umount "$dir/$mount" || umount -l "$dir/$mount"; fi
    done
    rm -rf "$dir"
}
trap tidy_up EXIT
mkdir "$dir/outer" "$dir/disk"
truncate -s 4G "$dir/outer.img"
mkfs.xfs -q -m reflink=1 "$dir/outer.img"
mount -o loop "$dir/outer.img" "$dir/outer" || { echo "power_cut.sh needs loop devices and XFS" >&2; exit 2; }

"$bin/gannet-origin" --quiet > "$dir/origin" &
origin_pid=$!
until [ -s "$dir/origin" ]; do sleep 0.01; done
url=$(head -1 "$dir/origin")

# Small ones, larger ones, empty ones, some that are refused first; four long ones, which come at 6 MiB/s.
for ((n = 0; n < urls; n++)); do
    case $((n % 5)) in
        0) echo "$url/$n?size=200k&seed=$n&delay=60" ;;
        1) echo "$url/$n?script=503,200&size=5k&seed=$n&delay=30" ;;
        2) echo "$url/$n?size=90k&seed=$n&delay=60" ;;
        3) echo "$url/$n?size=0&delay=60" ;;
        4) echo "$url/$n?size=1k&seed=$n&delay=60" ;;
    esac
done > "$dir/list"
for n in 1 2 3 4; do echo "$url/long$n?size=24m&seed=$n&etag=v1&drip=64k/10ms"; done >> "$dir/list"

# job FOLDER: the command, always the same one.
job() { cd "$1" && exec "$bin/gannet" -q -P out -i list --durability "$durability" -j 12 --per-host 12 --retry-delay 20ms; }

now_ms() { date +%s%3N; }

# is_right FILE: by the file of the whole job, or none. A journal names files absolutely.
is_right() { cmp -s "$dir/disk/${1#"$dir/disk/"}" "$dir/right/${1#*out/}"; }

jobs=0 killed=0 rows=0 torn=0 nameless=0 wrong=0 lost_most=0 parts=0 broken=0 done_cuts=0
# check CLONE MOMENT: mounts it, and looks.
check() {
    mount -o loop "$1" "$dir/disk"
    local journal=$dir/disk/out/.gannet/journal.sqlite
    if [ -s "$journal" ]; then
        while read -r path; do
            rows=$((rows + 1))
            is_right "$path" || { torn=$((torn + 1)); echo "cut $2: $path is recorded and torn"; }
        done < <(sqlite3 "$journal" "SELECT path FROM fetches WHERE outcome IN ('ok', 'skipped')" || echo "out/no-journal")
        while read -r path length; do
            local good
            good=$(sqlite3 "$journal" "SELECT coalesce(max(good_bytes), 0) FROM parts WHERE path = '$dir/disk/$path'")
            parts=$((parts + 1))
            # What was there a second before may be lost, or 8 MiB.
            local lost=$((length - good))
            ((lost <= lost_most)) || lost_most=$lost
            ((lost <= 8 << 20)) || { broken=$((broken + 1)); echo "cut $2: $path lost $lost of $length bytes"; }
        done < "$1.parts"
    fi
    for path in $(cd "$dir/disk" && find out -type f ! -name '*.part' ! -path '*/.gannet/*' 2> /dev/null); do
        is_right "$path" || nameless=$((nameless + 1))
    done
    # The machine is up again: the same command.
    cp "$dir/list" "$dir/disk/list"
    (job "$dir/disk") > "$dir/said" 2>&1 || { broken=$((broken + 1)) && echo "cut $2: again: $(cat "$dir/said")"; }
    for path in $(cd "$dir/right" && find . -type f ! -path '*/.gannet/*'); do
        is_right "out/${path#./}" || { wrong=$((wrong + 1)); echo "cut $2: out/${path#./} is wrong after the next run"; }
    done
    local left
    left=$(find "$dir/disk/out" -name '*.part' | wc -l)
    ((left == 0)) || { broken=$((broken + 1)) && echo "cut $2: $left parts are left over"; }
    umount "$dir/disk"
    rm "$1" "$1.parts"
}

echo "SEED=$seed DURABILITY=$durability benches/power_cut.sh $cuts $urls"
while ((done_cuts < cuts)); do
    truncate -s 256M "$dir/outer/disk.img"
    mkfs.ext4 -q -F "$dir/outer/disk.img"
    mount -o loop "$dir/outer/disk.img" "$dir/disk"
    cp "$dir/list" "$dir/disk/list" && sync -f "$dir/disk/list"
    (job "$dir/disk") &
    job_pid=$!
    jobs=$((jobs + 1))
    if ((jobs % 2 == 0)); then
        sleep "0.$(printf '%03d' $((RANDOM % 900)))"
        kill -KILL $job_pid 2> /dev/null && killed=$((killed + 1))
        { wait $job_pid; } 2> /dev/null || true
        (job "$dir/disk") &
        job_pid=$!
    fi
    begun=$(now_ms) clones=()
    while ((${#clones[@]} < 8 && done_cuts + ${#clones[@]} < cuts)); do
        sleep "0.$(printf '%03d' $((RANDOM % 900)))"
        kill -0 $job_pid 2> /dev/null || break
        moment=$(($(now_ms) - begun))
        clone=$dir/outer/cut-$moment.img
        (cd "$dir/disk" && find out -name '*.part' -size +1M -printf '%p %s\n') > "$clone.parts" 2> /dev/null || true
        cp --reflink=always "$dir/outer/disk.img" "$clone"
        clones+=("$moment")
    done
    wait $job_pid || { echo "the job failed" >&2; exit 1; }
    job_pid=
    rm -rf "$dir/right" && cp -r "$dir/disk/out" "$dir/right"
    umount "$dir/disk"
    for moment in "${clones[@]}"; do check "$dir/outer/cut-$moment.img" "$moment ms"; done
    done_cuts=$((done_cuts + ${#clones[@]}))
done
echo "$done_cuts cuts of $jobs jobs, $killed of them killed before: $rows rows said done, $torn of them torn; $nameless files without a row were torn;"
echo "$wrong files wrong after the next run; of $parts parts over 1 MiB at most $lost_most bytes were lost"
((torn + wrong + broken == 0))
