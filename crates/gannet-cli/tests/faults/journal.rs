//! What befalls a job between two runs: its process is killed at any moment, its journal is torn, flipped, of a newer
//! version, or held by another.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gannet::part::Part;
use gannet::{Durability, Ending, Journal};
use gannet_origin::{Origin, RequestRecord, body};

use crate::fixture::{Folder, LONG, from_environment, wait};

const JOURNAL: &str = "out/.gannet/journal.sqlite";

/// The program over the list of a folder.
fn run(folder: &Folder, further: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    command.args(["-P", "out", "-i", "list", "--report", "report", "-q", "-j", "32", "--per-host", "32"]);
    command.args(["--retry-budget", "off", "--retry-delay", "5ms"]).args(further);
    command.env("XDG_CONFIG_HOME", "/dev/null").env("XDG_STATE_HOME", folder.path(".gannet-state"));
    let stderr = fs::File::create(folder.path("stderr")).expect("a file can be made");
    command.current_dir(folder.path("")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    command.spawn().expect("the program starts")
}

/// A number that looks like chance, by its seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        // xorshift64*, Vigna 2016.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

/// The length of the bodies that go to part files, in bytes, and their seed.
const LARGE: u64 = 3 << 20;
const SEED: u64 = 1;

/// The paths of a list of mixed sizes, some of which fail first, come slowly, or not at all; and the length of each.
fn mixed(urls: u64) -> Vec<(String, Option<u64>)> {
    let one = |number: u64| match number % 8 {
        0 if number % 16 == 8 => {
            (format!("/{number}?size=3m&seed={SEED}&etag=strong&drip=32k/1ms"), Some(LARGE))
        }
        0 => (format!("/{number}?size=200k&drip=40k/1ms"), Some(200 << 10)),
        1 => (format!("/{number}?script=503,200&size=5k"), Some(5 << 10)),
        2 => (format!("/{number}?size=0"), Some(0)),
        3 => (format!("/{number}?status=404"), None),
        4 => (format!("/{number}?size=90k"), Some(90 << 10)),
        5 => (format!("/{number}?redirect=/r%3Fsize=700"), Some(700)),
        _ => (format!("/{number}?size=1k"), Some(1 << 10)),
    };
    (0..urls).map(one).collect()
}

/// What the journal has as done, by the line's number.
fn recorded(folder: &Folder) -> Vec<u64> {
    let Ok(reader) = Journal::read(folder.path(JOURNAL)) else { return Vec::new() };
    let rows = reader.rows().map(|row| row.expect("a kill damages nothing"));
    rows.filter(|row| matches!(row.ending, Ending::Ok | Ending::Failed)).map(|row| row.seq).collect()
}

/// The parts that lie on the disk as the journal has them: how much is good, by the line's number.
fn parts(folder: &Folder) -> BTreeMap<u64, u64> {
    let Ok(reader) = Journal::read(folder.path(JOURNAL)) else { return BTreeMap::new() };
    let parts = reader.parts().expect("a kill damages nothing").into_iter();
    let lies_there = |(_, part): &(u64, Part)| {
        let path = part.on_disk.as_ref().map(|on_disk| folder.path(&on_disk.path));
        let length = path.and_then(|path| fs::metadata(path).ok()).map_or(0, |met| met.len());
        part.good > 0 && length >= part.good
    };
    parts.filter(lies_there).map(|(seq, part)| (seq, part.good)).collect()
}

/// The number of the line that a request is for.
fn line_of(request: &RequestRecord) -> Option<u64> {
    request.path_and_query.trim_start_matches('/').split('?').next()?.parse().ok()
}

/// How often each line was asked for.
fn asked(origin: &Origin) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for number in origin.requests().iter().filter_map(line_of) {
        *counts.entry(number).or_default() += 1;
    }
    counts
}

/// Each part that lay there before the requests from `first` on was asked for behind its good bytes; how many were.
fn parts_were_gone_on_with(parts: &BTreeMap<u64, u64>, origin: &Origin, first: usize) -> usize {
    let requests = origin.requests();
    let mut gone_on = 0;
    for (seq, good) in parts {
        let Some(next) = requests[first..].iter().find(|request| line_of(request) == Some(*seq)) else {
            continue;
        };
        assert_eq!(next.range, Some(format!("bytes={good}-")), "line {seq} was begun anew");
        gone_on += 1;
    }
    gone_on
}

