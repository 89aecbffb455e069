//! System calls that fail, are interrupted, or are the last of a process that is killed: each call that touches the
//! files of a job or its journal, one at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use gannet::{Ending, Journal};
use gannet_origin::{Origin, body};
use nix::errno::Errno;
use serde_json::{Value, json};

use crate::fixture::{Folder, LONG, code_of, from_environment, wait};
use crate::tracer::{Call, Deed, held, trace};

/// So many calls of a sweep are hit, if the environment says nothing.
const USUAL: usize = 40;

/// A job without a past.
const FRESH: (Scene, &str) = (Scene::Nothing, "process");

const JOURNAL: &str = "out/.gannet/journal.sqlite";

/// The bodies of a job: the file of each, its length, and its URL.
struct Bodies(Vec<(String, usize, String)>);

/// What a run finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scene {
    Nothing,
    /// A body that broke off in the run before, and its part: `gannet retry` goes on with it.
    Part,
    /// A job that is over, whose list had another last line.
    OtherList,
}

/// A call of a job, by how many of its kind came before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Aim {
    scene: Scene,
    durability: &'static str,
    call: Call,
    nth: usize,
}

impl Bodies {
    /// One that is held and written with its name, one in a part, one in a part that outlives its run.
    fn three() -> Self {
        let one = |name: &str, length: usize, more: &str| {
            (name.to_owned(), length, format!("/{name}?size={length}&seed=3{more}"))
        };
        Self(vec![one("small", 1_000, ""), one("d/large", 1_500_000, "&etag=v1"), one("middle", 100_000, "")])
    }

    /// Of mixed sizes; some are refused first, some outlive their run as parts.
    fn twenty() -> Self {
        let one = |number: usize| {
            let (length, more) = match number % 5 {
                0 => (1_000, ""),
                1 => (5_000, "&script=503,200"),
                2 => (90_000, ""),
                3 if number == 13 => (1_200_000, "&etag=v1"),
                3 => (0, ""),
                _ => (300_000, ""),
            };
            (number.to_string(), length, format!("/{number}?size={length}&seed=3{more}"))
        };
        Self((0..20).map(one).collect())
    }

    fn list(&self, origin: &Origin) -> Vec<u8> {
        let entry = |(name, _, path): &(String, usize, String)| {
            format!("{}\n", json!({"url": origin.url(path), "name": name}))
        };
        self.0.iter().map(entry).collect::<String>().into_bytes()
    }

    /// What is wrong with the files that have a final name.
    fn wrong(&self, folder: &Folder) -> Vec<String> {
        let found = if folder.path("out").exists() { folder.files_below("out") } else { Vec::new() };
        let names = found.iter().filter(|name| !name.ends_with(".part"));
        let is_wrong = |name: &&String| {
            let own = name.strip_prefix("out/").unwrap_or(name);
            let known = self.0.iter().find(|(name, ..)| name == own);
            {
                let is_right =
                    |length| fs::read(folder.path(name)).is_ok_and(|bytes| bytes == body(length, 3));
                !known.is_some_and(|(_, length, _)| is_right(*length))
            }
        };
        names.filter(is_wrong).map(|name| format!("{name} is torn or strange")).collect()
    }

    /// What there is too much or too little of when all is obtained.
    fn unlike_undisturbed(&self, folder: &Folder) -> Vec<String> {
        let mut wrong = self.wrong(folder);
        let wanted: BTreeSet<String> = self.0.iter().map(|(name, ..)| format!("out/{name}")).collect();
        let found: BTreeSet<String> = folder.files_below("out").into_iter().collect();
        wrong.extend(wanted.difference(&found).map(|name| format!("{name} is missing")));
        wrong.extend(found.difference(&wanted).map(|name| format!("{name} is left over")));
        wrong
    }
}

