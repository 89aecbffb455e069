//! Connections that do not come about, fall silent, or are closed at a bad moment.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use gannet_origin::{Blackhole, Refusal};

use crate::fixture::{Speech, Trial};

#[test]
fn row_01_a_refused_connection_is_told_at_once_and_may_be_tried_again() {
    let refusal = Refusal::open().expect("a free port");
    for scheme in ["http", "https"] {
        let end = Trial::of([format!("{scheme}://{}/", refusal.addr())]).with("--retry 0").run();
        assert_eq!((end.code, end.codes()), (3, vec!["connect.refused"]));
        assert_eq!(end.rows[0]["error"]["retryable"], true);
        assert!(end.took(0) < 50.0, "{end:?}");
    }
}

#[test]
fn row_01_connections_that_are_refused_are_not_tried_again_past_the_budget() {
    let refusal = Refusal::open().expect("a free port");
    // So few that no breaker opens.
    let end = Trial::of((0..3).map(|n| format!("http://{}/{n}", refusal.addr()))).run();
    assert_eq!((end.code, &end.summary["errors"]["connect.refused"]), (3, &3.into()), "{end:?}");
    assert_eq!((&end.summary["firsts"], &end.summary["retries"]), (&3.into(), &9.into()), "{end:?}");
    // So many that the host is given up after three probes.
    let trial = Trial::of((0..200).map(|n| format!("http://{}/{n}", refusal.addr())));
    let end = trial.with("--host-give-up 3s").within(Duration::from_secs(25)).run();
    let number = |value: &serde_json::Value| value.as_u64().unwrap_or_default();
    let errors = &end.summary["errors"];
    assert!(number(&errors["connect.refused"]) + number(&errors["host.unavailable"]) == 200, "{end:?}");
    assert_eq!(end.code, 3, "{end:?}");
    let (firsts, retries) = (number(&end.summary["firsts"]), number(&end.summary["retries"]));
    assert!((5..=40).contains(&firsts) && retries <= 10 + firsts / 5, "{firsts} and {retries}: {end:?}");
}

#[test]
fn row_02_a_blackhole_costs_the_connect_timeout_and_hurts_no_other() {
    let hole = Blackhole::open().expect("a full queue");
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let swallowed = ["http", "https"].map(|scheme| format!("{scheme}://{}/", hole.addr()));
        let trial = Trial::of(swallowed).and(&server, (0..20).map(|n| format!("/{n}?size=1k")));
        let end = trial.with("--retry 0 --connect-timeout 400ms").run();
        assert_eq!((end.code, &end.codes()[..3]), (1, &["connect.timeout", "connect.timeout", "ok"][..]));
        assert_eq!(end.summary["ok"], 20);
        assert!((0..2).all(|seq| (400.0..650.0).contains(&end.took(seq))), "{end:?}");
        assert!((2..22).all(|seq| end.took(seq) < 400.0), "{end:?}");
    }
}

#[test]
fn row_03_a_server_that_never_answers_costs_the_read_timeout_and_frees_its_slot() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let trial = server.trial(["/a?never", "/b?never", "/c?size=10", "/d?size=10"]);
        let end = trial.with("--retry 0 --read-timeout 300ms --per-host 1").run();
        assert_eq!((end.code, end.codes()), (1, vec!["wait.timeout", "wait.timeout", "ok", "ok"]));
        assert!((0..2).all(|seq| (300.0..550.0).contains(&end.took(seq))), "{end:?}");
        // The server may hear of the next request before it has noticed the end of the last one.
        assert!(server.origin.counts().peak_in_flight <= 2);
    }
}

#[test]
fn row_03_a_server_that_accepts_and_says_nothing_hurts_no_other() {
    // The kernel accepts for a listener that does not.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let addr = silent.local_addr().expect("it is bound");
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let trial =
            Trial::of(["http", "https"].map(|scheme| format!("{scheme}://{addr}/"))).and(&server, ["/c"]);
        let end = trial.with("--retry 0 --read-timeout 300ms --connect-timeout 300ms -j 2").run();
        assert_eq!((end.code, end.codes()), (1, vec!["wait.timeout", "connect.timeout", "ok"]), "{end:?}");
        assert!((0..2).all(|seq| (300.0..550.0).contains(&end.took(seq))), "{end:?}");
    }
}

