//! Redirects without an end, and to where nobody should be sent.

use gannet_origin::Counts;

use crate::fixture::{LONG, Speech};

#[test]
fn row_29_a_redirect_to_itself_stops_at_the_limit() {
    for speech in Speech::VERSIONS {
        for (options, requests) in [("", 11), ("--max-redirs 3", 4), ("--max-redirs 0", 1)] {
            let server = speech.server();
            let end = server.trial(["/a?loop"]).with(options).run();
            assert_eq!((end.code, end.codes()), (3, vec!["redirect.too_many"]), "{end:?}");
            assert_eq!((&end.rows[0]["attempts"], server.origin.requests_to("/a")), (&1.into(), requests));
        }
    }
}

#[test]
fn row_29_many_hops_stop_at_the_limit_and_not_before() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let end = server.trial(["/a?hops=400&size=9", "/b?hops=11&size=9", "/c?hops=10&size=9"]).run();
        assert_eq!((end.code, end.codes()), (1, vec!["redirect.too_many", "redirect.too_many", "ok"]));
        assert_eq!((&end.rows[2]["redirects"], server.origin.requests_to("/a")), (&10.into(), 11));
        let end = server.trial(["/d?hops=400&size=9"]).with("--max-redirs 400").run();
        assert_eq!((end.code, &end.rows[0]["redirects"]), (0, &400.into()), "{end:?}");
    }
}

#[test]
fn row_29_a_location_that_grows_stops_at_8_kib() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let to = |length: usize| {
            format!("/{length}?redirect=/{}&header=x:{}", "a".repeat(length), "y".repeat(9000))
        };
        let end = server.trial([to(8000), to(9000)]).with("--retry 0").run();
        assert_eq!((end.code, end.codes()), (1, vec!["ok", "redirect.bad_location"]), "{end:?}");
        let is_over = |counts: &Counts| counts.in_flight == 0;
        assert!(server.origin.wait_until_blocking(is_over, LONG));
    }
}

#[test]
fn row_30_a_redirect_to_another_scheme_is_an_error() {
    let targets = [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "gopher://127.0.0.1/x",
        "data:text/plain,hi",
        "FILE:///etc/passwd",
    ];
    for speech in Speech::VERSIONS {
        for status in [301, 302, 303, 307, 308] {
            let server = speech.server();
            let to = |target: &str| format!("/a?redirect={target}&status={status}");
            let end = server.trial(targets.map(to)).run();
            assert_eq!((end.code, end.codes()), (3, vec!["redirect.refused"; 5]), "{end:?}");
            assert_eq!((server.origin.counts().requests, &end.summary["retries"]), (5, &0.into()));
        }
    }
}