fn words(mut command: Command, folder: &Folder, (scene, durability): (Scene, &str)) -> Command {
    match scene {
        Scene::Nothing | Scene::OtherList => {
            command.args(["-P", "out", "-i", "list", "--report", "report", "-q", "--durability", durability]);
            command.args(["--deadline", "10s", "--retry-delay", "5ms"]);
        }
        Scene::Part => {
            command.args(["retry", "out", "--retry", "2"]);
        }
    }
    command.env("XDG_CONFIG_HOME", "/dev/null").env("XDG_STATE_HOME", folder.path(".gannet-state"));
    let stderr = fs::File::create(folder.path("stderr")).expect("a file can be made");
    command.current_dir(folder.path("")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    command
}

fn run(folder: &Folder, scene: (Scene, &str), further: &[&str]) -> i32 {
    let mut command = words(Command::new(env!("CARGO_BIN_EXE_gannet")), folder, scene);
    wait(command.args(further).spawn().expect("the program starts"), LONG)
}

/// An origin of these bodies, and a folder in which there is what the scene says.
fn set_up(bodies: &Bodies, (scene, durability): (Scene, &str)) -> (Origin, Folder) {
    let mut origin = Origin::builder();
    if scene == Scene::Part {
        let whole = "size=1500000&seed=3&etag=v1";
        origin = origin.script("/d/large", [format!("{whole}&truncate=1300000"), whole.to_owned()]);
    }
    let (origin, folder) = (Origin::start_in_thread(origin).expect("an origin starts"), Folder::new());
    let list = bodies.list(&origin);
    folder.write("list", &list);
    match scene {
        Scene::Nothing => {}
        Scene::Part => {
            assert_eq!(run(&folder, (Scene::Nothing, durability), &["--retry", "0"]), 1);
            assert!(folder.files_below("out").iter().any(|name| name.ends_with(".part")), "no part is left");
        }
        Scene::OtherList => {
            let kept: Vec<&[u8]> = list.split_inclusive(|byte| *byte == b'\n').collect();
            let last = json!({"url": origin.url("/old?size=7000"), "name": "old"}).to_string();
            folder.write("list", &[&kept[..kept.len() - 1].concat(), last.as_bytes()].concat());
            assert_eq!(run(&folder, (scene, durability), &[]), 0, "{}", folder.text("stderr"));
            fs::remove_file(folder.path("out/old")).expect("it was fetched");
            folder.write("list", &list);
        }
    }
    (origin, folder)
}

/// The URLs that the journal has as done.
fn recorded(folder: &Folder) -> Result<Vec<String>, String> {
    if !folder.path(JOURNAL).metadata().is_ok_and(|met| met.len() > 0) {
        return Ok(Vec::new());
    }
    let reader = match Journal::read(folder.path(JOURNAL)) {
        Ok(reader) => reader,
        // It was not made to its end.
        Err(error) if error.message().contains("holds no job") => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let rows: Result<Vec<_>, _> = reader.rows().collect();
    let done = rows.map_err(|error| error.to_string())?;
    Ok(done.iter().filter(|row| row.ending == Ending::Ok).map(|row| row.url.to_string()).collect())
}

/// How often each URL was asked for.
fn asked(origin: &Origin, bodies: &Bodies) -> BTreeMap<String, usize> {
    let requests = origin.requests();
    let count = |path: &str| requests.iter().filter(|request| request.path_and_query == path).count();
    bodies.0.iter().map(|(.., path)| (origin.url(path), count(path))).collect()
}

/// The calls of an undisturbed run, each by its number among its like.
fn aims(bodies: &Bodies, scene: Scene, durability: &'static str) -> Vec<Aim> {
    let (_origin, folder) = set_up(bodies, (scene, durability));
    let shell = words(held(env!("CARGO_BIN_EXE_gannet")), &folder, (scene, durability));
    let traced = trace(shell, &folder.path("out"), LONG, |_| Deed::LetThrough);
    assert_eq!(traced.code, 0, "{}", folder.text("stderr"));
    assert_eq!(bodies.unlike_undisturbed(&folder), Vec::<String>::new());
    let mut counts: BTreeMap<Call, usize> = BTreeMap::new();
    let number = |call: Call| {
        let count = counts.entry(call.clone()).or_default();
        *count += 1;
        Aim { scene, durability, call, nth: *count - 1 }
    };
    traced.calls.into_iter().map(number).collect()
}

/// Does this to the call in one run, then gives the command again; says what is wrong, and whether the call was met.
fn try_one(bodies: &Bodies, trial: &Trial) -> (bool, Vec<String>) {
    let Trial { aim, deed, lasts, may_end } = trial;
    let scene = (aim.scene, aim.durability);
    let (origin, folder) = set_up(bodies, scene);
    let (mut count, mut met) = (0, false);
    let shell = words(held(env!("CARGO_BIN_EXE_gannet")), &folder, scene);
    let traced = trace(shell, &folder.path("out"), LONG, |call| {
        count += usize::from(*call == aim.call);
        let is_hit = if met {
            *lasts == Lasts::ToTheEnd && writes(call)
        } else {
            met = *call == aim.call && count > aim.nth;
            met
        };
        if is_hit { *deed } else { Deed::LetThrough }
    });
    let mut wrong = bodies.wrong(&folder);
    let stderr = folder.text("stderr");
    if traced.hung {
        wrong.push("it hangs".to_owned());
    }
    if !(if met { *may_end } else { &[0] }).contains(&traced.code) {
        wrong.push(format!("exit {}", traced.code));
    }
    if stderr.contains("panicked") || (![0, 137].contains(&traced.code) && !stderr.contains("out")) {
        wrong.push("the error names nothing".to_owned());
    }
    let is_failing_part = *deed == Deed::Fail(Errno::EIO) && aim.call.path.ends_with(".part");
    // The journal makes a part durable, too, and may do so when all bodies are told of.
    let is_told =
        || folder.text("report").contains("\"sink.disk_failed\"") || stderr.contains("cannot make durable");
    if is_failing_part && traced.code == 6 && !is_told() {
        wrong.push(format!("nothing tells of the disk: {stderr}{}", folder.text("report")));
    }
    wrong.extend(after(bodies, &folder, &origin, scene));
    let told = |wrong| {
        format!("{aim:?} {deed:?} {lasts:?}: {wrong} (first exit {}: {})", traced.code, stderr.trim_end())
    };
    (met, wrong.into_iter().map(told).collect())
}

/// What is wrong when the command is given again, twice, with nothing in its way.
fn after(bodies: &Bodies, folder: &Folder, origin: &Origin, scene: (Scene, &str)) -> Vec<String> {
    let mut wrong = Vec::new();
    let done = recorded(folder).unwrap_or_else(|error| {
        wrong.push(error);
        Vec::new()
    });
    let before = asked(origin, bodies);
    let code = run(folder, scene, &[]);
    if code != 0 {
        wrong.push(format!("again: exit {code}: {}", folder.text("stderr")));
    }
    wrong.extend(bodies.unlike_undisturbed(folder));
    let after = asked(origin, bodies);
    let again = done.iter().filter(|url| before.get(*url) != after.get(*url));
    wrong.extend(again.map(|url| format!("{url} was recorded, and asked for again")));
    // Of a job that is put aside its successor takes nothing over: what is there is skipped.
    if scene.0 != Scene::OtherList {
        let kept = recorded(folder).unwrap_or_default();
        let lost = done.iter().filter(|url| !kept.contains(url));
        wrong.extend(lost.map(|url| format!("{url} was recorded, and is not any more")));
    }
    let code = run(folder, scene, &[]);
    if (code, asked(origin, bodies)) != (0, after) {
        wrong.push(format!("a third time: exit {code}, or something was asked for"));
    }
    wrong
}

/// Whether a fault passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasts {
    /// It hits one call.
    Once,
    /// From there on, all calls fail alike that write something or make it durable.
    ToTheEnd,
}

/// A call, what is done to it, and the codes that may come of it.
struct Trial {
    aim: Aim,
    deed: Deed,
    lasts: Lasts,
    may_end: &'static [i32],
}

fn writes(call: &Call) -> bool {
    ["write", "pwrite64", "mkdir", "mkdirat", "fsync"].contains(&call.name)
}

/// Tries a sample of these, on two threads.
fn sweep(trials: Vec<Trial>, bodies: &Bodies, usual: usize) {
    let trials = sample(trials, usual);
    let (next, met, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let work = || {
            while let Some(trial) = trials.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (was_met, found) = try_one(bodies, trial);
                met.fetch_add(usize::from(was_met), Ordering::Relaxed);
                wrong.lock().expect("nobody panics with it").extend(found);
            }
        };
        (0..2).for_each(|_| drop(scope.spawn(work)));
    });
    let (met, wrong) = (met.into_inner(), wrong.into_inner().expect("nobody panics with it"));
    eprintln!("{met} of {} calls were met", trials.len());
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    // How rows fall into groups is a matter of time.
    assert!(met * 10 >= trials.len() * 8, "calls are missed");
}

