//! Digests in a list that were wrong, or became so: what is done by an earlier run is compared with them, and
//! `gannet retry` takes them as they are by now.

use gannet::digest::{Algorithm, Digest};
use gannet_origin::{Origin, body};
use serde_json::Value;

use crate::fixture::{Folder, start};

fn hex(body: &str) -> String {
    Digest::of(Algorithm::Sha256, body.as_bytes()).to_hex()
}

/// Each path serves the next of these from request to request, the last one from then on.
fn serving(bodies: &[&str]) -> Origin {
    start(Origin::builder().script("/", bodies.iter().map(|body| format!("text={body}"))))
}

/// How each format says which body `/a` has to have, and that `/b` has to have the old one. The options for it, what is
/// written into which file.
fn formats(origin: &Origin, of_a: &str) -> Vec<(&'static str, &'static str, String)> {
    let (a, b) = (origin.url("/a"), origin.url("/b"));
    let (of_a, of_b) = (hex(of_a), hex("old"));
    vec![
        (
            "-i list.jsonl",
            "list.jsonl",
            format!(
                "{{\"url\":\"{a}\",\"digest\":\"sha256:{of_a}\"}}\n{{\"url\":\"{b}\",\"digest\":\"sha256:{of_b}\"}}\n"
            ),
        ),
        ("-i list.csv", "list.csv", format!("url,digest\n{a},sha256:{of_a}\n{b},sha256:{of_b}\n")),
        (
            "-i list --input-format aria2",
            "list",
            format!("{a}\n  checksum=sha-256={of_a}\n{b}\n  checksum=sha-256={of_b}\n"),
        ),
        (
            "-i list.meta4",
            "list.meta4",
            format!(
                "<?xml version=\"1.0\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\
                 <file name=\"a\"><hash type=\"sha-256\">{of_a}</hash><url>{a}</url></file>\
                 <file name=\"b\"><hash type=\"sha-256\">{of_b}</hash><url>{b}</url></file></metalink>\n"
            ),
        ),
        ("-i urls --checksum-file SUMS", "SUMS", format!("{of_a}  a\n{of_b}  b\n")),
    ]
}

/// Runs with the list of this format, as it is by now.
struct Listed<'a> {
    folder: &'a Folder,
    options: &'static str,
}

impl Listed<'_> {
    /// The code and the rows, in the order of the list.
    fn run(&self, before: &[&str], is_full: &str) -> (i32, Vec<Value>) {
        let args = before.iter().copied().chain(is_full.split(' ').filter(|word| !word.is_empty()));
        let ran = self.folder.run(args.chain("--report r --report-order input".split(' ')));
        let (rows, _) = self.folder.report("r");
        assert_eq!(rows.len(), 2, "{}: {ran:?}", self.options);
        (ran.code, rows)
    }

    fn again(&self) -> (i32, Vec<Value>) {
        self.run(&["-P", "out"], self.options)
    }
}

#[test]
fn a_digest_that_was_corrected_in_a_list_opens_its_line_again() {
    for number in 0..formats(&serving(&[""]), "").len() {
        let (origin, folder) = (serving(&["old", "old", "new"]), Folder::new());
        folder.write("urls", &format!("{}\n{}\n", origin.url("/a"), origin.url("/b")));
        let write = |of_a: &str| {
            let (options, file, text) = formats(&origin, of_a).swap_remove(number);
            folder.write(file, &text);
            options
        };
        let options = write("old");
        let listed = Listed { folder: &folder, options };
        assert_eq!(listed.again().0, 0, "{options}");
        assert_eq!((listed.again().0, origin.counts().requests), (0, 2), "{options}: all is done");
        // The server has the old one still: it is not told as what is wanted.
        write("new");
        let (code, rows) = listed.again();
        assert_eq!(
            (code, &rows[0]["error"]["code"], &rows[1]["outcome"]),
            (5, &"integrity.digest".into(), &"ok".into())
        );
        let both = format!("{}, {} was expected", hex("old"), hex("new"));
        assert!(rows[0]["error"]["message"].as_str().is_some_and(|why| why.contains(&both)), "{}", rows[0]);
        assert_eq!(
            (folder.read("out/a"), folder.names("out")),
            ("old".to_owned(), vec!["a".into(), "b".into()])
        );
        assert_eq!((listed.again().0, origin.counts().requests), (5, 3), "{options}: it is told as it is");
        // It has it by now.
        let (code, rows) = listed.run(&["retry", "out"], "");
        assert_eq!(
            (code, &rows[0]["outcome"], &rows[0]["body"]["sha256"]),
            (0, &"ok".into(), &hex("new").into())
        );
        assert_eq!(
            (folder.read("out/a"), folder.names("out")),
            ("new".to_owned(), vec!["a".into(), "b".into()])
        );
        assert_eq!((origin.requests_to("/a"), origin.requests_to("/b")), (3, 1), "{options}");
        assert_eq!((listed.again().0, origin.counts().requests), (0, 4), "{options}: all is done");
        assert_eq!(folder.run(["verify", "out"]).code, 0);
        assert!(!folder.path().join("out/.gannet/journal.1.sqlite").exists(), "{options}: it is one job");
    }
}

