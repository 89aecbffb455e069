//! Bodies that come drop by drop, or stop coming: each limit on time holds, and nothing unfinished gets a name.

use std::time::Duration;

use gannet_origin::{Counts, Origin, body};

use crate::fixture::{End, LONG, Speech};

/// A byte at a time: too slow to end within any limit here, too fast for the read timeout.
const DRIP: &str = "size=1k&drip=1/50ms";

fn has_no_file(end: &End) -> bool {
    end.folder.files_below("out").is_empty()
}

#[test]
fn row_06_a_drip_is_stopped_by_the_deadline() {
    for speech in Speech::VERSIONS {
        for framing in ["", "&chunked", "&no-length"] {
            let server = speech.server();
            let trial = server.trial([format!("/a?{DRIP}{framing}"), "/b?size=10".to_owned()]);
            let end = trial.with("--read-timeout 300ms").within(Duration::from_millis(700)).run();
            assert_eq!((end.code, end.codes()), (4, vec!["deadline.job", "ok"]), "{end:?}");
            assert_eq!((&end.rows[0]["attempts"], end.folder.files_below("out").len()), (&1.into(), 1));
            let is_over = |counts: &Counts| counts.in_flight == 0;
            assert!(server.origin.wait_until_blocking(is_over, LONG), "the stream is still open");
        }
    }
}

#[test]
fn row_06_a_drip_is_stopped_by_the_time_of_its_url_and_hurts_no_other() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let trial = server.trial([format!("/a?{DRIP}"), format!("/b?{DRIP}&chunked"), "/c?size=10".into()]);
        let end = trial.with("-m 500ms --read-timeout 300ms").run();
        assert_eq!((end.code, end.codes()), (1, vec!["deadline.item", "deadline.item", "ok"]), "{end:?}");
        assert!((0..2).all(|seq| (500.0..750.0).contains(&end.took(seq))), "{end:?}");
        assert_eq!((&end.summary["retries"], end.folder.files_below("out").len()), (&0.into(), 1));
    }
}

#[test]
fn row_06_a_drip_below_the_lowest_speed_is_stopped_and_hurts_no_other() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let slow = ["", "&chunked", "&no-length"].map(|framing| format!("/a?{DRIP}{framing}"));
        let trial = server.trial(slow.into_iter().chain(["/b?size=100k&drip=1k/10ms".to_owned()]));
        let end = trial.with("--retry 0 --speed-limit 1k --speed-time 400ms").run();
        assert_eq!((end.code, &end.codes()[..3]), (1, ["body.too_slow"; 3].as_slice()), "{end:?}");
        assert!((0..3).all(|seq| (400.0..700.0).contains(&end.took(seq))), "{end:?}");
        assert_eq!((end.codes()[3], end.folder.files_below("out").len()), ("ok", 1), "{end:?}");
        let error = &end.rows[0]["error"];
        assert_eq!((&error["phase"], &error["retryable"]), (&"body".into(), &true.into()));
        assert!(end.stderr.contains("--speed-limit 1k for --speed-time 0.4s"), "{}", end.stderr);
        let is_over = |counts: &Counts| counts.in_flight == 0;
        assert!(server.origin.wait_until_blocking(is_over, LONG), "the stream is still open");
    }
}

#[test]
fn row_06_a_drip_below_the_lowest_speed_is_tried_again() {
    for speech in Speech::VERSIONS {
        let script = ["size=1k&seed=1&drip=1/50ms", "size=1k&seed=2"];
        let server = speech.serve(Origin::builder().script("/a", script));
        let end = server.trial(["/a"]).with("--retry 1 -Y 100 -y 200ms").run();
        assert_eq!((end.code, end.codes(), &end.rows[0]["attempts"]), (0, vec!["ok"], &2.into()), "{end:?}");
        assert!(end.body(0) == body(1 << 10, 2), "bytes of another reply are among them");
    }
}