/// As many as the environment says, or else as usual, drawn by its seed.
fn sample<T>(mut all: Vec<T>, usual: usize) -> Vec<T> {
    let whole = std::env::var("GANNET_TEST_CALLS_COUNT").is_ok_and(|count| count == "all");
    let count = if whole { all.len() } else { from_environment("GANNET_TEST_CALLS_COUNT", usual) };
    let count = count.min(all.len());
    let seed = from_environment("GANNET_TEST_CALLS_SEED", std::process::id() as usize);
    eprintln!("GANNET_TEST_CALLS_COUNT={count} GANNET_TEST_CALLS_SEED={seed}, of {}", all.len());
    fastrand::Rng::with_seed(seed as u64).shuffle(&mut all);
    all.truncate(count);
    all
}

/// The calls of a job with either durability, this done once to each, and the codes that may come of it.
fn each_call(bodies: &Bodies, deed: Deed, codes: fn(&Call) -> &'static [i32]) -> Vec<Trial> {
    let all = each_aim(bodies, &[Scene::Nothing]);
    let trial = |aim: Aim| Trial { may_end: codes(&aim.call), aim, deed, lasts: Lasts::Once };
    all.into_iter().map(trial).collect()
}

/// The same where something was there before.
fn each_call_again(deed: Deed, codes: fn(&Call) -> &'static [i32]) -> Vec<Trial> {
    let all = each_aim(&Bodies::three(), &[Scene::Part, Scene::OtherList]);
    let trial = |aim: Aim| Trial { may_end: codes(&aim.call), aim, deed, lasts: Lasts::Once };
    all.into_iter().map(trial).collect()
}