#[test]
fn row_21_a_connection_closed_as_we_write_is_redone_once_without_budget() {
    for speech in [Speech::Http1, Speech::Http1Tls] {
        let server = speech.server();
        let end = server.trial(["/a?then-close", "/b?size=10"]).with("--retry 0 -j 1").run();
        assert_eq!((end.code, end.codes()), (0, vec!["ok", "ok"]), "{end:?}");
        assert_eq!(server.origin.counts().dropped_unread, 1, "the connection was used again");
        assert_eq!((&end.rows[0]["attempts"], &end.rows[1]["attempts"]), (&1.into(), &2.into()));
        assert_eq!(end.summary["retries"], 1);
    }
}

#[test]
fn row_21_a_post_of_which_a_byte_was_written_is_not_sent_again() {
    for speech in [Speech::Http1, Speech::Http1Tls] {
        let server = speech.server();
        let end = server.trial(["/a?then-close", "/b?size=10"]).with("--retry 3 -j 1 -d a=b").run();
        assert_eq!((end.code, end.codes()), (1, vec!["ok", "connection.stale"]), "{end:?}");
        assert_eq!(server.origin.counts().dropped_unread, 1, "the connection was used again");
        assert_eq!((&end.rows[1]["attempts"], server.origin.requests_to("/b")), (&1.into(), 0));
    }
}

#[test]
fn row_21_a_connection_cut_without_a_word_as_we_write_is_redone_too() {
    // Many servers close a TLS connection without close_notify.
    for speech in [Speech::Http1, Speech::Http1Tls] {
        for cut in ["fin", "reset"] {
            let server = speech.server();
            let paths = ["/a".to_owned(), format!("/b?script={cut},200&size=10")];
            let end = server.trial(paths).with("--retry 0 -j 1").run();
            assert_eq!((end.code, end.codes()), (0, vec!["ok", "ok"]), "{speech:?} {cut}: {end:?}");
            assert_eq!((&end.rows[1]["attempts"], server.origin.requests_to("/b")), (&2.into(), 2));
        }
    }
}

#[test]
fn row_21_a_connection_is_redone_once_and_no_more() {
    let server = Speech::Http1.server();
    // The new connection of the redo is cut as well.
    let end = server.trial(["/a", "/b?script=fin,fin,200"]).with("--retry 0 -j 1").run();
    assert_eq!((end.code, end.codes(), server.origin.requests_to("/b")), (1, vec!["ok", "reply.empty"], 2));
}

#[test]
fn row_22_an_empty_reply_is_an_error_that_may_pass() {
    for speech in [Speech::Http1, Speech::Http1Tls] {
        let server = speech.server();
        // Without close_notify it may be called broken too.
        let kinds = if speech == Speech::Http1 {
            vec!["reply.empty"]
        } else {
            vec!["reply.empty", "connection.reset"]
        };
        let end = server.trial(["/a?fin=0"]).with("--retry 0").run();
        assert!(end.code == 3 && kinds.contains(&end.codes()[0]), "{end:?}");
        assert_eq!(end.rows[0]["error"]["retryable"], true);
        let end = server.trial(["/b?script=fin,200&size=10"]).with("--retry 1").run();
        assert_eq!((end.code, &end.rows[0]["attempts"]), (0, &2.into()), "{end:?}");
    }
}

#[test]
fn row_22_a_post_that_got_an_empty_reply_is_not_sent_again() {
    let server = Speech::Http1.server();
    let end =
        server.trial(["/a?script=fin,200"]).with("--retry 3 -d a=b").within(Duration::from_secs(5)).run();
    assert_eq!((end.code, end.codes(), server.origin.requests_to("/a")), (3, vec!["reply.empty"], 1));
}

#[test]
fn what_a_run_hangs_on_is_told_before_its_deadline_with_v_alone() {
    let hole = Blackhole::open().expect("a full queue");
    let server = Speech::Http1.server();
    for (level, is_told) in [("-v", true), ("", false)] {
        let urls = [format!("http://{}/x", hole.addr())];
        let paths = ["/a?never", "/b?size=100k&stall=50k"];
        let end = Trial::of(urls).and(&server, paths).with(level).within(Duration::from_millis(900)).run();
        assert_eq!((end.code, end.codes()), (4, vec!["deadline.job"; 3]), "{end:?}");
        for said in
            ["/x connects for ", "/a?never waits for the first byte for ", "its body, 50.0 KiB so far for "]
        {
            assert_eq!(end.stderr.contains(said), is_told, "{said}: {}", end.stderr);
        }
        assert_eq!(end.stderr.matches("! the deadline comes in ").count(), usize::from(is_told));
    }
}
