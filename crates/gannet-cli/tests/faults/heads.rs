//! Heads that are broken, endless or never come: bytes that no field may hold, too many fields, interim replies
//! without a final one.

use std::process::Stdio;
use std::time::Duration;

use gannet_origin::{Counts, Origin, RawReply};
use rustix::process::Signal;

use crate::fixture::{End, LONG, Server, Speech};
use crate::frames::{self, FrameServer};

/// What a reply may cost beyond a small one, in bytes.
const MORE: u64 = 1 << 20;

/// A reply to `/a` after which the connection ends.
fn raw(reply: RawReply) -> Server {
    Speech::Http1.serve(Origin::builder().raw("/a", reply))
}

/// Fetches that reply and one that is sound.
fn fetched(server: &Server) -> End {
    server.trial(["/a", "/sound?size=10"]).with("--retry 0 --read-timeout 400ms").run()
}

#[test]
fn row_15_a_head_that_no_server_may_send_is_an_error() {
    let fields: [&[u8]; 16] = [
        b"x: a\0b",
        b"x\0: a",
        b"\0x: a",
        b"\0",
        b"x: a\rb",
        b"x: a\r\rb: c",
        b"x: \ra",
        b"x\r: a",
        b"\rx: a",
        b"no colon at all",
        b"nocolon",
        b": no name",
        b"x : a",
        b"x y: a",
        b"x: a\x01b",
        b"x: a\x7fb",
    ];
    for field in fields {
        for (before, after) in [("", "\r\ny: z"), ("y: z\r\n", "")] {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n{before}");
            let reply = [head.as_bytes(), field, after.as_bytes(), b"\r\n\r\nhello"].concat();
            let end = fetched(&raw(RawReply::new().send(reply).fin()));
            let field = field.escape_ascii();
            assert_eq!((end.code, end.codes()), (1, vec!["reply.malformed", "ok"]), "{field}: {end:?}");
            assert_eq!(end.rows[0]["error"]["retryable"], false, "{field}");
        }
    }
}

#[test]
fn row_15_a_head_that_no_server_may_send_is_an_error_over_http_2() {
    let fields: [(&[u8], &[u8]); 11] = [
        (b"x", b"a\0b"),
        (b"x", b"a\rb"),
        (b"x", b"a\nb: c"),
        (b"x\0", b"a"),
        (b"x\r", b"a"),
        (b"x:y", b"a"),
        (b"", b"a"),
        (b"X-Upper", b"a"),
        (b"connection", b"close"),
        (b"transfer-encoding", b"chunked"),
        (b":unknown", b"a"),
    ];
    for field in fields {
        let block = [frames::field(b":status", b"200"), frames::field(field.0, field.1)].concat();
        let server = FrameServer::start(vec![frames::headers(&block, frames::END_STREAM)]);
        let end = server.trial(["/a"]).with("--retry 0 --read-timeout 2s").run();
        let (name, value) = (field.0.escape_ascii(), field.1.escape_ascii());
        assert_eq!((end.code, end.codes()), (3, vec!["reply.malformed"]), "{name}: {value}: {end:?}");
    }
    let sound = [frames::field(b":status", b"200"), frames::field(b"x", b"a")].concat();
    let server = FrameServer::start(vec![frames::headers(&sound, frames::END_STREAM)]);
    assert_eq!(server.trial(["/a"]).run().codes(), ["ok"]);
}

/// Heads without an end, heads beyond what is taken, and one of each kind that is just within.
fn heads() -> Vec<(&'static str, RawReply)> {
    let start = || RawReply::new().send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n");
    let kilobyte = format!("x-k: {}\r\n", "y".repeat(1018));
    vec![
        ("ok", start().repeat("x: y\r\n", 255).send("\r\n")),
        ("ok", start().repeat(kilobyte.clone(), 250).send("\r\n")),
        ("reply.head_too_large", start().send("x: ").repeat("y".repeat(1024), u64::MAX)),
        ("reply.head_too_large", start().repeat("x".repeat(1024), u64::MAX)),
        ("reply.head_too_large", start().repeat("x: y\r\n", u64::MAX)),
        ("reply.head_too_large", start().repeat("x: y\r\n", 100_000).send("\r\n")),
        ("reply.head_too_large", start().repeat("x: y\r\n", 256).send("\r\n")),
        ("reply.head_too_large", start().repeat(kilobyte, 300).send("\r\n")),
        ("reply.head_too_large", start().send("x: a\r\n").repeat(" y\r\n", u64::MAX)),
        ("reply.head_too_large", RawReply::new().send("HTTP/1.1 200 ").repeat("OK ".repeat(300), u64::MAX)),
    ]
}

