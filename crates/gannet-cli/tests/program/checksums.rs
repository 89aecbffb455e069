//! Digests that are given: on the command line, in files of sums, and what comes of bodies that have others.

use gannet::digest::{Algorithm, Digest};
use gannet_origin::body;

use crate::fixture::{Folder, origin};

fn digest(algorithm: Algorithm, body: &[u8]) -> Digest {
    Digest::of(algorithm, body)
}

fn hex(body: &str) -> String {
    digest(Algorithm::Sha256, body.as_bytes()).to_hex()
}

#[test]
fn checksums_are_taken_in_the_order_of_the_urls() {
    let (origin, folder) = (origin(), Folder::new());
    let urls = [origin.url("/a?text=one"), origin.url("/b?text=two")];
    let sums = [format!("sha256:{}", hex("one")), digest(Algorithm::Md5, b"two").to_string()];
    let right = folder.run(["--checksum", &sums[0], "--checksum", &sums[1], &urls[0], &urls[1]]);
    assert_eq!((right.code, right.out().as_str()), (0, "onetwo"), "{right:?}");
    let crossed =
        folder.run(["--no-body", "--checksum", &sums[0], "--checksum", &sums[1], &urls[1], &urls[0]]);
    assert_eq!(crossed.code, 5, "{crossed:?}");
    let one = folder.run(["--no-body", "--report", "r", "--checksum", &sums[0], &urls[0]]);
    let (rows, _) = folder.report("r");
    assert_eq!((one.code, &rows[0]["body"]["sha256"]), (0, &hex("one").into()));
    assert_eq!(folder.run(["--no-body", "--report", "r", &urls[0]]).code, 0);
    assert!(folder.report("r").0[0]["body"]["sha256"].is_null());
}

#[test]
fn a_mismatch_is_said_with_both_values_and_ends_with_5() {
    let (origin, folder) = (origin(), Folder::new());
    folder.write("x", "what was there");
    let (url, sum) = (origin.url("/x?text=one"), format!("sha256:{}", hex("two")));
    let ran = folder.run(["-o", "x", "--checksum", &sum, &url]);
    assert_eq!(ran.code, 5);
    let why = format!("  why: the body's sha256 is {}, {} was expected\n  fix: ", hex("one"), hex("two"));
    assert!(ran.stderr.contains(&why), "{}", ran.stderr);
    assert_eq!((folder.names("."), folder.read("x")), (vec!["x".to_owned()], "what was there".to_owned()));
    // What was asked for was obtained, whatever became of the rest.
    let other = origin.url("/y?text=one");
    let sums = ["--checksum", &sum, "--checksum", &format!("sha256:{}", hex("one"))].map(str::to_owned);
    let first =
        folder.run(sums.iter().map(String::as_str).chain(["--no-body", "--until", "first", &url, &other]));
    assert_eq!(first.code, 0, "{first:?}");
}

#[test]
fn a_body_that_streams_to_standard_output_fails_at_its_end_and_a_whole_one_never_gets_there() {
    let (origin, folder) = (origin(), Folder::new());
    let (url, mirror) = (origin.url("/a?size=300000&seed=1"), origin.url("/b?size=300000&seed=2"));
    let sum = digest(Algorithm::Sha256, &body(300_000, 2)).to_string();
    let run = |options: &[&str]| {
        folder.run([&["-o", "-", "--checksum", &sum, "--mirror", &mirror, &url], options].concat())
    };
    let streamed = run(&[]);
    assert_eq!((streamed.code, streamed.stdout == body(300_000, 1)), (5, true), "{}", streamed.stderr);
    assert!(streamed.stderr.contains("cannot be taken back"), "{}", streamed.stderr);
    // Bytes that have left are not followed by those of a mirror.
    assert_eq!(origin.requests_to("/b"), 0);
    let whole = run(&["--whole"]);
    assert_eq!((whole.code, whole.stdout == body(300_000, 2)), (0, true), "{}", whole.stderr);
    let alone = folder.run(["-o", "-", "--whole", "--checksum", &sum, &url]);
    assert_eq!((alone.code, alone.stdout.len()), (5, 0), "{}", alone.stderr);
}