#[test]
fn row_06_a_drip_within_all_limits_is_obtained_whole() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        // Each byte starts the read timeout anew.
        let end = server.trial(["/a?size=20&drip=1/50ms"]).with("--retry 0 --read-timeout 400ms").run();
        assert_eq!((end.code, end.codes()), (0, vec!["ok"]), "{end:?}");
        assert!(end.body(0) == body(20, 0) && end.took(0) > 900.0, "{end:?}");
    }
}

#[test]
fn row_06_a_drip_slower_than_the_read_timeout_is_a_stall() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let end = server.trial(["/a?size=1k&drip=1/2s"]).with("--retry 0 --read-timeout 300ms").run();
        assert_eq!((end.code, end.codes(), has_no_file(&end)), (3, vec!["body.stalled"], true), "{end:?}");
        assert!((300.0..600.0).contains(&end.took(0)), "{end:?}");
    }
}

#[test]
fn row_07_a_stall_costs_the_read_timeout_and_frees_its_slot() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let stalls = ["", "&chunked", "&no-length"].map(|framing| format!("/a?size=100k&stall=50k{framing}"));
        let trial = server.trial(stalls.into_iter().chain(["/b?size=10".to_owned()]));
        let end = trial.with("--retry 0 --read-timeout 300ms --per-host 1").run();
        assert_eq!((end.code, &end.codes()[..3]), (1, ["body.stalled"; 3].as_slice()), "{end:?}");
        assert!((0..3).all(|seq| (300.0..600.0).contains(&end.took(seq))), "{end:?}");
        assert_eq!((end.codes()[3], end.folder.files_below("out").len()), ("ok", 1));
        // The server may hear of the next request before it has noticed the end of the last one.
        assert!(server.origin.counts().peak_in_flight <= 2);
    }
}

#[test]
fn row_07_a_stall_is_tried_again_as_often_as_asked() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let end = server.trial(["/a?size=100k&stall=50k"]).with("--retry 2 --read-timeout 100ms").run();
        assert_eq!((end.code, end.codes(), has_no_file(&end)), (3, vec!["body.stalled"], true), "{end:?}");
        assert_eq!((&end.rows[0]["attempts"], server.origin.requests_to("/a")), (&3.into(), 3));
        assert_eq!(end.rows[0]["error"]["retryable"], true);
    }
}

#[test]
fn row_07_a_stall_that_passes_leaves_the_bytes_of_one_reply() {
    for speech in Speech::VERSIONS {
        let script = ["size=100k&seed=1&stall=50k", "size=100k&seed=2&stall=99k", "size=90k&seed=3"];
        let server = speech.serve(Origin::builder().script("/a", script));
        let end = server.trial(["/a"]).with("--retry 2 --read-timeout 100ms").run();
        assert_eq!((end.code, end.codes(), &end.rows[0]["attempts"]), (0, vec!["ok"], &3.into()), "{end:?}");
        assert!(end.body(0) == body(90 << 10, 3), "bytes of another reply are among them");
    }
}

#[test]
fn row_07_a_post_whose_reply_stalls_is_not_sent_again() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let trial = server.trial(["/a?size=100k&stall=50k"]);
        let end = trial.with("--retry 3 --read-timeout 100ms -d a=b").run();
        assert_eq!((end.code, end.codes(), server.origin.requests_to("/a")), (3, vec!["body.stalled"], 1));
    }
}

#[test]
fn row_07_a_stall_longer_than_the_deadline_is_unfinished_in_time() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let trial = server.trial((0..200).map(|n| format!("/{n}?size=100k&stall=50k")));
        let end = trial.with("-j 100 --per-host 100").within(Duration::from_millis(700)).run();
        assert_eq!((end.code, &end.summary["unfinished"], has_no_file(&end)), (4, &200.into(), true));
        assert!(server.origin.wait_until_blocking(|counts| counts.in_flight == 0, LONG));
    }
}
