//! Bodies that break off and are gone on with: by ranges of one version, or not at all.

use gannet_origin::{Origin, body};

use crate::fixture::{End, Server, Speech};

/// The length of the bodies, and where they break off first.
const WHOLE: usize = 300 << 10;
const CUT: u64 = 200 << 10;

const DATED: &str = "last-modified=784111777&header=date:%20Sun,%2006%20Nov%201994%2009:49:37%20GMT";

fn server(speech: Speech, queries: &[String]) -> Server {
    speech.serve(Origin::builder().script("/a", queries.iter().cloned()))
}

fn resumed_from(end: &End) -> u64 {
    end.rows[0]["body"]["resumed_from"].as_u64().expect("a number")
}

#[test]
fn row_06_a_drip_that_is_stopped_leaves_its_bytes_to_the_next_attempt() {
    for speech in Speech::VERSIONS {
        let first = "size=1k&seed=1&etag=v1&drip=1/50ms".to_owned();
        let server = server(speech, &[first, "size=1k&seed=1&etag=v1".to_owned()]);
        let end = server.trial(["/a"]).with("--retry 1 -Y 100 -y 300ms").run();
        assert_eq!((end.code, end.codes()), (0, vec!["ok"]), "{end:?}");
        assert!(resumed_from(&end) > 0 && end.body(0) == body(1 << 10, 1), "{end:?}");
    }
}

#[test]
fn row_07_a_stall_is_gone_on_with_by_range() {
    for speech in Speech::VERSIONS {
        for framing in ["", "&chunked"] {
            let whole = format!("size=300k&seed=1&etag=v1{framing}");
            let server = server(speech, &[format!("{whole}&stall=200k"), whole]);
            let end = server.trial(["/a"]).with("--retry 1 --read-timeout 200ms").run();
            assert_eq!((end.code, end.codes(), resumed_from(&end)), (0, vec!["ok"], CUT), "{end:?}");
            assert!(end.body(0) == body(WHOLE, 1), "{end:?}");
        }
    }
}

#[test]
fn row_64_a_body_is_gone_on_with_only_by_a_right_range_under_a_strong_validator() {
    for (validators, is_strong) in [
        ("etag=strong", true),
        (DATED, true),
        ("etag=weak", false),
        ("last-modified=784111777", false),
        ("", false),
    ] {
        for range in
            ["ok", "ignore", "wrong-start", "wrong-total", "no-content-range", "multipart", "416", "416-here"]
        {
            let whole = format!("size=300k&seed=1&{validators}&range={range}");
            let server = server(Speech::Http1, &[format!("{whole}&truncate=200k"), whole]);
            let end = server.trial(["/a"]).with("--retry 1").run();
            let from = if is_strong && range == "ok" { CUT } else { 0 };
            assert_eq!((end.code, resumed_from(&end)), (0, from), "{validators}, {range}: {end:?}");
            assert!(end.body(0) == body(WHOLE, 1), "{validators}, {range}: {end:?}");
        }
    }
}

#[test]
fn row_64_a_body_that_changed_is_never_glued_to_what_was_there() {
    for validators in ["etag=strong", DATED, "etag=weak", ""] {
        for heeds in ["ok", "ignore-if-range"] {
            for size in ["300k", "310k"] {
                let later = validators.replace("784111777", "784111778");
                let first = format!("size=300k&seed=1&{validators}&range=ok&truncate=200k");
                let server =
                    server(Speech::Http1, &[first, format!("size={size}&seed=2&{later}&range={heeds}")]);
                let end = server.trial(["/a"]).with("--retry 1").run();
                assert_eq!((end.code, resumed_from(&end)), (0, 0), "{validators}, {heeds}, {size}: {end:?}");
                let length = if size == "300k" { WHOLE } else { 310 << 10 };
                assert!(end.body(0) == body(length, 2), "{validators}, {heeds}, {size}: {end:?}");
            }
        }
    }
}

#[test]
fn row_64_never_begins_anew_and_always_wants_the_same_length() {
    for (options, query, from) in [
        ("--resume-parts never", "size=300k&seed=1&etag=strong", 0),
        ("--resume-parts always", "size=300k&seed=1&range=ok", CUT),
        ("--resume-parts safe", "size=300k&seed=1&range=ok", 0),
    ] {
        let server = server(Speech::Http1, &[format!("{query}&truncate=200k"), query.to_owned()]);
        let end = server.trial(["/a"]).with(&format!("--retry 1 {options}")).run();
        assert_eq!((end.code, resumed_from(&end)), (0, from), "{options}: {end:?}");
        assert!(end.body(0) == body(WHOLE, 1), "{options}: {end:?}");
    }
}

#[test]
fn row_66_the_page_of_an_error_is_never_written_into_a_file() {
    for speech in Speech::VERSIONS {
        for status in [404, 503] {
            let whole = "size=300k&seed=1&etag=strong";
            let queries =
                [format!("{whole}&truncate=200k"), format!("{whole}&range={status}"), whole.to_owned()];
            let server = server(speech, &queries);
            let end = server.trial(["/a"]).with("--retry 2 --retry-delay 1ms").run();
            if status == 503 {
                assert_eq!((end.code, resumed_from(&end)), (0, CUT), "{end:?}");
                assert!(end.body(0) == body(WHOLE, 1), "{end:?}");
            } else {
                assert_eq!(end.codes(), ["reply.status"], "{end:?}");
                assert!(end.folder.files_below("out").is_empty(), "{end:?}");
            }
        }
    }
}
