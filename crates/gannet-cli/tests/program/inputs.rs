//! Lists in each format that is read: what an entry says of its request, what comes back of it in the report, and what
//! becomes of a bad one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use gannet_origin::Origin;
use serde_json::{Value, json};

use crate::fixture::{Folder, Ran, end, origin};
use crate::schema;

/// A way to write a list.
type Packing = fn(&[u8]) -> Vec<u8>;

/// SHA-256 of `x`.
const OF_X: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

/// Runs the program over a list of this name; gives the rows of its report in input order.
fn run(folder: &Folder, name: &str, list: impl AsRef<[u8]>, options: &str) -> (Ran, Vec<Value>) {
    std::fs::write(folder.path().join(name), list).expect("a file can be written");
    let fixed = ["-i", name, "--report", "r", "--report-order", "input"];
    let ran = folder.run(fixed.into_iter().chain(options.split_whitespace()));
    let report = std::fs::read_to_string(folder.path().join("r")).unwrap_or_default();
    schema::hold(&report);
    let rows = report.lines().map(|row| serde_json::from_str(row).expect("a row of JSON"));
    (ran, rows.filter(|row: &Value| row["type"] == "result").collect())
}

/// `ok`, or the code of the error, of each row.
fn codes(rows: &[Value]) -> Vec<&str> {
    let code = |row: &'_ Value| -> Option<&'static str> {
        row["error"]["code"].as_str().map(|code| &*code.to_owned().leak())
    };
    rows.iter().map(|row| code(row).unwrap_or_else(|| row["outcome"].as_str().expect("a word"))).collect()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

fn zstandard(plain: &[u8]) -> Vec<u8> {
    let mut packed = vec![0; zstd_safe::compress_bound(plain.len())];
    let length = zstd_safe::compress(&mut packed[..], plain, 3).expect("it fits");
    packed.truncate(length);
    packed
}

#[test]
fn json_lines_say_all_about_each_request_and_unknown_columns_come_back() {
    let (origin, folder) = (origin(), Folder::new());
    let list = [
        json!({"url": origin.url("/echo/a"), "headers": {"Authorization": "Bearer s3cret", "X-A": ["1", "2"]}, "name": "d/a", "id": 7, "title": "t", "deep": {"x": [1]}}),
        json!({"url": origin.url("/1?text=x"), "digest": format!("sha256:{OF_X}"), "name": "x"}),
        json!({"url": origin.url("/2?text=y"), "digest": format!("sha256:{OF_X}"), "name": "y", "line": "mine"}),
        json!({"url": origin.url("/3?status=503"), "mirrors": [origin.url("/4?text=m")], "name": "m"}),
        json!({"url": origin.url("/5"), "digest": "sha256:00", "id": "bad"}),
        json!({"title": "no url"}),
    ];
    let text = list.iter().map(|entry| format!("{entry}\n")).collect::<String>()
        + "{\n\n\""
        + &origin.url("/6")
        + "\"\n";
    let (ran, rows) = run(&folder, "list", &text, "-P out -v -H X-A:0 -H X-B:0");
    let wanted =
        ["ok", "ok", "integrity.digest", "ok", "input.bad_entry", "input.bad_entry", "input.bad_entry", "ok"];
    assert_eq!((codes(&rows), ran.code), (wanted.to_vec(), 5), "{ran:?}");
    let lines: Vec<_> = rows.iter().map(|row| row["input"]["line"].as_u64().expect("a number")).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7, 9]);
    assert_eq!(
        rows[0]["input"],
        json!({"line": 1, "id": "7", "title": "t", "deep": {"x": [1]}, "name": "d/a"})
    );
    let digest = [format!("sha256:{OF_X}")];
    assert_eq!(rows[2]["input"], json!({"line": 3, "_line": "mine", "name": "y", "digest": digest}));
    assert_eq!(rows[4]["input"]["id"], "bad");
    let echo: Value = serde_json::from_str(&folder.read("out/d/a")).expect("JSON");
    let sent = echo.to_string();
    assert!(sent.contains("Bearer s3cret") && sent.contains("x-b"), "{sent}");
    let of_a = echo["headers"].to_string().matches("x-a").count();
    assert_eq!(of_a, 2, "its own, in the place of that of -H: {sent}");
    assert_eq!((folder.read("out/x"), folder.read("out/m")), ("x".into(), "m".into()));
    assert!(!folder.names("out").contains(&"y".to_owned()));
    assert!(!folder.read("r").contains("s3cret") && !ran.stderr.contains("s3cret"), "{ran:?}");
}