fn each_aim(bodies: &Bodies, scenes: &[Scene]) -> Vec<Aim> {
    let all = scenes.iter().flat_map(|scene| ["process", "power"].map(|durability| (*scene, durability)));
    all.flat_map(|(scene, durability)| aims(bodies, scene, durability)).collect()
}

/// Whether SQLite passes over it when this fails: it syncs the folder as well as it can, and leaves its log to the next
/// who opens the journal.
fn is_passed_over(call: &Call) -> bool {
    let is_log = [".sqlite-wal", ".sqlite-shm"].iter().any(|end| call.path.ends_with(end));
    call.path.ends_with(".gannet") && ["openat", "fsync"].contains(&call.name)
        || call.name == "unlink" && is_log
}

fn stops(call: &Call) -> &'static [i32] {
    if is_passed_over(call) { &[0, 6] } else { &[6] }
}

#[test]
fn row_53_a_disk_that_is_full_at_any_call_ends_the_job_which_goes_on_when_there_is_room() {
    let bodies = Bodies::three();
    let mut trials = each_call(&bodies, Deed::Fail(Errno::ENOSPC), stops);
    // A disk that stays full.
    let mut lasting = each_call(&bodies, Deed::Fail(Errno::ENOSPC), |_| &[6]);
    lasting.retain(|trial| writes(&trial.aim.call) && !is_passed_over(&trial.aim.call));
    trials.extend(lasting.into_iter().map(|trial| Trial { lasts: Lasts::ToTheEnd, ..trial }));
    sweep(trials, &bodies, USUAL);
}