/// Fetches these paths one after the other, and then one that never ends: until then all are over. Gives the most
/// memory held, and the end.
fn weighed(server: &Server, paths: &[&str]) -> (u64, End) {
    let trial = server.trial(paths.iter().copied().chain(["/last?never"])).weighed();
    let running = trial.with("-P out --retry 0 -j 1").start(Stdio::null());
    let are_over = |counts: &Counts| counts.requests == paths.len() as u64 + 1;
    assert!(server.origin.wait_until_blocking(are_over, LONG), "the last URL is not reached");
    let peak = running.peak_memory();
    running.kill(Signal::INT);
    (peak, running.end())
}

/// What a run holds that gets a small reply.
fn small(speech: Speech) -> u64 {
    least(|| {
        let (peak, end) = weighed(&speech.server(), &["/a?close"]);
        assert_eq!(end.codes(), ["ok", "cancelled"]);
        peak
    })
}

/// The least of some runs: which thread allocates what is up to chance, and a page more or less with it.
fn least(run: impl FnMut() -> u64) -> u64 {
    std::iter::repeat_with(run).take(5).min().expect("there are runs")
}

#[test]
fn row_16_a_head_without_measure_is_an_error_and_costs_less_than_a_mebibyte() {
    let small = small(Speech::Http1);
    for (code, reply) in heads() {
        let reply = reply.fin();
        let peak = least(|| {
            let (peak, end) = weighed(&raw(reply.clone()), &["/a"]);
            assert_eq!(end.codes(), [code, "cancelled"], "{end:?}");
            peak
        });
        assert!(peak < small + MORE, "{peak} bytes instead of {small}: {reply:.200?}");
    }
}

/// What heads may cost that come one after the other, and over HTTP/2, where a head is held both packed and
/// unpacked; in bytes.
const MOST: u64 = 4 << 20;

#[test]
fn row_16_heads_without_measure_cost_no_more_the_more_there_are() {
    let small = small(Speech::Http1);
    let (_, endless) = heads().remove(2);
    let (peak, end) = weighed(&raw(endless.fin()), &["/a"; 160]);
    assert_eq!(end.summary["errors"]["reply.head_too_large"], 160, "{end:?}");
    assert!(peak < small + MOST, "{peak} bytes instead of {small}");
}

#[test]
fn row_16_a_head_without_measure_is_an_error_over_http_2() {
    let small = small(Speech::Http2);
    let many = |count: usize, length: usize| format!("&header=x:{}", "y".repeat(length)).repeat(count);
    // What breaks the limit there is told like all that breaks the protocol.
    for (code, query) in [
        ("ok", many(250, 4)),
        ("ok", many(250, 900)),
        ("reply.malformed", many(20_000, 1)),
        ("reply.malformed", many(300, 1000)),
        ("reply.malformed", many(1, 300_000)),
    ] {
        let server = Speech::Http2.serve(Origin::builder().behave("/a", query));
        let (peak, end) = weighed(&server, &["/a", "/sound"]);
        assert_eq!(end.codes(), [code, "ok", "cancelled"], "{end:?}");
        assert!(peak < small + MOST / 2, "{peak} bytes instead of {small}: {}", end.rows[0]);
    }
}

/// That many interim replies, then a final one.
fn interim(status: &str, count: u64) -> RawReply {
    let interim = format!("HTTP/1.1 {status}\r\nlink: </a.css>; rel=preload\r\n\r\n");
    RawReply::new().repeat(interim, count).send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
}