#[test]
fn values_under_names_are_read_from_the_column_that_is_asked_for() {
    let (origin, folder) = (origin(), Folder::new());
    let (one, two) = (origin.url("/1?text=x"), origin.url("/echo/2"));
    let list = format!(
        "title,url,name,digest,mirrors,header:X-A,id\n\"a, \"\"b\"\"\",{one},x,sha256:{OF_X},{two} {two},,i\nc,{two},e,,,v,\nd\n"
    );
    let (ran, rows) = run(&folder, "list.csv", &list, "-P out");
    assert_eq!((codes(&rows), ran.code), (vec!["ok", "ok", "input.bad_entry"], 1), "{ran:?}");
    assert_eq!(
        rows[0]["input"],
        json!({"line": 2, "id": "i", "title": "a, \"b\"", "name": "x", "digest": [format!("sha256:{OF_X}")], "mirrors": [two, two]})
    );
    assert!(folder.read("out/e").contains("x-a") && folder.read("out/x") == "x");
    let bare = format!("k,{one}\nl,{one}\n");
    for (list, options, count) in [
        (format!("link,a\n{one},b\n"), "--url-column link", 1),
        (format!("link,a\n{one},b\n"), "--url-column 1", 1),
        (bare.clone(), "--url-column 2", 2),
        (format!("{{\"Link\":\"{one}\"}}\n{{\"link\":\"{one}\",\"url\":1}}\n"), "--url-column link", 2),
    ] {
        let (ran, rows) = run(&folder, "list", &list, &format!("--no-body {options}"));
        assert_eq!((ran.code, rows.len()), (0, count), "{ran:?}");
    }
    let (ran, _) = run(&folder, "other.csv", "url;title\n", "--no-body");
    assert!(ran.code == 2 && ran.stderr.contains("parted by commas"), "{ran:?}");
    let (ran, rows) = run(&folder, "bare.csv", &bare, "--no-body");
    assert_eq!((ran.code, codes(&rows)), (2, vec!["input.bad_entry"]));
    assert!(ran.stderr.contains("--url-column 2"), "{ran:?}");
}

#[test]
fn aria2s_input_file_is_read_with_its_options() {
    let (origin, folder) = (origin(), Folder::new());
    let list = format!(
        "# mine\n{}\t{}\n  out=x.bin\n  dir=/../d\n  checksum=sha-256={OF_X}\n  split=5\n{}\n  user-agent=me\n  referer=http://r/\n  \
         header=X-A: s3cret\n  split=4\n  dir=d\n{}\n  nonsense\n",
        origin.url("/1?status=503"),
        origin.url("/2?text=x"),
        origin.url("/echo/e"),
        origin.url("/3"),
    );
    let (ran, rows) = run(&folder, "list.aria2", &list, "-P out");
    assert_eq!((codes(&rows), ran.code), (vec!["ok", "ok", "input.bad_entry"], 1), "{ran:?}");
    assert_eq!(folder.read("out/_/d/x.bin"), "x");
    let echo = folder.read("out/d/e");
    assert!(["\"me\"", "http://r/", "s3cret"].iter().all(|sent| echo.contains(sent)), "{echo}");
    assert_eq!(ran.stderr.matches("option split is passed over").count(), 1, "{ran:?}");
    assert!(!folder.read("r").contains("s3cret") && !ran.stderr.contains("s3cret"));
    let (_, again) = run(&folder, "list", &list, "-P out2 --input-format aria2");
    assert_eq!(codes(&again), codes(&rows));
}

