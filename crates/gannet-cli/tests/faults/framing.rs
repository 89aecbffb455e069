//! Replies that lie about themselves: lengths, chunks, status lines; and replies that have no body whatever they say.

use std::time::Duration;

use gannet_origin::{Origin, RawReply};

use crate::fixture::{End, Speech};

/// Fetches each of these replies, byte for byte as they stand here, then one that is sound; each is followed by FIN.
fn fetched(replies: &[String], options: &str) -> End {
    let raw = |(n, reply): (usize, &String)| (format!("/{n}"), RawReply::new().send(reply.clone()).fin());
    let (paths, replies): (Vec<_>, Vec<_>) = replies.iter().enumerate().map(raw).unzip();
    let builder =
        paths.iter().zip(replies).fold(Origin::builder(), |all, (path, reply)| all.raw(path, reply));
    let server = Speech::Http1.serve(builder);
    let paths = paths.iter().map(String::as_str).chain(["/sound?size=10"]);
    server.trial(paths).with("--retry 0 --read-timeout 2s").with(options).run()
}

/// Holds each reply to be an error of one of these kinds, while the sound one after them is fetched.
fn are_refused(replies: &[String], kinds: &[&str]) {
    let end = fetched(replies, "");
    let codes = end.codes();
    for (reply, code) in replies.iter().zip(&codes) {
        assert!(kinds.contains(code), "{code}: {reply:?}");
    }
    assert_eq!((end.code, codes.last()), (1, Some(&"ok")));
}

#[test]
fn row_10_two_lengths_that_differ_are_an_error() {
    let fields = [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 6\r\ncontent-length: 5",
        "content-length: 5, 6",
        "Content-Length: 5\r\nx: y\r\nCONTENT-LENGTH: 4",
        "content-length: 5\r\ncontent-length: 5\r\ncontent-length: 6",
    ];
    are_refused(
        &fields.map(|fields| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello")),
        &["reply.malformed"],
    );
}

#[test]
fn row_11_a_length_that_is_no_number_is_an_error() {
    let lengths = [
        "-5",
        "+5",
        "five",
        "5 5",
        "5x",
        "0x5",
        "5.0",
        "5e0",
        "",
        "18446744073709551616",
        "18446744073709551621",
        "99999999999999999999999999999999",
        "\u{0665}",
    ];
    let reply = |length| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\nhello");
    are_refused(&lengths.map(reply), &["reply.malformed"]);
}

#[test]
fn row_11_a_length_beyond_all_bounds_is_an_error_before_it_is_believed() {
    let reply = "HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775807\r\n\r\nhello".to_owned();
    are_refused(std::slice::from_ref(&reply), &["body.truncated"]);
    let end = fetched(&[reply], "--max-size 1M");
    assert_eq!(end.codes(), ["body.too_large", "ok"]);
}

#[test]
fn row_11_a_length_that_is_not_that_of_the_body_is_an_error_over_http_2() {
    let server = Speech::Http2.server();
    let lengths = ["-5", "+5", "five", "5x", "4", "6", "18446744073709551616", "18446744073709551621"];
    let paths = lengths.map(|length| format!("/a?text=hello&chunked&header=content-length:{length}"));
    let end =
        server.trial(paths.iter().map(String::as_str).chain(["/sound?size=10"])).with("--retry 0").run();
    for (length, code) in lengths.iter().zip(end.codes()) {
        assert!(["reply.malformed", "body.truncated"].contains(&code), "{code}: {length}");
    }
    assert_eq!((end.code, end.codes().last()), (1, Some(&"ok")));
}

#[test]
fn row_10_two_lengths_that_differ_are_an_error_over_http_2() {
    let server = Speech::Http2.server();
    let paths = [(5, 6), (6, 5)].map(|(one, other)| {
        format!("/a?text=hello&chunked&header=content-length:{one}&header=content-length:{other}")
    });
    let end = server.trial(paths).with("--retry 0").run();
    assert_eq!((end.code, end.codes()), (3, vec!["reply.malformed"; 2]), "{end:?}");
}

#[test]
fn row_13_chunks_that_are_broken_are_an_error() {
    let chunks = [
        "zz\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        ";x\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "5x\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "10000000000000000\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\nfffffffffffffffff\r\n\r\n",
        "5\r\nhello\r\n0\r\nno-colon\r\n\r\n",
    ];
    let reply = |chunks| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
    are_refused(&chunks.map(reply), &["reply.malformed", "body.truncated"]);
}

#[test]
fn row_13_chunks_that_end_early_are_an_error() {
    let whole = "5\r\nhello\r\n0\r\n\r\n";
    let reply = |end| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", &whole[..end]);
    let cut: Vec<_> = (0..whole.len()).map(reply).collect();
    are_refused(&cut, &["body.truncated"]);
    assert_eq!(fetched(&[reply(whole.len())], "").codes(), ["ok", "ok"]);
}

#[test]
fn row_19_a_status_line_that_is_none_is_an_error() {
    let digits = "2".repeat(100);
    let lines = [
        "garbage",
        "<html>hello</html>",
        "\u{0}\u{1}\u{2}",
        "200 OK",
        "HTTP",
        "HTTP/1.1",
        "HTTP/1.1 OK",
        "HTTP/0.9 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/2.0 200 OK",
        "HTTP/11 200 OK",
        "http/1.1 200 OK",
        "ICY 200 OK",
        "HTTP/1.1 -200 OK",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1 2 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 000 OK",
        "HTTP/1.1 2x0 OK",
        &format!("HTTP/1.1 {digits} OK"),
    ];
    let reply = |line: &str| format!("{line}\r\ncontent-length: 5\r\n\r\nhello");
    are_refused(&lines.map(reply), &["reply.malformed"]);
}

#[test]
fn row_19_a_body_without_any_head_is_an_error() {
    let bodies = ["hello", "hello\n", "\r\n\r\n\r\n", "{}"].map(str::to_owned);
    are_refused(&bodies, &["reply.malformed", "connection.reset", "reply.empty"]);
}

#[test]
fn row_23_a_reply_that_has_no_body_is_not_waited_for() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let paths = ["/a?status=204", "/b?status=304", "/c?status=204&size=100", "/d?status=304&size=100"];
        let trial = server.trial(paths.into_iter().chain(["/e?size=10"]));
        let end = trial.with("--retry 0 --ok-status any --per-host 1 --read-timeout 5s").run();
        assert_eq!((end.code, end.codes()), (0, vec!["ok"; 5]), "{speech:?} {end:?}");
        assert!((0..4).all(|seq| end.took(seq) < 1000.0 && end.rows[seq]["bytes"] == 0), "{end:?}");
    }
}