#[test]
fn a_file_of_sums_names_the_digests_of_a_list() {
    let (origin, folder) = (origin(), Folder::new());
    let urls = ["/pub/a?text=one", "/pub/b%20c?text=two", "/pub/d?text=bad", "/pub/e?text=x"];
    folder.write("list", &urls.map(|path| origin.url(path)).join("\n"));
    let sums = format!("# sums\n{}  a\nSHA256 (b c) = {}\n{} *d\n", hex("one"), hex("two"), hex("good"));
    folder.write("SHA256SUMS", &sums);
    let ran = folder.run(["-i", "list", "-P", "out", "--report", "r", "--checksum-file", "SHA256SUMS"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    let (mut rows, _) = folder.report("r");
    rows.sort_by_key(|row| row["seq"].as_u64());
    assert_eq!([&rows[0]["outcome"], &rows[1]["outcome"]], ["ok", "ok"]);
    assert_eq!(rows[2]["error"]["code"], "integrity.digest");
    assert_eq!(rows[3]["error"]["code"], "input.bad_request");
    let message = rows[3]["error"]["message"].as_str().expect("text");
    assert_eq!(message, "--checksum-file SHA256SUMS has no line for \"e\"");
    assert_eq!((folder.names("out").len(), origin.requests_to("/pub/e")), (2, 0));
}

#[test]
fn a_file_of_sums_comes_from_standard_input_too_and_may_be_one_bare_digest() {
    let (origin, folder) = (origin(), Folder::new());
    let (url, other) = (origin.url("/a?text=one"), origin.url("/b?text=one"));
    let run = |sums: &str, urls: &[&str]| {
        folder.feed([&["--no-body", "--checksum-file", "-"], urls].concat(), sums)
    };
    assert_eq!(run(&format!("{}  a\n", hex("one")), &[&url]).code, 0);
    assert_eq!(run(&format!("{}\n", hex("one")), &[&url]).code, 0);
    assert_eq!(run(&format!("{}\n", hex("two")), &[&url]).code, 5);
    let several = run(&format!("{}\n", hex("one")), &[&url, &other]);
    assert!(several.code == 2 && several.stderr.contains("without a name"), "{several:?}");
    // It names another file: nothing that could be fetched is left.
    assert_eq!(run(&format!("{}  z\n", hex("one")), &[&url]).code, 2);
}

#[test]
fn a_race_takes_the_first_leg_with_the_right_digest() {
    let (origin, folder) = (origin(), Folder::new());
    let (bad, good) = (origin.url("/a?text=bad"), origin.url("/b?text=good&delay=300ms"));
    let sum = format!("sha256:{}", hex("good"));
    let ran = folder.run(["race", "-o", "x", "--checksum", &sum, &bad, &good]);
    assert_eq!((ran.code, folder.read("x").as_str()), (0, "good"), "{ran:?}");
}

#[test]
fn checksums_that_cannot_be_meant_are_refused_before_anything_is_sent() {
    let (origin, folder) = (origin(), Folder::new());
    let (url, sum) = (origin.url("/a"), format!("sha256:{}", hex("")));
    folder.write("sums", &format!("{}  a\n", hex("")));
    folder.write("none", "<html>404</html>\n");
    folder.write("two", &format!("{}  a\n{}  a\n", hex(""), hex("x")));
    folder.write("list", &url);
    let cases: [(&[&str], &str); 10] = [
        (&["--checksum", &sum, &url, &url], "--checksum is given once for 2 URLs"),
        (&["--checksum", &sum, "--checksum", &sum, &url], "--checksum is given 2 times for 1 URL"),
        (&["--checksum", &sum, "http://h/[1-2]"], "--checksum is given once for 2 URLs"),
        (&["--checksum", &sum, "-i", "list"], "--checksum contradicts -i list"),
        (&["--checksum", &sum, "--checksum-file", "sums", &url], "contradicts --checksum-file sums"),
        (&["--checksum", "sha256:12", &url], "a sha256 has 64 digits of hex"),
        (&["--checksum", "sha3:12", &url], "known are sha256"),
        (&["--checksum-file", "missing", &url], "--checksum-file missing cannot be used"),
        (&["--checksum-file", "none", &url], "no line of it is a digest and a name"),
        (&["--checksum-file", "two", &url], "two digests of a"),
    ];
    for (args, said) in cases {
        let ran = folder.run(args);
        assert!(ran.code == 2 && ran.stderr.contains(said), "{args:?}: {ran:?}");
    }
    let both = folder.feed(["-i", "-", "--checksum-file", "-"], "");
    assert!(both.code == 2 && both.stderr.contains("contradicts"), "{both:?}");
    assert_eq!(origin.requests_to("/"), 0);
}

#[test]
fn a_digest_that_a_server_sends_wrong_is_passed_over_only_when_asked() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/a?text=one&header=Content-MD5:AAAAAAAAAAAAAAAAAAAAAA==");
    let ran = folder.run(["-o", "x", &url]);
    assert_eq!((ran.code, folder.names(".").len()), (5, 0), "{ran:?}");
    assert!(ran.stderr.contains("--ignore-sent-digests"), "{}", ran.stderr);
    let ran = folder.run(["-o", "x", "--ignore-sent-digests", &url]);
    assert_eq!((ran.code, folder.read("x")), (0, "one".to_owned()), "{ran:?}");
    let sum = format!("sha256:{}", hex("two"));
    assert_eq!(folder.run(["--ignore-sent-digests", "--checksum", &sum, &url]).code, 5);
    assert_eq!(folder.run(["check", "--ignore-sent-digests", &url]).code, 0);
}