#[test]
fn a_metalink_gives_its_files_their_names_mirrors_and_hashes() {
    let (origin, folder) = (origin(), Folder::new());
    let list = format!(
        "<?xml version=\"1.0\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"../a/x\"><hash type=\"sha-256\">{OF_X}</hash>\
         <metaurl mediatype=\"torrent\">http://t/</metaurl><url priority=\"2\">{}</url><url priority=\"1\">{}</url><url>ftp://f/</url></file>\n\
         <file name=\"b\"><url>{}</url></file></metalink>",
        origin.url("/good?text=x"),
        origin.url("/bad?text=y"),
        origin.url("/b?text=b&amp;x"),
    );
    let (ran, rows) = run(&folder, "list.meta4", &list, "-P out");
    assert_eq!((codes(&rows), ran.code), (vec!["ok", "ok"], 0), "{ran:?}");
    assert_eq!((folder.read("out/_/a/x"), folder.read("out/b")), ("x".into(), "b".into()));
    assert!(ran.stderr.contains("metaurl"), "{ran:?}");
    let paths: Vec<_> = origin.requests().into_iter().map(|asked| asked.path_and_query).collect();
    assert!(paths.contains(&"/bad?text=y".to_owned()), "the preferred one is asked first: {paths:?}");
    let (ran, rows) = run(&folder, "cut.metalink", &list[..list.len() - 20], "--no-body");
    assert_eq!((codes(&rows), ran.code), (vec!["ok", "input.bad_entry"], 1), "{ran:?}");
}

#[test]
fn of_a_report_what_did_not_succeed_is_fetched_again() {
    let (origin, folder) = (origin(), Folder::new());
    let list = [
        json!({"url": origin.url("/a?text=x"), "id": "a"}),
        json!({"url": origin.url("/b?script=404,200"), "id": "b", "title": "t"}),
        json!({"url": "ftp://h/", "id": "c"}),
        json!({"url": origin.url("/d?text=y"), "name": "sub/d", "digest": format!("sha256:{OF_X}")}),
        json!({"url": origin.url("/e?status=404"), "name": "e", "mirrors": [origin.url("/f?text=x"), "http://me:s3cret@h/"]}),
    ];
    let text = list.iter().map(|entry| format!("{entry}\n")).collect::<String>();
    let (ran, _) = run(&folder, "list", &text, "-P out");
    assert_eq!(ran.code, 5);
    let report = folder.read("r");
    assert!(!report.contains("s3cret"), "{report}");
    let (ran, rows) = run(&folder, "before", &report, "-P out");
    // A body that was found wrong is wrong still.
    assert_eq!((codes(&rows), ran.code), (vec!["ok", "input.bad_scheme", "integrity.digest"], 5), "{ran:?}");
    assert_eq!(rows[0]["input"], json!({"line": 2, "id": "b", "title": "t"}));
    assert!(!folder.path().join("out/sub/d").exists() && !folder.path().join("out/d_text=y").exists());
    assert_eq!(origin.requests_to("/a"), 1, "what was obtained is not asked for again");
    // Mirrors and names are taken over, too.
    let row = json!({"v": 1, "type": "result", "url": origin.url("/g?status=404"), "outcome": "failed",
        "input": {"line": 1, "name": "g/h", "mirrors": [origin.url("/h?text=x")]}});
    let (ran, _) = run(&folder, "other", format!("{row}\n"), "-P out --new-job");
    assert_eq!((ran.code, folder.read("out/g/h")), (0, "x".to_owned()), "{ran:?}");
}

fn jsonl(origin: &Origin, count: usize) -> String {
    (0..count)
        .map(|number| format!("{}\n", json!({"url": origin.url(&format!("/{number}?text=x"))})))
        .collect()
}