#[test]
fn row_23_a_head_request_has_no_body_whatever_the_reply_says() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let end =
            server.trial(["/a?size=100", "/b?chunked", "/c"]).with("-X HEAD --retry 0 --per-host 1").run();
        assert_eq!((end.code, end.codes()), (0, vec!["ok"; 3]), "{speech:?} {end:?}");
        assert!((0..3).all(|seq| end.took(seq) < 1000.0 && end.rows[seq]["bytes"] == 0), "{end:?}");
    }
}

#[test]
fn row_23_chunks_announced_by_a_reply_without_a_body_are_not_waited_for() {
    for head in [
        "204 No Content\r\ntransfer-encoding: chunked",
        "304 Not Modified\r\ntransfer-encoding: chunked",
        "204 No Content\r\ncontent-length: 100",
        "304 Not Modified\r\ncontent-length: 100",
    ] {
        let silent = RawReply::new().send(format!("HTTP/1.1 {head}\r\n\r\n")).keep_open();
        let server = Speech::Http1.serve(Origin::builder().raw("/a", silent));
        let trial = server.trial(["/a"]).with("--retry 0 --ok-status any");
        let end = trial.within(Duration::from_secs(5)).run();
        assert_eq!((end.code, end.codes(), &end.rows[0]["bytes"]), (0, vec!["ok"], &0.into()), "{end:?}");
    }
}

/// What may stand behind a body; the second would make a good reply to somebody else.
fn beyond() -> [String; 4] {
    let reply = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    ["X".into(), reply.into(), "\r\n".into(), "evil".repeat(100_000)]
}

