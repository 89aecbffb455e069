//! How a run ends: exit codes, deadlines, signals.

use std::process::Command;
use std::time::{Duration, Instant};

use gannet_origin::refusing_addr;
use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{Folder, LONG, Ran, column, end, origin};

#[test]
fn a_url_that_fails_alone_is_3_and_among_others_1() {
    let (origin, folder) = (origin(), Folder::new());
    let (good, bad) = (origin.url("/a?text=x"), origin.url("/b?status=404"));
    let ran = folder.run([&bad]);
    assert_eq!(ran.code, 3);
    let expected = format!("error: {bad} not fetched after 1 attempt in ");
    assert!(ran.stderr.starts_with(&expected), "{}", ran.stderr);
    assert!(ran.stderr.contains("\n  why: the server answered 404 Not Found\n  fix: "), "{}", ran.stderr);
    let ran = folder.run([&good, &bad]);
    assert_eq!((ran.code, ran.out().as_str()), (1, "x"));
    assert!(ran.stderr.contains("exit 1: some URLs failed"), "{}", ran.stderr);
}

#[test]
fn silent_says_nothing_and_quiet_says_errors_only() {
    let (origin, folder) = (origin(), Folder::new());
    let urls = [origin.url("/a?text=x"), origin.url("/b?status=404")];
    let said = |flag: &str| folder.run([flag, &urls[0], &urls[1]]).stderr;
    assert_eq!(said("-s"), "");
    for flag in ["-q", "-sS"] {
        assert!(said(flag).starts_with("error: ") && !said(flag).contains("exit 1"), "{flag}");
    }
}

#[test]
fn the_attempts_are_told_when_asked_for() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run(["-v", &origin.url("/?script=503,200&header=Retry-After:0")]);
    assert_eq!(ran.code, 0);
    for text in ["> 0 first ", "> 0 retry ", "attempt 1, first", "attempt 2, retry", "status 200", "won"] {
        assert!(ran.stderr.contains(text), "{text} is not in {}", ran.stderr);
    }
}

#[test]
fn with_vv_a_log_tells_each_fetch_and_attempt_without_credentials() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?script=503,200&header=Retry-After:0").replace("http://", "http://me:pw@");
    let run = |flags: &str| folder.run([flags, "-H", "Authorization: Bearer t0ken", "--no-body", &url]);
    let (once, twice) = (run("-v"), run("-vv"));
    assert!(!once.stderr.contains("fetch{") && once.stderr.contains("> 0 first "), "{}", once.stderr);
    assert!(twice.stderr.contains("> 0 first ") && folder.run(["-vv", "-q", &url]).code == 0);
    for said in ["fetch{seq=0 url=", ":attempt{number=1 ", " led status=200", " settled outcome=\"ok\""] {
        assert!(twice.stderr.contains(said), "{said} is not in {}", twice.stderr);
    }
    for secret in ["pw@", "t0ken", "Bearer"] {
        assert!(!twice.stderr.contains(secret), "{secret} is in {}", twice.stderr);
    }
}

#[test]
fn errors_of_one_kind_and_host_are_folded_after_three() {
    let folder = Folder::new();
    let host = refusing_addr().expect("a free port");
    folder.write("list", &format!("http://{host}/\n").repeat(10));
    let ran = folder.run(["-i", "list", "--retry", "0"]);
    assert_eq!((ran.code, ran.stderr.matches("error: ").count()), (3, 3));
    let folded = format!("... and 7 more like this: connect.refused at {host}\n");
    assert!(ran.stderr.contains(&folded), "{}", ran.stderr);
}

#[test]
fn the_deadline_ends_everything_in_time_with_4() {
    let (origin, folder) = (origin(), Folder::new());
    let urls = [origin.url("/a?text=x"), origin.url("/b?never"), origin.url("/c?stall=5&size=10")];
    let begun = Instant::now();
    let ran = folder.run(["--deadline", "300ms", "--report", "r", &urls[0], &urls[1], &urls[2]]);
    assert!(begun.elapsed() < Duration::from_millis(1200), "{:?}", begun.elapsed());
    assert_eq!((ran.code, ran.out().starts_with('x')), (4, true));
    let (rows, summary) = folder.report("r");
    assert_eq!(column(&rows, "outcome"), ["ok", "unfinished", "unfinished"]);
    assert_eq!(rows[2]["error"]["code"], "deadline.job");
    assert_eq!((&summary["deadline_hit"], &summary["exit"]), (&true.into(), &4.into()));
    assert_eq!(summary["resume"], "run the same command again");
}

#[test]
fn a_deadline_that_has_passed_sends_nothing() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run(["--deadline", "2020-01-01T00:00:00Z", &origin.url("/")]);
    assert_eq!((ran.code, origin.counts().requests), (4, 0));
}

#[test]
fn an_input_that_never_ends_is_cut_by_the_deadline() {
    let (origin, folder) = (origin(), Folder::new());
    let mut child = folder.command(["-i", "-", "--deadline", "300ms"]);
    let mut child = child.stdin(std::process::Stdio::piped()).spawn().expect("the program starts");
    let stdin = child.stdin.take();
    std::io::Write::write_all(
        &mut stdin.as_ref().expect("a pipe"),
        format!("{}\n", origin.url("/?text=x")).as_bytes(),
    )
    .expect("the program reads");
    let ran = end(child);
    drop(stdin);
    assert_eq!((ran.code, ran.out().as_str()), (4, "x"));
}

