//! What befalls the process itself: too few descriptors, a clock that is set, a suspension, a signal at any moment.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::fixture::{LONG, Speech, from_environment};

#[test]
fn row_55_with_32_descriptors_a_thousand_urls_all_finish() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let trial = server.trial((0..1000).map(|n| format!("/{n}?size=1k")));
        let running = trial.with("-P out -j 64 --per-host 64").with_descriptors(32).start(Stdio::null());
        let end = running.end();
        assert_eq!((end.code, &end.summary["ok"]), (0, &1000.into()), "{speech:?}: {end:?}");
        assert!(server.origin.counts().peak_open_connections < 32);
        // Nothing is asked again and again for want of a descriptor.
        assert!(server.origin.counts().connections < 100, "{:?}", server.origin.counts());
    }
}

#[test]
fn row_74_a_signal_at_any_moment_leaves_nothing_half_done() {
    for run in 0..from_environment("GANNET_TEST_SIGNALS", 16) {
        let speech = Speech::VERSIONS[run % 2];
        let server = speech.server();
        let path = |n: u64| match n % 4 {
            0 => format!("/{n}?size=1k"),
            1 => format!("/{n}?size=64k&drip=8k/1ms"),
            2 => format!("/{n}?script=503,200&size=10"),
            _ => format!("/{n}?redirect=/x%3Fsize=5k&delay=2"),
        };
        let trial = server.trial((0..400).map(path)).with("-P out -j 32 --hedge 20ms");
        let running = trial.start(Stdio::null());
        let (moment, signal) = (1 + run as u64 * 53 % 300, [Signal::INT, Signal::TERM][run / 2 % 2]);
        assert!(server.origin.wait_until_blocking(|counts| counts.requests >= moment, LONG));
        let sent = Instant::now();
        running.kill(signal);
        // The fixture finds parts, files that no row tells of, and rows that are missing.
        let end = running.end();
        assert!(sent.elapsed() < Duration::from_secs(1), "run {run}: {:?}", sent.elapsed());
        assert!(end.code == 130 || end.code == 143, "run {run}: {end:?}");
        assert!(server.origin.wait_until_blocking(|counts| counts.open_connections == 0, LONG));
    }
}

/// Where distributions have libfaketime, which answers for the clock of a process.
const FAKETIME: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];

#[test]
fn row_75_a_wall_clock_that_is_wrong_or_set_back_moves_no_deadline() {
    let Some(library) = FAKETIME.into_iter().find(|path| Path::new(path).exists()) else {
        eprintln!("SKIPPED: libfaketime is not installed");
        return;
    };
    for (clock, year) in [("+3650d", 9), ("-3650d", -9), ("+0", 0)] {
        let server = Speech::Http1.server();
        let trial = server.trial(["/a?never", "/b?size=1k", "/c?size=10&drip=1/100ms"]);
        trial.folder.write("clock", clock.as_bytes());
        let rc = trial.folder.path("clock").to_string_lossy().into_owned();
        let trial = trial.with("-P out").within(Duration::from_secs(2)).kept("clock");
        let set = [("LD_PRELOAD", library), ("FAKETIME_TIMESTAMP_FILE", &rc)];
        let set = set.into_iter().chain([("FAKETIME_NO_CACHE", "1"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]);
        let running =
            set.fold(trial, |trial, (name, value)| trial.environment(name, value)).start(Stdio::null());
        assert!(server.origin.wait_until_blocking(|counts| counts.requests == 3, LONG));
        // An hour back, amid the run.
        let back = if clock == "+0" { "-3600" } else { clock };
        running.write("clock", back.as_bytes());
        let end = running.end();
        assert_eq!((end.code, end.codes()), (4, vec!["deadline.job", "ok", "ok"]), "{clock}: {end:?}");
        let elapsed = end.summary["elapsed_ms"].as_f64().expect("a number");
        assert!((1_900.0..2_250.0).contains(&elapsed), "{clock}: {elapsed} ms");
        assert!((0.0..1_900.0).contains(&end.took(2)), "{clock}: {end:?}");
        let written = end.rows[1]["started"].as_str().expect("a date");
        let now = end.rows[1]["started"].as_str().map(|_| this_year()).expect("a date");
        let years = written[..4].parse::<i64>().expect("a year") - now;
        assert!((years - year).abs() <= 1, "{clock}: the date is that of the wall clock: {written}");
    }
}

/// The year of the wall clock, roughly.
fn this_year() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970");
    1970 + i64::try_from(since.as_secs() / 31_556_952).expect("a small number")
}

#[test]
fn row_76_a_suspension_beyond_the_deadline_ends_at_once_with_a_clean_report() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let paths = ["/a?never", "/b?size=100k&stall=50k", "/c?status=503&retry-after=60", "/d?size=10"];
        let trial = server.trial(paths).with("-P out").within(Duration::from_secs(1));
        let running = trial.start(Stdio::null());
        assert!(
            server.origin.wait_until_blocking(|counts| counts.requests == 4 && counts.in_flight == 2, LONG)
        );
        // What the server has answered is taken, too: nobody can see when.
        std::thread::sleep(Duration::from_millis(100));
        running.kill(Signal::STOP);
        // The suspension itself: it is the fault, and nothing is waited for.
        std::thread::sleep(Duration::from_millis(1_500));
        let continued = Instant::now();
        running.kill(Signal::CONT);
        let (code, folder) = running.end_without_report();
        assert!(continued.elapsed() < Duration::from_millis(500), "{:?}", continued.elapsed());
        let rows: Vec<Value> =
            folder.text("report").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let unfinished = rows.iter().filter(|row| row["outcome"] == "unfinished").count();
        let summary = rows.last().expect("a summary");
        assert_eq!(
            (code, rows.len(), &summary["type"], unfinished),
            (4, 5, &"summary".into(), 2),
            "{rows:?}"
        );
        assert_eq!((&summary["deadline_hit"], &summary["ok"]), (&true.into(), &1.into()), "{summary}");
        assert!(folder.files_below("out").iter().all(|name| !name.ends_with(".part")));
        assert!(!folder.text("stderr").contains("panicked"));
    }
}
