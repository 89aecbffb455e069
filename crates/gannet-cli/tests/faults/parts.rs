//! Bodies that break off and are gone on with: by ranges of one version, or not at all.

use std::process::{Command, Stdio};

use gannet_origin::{Origin, body};

use crate::fixture::{End, Folder, LONG, Server, Speech, wait};

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
    for speech in Speech::VERSIONS {
        for validators in ["etag=strong", DATED, "etag=weak", ""] {
            for heeds in REPLIES {
                for size in ["300k", "310k"] {
                    let first = format!("size=300k&seed=1&{validators}&range=ok&truncate=200k");
                    let then = format!("size={size}&seed=2&{}&range={heeds}", later(validators));
                    let end = server(speech, &[first, then]).trial(["/a"]).with("--retry 1").run();
                    let what = format!("{speech:?}, {validators}, {heeds}, {size}: {end:?}");
                    assert_eq!((end.code, resumed_from(&end)), (0, 0), "{what}");
                    let length = if size == "300k" { WHOLE } else { 310 << 10 };
                    assert!(end.body(0) == body(length, 2), "{what}");
                }
            }
        }
    }
}

#[test]
fn row_64_holds_from_run_to_run() {
    for (validators, is_strong) in [("etag=strong", true), (DATED, true), ("etag=weak", false), ("", false)] {
        for heeds in REPLIES {
            for seed in [1, 2] {
                let has_changed = seed == 2;
                let then = if has_changed { later(validators) } else { validators.to_owned() };
                let first = format!("size=3m&seed=1&{validators}&range=ok&truncate=2m");
                let then = format!("size=3m&seed={seed}&{then}&range={heeds}");
                let (server, folder) = (server(Speech::Http1, &[first, then]), Folder::new());
                let url = server.origin.url("/a");
                assert_eq!(run(&folder, &url, &[]).0, 3);
                let (code, from) = run(&folder, &url, &[]);
                let what = format!("{validators}, {heeds}, changed: {has_changed}");
                // A server that does not look at If-Range is right as long as nothing has changed.
                let is_right = ["ok", "ignore-if-range"].contains(&heeds) && !has_changed;
                assert_eq!((code, from > 0), (0, is_strong && is_right), "{what}");
                assert_eq!(folder.files_below("out"), ["out/a"], "{what}");
                assert!(
                    std::fs::read(folder.path("out/a")).expect("a file") == body(3 << 20, seed),
                    "{what}"
                );
            }
        }
    }
}

/// The validators of the next version.
fn later(validators: &str) -> String {
    validators.replace("784111777", "784111778")
}

/// What a server makes of a range.
const REPLIES: [&str; 9] = [
    "ok",
    "ignore",
    "ignore-if-range",
    "wrong-start",
    "wrong-total",
    "no-content-range",
    "multipart",
    "416",
    "416-here",
];

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

/// Runs one URL with a journal, without retries: the code, and how much of its body was there already.
fn run(folder: &Folder, url: &str, further: &[&str]) -> (i32, u64) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    command.args(["-P", "out", "--retry", "0", "--report", "report", "-q", url]).args(further);
    command.env("XDG_CONFIG_HOME", "/dev/null").current_dir(folder.path(""));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let code = wait(command.spawn().expect("the program starts"), LONG);
    let report = folder.text("report");
    let row = report.lines().next().expect("a row");
    let row: serde_json::Value = serde_json::from_str(row).expect("JSON");
    (code, row["body"]["resumed_from"].as_u64().unwrap_or_default())
}

/// Does something to the bytes of a file.
type Edit = fn(&mut Vec<u8>);

#[test]
fn row_65_a_part_file_that_somebody_edited_is_begun_anew_by_the_next_run() {
    let edits: [Edit; 6] = [
        |bytes| bytes[0] ^= 1,
        |bytes| *bytes.last_mut().expect("it is long") ^= 1,
        |bytes| {
            *bytes.last_mut().expect("it is long") ^= 1;
            bytes.extend([7; 1000]);
        },
        |bytes| bytes.iter_mut().for_each(|byte| *byte = 0),
        |bytes| bytes.truncate(1 << 20),
        Vec::clear,
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let (folder, part, server, url) = left();
        let mut bytes = std::fs::read(folder.path(&part)).expect("it is there");
        edit(&mut bytes);
        folder.write(&part, &bytes);
        assert_eq!(run(&folder, &url, &[]), (0, 0), "edit {number}");
        is_whole(&folder, number);
        assert!(server.origin.requests().iter().all(|request| request.range.is_none()), "edit {number}");
    }
}

#[test]
fn row_65_a_part_file_as_it_was_left_is_gone_on_with_by_the_next_run() {
    for (number, (further, goes_on)) in
        [(&[][..], true), (&["--resume-parts", "always"], true), (&["--resume-parts", "never"], false)]
            .into_iter()
            .enumerate()
    {
        let (folder, part, server, url) = left();
        let length = std::fs::metadata(folder.path(&part)).expect("it is there").len();
        let from = if goes_on { length } else { 0 };
        assert_eq!(run(&folder, &url, further), (0, from), "{further:?}");
        is_whole(&folder, number);
        let asked = server.origin.requests().pop().expect("it was asked").range;
        assert_eq!(asked, goes_on.then(|| format!("bytes={length}-")), "{further:?}");
    }
}

/// A run whose body broke off: its folder, its part file, the server and the URL.
fn left() -> (Folder, String, Server, String) {
    let whole = "size=3m&seed=1&etag=strong";
    let server = server(Speech::Http1, &[format!("{whole}&truncate=2m"), whole.to_owned()]);
    let (folder, url) = (Folder::new(), server.origin.url("/a"));
    assert_eq!(run(&folder, &url, &[]).0, 3);
    let mut files = folder.files_below("out");
    let part = files.pop().expect("the part is left");
    assert!(part.ends_with(".part") && files.is_empty(), "{part}, {files:?}");
    (folder, part, server, url)
}

fn is_whole(folder: &Folder, number: usize) {
    assert_eq!(folder.files_below("out"), ["out/a"], "{number}");
    assert!(std::fs::read(folder.path("out/a")).expect("a file") == body(3 << 20, 1), "{number}");
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

#[test]
fn row_64_a_part_that_nobody_asked_for_is_never_taken_for_the_whole() {
    for (range, options, code) in [
        ("bytes%200-9/20", "", 3),
        ("bytes%2010-19/20", "", 3),
        ("bytes%200-9/*", "", 3),
        ("nonsense", "", 3),
        ("bytes%200-9/10", "", 0),
        ("bytes%200-9/20", "-r 0-9", 0),
    ] {
        let server = Speech::Http1.server();
        let path = format!("/a?status=206&size=10&header=Content-Range:{range}");
        let end = server.trial([path.as_str()]).with("--retry 0").with(options).run();
        let wanted = if code == 0 { "ok" } else { "reply.malformed" };
        assert_eq!((end.code, end.codes()), (code, vec![wanted]), "{range} {options}: {end:?}");
    }
}