#[test]
fn an_item_that_is_cut_by_its_own_time_has_failed() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run(["-m", "0.2", "--report", "r", "--no-body", &origin.url("/?never")]);
    assert_eq!(ran.code, 3);
    assert_eq!(folder.report("r").0[0]["error"]["code"], "deadline.item");
}

#[test]
fn the_first_that_succeeds_is_enough_when_asked_so() {
    let (origin, folder) = (origin(), Folder::new());
    let urls = [origin.url("/a?never"), origin.url("/b?status=404"), origin.url("/c?text=x&delay=30")];
    let ran = folder.run(["--until", "first", "-P", "out", "--report", "r", &urls[0], &urls[1], &urls[2]]);
    assert_eq!(ran.code, 0);
    assert_eq!(column(&folder.report("r").0, "outcome"), ["cancelled", "failed", "ok"]);
}

#[test]
fn the_first_failure_is_the_end_when_asked_so() {
    let (origin, folder) = (origin(), Folder::new());
    let urls = [origin.url("/a?never"), origin.url("/b?status=404")];
    let ran = folder.run(["--fail-early", "--no-body", "--report", "r", &urls[0], &urls[1]]);
    assert_eq!(ran.code, 3);
    assert_eq!(column(&folder.report("r").0, "outcome"), ["cancelled", "failed"]);
}

/// Runs the program on two URLs of which one never answers, and sends a signal once both were asked for.
fn signalled(signal: Signal, folder: &Folder) -> (Ran, Duration) {
    let origin = origin();
    let urls = [origin.url("/a?text=x"), origin.url("/b?never")];
    let child = folder.command(["-P", "out", "--report", "r", &urls[0], &urls[1]]).spawn().expect("a child");
    let is_asked = |counts: &gannet_origin::Counts| counts.requests == 2 && counts.replies_complete == 1;
    assert!(origin.wait_until_blocking(is_asked, LONG));
    let sent = Instant::now();
    kill_process(Pid::from_child(&child), signal).expect("the program runs");
    let ran = end(child);
    (ran, sent.elapsed())
}

#[test]
fn a_signal_ends_the_run_within_a_second_with_a_row_for_each_url() {
    for (signal, name, code) in
        [(Signal::INT, "SIGINT", 130), (Signal::TERM, "SIGTERM", 143), (Signal::HUP, "SIGHUP", 129)]
    {
        let folder = Folder::new();
        let (ran, took) = signalled(signal, &folder);
        assert_eq!(ran.code, code);
        assert!(took < Duration::from_secs(1), "{took:?}");
        let said = format!("stopped by {name}; gannet resume out to go on");
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
        let (rows, summary) = folder.report("r");
        assert_eq!((rows.len(), &summary["exit"]), (2, &code.into()));
        assert!(column(&rows, "outcome").contains(&"cancelled".to_owned()));
    }
}

#[test]
fn nohup_holds() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?delay=200&text=x");
    let script = ["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_gannet"), "-o", "x", &url];
    let child = Command::new("sh").args(script).current_dir(folder.path()).spawn().expect("a shell");
    assert!(origin.wait_until_blocking(|counts| counts.requests == 1, LONG));
    kill_process(Pid::from_child(&child), Signal::HUP).expect("the program runs");
    assert_eq!((end(child).code, folder.read("x")), (0, "x".into()));
}

#[test]
fn fewer_urls_run_at_once_where_the_open_files_allow_no_more() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?text=x");
    let script = ["-c", "ulimit -n 64; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_gannet"), "-j", "5000", &url];
    let ran = Command::new("sh").args(script).current_dir(folder.path()).output().expect("a shell");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(said, "-j 5000 lowered to 32: this process may open 64 files (ulimit -n)\n");
    assert_eq!(ran.stdout, b"x");
}

#[test]
fn a_grace_is_not_waited_out_for_what_cannot_be_asked_in_it() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/?status=503&retry-after=120");
    let child = folder.command(["--grace", "60s", &url]).spawn().expect("the program starts");
    assert!(origin.wait_until_blocking(|counts| counts.replies_complete == 1, LONG));
    let sent = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).expect("the program runs");
    let ran = end(child);
    assert!(ran.code == 130 && sent.elapsed() < LONG, "{ran:?} after {:?}", sent.elapsed());
    assert_eq!(origin.counts().requests, 1);
}

#[test]
fn what_waits_behind_a_gate_is_told_before_the_deadline() {
    let (origin, folder) = (origin(), Folder::new());
    let list: String = (0..5).map(|n| origin.url(&format!("/{n}")) + "\n").collect();
    let options = ["-i", "-", "--no-body", "-v", "--host-rate", "1/s", "--deadline", "2s"];
    let ran = folder.feed(options, &list);
    let host = origin.addr();
    let said = format!("    3 more have not begun: held back by --host-rate 1/s ({host})\n");
    assert!(ran.code == 4 && ran.stderr.contains("! the deadline comes in "), "{}", ran.stderr);
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
}