#[test]
fn row_54_a_disk_that_fails_at_any_call_ends_the_job_and_what_it_did_not_take_is_not_done() {
    let bodies = Bodies::three();
    sweep(each_call(&bodies, Deed::Fail(Errno::EIO), stops), &bodies, USUAL);
}

#[test]
fn row_54_a_body_that_was_not_synced_has_no_name_and_no_row() {
    let bodies = Bodies::three();
    let mut trials = each_call(&bodies, Deed::Fail(Errno::EIO), stops);
    trials.retain(|trial| trial.aim.call.name == "fsync" && trial.aim.call.path.ends_with(".part"));
    assert_eq!(trials.len(), 3, "each is synced once, before it has its name");
    for trial in trials {
        let (met, wrong) = try_one(&bodies, &trial);
        assert!(met && wrong.is_empty(), "{wrong:?}");
    }
}

#[test]
fn row_55_without_a_descriptor_at_any_call_the_job_waits_or_goes_on_later() {
    let bodies = Bodies::three();
    // What cannot even be looked at fails for this run.
    sweep(each_call(&bodies, Deed::Fail(Errno::EMFILE), |_| &[0, 1, 6]), &bodies, USUAL);
}

/// A run without retries, with a journal.
fn without_retries(mut command: Command, folder: &Folder, words: &[&str]) -> Command {
    command.args(["-P", "out", "-q", "--retry", "0"]).args(words).current_dir(folder.path(""));
    command.env("XDG_CONFIG_HOME", "/dev/null").stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Traces it, and lets it not open this part for the time of this number.
fn without_opening(folder: &Folder, words: &[&str], (part, nth, errno): (&str, usize, Errno)) -> i32 {
    let mut count = 0;
    let shell = without_retries(held(env!("CARGO_BIN_EXE_gannet")), folder, words);
    let traced = trace(shell, &folder.path("out"), LONG, |call| {
        let is_open = call.name == "openat" && call.path == part;
        count += usize::from(is_open);
        if is_open && count == nth { Deed::Fail(errno) } else { Deed::LetThrough }
    });
    assert!(count >= nth && !traced.hung, "{words:?}: parts were opened {count} times");
    traced.code
}

#[test]
fn row_55_a_part_that_cannot_be_opened_is_not_left_behind() {
    let whole = "size=3m&seed=3&etag=v1";
    for errno in [Errno::EMFILE, Errno::EIO] {
        // When it is to be gone on with.
        let script = [format!("{whole}&truncate=2m"), whole.to_owned()];
        let origin = Origin::start_in_thread(Origin::builder().script("/a", script)).expect("an origin");
        let (folder, url) = (Folder::new(), origin.url("/a"));
        let mut command = without_retries(Command::new(env!("CARGO_BIN_EXE_gannet")), &folder, &[&url]);
        assert_eq!(wait(command.spawn().expect("the program starts"), LONG), 3);
        assert_eq!(folder.files_below("out").len(), 1, "the part is left");
        assert_eq!(without_opening(&folder, &[&url], ("out/a.*.part", 1, errno)), 0, "{errno}");
        assert_eq!(folder.files_below("out"), ["out/a"], "{errno}");
        // When what was asked for is there, and it is to be removed: it is made once before.
        let stalls = format!("{whole}&stall=2m");
        let origin = Origin::start_in_thread(Origin::builder().behave("/b", &stalls)).expect("an origin");
        let (folder, urls) = (Folder::new(), [origin.url("/b"), origin.url("/a?size=1&delay=500ms")]);
        let words = ["--until", "first", &urls[0], &urls[1]];
        assert_eq!(without_opening(&folder, &words, ("out/b.*.part", 2, errno)), 0, "{errno}");
        assert_eq!(folder.files_below("out"), ["out/a_size=1&delay=500ms"], "{errno}");
    }
}

#[test]
fn row_57_calls_that_are_interrupted_or_write_less_than_asked_change_nothing() {
    let bodies = Bodies::three();
    let mut trials = each_call(&bodies, Deed::Shorten, |_| &[0]);
    trials.retain(|trial| ["write", "pwrite64"].contains(&trial.aim.call.name));
    // To SQLite what was interrupted there has failed.
    trials.extend(each_call(&bodies, Deed::Fail(Errno::EINTR), |call| {
        if ["fsync", "unlink"].contains(&call.name) && call.path.contains(".gannet") { &[0, 6] } else { &[0] }
    }));
    sweep(trials, &bodies, USUAL);
}

/// The program without the rights that root has over files.
fn without_rights() -> Command {
    let mut shell = Command::new("sh");
    let drop =
        "if [ \"$(id -u)\" = 0 ]; then exec setpriv --bounding-set=-all --inh-caps=-all -- \"$0\" \"$@\"; fi";
    shell.args(["-c", &format!("{drop}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_gannet")]);
    shell
}

fn rows(folder: &Folder) -> Vec<String> {
    let rows = folder.text("report");
    let rows = rows.lines().map(|row| serde_json::from_str::<Value>(row).expect("a row of JSON"));
    rows.filter(|row| row["type"] == "result").map(|row| code_of(&row).to_owned()).collect()
}

#[test]
fn row_56_a_folder_that_may_not_be_written_is_told_before_anything_is_sent() {
    let (bodies, origin) = (Bodies::three(), Origin::start_in_thread(Origin::builder()).expect("an origin"));
    let folder = Folder::new();
    folder.write("list", &bodies.list(&origin));
    fs::create_dir(folder.path("out")).expect("a folder can be made");
    fs::set_permissions(folder.path("out"), Permissions::from_mode(0o555)).expect("it is ours");
    let mut command = words(without_rights(), &folder, FRESH);
    assert_eq!(wait(command.spawn().expect("a shell starts"), LONG), 3);
    assert_eq!(rows(&folder), ["sink.forbidden"; 3]);
    assert!(folder.text("stderr").contains("cannot write out"), "{}", folder.text("stderr"));
    assert_eq!(origin.counts().requests, 0, "something was sent");
    // With the rights it is done, as if nothing had been.
    fs::set_permissions(folder.path("out"), Permissions::from_mode(0o755)).expect("it is ours");
    assert_eq!(run(&folder, FRESH, &[]), 0);
    assert_eq!(bodies.unlike_undisturbed(&folder), Vec::<String>::new());
}

#[test]
fn row_56_a_journal_that_may_not_be_written_is_told_before_anything_is_sent() {
    let (bodies, origin) = (Bodies::three(), Origin::start_in_thread(Origin::builder()).expect("an origin"));
    let folder = Folder::new();
    folder.write("list", &bodies.list(&origin));
    fs::create_dir_all(folder.path("out/.gannet")).expect("a folder can be made");
    fs::set_permissions(folder.path("out/.gannet"), Permissions::from_mode(0o555)).expect("it is ours");
    let mut command = words(without_rights(), &folder, FRESH);
    assert_eq!(wait(command.spawn().expect("a shell starts"), LONG), 6);
    let stderr = folder.text("stderr");
    assert!(stderr.contains("out/.gannet") && stderr.contains("permission denied"), "{stderr}");
    assert_eq!(origin.counts().requests, 0, "something was sent");
}

#[test]
fn row_56_a_disk_that_is_read_only_is_told_before_anything_is_sent() {
    let namespaces = Command::new("unshare").args(["-rm", "true"]).stderr(Stdio::null()).status();
    if !namespaces.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("GANNET_TEST_NO_SKIP").is_none(), "this machine gives no namespaces");
        eprintln!("SKIPPED: this machine gives no namespaces (unshare)");
        return;
    }
    let (bodies, origin) = (Bodies::three(), Origin::start_in_thread(Origin::builder()).expect("an origin"));
    let folder = Folder::new();
    folder.write("list", &bodies.list(&origin));
    fs::create_dir(folder.path("out")).expect("a folder can be made");
    let mut shell = Command::new("unshare");
    let before = "mount -t tmpfs -o ro none out && exec \"$0\" \"$@\"";
    shell.args(["-rm", "sh", "-c", before, env!("CARGO_BIN_EXE_gannet")]);
    let mut command = words(shell, &folder, FRESH);
    assert_eq!(wait(command.spawn().expect("a shell starts"), LONG), 6);
    assert!(rows(&folder).contains(&"sink.read_only".to_owned()), "{}", folder.text("report"));
    assert!(folder.text("stderr").contains("the file system is read-only"), "{}", folder.text("stderr"));
    assert_eq!(origin.counts().requests, 0, "something was sent");
}