#[test]
fn row_09_bytes_beyond_the_length_are_no_part_of_the_body_and_the_connection_serves_no_more() {
    for beyond in beyond() {
        let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello{beyond}");
        let server = Speech::Http1.serve(Origin::builder().raw("/a", RawReply::new().send(reply)));
        let trial = server.trial(["/a", "/b?text=sound", "/a?2", "/c?text=well"]);
        let end = trial.with("--retry 0 -j 1 --read-timeout 2s").run();
        assert_eq!(end.code, 0, "{beyond:.40}: {end:?}");
        let bodies: Vec<_> = (0..4).map(|seq| String::from_utf8_lossy(&end.body(seq)).into_owned()).collect();
        assert_eq!(bodies, ["hello", "sound", "hello", "well"], "{beyond:.40}");
        let used: Vec<_> = server.origin.requests().iter().map(|request| request.connection).collect();
        assert!(used[0] != used[1] && used[2] != used[3], "used again: {beyond:.40}: {used:?}");
    }
}

#[test]
fn row_09_bytes_that_follow_a_reply_later_end_the_connection_too() {
    for beyond in beyond() {
        let reply = RawReply::new().send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
        let late = reply.pause(Duration::from_millis(20)).send(beyond.clone());
        let server = Speech::Http1.serve(Origin::builder().raw("/a", late));
        let other = Speech::Http1.server();
        // The other server takes longer than the late bytes.
        let trial = server.trial(["/a"]).and(&other, ["/?delay=200ms"]).and(&server, ["/b?text=sound"]);
        let end = trial.with("--retry 0 -j 1 --read-timeout 2s").run();
        assert_eq!((end.code, end.body(2)), (0, b"sound".to_vec()), "{beyond:.40}: {end:?}");
        assert_eq!((end.body(0), server.origin.counts().connections), (b"hello".to_vec(), 2));
    }
}

#[test]
fn row_09_more_bytes_than_the_length_are_an_error_over_http_2() {
    let server = Speech::Http2.server();
    let paths = ["/a?size=100&lie=-10", "/b?size=100k&lie=-1", "/c?text=hello&lie=-5", "/d?size=9"];
    let end = server.trial(paths).with("--retry 0").run();
    assert_eq!((end.code, end.codes()[3]), (1, "ok"), "{end:?}");
    assert!(
        end.codes()[..3].iter().all(|code| ["body.truncated", "reply.malformed"].contains(code)),
        "{end:?}"
    );
    assert_eq!(end.folder.files_below("out"), ["out/d_size=9"]);
}

#[test]
fn row_12_where_length_and_chunks_disagree_the_chunks_hold_and_the_connection_serves_no_more() {
    let fields = [
        "content-length: 3\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 3",
        "Transfer-Encoding: Chunked\r\nContent-Length: 15",
        "content-length: 500\r\ntransfer-encoding: chunked",
        "content-length: 0\r\ntransfer-encoding: chunked",
    ];
    for fields in fields {
        let reply = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        let server = Speech::Http1.serve(Origin::builder().raw("/a", RawReply::new().send(reply)));
        let trial = server.trial(["/a", "/b?text=sound"]).with("--retry 0 -j 1 --read-timeout 2s");
        let end = trial.run();
        let is_refused = end.codes()[0] == "reply.malformed";
        assert!(is_refused || (end.codes()[0] == "ok" && end.body(0) == b"hello"), "{fields}: {end:?}");
        assert_eq!(end.body(1), b"sound", "{fields}");
        let used: Vec<_> = server.origin.requests().iter().map(|request| request.connection).collect();
        assert!(used[0] != used[1], "the connection was used again: {fields}");
    }
}

#[test]
fn row_12_a_length_beside_chunks_is_no_way_around_the_length_of_the_body() {
    // Nothing that either framing would take for a whole body is taken for one where the chunks are cut or broken.
    let fields = "content-length: 5\r\ntransfer-encoding: chunked";
    let bodies = ["hello", "5\r\nhello", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "zz\r\nhello\r\n0\r\n\r\n"];
    are_refused(
        &bodies.map(|body| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}")),
        &["reply.malformed", "body.truncated"],
    );
}