#[test]
fn row_69_a_kill_at_any_moment_loses_nothing_and_repeats_nothing_that_was_recorded() {
    let (kills, urls) =
        (from_environment("GANNET_TEST_KILLS", 40), from_environment("GANNET_TEST_KILL_URLS", 300));
    let seed = from_environment("GANNET_TEST_SEED", std::process::id() as usize) as u64 | 1;
    eprintln!("seed: GANNET_TEST_SEED={seed} GANNET_TEST_KILLS={kills} GANNET_TEST_KILL_URLS={urls}");
    let mut chance = Chance(seed);
    let paths = mixed(urls as u64);
    let (mut killed, mut jobs, mut gone_on) = (0, 0, 0);
    while killed < kills {
        let origin =
            Origin::start_in_thread(Origin::builder().log_limit(64 * urls)).expect("an origin starts");
        let folder = Folder::new();
        let list: Vec<String> = paths.iter().map(|(path, _)| origin.url(path)).collect();
        folder.write("list", list.join("\n").as_bytes());
        jobs += 1;
        // A job is killed up to 8 times before it may end.
        for _ in 0..8.min(kills - killed) {
            let (done, before, parts) = (recorded(&folder), asked(&origin), parts(&folder));
            let (requests, first) = (origin.counts().requests, origin.requests().len());
            let mut child = run(&folder, &[]);
            // By what the origin has seen and by the clock: the moment is the fault, and nothing is waited for.
            let more = chance.below(urls as u64 / 6);
            let seen = |child: &mut Child| {
                origin.counts().requests < requests + more
                    && child.try_wait().is_ok_and(|code| code.is_none())
            };
            while seen(&mut child) {
                std::thread::sleep(Duration::from_micros(200));
            }
            // Some wait until there is a part to be hit, however slow the machine is.
            let is_on = |child: &mut Child| child.try_wait().is_ok_and(|code| code.is_none());
            while killed % 4 == 3 && is_on(&mut child) && self::parts(&folder).is_empty() {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_micros(chance.below(60_000)));
            child.kill().expect("it is not yet waited for");
            killed += usize::from(wait(child, LONG) == 137);
            nothing_done_was_asked(&done, &before, &asked(&origin));
            nothing_done_was_lost(&done, &folder);
            gone_on += parts_were_gone_on_with(&parts, &origin, first);
            names_are_whole(&folder, &paths);
        }
        let (done, before, parts) = (recorded(&folder), asked(&origin), parts(&folder));
        let first = origin.requests().len();
        assert_eq!(wait(run(&folder, &[]), LONG), 1, "{}", folder.text("stderr"));
        nothing_done_was_asked(&done, &before, &asked(&origin));
        nothing_done_was_lost(&done, &folder);
        gone_on += parts_were_gone_on_with(&parts, &origin, first);
        all_is_there(&folder, &paths);
        let requests = origin.counts().requests;
        assert_eq!(
            (wait(run(&folder, &[]), LONG), origin.counts().requests),
            (1, requests),
            "all is recorded"
        );
    }
    eprintln!("{killed} kills over {jobs} jobs of {urls} URLs; {gone_on} parts were gone on with");
    assert!(gone_on > 0 || kills < 20, "no kill has hit a part file");
}

fn nothing_done_was_asked(done: &[u64], before: &BTreeMap<u64, usize>, after: &BTreeMap<u64, usize>) {
    for seq in done {
        assert_eq!(before.get(seq), after.get(seq), "line {seq} was recorded, and asked for again");
    }
}

/// A line whose file is there would not be asked for again though its row were gone.
fn nothing_done_was_lost(done: &[u64], folder: &Folder) {
    let now: std::collections::BTreeSet<u64> = recorded(folder).into_iter().collect();
    let lost: Vec<&u64> = done.iter().filter(|seq| !now.contains(seq)).collect();
    assert!(lost.is_empty(), "lines {lost:?} were recorded, and are not any more");
}

/// The length of a file of the job, by its name.
fn length_of(name: &str, paths: &[(String, Option<u64>)]) -> Option<u64> {
    let number: usize = name.split('_').next()?.parse().ok()?;
    paths.get(number)?.1
}

/// What has a final name is whole.
fn names_are_whole(folder: &Folder, paths: &[(String, Option<u64>)]) {
    if !folder.path("out").exists() {
        return;
    }
    for name in folder.files_below("out").iter().filter(|name| !name.ends_with(".part")) {
        let length = fs::metadata(folder.path(name)).expect("a file").len();
        let own = Path::new(name).file_name().and_then(|name| name.to_str()).expect("text");
        assert_eq!(Some(length), length_of(own, paths), "{name} is torn");
        let bytes = fs::read(folder.path(name)).expect("a file");
        let seed = if length == LARGE { SEED } else { 0 };
        assert!(bytes == body(bytes.len(), seed), "{name} is put together wrongly");
    }
}

