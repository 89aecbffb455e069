//! Redirects without an end, and to where nobody should be sent.

use gannet_origin::Counts;
use serde_json::Value;

use crate::fixture::{End, LONG, Speech};

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

/// Follows each of these targets from `/dir/<n>`, as the server writes them, and tells which path is then asked for.
fn followed(speech: Speech, targets: &[&[u8]]) -> (End, Vec<Vec<String>>) {
    let escape = |target: &[u8]| target.iter().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let from = |(n, target): (usize, &&[u8])| format!("/dir/{n}?redirect={}", escape(target));
    let server = speech.server();
    let end = server.trial(targets.iter().enumerate().map(from)).with("--retry 0 -j 1").run();
    assert_eq!(server.origin.counts().bad_requests, 0, "{end:?}");
    let mut asked: Vec<Vec<String>> = Vec::new();
    for request in server.origin.requests() {
        let path = request.path_and_query;
        match path.split_once("?redirect=") {
            Some(_) => asked.push(Vec::new()),
            None => asked.last_mut().expect("a redirect came before").push(path),
        }
    }
    (end, asked)
}

#[test]
fn row_31_a_target_is_followed_as_it_is_written() {
    let cases: [(&[u8], &str); 16] = [
        (b"next", "/dir/next"),
        (b"./next", "/dir/next"),
        (b"../up", "/up"),
        (b"../../../up", "/up"),
        (b"/root?a=b", "/root?a=b"),
        (b"next#part", "/dir/next"),
        (b"/a b", "/a%20b"),
        (b"/a%20b", "/a%20b"),
        (b"  /trimmed  ", "/trimmed"),
        ("/caf\u{e9}".as_bytes(), "/caf%C3%A9"),
        ("/?q=\u{4f60}".as_bytes(), "/?q=%E4%BD%A0"),
        (b"/caf\xe9", "/caf%E9"),
        (b"/\xff\xfe?\x80", "/%FF%FE?%80"),
        (b"/a%0d%0aX-Evil:%20b", "/a%0d%0aX-Evil:%20b"),
        (b"/a%00b", "/a%00b"),
        (b"/a\tb", "/ab"),
    ];
    for speech in Speech::VERSIONS {
        let (end, asked) = followed(speech, &cases.map(|(target, _)| target));
        assert_eq!((end.code, end.codes()), (0, vec!["ok"; cases.len()]), "{end:?}");
        for ((target, wanted), asked) in cases.iter().zip(asked) {
            assert_eq!(asked, [*wanted], "{speech:?}: {}", target.escape_ascii());
        }
    }
}

#[test]
fn row_31_an_empty_target_is_the_page_itself() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let end = server.trial(["/a?status=302&header=location:", "/b?size=9"]).with("--retry 0").run();
        assert_eq!((end.code, end.codes()), (1, vec!["redirect.too_many", "ok"]), "{end:?}");
        assert_eq!(server.origin.requests_to("/a"), 11);
    }
}

#[test]
fn row_31_a_target_that_is_no_url_is_an_error() {
    let targets: [&[u8]; 5] =
        [b"http://", b"http://[::1", b"http://a:99999/", b"https://a b/", b"http://user@:80/"];
    for speech in Speech::VERSIONS {
        let (end, asked) = followed(speech, &targets);
        assert_eq!((end.code, end.codes()), (3, vec!["redirect.bad_location"; targets.len()]), "{end:?}");
        assert!(asked.iter().all(Vec::is_empty), "{asked:?}");
    }
}

#[test]
fn row_31_a_line_break_in_a_target_injects_nothing() {
    // Over HTTP/1.1 the server breaks its own head by it: what follows is a field of the reply, and never one of ours.
    for (target, code) in [
        ("/echo/next\r\nx-evil: 1", "ok"),
        ("/echo/next\nx-evil: 1", "ok"),
        ("/echo/next\rx-evil: 1", "reply.malformed"),
        ("/echo/next\r\n x-evil: 1", "ok"),
        ("/echo/next\0x-evil: 1", "reply.malformed"),
    ] {
        let (end, asked) = followed(Speech::Http1, &[target.as_bytes()]);
        assert_eq!(end.codes(), [code], "{target:?}: {end:?}");
        let is_injected = code == "ok" && serde_json::from_slice::<Value>(&end.body(0)).is_ok_and(has_evil);
        assert!(!is_injected, "{target:?}: {:?}", asked);
        assert!(asked[0].iter().all(|path| path.bytes().all(|byte| byte.is_ascii_graphic())), "{asked:?}");
    }
}

/// Whether a request that the server tells back holds the field.
fn has_evil(echo: Value) -> bool {
    assert_eq!(echo["method"], "GET", "the echo is not understood: {echo}");
    let fields = echo["headers"].to_string().to_ascii_lowercase();
    assert!(fields.contains("user-agent"), "the echo is not understood: {echo}");
    fields.contains("x-evil\"") || fields.contains("x-evil:\"")
}

#[test]
fn row_31_two_targets_that_differ_are_an_error_and_two_alike_are_one() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let two = |one: &str, other: &str| {
            format!("/{one}?status=302&header=location:/{one}x&header=location:/{other}x")
        };
        let end = server.trial([two("a", "b"), two("c", "c"), two("d", "")]).with("--retry 0").run();
        let bad = "redirect.bad_location";
        assert_eq!((end.code, end.codes()), (1, vec![bad, "ok", bad]), "{speech:?}: {end:?}");
        assert_eq!((server.origin.requests_to("/ax"), server.origin.requests_to("/bx")), (0, 0));
        assert_eq!(server.origin.requests_to("/cx"), 1);
    }
}