#[test]
fn packed_lists_are_unpacked_as_they_come_and_a_cut_one_ends_with_an_error() {
    let (origin, folder) = (origin(), Folder::new());
    let lines: String = (0..50).map(|number| format!("{}\n", origin.url(&format!("/{number}")))).collect();
    for plain in [lines, jsonl(&origin, 50)] {
        for packed in [gzip(plain.as_bytes()), zstandard(plain.as_bytes())] {
            for strict in ["", "--strict"] {
                let (ran, rows) = run(&folder, "list", &packed, &format!("--no-body {strict}"));
                assert_eq!((ran.code, rows.len()), (0, 50), "{ran:?}");
            }
            // Behind a whole one, of which all is fetched.
            let cut = [&packed[..], &packed[..packed.len() - 4]].concat();
            let (ran, rows) = run(&folder, "cut", &cut, "--no-body");
            assert_eq!((ran.code, codes(&rows).last()), (1, Some(&"input.unreadable")), "{ran:?}");
            let before = origin.counts().requests;
            let (ran, _) = run(&folder, "cut", &cut, "--no-body --strict");
            assert_eq!((ran.code, origin.counts().requests), (2, before), "{ran:?}");
        }
    }
}

#[test]
fn under_strict_a_bad_entry_of_any_format_keeps_all_from_being_sent() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/");
    for (name, list, line) in [
        ("a.jsonl", format!("{{\"url\":\"{url}\"}}\n{{}}\n"), "line 2"),
        ("a.csv", format!("url\n{url}\nftp://h/\n"), "line 3"),
        ("a.aria2", format!("{url}\n  out=a\n{url}\n  out\n"), "line 3"),
        (
            "a.meta4",
            format!("<metalink><file name=\"a\"><url>{url}</url></file>\n<file/></metalink>"),
            "line 2",
        ),
    ] {
        let (ran, _) = run(&folder, name, &list, "--no-body --strict");
        assert!(ran.code == 2 && ran.stderr.contains(line), "{name}: {ran:?}");
        let fed = folder.feed(["-i", "-", "--strict", "--no-body", "--input-format", &format(name)], &list);
        assert!(fed.code == 2 && fed.stderr.contains(line), "{name}: {fed:?}");
    }
    assert_eq!(origin.counts().requests, 0);
}

fn format(name: &str) -> String {
    let end = name.rsplit('.').next().expect("a name has an end");
    if end == "meta4" { "metalink".to_owned() } else { end.to_owned() }
}

#[test]
fn a_line_of_a_megabyte_is_told_in_each_format_and_the_others_go_on() {
    let (origin, folder) = (origin(), Folder::new());
    let (url, long) = (origin.url("/"), "x".repeat(1 << 20));
    for (name, list) in [
        ("a.jsonl", format!("{{\"url\":\"{url}\"}}\n{{\"url\":\"{long}\"}}\n{{\"url\":\"{url}\"}}\n")),
        ("a.csv", format!("url\n{url}\n{long}\n{url}\n")),
        ("a.aria2", format!("{url}\n{url}\n  out={long}\n{url}\n")),
    ] {
        let (ran, rows) = run(&folder, name, &list, "--no-body");
        assert_eq!((codes(&rows), ran.code), (vec!["ok", "input.line_too_long", "ok"], 1), "{name}: {ran:?}");
    }
}

#[test]
fn each_streaming_format_gives_out_its_entries_while_its_input_is_still_open() {
    let origin = origin();
    let url = origin.url("/same");
    // aria2's options may still come, so its last entry waits for the next line.
    for (format, list, count) in [
        ("auto", format!("{{\"url\":\"{url}\"}}\n"), 1),
        ("jsonl", format!("{{\"url\":\"{url}\"}}\n"), 1),
        ("csv", format!("url\n{url}\n"), 1),
        ("aria2", format!("{url}\n{url}\n"), 1),
        ("lines", format!("{url}\n"), 1),
    ] {
        let folder = Folder::new();
        let args = ["-i", "-", "--input-format", format, "--no-body", "--report", "-"];
        let mut child = folder.command(args).stdin(Stdio::piped()).spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(list.as_bytes()).expect("it reads");
        let mut rows = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        for _ in 0..count {
            let row: Value = serde_json::from_str(&rows.next().expect("a row").expect("text")).expect("JSON");
            assert_eq!((&row["outcome"], &row["url"]), (&json!("ok"), &json!(url)), "{format}");
        }
        drop(stdin);
        drop(rows);
        end(child);
    }
}