#[test]
fn row_17_interim_replies_are_passed_over_up_to_16() {
    for status in ["100 Continue", "102 Processing", "103 Early Hints", "199 Nobody Knows"] {
        for count in [1, 2, 16] {
            let end = fetched(&raw(interim(status, count)));
            assert_eq!((end.code, end.codes()), (0, vec!["ok", "ok"]), "{status} {count}: {end:?}");
            assert_eq!(end.body(0), b"hello");
        }
        let end = fetched(&raw(interim(status, 17)));
        assert_eq!((end.code, end.codes()), (1, vec!["reply.malformed", "ok"]), "{status}: {end:?}");
    }
}

#[test]
fn row_17_interim_replies_count_anew_for_each_request_of_a_connection() {
    let server = raw(interim("103 Early Hints", 10));
    let end = server.trial((0..5).map(|n| format!("/a?{n}"))).with("--retry 0 -j 1").run();
    assert_eq!((end.code, server.origin.counts().connections), (0, 1), "{end:?}");
}

#[test]
fn row_17_a_flood_of_interim_replies_ends_at_once() {
    for count in [1_000_000, u64::MAX] {
        let end = fetched(&raw(interim("103 Early Hints", count)));
        assert_eq!((end.code, end.codes()), (1, vec!["reply.malformed", "ok"]), "{end:?}");
        assert!(end.took(0) < 400.0, "{end:?}");
    }
}

#[test]
fn row_17_a_flood_of_interim_replies_over_http_2_ends_and_costs_little_memory() {
    let interim = frames::headers(&frames::field(b":status", b"103"), 0);
    let mut server = FrameServer::start(vec![interim.repeat(1000)]);
    server.repeat_last();
    let running = server.trial(["/a"]).with("-P out --retry 0 --read-timeout 1s").start(Stdio::null());
    assert!(server.wait_until_written(200 << 10, LONG), "the flood is not read");
    let peak = running.peak_memory();
    let end = running.end();
    assert!(["reply.malformed", "wait.timeout"].contains(&end.codes()[0]), "{end:?}");
    assert!(peak < 64 << 20, "{peak} bytes");
}

#[test]
fn row_18_an_interim_reply_without_a_final_one_is_an_error() {
    let go_on = || RawReply::new().send("HTTP/1.1 100 Continue\r\n\r\n");
    let replies = [
        ("connection.reset", go_on().fin()),
        ("connection.reset", go_on().reset()),
        ("wait.timeout", go_on().keep_open()),
        ("wait.timeout", go_on().send("HTTP/1.1 200 OK\r\n").keep_open()),
        ("connection.reset", go_on().send("HTTP/1.1 200 OK\r\n").fin()),
        ("reply.malformed", go_on().send("hello").fin()),
    ];
    for (code, reply) in replies {
        let end = fetched(&raw(reply.clone()));
        assert_eq!((end.code, end.codes()), (1, vec![code, "ok"]), "{reply:?}: {end:?}");
        assert_eq!(end.rows[0]["error"]["retryable"], code != "reply.malformed", "{reply:?}");
    }
}

#[test]
fn row_18_an_interim_reply_does_not_start_the_read_timeout_anew() {
    let reply = (0..20).fold(RawReply::new(), |reply, _| {
        reply.send("HTTP/1.1 102 Processing\r\n\r\n").pause(Duration::from_millis(100))
    });
    let end = fetched(&raw(reply.keep_open()));
    assert_eq!((end.code, end.codes()), (1, vec!["wait.timeout", "ok"]), "{end:?}");
    assert!((400.0..650.0).contains(&end.took(0)), "{end:?}");
}

#[test]
fn row_18_an_interim_reply_without_a_final_one_is_an_error_over_http_2() {
    let interim = frames::headers(&frames::field(b":status", b"100"), 0);
    let with_end = frames::headers(&frames::field(b":status", b"100"), frames::END_STREAM);
    for (codes, reply) in [
        (vec!["wait.timeout"], vec![interim.clone()]),
        (vec!["reply.malformed", "reply.empty", "connection.reset"], vec![with_end]),
        (
            vec!["reply.malformed", "connection.reset"],
            vec![interim, frames::data(b"hello", frames::END_STREAM)],
        ),
    ] {
        let server = FrameServer::start(reply);
        let end = server.trial(["/a"]).with("--retry 0 --read-timeout 400ms").run();
        assert!(end.code == 3 && codes.contains(&end.codes()[0]), "{end:?}");
    }
}