fn all_is_there(folder: &Folder, paths: &[(String, Option<u64>)]) {
    names_are_whole(folder, paths);
    let found = folder.files_below("out");
    assert!(found.iter().all(|name| !name.ends_with(".part")), "parts are left: {found:?}");
    let whole = paths.iter().filter(|(_, length)| length.is_some()).count();
    assert_eq!(found.len(), whole, "files are lost, or there are some too many");
    let rows = folder.text("report");
    let rows: Vec<serde_json::Value> =
        rows.lines().map(|line| serde_json::from_str(line).expect("a row of JSON")).collect();
    let (summary, rows) = rows.split_last().expect("a summary");
    // What got its name in the last moments before a kill, and no row, is there already for the next run.
    let obtained = summary["ok"].as_u64().zip(summary["skipped"].as_u64()).map(|(ok, skipped)| ok + skipped);
    assert_eq!((rows.len(), obtained), (paths.len(), Some(whole as u64)), "{summary}");
    let seqs: std::collections::BTreeSet<u64> = rows.iter().filter_map(|row| row["seq"].as_u64()).collect();
    assert_eq!(seqs.len(), paths.len(), "one row for each line");
}

/// A job of 40 URLs that is done, and the bytes of its journal.
fn done(origin: &Origin) -> (Folder, Vec<u8>) {
    let folder = Folder::new();
    let list: Vec<String> = (0..40).map(|number| origin.url(&format!("/{number}?size=10"))).collect();
    folder.write("list", list.join("\n").as_bytes());
    assert_eq!(wait(run(&folder, &[]), LONG), 0, "{}", folder.text("stderr"));
    let bytes = fs::read(folder.path(JOURNAL)).expect("a journal");
    (folder, bytes)
}

#[test]
fn row_71_a_damaged_journal_is_recovered_or_refused_and_never_wrong() {
    let origin = Origin::start_in_thread(Origin::builder()).expect("an origin starts");
    let (folder, bytes) = done(&origin);
    let seed = from_environment("GANNET_TEST_SEED", std::process::id() as usize) as u64 | 1;
    eprintln!("seed: GANNET_TEST_SEED={seed}");
    let mut chance = Chance(seed);
    let mut refused = 0;
    for round in 0..from_environment("GANNET_TEST_FLIPS", 40) {
        let mut damaged = bytes.clone();
        if round % 4 == 0 {
            damaged.truncate(usize::try_from(chance.below(bytes.len() as u64)).expect("small"));
        } else {
            let bit = chance.below(8 * bytes.len() as u64);
            damaged[usize::try_from(bit / 8).expect("small")] ^= 1 << (bit % 8);
        }
        for end in ["-wal", "-shm"] {
            let _ = fs::remove_file(folder.path(format!("{JOURNAL}{end}")));
        }
        folder.write(JOURNAL, &damaged);
        let code = wait(run(&folder, &[]), LONG);
        let stderr = folder.text("stderr");
        assert!(!stderr.contains("panicked"), "round {round}: {stderr}");
        match code {
            0 => {
                let ok =
                    folder.text("report").lines().filter(|line| line.contains(r#""type":"result""#)).count();
                assert_eq!((ok, folder.files_below("out").len()), (40, 40), "round {round}");
                // Of a file that says nothing SQLite makes a new one.
                let rows = folder.text("report").matches(r#""outcome":"ok""#).count();
                assert!(rows == 40 || damaged.is_empty(), "round {round}: {} rows were lost", 40 - rows);
            }
            6 => {
                refused += 1;
                assert!(stderr.contains("the journal out/.gannet/journal.sqlite"), "round {round}: {stderr}");
            }
            // A flip in the settings' own header can make it a newer version, which is refused, too.
            code => panic!("round {round}: exit {code}: {stderr}"),
        }
    }
    assert!(refused > 0, "no damage was found");
}

#[test]
fn row_72_a_newer_journal_and_one_in_use_are_refused() {
    let origin = Origin::start_in_thread(Origin::builder()).expect("an origin starts");
    let (folder, bytes) = done(&origin);
    let held = Journal::open(folder.path(JOURNAL), Durability::Process).expect("a journal");
    let begun = Instant::now();
    assert_eq!(wait(run(&folder, &[]), LONG), 6);
    assert!(folder.text("stderr").contains("in use by another process") && begun.elapsed() < LONG / 4);
    drop(held);
    // user_version stands at byte 60 of the header (SQLite's file format, 1.3).
    let mut newer = bytes;
    newer[60..64].copy_from_slice(&99u32.to_be_bytes());
    folder.write(JOURNAL, &newer);
    assert_eq!(wait(run(&folder, &[]), LONG), 6);
    assert!(folder.text("stderr").contains("has format 99"), "{}", folder.text("stderr"));
    assert_eq!(fs::read(folder.path(JOURNAL)).expect("a journal"), newer, "it is left as it is");
}