#[test]
fn input_without_an_end_in_any_format_is_left_at_the_deadline() {
    let origin = origin();
    let url = origin.url("/same");
    for (format, line) in [
        ("jsonl", format!("{{\"url\":\"{url}\"}}\n")),
        ("csv", format!("{url}\n")),
        ("aria2", format!("{url}\n out=a\n")),
    ] {
        let folder = Folder::new();
        let args = ["-i", "-", "--input-format", format, "--no-body", "--deadline", "500ms", "-s"];
        let mut child = folder.command(args).stdin(Stdio::piped()).spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let begun = Instant::now();
        let feeder = std::thread::spawn(move || {
            let _ = stdin.write_all(b"url\n");
            while stdin.write_all(line.as_bytes()).is_ok() {}
        });
        let ran = end(child);
        feeder.join().expect("the feeder does not panic");
        assert!(ran.code == 4 && begun.elapsed() < Duration::from_secs(3), "{format}: {ran:?}");
    }
}

#[test]
fn options_about_a_list_that_cannot_be_meant_are_refused() {
    let folder = Folder::new();
    folder.write("list", "http://127.0.0.1:1/\n");
    for (args, said) in [
        ("--input-format csv http://127.0.0.1:1/", "--input-format"),
        ("--url-column a http://127.0.0.1:1/", "--url-column"),
        ("-i list --input-format aria2 --url-column a", "--url-column a contradicts --input-format aria2"),
        ("-i list --url-column 0", "columns are counted from 1"),
        ("-i list --input-format xml", "xml"),
    ] {
        let ran = folder.run(args.split(' '));
        assert!(ran.code == 2 && ran.stderr.contains(said), "{args}: {ran:?}");
    }
}

#[test]
fn the_data_of_g_go_into_the_urls_of_every_format() {
    let (origin, folder) = (origin(), Folder::new());
    let list = json!({"url": origin.url("/echo/a"), "name": "a"}).to_string();
    let (ran, _) = run(&folder, "a.jsonl", &list, "-P out -G -d q=1");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(folder.read("out/a").contains("/echo/a?q=1"), "{}", folder.read("out/a"));
}

#[test]
fn a_list_in_any_format_packed_or_not_may_grow_and_is_gone_on_with_by_its_options() {
    let origin = origin();
    let entries = |line: fn(&str) -> String| ["/1?text=a", "/2?text=b"].map(|path| line(&origin.url(path)));
    let plain = entries(|url| format!("{url}\n"));
    let json = entries(|url| format!("{{\"link\":\"{url}\",\"headers\":{{\"X-A\":\"1\"}}}}\n"));
    let csv = entries(|url| format!("\"a\nb\",{url}\r\n"));
    let aria2 = entries(|url| format!("{url}\t{url}\n  header=A: b\n  split=5\n"));
    let metalink = entries(|url| format!("<file name=\"{}\"><url>{url}</url></file>", &url[url.len() - 1..]));
    for (begin, lines, end, options) in [
        ("\u{feff}# a list\n", plain, "", ""),
        ("\n", json, "", "--url-column link --input-format jsonl"),
        ("\u{feff}t,link\r\n", csv, "", "--url-column link"),
        ("", aria2, "", "--input-format aria2"),
        ("<metalink>", metalink, "</metalink>", "--input-format metalink"),
    ] {
        let short = format!("{begin}{}{end}", lines[0]);
        let long = format!("{begin}{}{}{end}", lines[0], lines[1]);
        let packed: [Packing; 3] = [<[u8]>::to_vec, gzip, zstandard];
        for pack in packed {
            let folder = Folder::new();
            origin.reset_counts();
            let (ran, _) = run(&folder, "list", pack(short.as_bytes()), &format!("-P out {options}"));
            assert_eq!((ran.code, origin.counts().requests), (0, 1), "{options}: {ran:?}");
            std::fs::write(folder.path().join("list"), pack(long.as_bytes())).expect("a file");
            let ran = folder.run(["resume", "out"]);
            assert_eq!((ran.code, origin.counts().requests), (0, 2), "{options}: {ran:?}");
            assert!(ran.stderr.contains("1 was done already"), "{options}: {ran:?}");
        }
    }
}