#[test]
fn row_56_a_folder_in_the_place_of_a_file_fails_that_url_alone_and_before_it_is_asked_for() {
    let (bodies, origin) = (Bodies::three(), Origin::start_in_thread(Origin::builder()).expect("an origin"));
    let folder = Folder::new();
    folder.write("list", &bodies.list(&origin));
    fs::create_dir_all(folder.path("out/small")).expect("a folder can be made");
    assert_eq!(run(&folder, FRESH, &[]), 1);
    let mut codes = rows(&folder);
    codes.sort();
    assert_eq!(
        (codes, asked(&origin, &bodies)[&origin.url(&bodies.0[0].2)]),
        (["ok", "ok", "sink.bad_place"].map(str::to_owned).to_vec(), 0)
    );
    assert!(folder.text("stderr").contains("out/small is a folder"), "{}", folder.text("stderr"));
}

#[test]
fn row_69_a_kill_at_any_call_loses_nothing_and_repeats_nothing_that_was_recorded() {
    let bodies = Bodies::twenty();
    // Each of them.
    let trials = each_call(&bodies, Deed::Kill, |_| &[137]);
    sweep(trials, &bodies, usize::MAX);
}

#[test]
fn row_69_a_kill_at_any_call_of_a_run_that_goes_on_loses_nothing() {
    sweep(each_call_again(Deed::Kill, |_| &[137]), &Bodies::three(), USUAL);
}