#[test]
fn a_digest_of_the_command_line_that_was_corrected_opens_its_url_again() {
    let (origin, folder) = (serving(&["old", "new"]), Folder::new());
    let (a, b) = (origin.url("/a"), origin.url("/b"));
    let sums = ["old", "new"].map(|body| format!("sha256:{}", hex(body)));
    let run = |of_a: &str, before: &[&str]| {
        let given = ["--checksum", of_a, "--checksum", &sums[0], &a, &b];
        folder.run(before.iter().copied().chain(given)).code
    };
    // The command again, while the job is not over and when it is.
    assert_eq!((run(&sums[0], &["-P", "out"]), run(&sums[0], &["-P", "out"])), (0, 0));
    assert_eq!((run(&sums[1], &["-P", "out"]), folder.read("out/a")), (0, "new".to_owned()));
    assert_eq!(origin.counts().requests, 3);
    // With --no-body nothing is there that could be replaced, and it is asked for all the same.
    let other = serving(&["old", "new"]);
    let url = other.url("/a");
    let ran = |sum: &str| folder.run(["--no-body", "--journal", "j", "--checksum", sum, &url]).code;
    assert_eq!((ran(&sums[0]), ran(&sums[0]), other.counts().requests), (0, 0, 1));
    assert_eq!((ran(&sums[1]), ran(&sums[1]), other.counts().requests), (0, 0, 2));
}

#[test]
fn retry_takes_the_digest_as_it_was_corrected() {
    for number in 0..formats(&serving(&[""]), "").len() {
        let (origin, folder) = (serving(&["old"]), Folder::new());
        folder.write("urls", &format!("{}\n{}\n", origin.url("/a"), origin.url("/b")));
        let write = |of_a: &str| {
            let (options, file, text) = formats(&origin, of_a).swap_remove(number);
            folder.write(file, &text);
            options
        };
        let options = write("mistaken");
        let listed = Listed { folder: &folder, options };
        let (code, rows) = listed.again();
        assert_eq!(
            (code, &rows[0]["error"]["code"], folder.names("out")),
            (5, &"integrity.digest".into(), vec!["b".into()])
        );
        write("old");
        // The same command tells what is known; retry is what tries again.
        assert_eq!((listed.again().0, origin.counts().requests), (5, 2), "{options}");
        let (code, rows) = listed.run(&["retry", "out"], "");
        assert_eq!(
            (code, &rows[0]["outcome"], folder.read("out/a")),
            (0, &"ok".into(), "old".to_owned()),
            "{options}"
        );
        assert_eq!((origin.requests_to("/a"), origin.requests_to("/b")), (2, 1), "{options}");
        assert!(!folder.path().join("out/.gannet/journal.1.sqlite").exists(), "{options}: it is one job");
    }
}

/// Bodies that leave parts, one that breaks off before its digest can be compared.
#[test]
fn retry_of_a_large_body_takes_the_corrected_digest_too() {
    const LENGTH: usize = 3 << 20;
    let folder = Folder::new();
    let cut = ["size=3m&etag=strong&truncate=2000000", "size=3m&etag=strong"];
    let origin = start(Origin::builder().behave("/whole", "size=3m&etag=strong").script("/cut", cut));
    let right = Digest::of(Algorithm::Sha256, &body(LENGTH, 0)).to_hex();
    let write = |digest: &str| {
        let line =
            |path: &str| format!("{{\"url\":\"{}\",\"digest\":\"sha256:{digest}\"}}\n", origin.url(path));
        folder.write("list.jsonl", &(line("/whole") + &line("/cut")));
    };
    write(&hex("mistaken"));
    let ran = folder.run("-i list.jsonl -P out --retry 0".split(' '));
    assert_eq!(ran.code, 5, "{ran:?}");
    write(&right);
    let ran = folder.run("retry out --report r --report-order input".split(' '));
    let (rows, _) = folder.report("r");
    assert_eq!((ran.code, folder.names("out")), (0, vec!["cut".to_owned(), "whole".to_owned()]), "{ran:?}");
    for (row, name) in rows.iter().zip(["whole", "cut"]) {
        assert_eq!(
            (&row["body"]["sha256"], folder.read_bytes(&format!("out/{name}")).len()),
            (&right.clone().into(), LENGTH)
        );
    }
    let resumed = |row: &Value| row["body"]["resumed_from"].as_u64().unwrap_or_default();
    assert!(resumed(&rows[0]) == 0 && resumed(&rows[1]) > 1 << 20, "what was right so far is gone on with");
}
