//! Signals, and a reader that goes away: the program ends in less than a second, with a row for every URL.

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use gannet_origin::{Blackhole, Counts};
use rustix::process::Signal;

use crate::fixture::{LONG, Speech, Trial};

/// What the program may still take after a signal.
const AT_ONCE: Duration = Duration::from_secs(1);

/// One that is done, one that never answers, one that breaks off amid its body, and one that waits for its turn.
const PATHS: [&str; 4] = ["/a?size=1k", "/b?never", "/c?size=100k&stall=50k", "/d?never"];

#[test]
fn row_73_the_first_signal_ends_the_run_with_a_row_for_each_url() {
    for speech in Speech::VERSIONS {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
            let server = speech.server();
            let running = server.trial(PATHS).with("-P out -j 2").start(Stdio::null());
            let are_asked = |counts: &Counts| counts.requests == 3 && counts.replies_complete == 1;
            assert!(server.origin.wait_until_blocking(are_asked, LONG));
            let sent = Instant::now();
            running.kill(signal);
            let end = running.end();
            assert!(sent.elapsed() < AT_ONCE, "{:?}", sent.elapsed());
            assert_eq!((end.code, end.codes()), (code, vec!["ok", "cancelled", "cancelled", "cancelled"]));
            assert_eq!(end.folder.files_below("out"), ["out/a_size=1k"]);
        }
    }
}

#[test]
fn row_73_a_signal_amid_a_list_leaves_no_url_without_a_row_and_no_connection_open() {
    let hole = Blackhole::open().expect("a full queue");
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let stuck = ["http", "https"].map(|scheme| format!("{scheme}://{}/", hole.addr()));
        let paths = (0..1000).map(|n| format!("/{n}?size=100k&stall=50k"));
        let trial = Trial::of(stuck).and(&server, paths).with("-P out -j 100 --per-host 100");
        let running = trial.start(Stdio::null());
        assert!(server.origin.wait_until_blocking(|counts| counts.in_flight == 98, LONG));
        let sent = Instant::now();
        running.kill(Signal::INT);
        let end = running.end();
        assert!(sent.elapsed() < AT_ONCE, "{:?}", sent.elapsed());
        assert_eq!((end.code, &end.summary["cancelled"]), (130, &1002.into()), "{end:?}");
        assert!(server.origin.wait_until_blocking(|counts| counts.open_connections == 0, LONG));
    }
}

#[test]
fn row_73_the_second_signal_ends_the_program_now() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        // Standard output that nobody reads is waited for after the first signal.
        let running = server.trial(["/a?size=1m", "/b?never"]).start(Stdio::piped());
        assert!(server.origin.wait_until_blocking(|counts| counts.requests == 2, LONG));
        let sent = Instant::now();
        running.kill(Signal::INT);
        assert!(server.origin.wait_until_blocking(|counts| counts.in_flight == 0, LONG));
        running.kill(Signal::INT);
        let (code, folder) = running.end_without_report();
        assert!(sent.elapsed() < AT_ONCE, "{:?}", sent.elapsed());
        assert_eq!((code, folder.text("stderr").contains("panicked")), (130, false));
    }
}

#[test]
fn row_73_a_reader_that_goes_away_ends_the_run_silently() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let mut running = server.trial(["/a?size=1m", "/b?never", "/c?size=1k"]).start(Stdio::piped());
        let mut stdout = running.child.stdout.take().expect("a pipe");
        stdout.read_exact(&mut [0; 1000]).expect("the first body comes");
        let closed = Instant::now();
        drop(stdout);
        let end = running.end();
        assert!(closed.elapsed() < AT_ONCE, "{:?}", closed.elapsed());
        assert_eq!((end.code, end.stderr.as_str()), (141, ""), "{end:?}");
    }
}

#[test]
fn row_73_a_report_that_nobody_reads_any_more_ends_the_run_silently() {
    let server = Speech::Http1.server();
    let mut running = server.trial(PATHS).with("-P out --report -").start(Stdio::piped());
    drop(running.child.stdout.take());
    let (code, folder) = running.end_without_report();
    assert_eq!((code, folder.text("stderr").as_str()), (141, ""));
}

#[test]
fn what_runs_at_a_signal_ends_within_its_grace_and_nothing_more_is_started() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let paths = ["/a?size=20&drip=1/50ms", "/b?delay=700ms&size=1k", "/c?size=1k", "/d?size=1k"];
        let running = server.trial(paths).with("-P out -j 2 --grace 10s").start(Stdio::null());
        assert!(server.origin.wait_until_blocking(|counts| counts.in_flight == 2, LONG));
        running.kill(Signal::TERM);
        let end = running.end();
        assert_eq!((end.code, end.codes()), (143, vec!["ok", "ok", "cancelled", "cancelled"]), "{end:?}");
        assert_eq!((server.origin.counts().requests, end.folder.files_below("out").len()), (2, 2));
        assert!(end.stderr.contains("SIGTERM: what runs may go on for 10s"), "{}", end.stderr);
    }
}

#[test]
fn what_does_not_end_within_the_grace_is_cancelled() {
    let server = Speech::Http1.server();
    let running = server.trial(PATHS).with("-P out -j 3 --grace 300ms").start(Stdio::null());
    let are_asked = |counts: &Counts| counts.requests == 4 && counts.replies_complete == 1;
    assert!(server.origin.wait_until_blocking(are_asked, LONG));
    let sent = Instant::now();
    running.kill(Signal::INT);
    let end = running.end();
    assert!((Duration::from_millis(300)..AT_ONCE).contains(&sent.elapsed()), "{:?}", sent.elapsed());
    assert_eq!((end.code, end.codes()), (130, vec!["ok", "cancelled", "cancelled", "cancelled"]), "{end:?}");
}

#[test]
fn a_second_signal_ends_the_grace() {
    let server = Speech::Http1.server();
    let running = server.trial(PATHS).with("-P out -j 1 --grace 1h").start(Stdio::null());
    assert!(server.origin.wait_until_blocking(|counts| counts.requests == 2, LONG));
    let sent = Instant::now();
    // Which of the two is seen first is the system's to say.
    running.kill(Signal::HUP);
    running.kill(Signal::INT);
    let (code, _) = running.end_without_report();
    assert!(matches!(code, 129 | 130) && sent.elapsed() < AT_ONCE, "{code} after {:?}", sent.elapsed());
}