#[test]
fn rows_53_to_55_hold_for_each_call_of_a_run_that_goes_on() {
    let mut trials = each_call_again(Deed::Fail(Errno::ENOSPC), |_| &[0, 6]);
    trials.extend(each_call_again(Deed::Fail(Errno::EIO), |_| &[0, 6]));
    trials.extend(each_call_again(Deed::Fail(Errno::EMFILE), |_| &[0, 1, 3, 6]));
    sweep(trials, &Bodies::three(), USUAL);
}

#[test]
fn a_kill_while_a_job_of_the_state_folder_is_put_aside_leaves_no_part_for_ever() {
    let (origin, folder) = (Origin::start_in_thread(Origin::builder()).expect("an origin"), Folder::new());
    // Nothing vouches for the body, so that no row knows its part.
    let url = origin.url("/b?size=1500000&seed=3");
    let command = |further: &[&str]| {
        let mut shell = held(env!("CARGO_BIN_EXE_gannet"));
        shell.args(["-q", "-o", "x", &url]).args(further).current_dir(folder.path(""));
        shell.env("XDG_CONFIG_HOME", "/dev/null").env("XDG_STATE_HOME", folder.path("state"));
        shell
    };
    let parts = || folder.files_below("").into_iter().filter(|name| name.ends_with(".part")).count();
    let mut written = 0;
    let traced = trace(command(&[]), &folder.path("."), LONG, |call| {
        written += u32::from(call.path.ends_with(".part") && call.name.contains("write"));
        if written == 2 { Deed::Kill } else { Deed::LetThrough }
    });
    assert_eq!((traced.code, parts()), (137, 1));
    let mut is_gone = false;
    let traced = trace(command(&["--new-job"]), &folder.path("."), LONG, |call| {
        let deed = if is_gone { Deed::Kill } else { Deed::LetThrough };
        is_gone |= call.name.starts_with("unlink") && call.path.ends_with(".sqlite");
        deed
    });
    assert_eq!((traced.code, is_gone), (137, true));
    let traced = trace(command(&[]), &folder.path("."), LONG, |_| Deed::LetThrough);
    assert_eq!((traced.code, parts()), (0, 0));
    assert!(fs::read(folder.path("x")).is_ok_and(|bytes| bytes == body(1_500_000, 3)));
}
