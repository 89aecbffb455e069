//! What went wrong is mended and gone on with: what a run says about it is the way on, and what it refuses to do
//! changes nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use gannet::Journal;
use gannet::digest::{Algorithm, Digest};
use gannet_origin::Origin;

use crate::fixture::{Folder, LONG, column, end, origin, start};

/// A list of these paths.
fn list(folder: &Folder, origin: &Origin, paths: &[&str]) {
    let urls: Vec<String> = paths.iter().map(|path| origin.url(path)).collect();
    folder.write("list", &(urls.join("\n") + "\n"));
}

fn hex(body: &str) -> String {
    Digest::of(Algorithm::Sha256, body.as_bytes()).to_hex()
}

/// Whether a job was put aside for another one.
fn was_put_aside(folder: &Folder, below: &str) -> bool {
    !Journal::history(folder.path().join(below).join(".gannet/journal.sqlite")).is_empty()
}

#[test]
fn a_url_that_gets_its_line_in_the_file_of_sums_is_all_that_retry_asks_for() {
    let (origin, folder) = (origin(), Folder::new());
    list(&folder, &origin, &["/a?text=a", "/b?text=b", "/c?text=c", "/d?text=d"]);
    let sums =
        |names: &[&str]| names.iter().map(|name| format!("{}  {name}\n", hex(name))).collect::<String>();
    let command = "-P d -i list --if-exists overwrite --checksum-file SUMS";
    folder.write("SUMS", &sums(&["a", "c", "d"]));
    let ran = folder.run(command.split(' '));
    assert_eq!((ran.code, origin.counts().requests), (1, 3), "{ran:?}");
    assert!(ran.stderr.contains("give the file of sums a line for it"), "{ran:?}");
    assert!(ran.stderr.contains("gannet retry d to try these again"), "{ran:?}");
    folder.write("SUMS", &sums(&["a", "b", "c", "d"]));
    let ran = folder.run(["resume", "d"]);
    assert_eq!((ran.code, origin.counts().requests), (1, 3), "what failed stays so: {ran:?}");
    let ran = folder.run(["retry", "d"]);
    assert_eq!((ran.code, origin.counts().requests, origin.requests_to("/b")), (0, 4, 1), "{ran:?}");
    assert!(!was_put_aside(&folder, "d"));
}

#[test]
fn an_entry_that_is_mended_is_the_same_line_while_the_job_is_unfinished_and_after() {
    let (origin, folder) = (start(Origin::builder().script("/d", ["never", "size=1"])), Folder::new());
    let url = |path: &str| origin.url(path);
    let write = |digest: &str, header: &str| {
        let text = [
            format!("{{\"url\":\"{}\"}}\n", url("/a?text=a")),
            format!("{{\"url\":\"{}\",\"digest\":\"{digest}\"}}\n", url("/b?text=b")),
            format!(
                "{{\"url\":\"{}\",\"headers\":[\"{header}\"],\"name\":\"n\",\"id\":7}}\n",
                url("/c?text=c")
            ),
            format!("{{\"url\":\"{}\"}}\n", url("/d")),
        ];
        folder.write("list.jsonl", &text.concat());
    };
    write("sha257:00", "no colon");
    let ran = folder.run("-P d -i list.jsonl --deadline 500ms".split(' '));
    assert!(ran.code == 4 && ran.stderr.contains("mend this entry"), "{ran:?}");
    write(&format!("sha256:{}", hex("b")), "X-A: 1");
    let ran = folder.run("-P d -i list.jsonl".split(' '));
    assert_eq!((ran.code, origin.requests_to("/a"), origin.requests_to("/b")), (1, 1, 0), "{ran:?}");
    let ran = folder.run(["retry", "d"]);
    assert_eq!((ran.code, origin.requests_to("/a"), origin.requests_to("/b")), (0, 1, 1), "{ran:?}");
    assert!(!was_put_aside(&folder, "d"));
    assert_eq!(folder.read("d/n"), "c");
}

#[test]
fn a_further_mirror_is_a_setting_and_no_other_list() {
    let (origin, folder) = (start(Origin::builder().behave("/a", "never")), Folder::new());
    let (url, mirror) = (origin.url("/a"), origin.url("/m?text=x"));
    assert_eq!(folder.run(["-P", "d", "--deadline", "300ms", &url]).code, 4);
    let ran = folder.run(["-P", "d", "--read-timeout", "300ms", "--mirror", &mirror, &url]);
    assert!(ran.code == 0 && folder.read("d/a") == "x", "{ran:?}");
    assert!(!was_put_aside(&folder, "d"));
}

#[test]
fn retry_and_resume_never_put_a_job_aside_not_for_a_list_that_is_read_once_either() {
    let (origin, folder) = (origin(), Folder::new());
    let text = |paths: &[&str]| paths.iter().map(|path| origin.url(path) + "\n").collect::<String>();
    let first = text(&["/a?size=1", "/b?status=404", "/c?size=1"]);
    assert_eq!(folder.feed(["-P", "d", "-i", "-"], &first).code, 1);
    for (verb, other) in [
        ("retry", text(&["/a?size=1", "/other?size=1", "/c?size=1"])),
        ("resume", text(&["/other?size=1", "/b?status=404"])),
        ("retry", text(&["/a?size=1"])),
    ] {
        let ran = folder.feed([verb, "d", "-i", "-"], &other);
        assert!(ran.code == 2 && ran.stderr.contains("another list"), "{verb}: {ran:?}");
        assert!(!was_put_aside(&folder, "d") && origin.requests_to("/other") == 0, "{verb}");
    }
    let jobs = folder.run(["jobs"]).out();
    assert!(jobs.contains("2 of 3 obtained, 1 failed  gannet retry d -i -"), "{jobs}");
}

#[test]
fn a_retry_that_was_stopped_is_gone_on_with_by_retry() {
    let (origin, folder) = (
        start(
            Origin::builder()
                .script("/f1", ["status=404", "never", "size=1"])
                .script("/f2", ["status=404", "size=1"])
                .script("/f3", ["status=404", "size=1"]),
        ),
        Folder::new(),
    );
    list(&folder, &origin, &["/f1", "/f2", "/f3"]);
    assert_eq!(folder.run("-P d -i list -j 1".split(' ')).code, 3);
    let ran = folder.run("retry d --deadline 300ms --report r".split(' '));
    assert!(ran.code == 4 && ran.stderr.contains("; gannet retry d to go on"), "{ran:?}");
    assert_eq!(folder.report("r").1["resume"], "gannet retry d");
    let jobs = folder.run(["jobs"]).out();
    assert!(jobs.contains("gannet retry d"), "{jobs}");
    let ran = folder.run("retry d --deadline 10s".split(' '));
    assert_eq!((ran.code, folder.names("d").len()), (0, 3), "{ran:?}");
}

#[test]
fn retry_leaves_what_was_stopped_or_never_begun_to_resume() {
    let origin = Origin::builder().script("/f", ["status=404", "size=5"]).script("/cut", ["never", "size=6"]);
    let (origin, folder) = (start(origin), Folder::new());
    let paths = ["/a", "/f", "/cut", "/late"];
    let asked = || paths.map(|path| origin.requests_to(path));
    list(&folder, &origin, &paths);
    assert_eq!(folder.run("-P d -i list -j 1 --deadline 500ms".split(' ')).code, 4);
    assert_eq!(asked(), [1, 1, 1, 0]);
    let ran = folder.run("retry d --deadline 10s --report r".split(' '));
    assert!(ran.code == 4 && ran.stderr.contains("; gannet resume d to go on"), "{ran:?}");
    assert_eq!(asked(), [1, 2, 1, 0], "nothing but what had failed");
    let (rows, summary) = folder.report("r");
    assert_eq!(column(&rows, "outcome"), ["cancelled", "ok", "ok", "unfinished"]);
    assert_eq!(summary["resume"], "gannet resume d");
    let jobs = folder.run(["jobs"]).out();
    assert!(jobs.contains("2 of 4 obtained, 2 to do  gannet resume d\n"), "{jobs}");
    // So it is with what a failure has stopped, and with what the list has grown by.
    let ran = folder.run("resume d --deadline 10s".split(' '));
    assert_eq!((ran.code, asked()), (0, [1, 2, 2, 1]), "{ran:?}");
    let origin = start(Origin::builder().script("/f", ["status=404", "size=5"]));
    list(&folder, &origin, &["/f", "/late"]);
    assert_eq!(folder.run("-P e -i list -j 1 --fail-early".split(' ')).code, 3);
    list(&folder, &origin, &["/f", "/late", "/new"]);
    let ran = folder.run(["retry", "e"]);
    assert!(
        ran.code == 1 && ran.stderr.contains("had not failed was left; gannet resume e to go on"),
        "{ran:?}"
    );
    assert_eq!(["/f", "/late", "/new"].map(|path| origin.requests_to(path)), [2, 0, 0]);
    assert_eq!((folder.run(["resume", "e"]).code, folder.names("e").len()), (0, 3));
}

#[test]
fn a_retry_that_is_stopped_has_left_failures_failures() {
    let (origin, folder) =
        (start(Origin::builder().script("/f", ["status=404", "never", "size=5"])), Folder::new());
    list(&folder, &origin, &["/a", "/f"]);
    assert_eq!(folder.run("-P d -i list".split(' ')).code, 1);
    let ran = folder.run("retry d --deadline 300ms".split(' '));
    assert!(ran.code == 4 && ran.stderr.contains("; gannet retry d to go on"), "{ran:?}");
    let ran = folder.run("resume d --deadline 10s".split(' '));
    assert!(ran.code == 1 && ran.stderr.contains("; gannet retry d to try these again"), "{ran:?}");
    assert_eq!(origin.requests_to("/f"), 2);
    let out = folder.run(["explain", "d", &origin.url("/f")]).out();
    assert!(out.contains("stopped by the deadline") && out.contains("why: ") && out.contains("404"), "{out}");
    assert_eq!((folder.run("retry d --deadline 10s".split(' ')).code, folder.names("d").len()), (0, 2));
}

#[test]
fn a_body_of_another_digest_is_tried_again_by_the_command_that_is_named() {
    let (origin, folder) = (origin(), Folder::new());
    list(&folder, &origin, &["/a?text=a", "/b?text=b"]);
    folder.write("SUMS", &format!("{}  a\n{}  b\n", hex("a"), hex("other")));
    let ran = folder.run("-P d -i list --checksum-file SUMS".split(' '));
    assert!(ran.code == 5 && ran.stderr.contains("gannet retry d to try these again"), "{ran:?}");
    folder.write("SUMS", &format!("{}  a\n{}  b\n", hex("a"), hex("b")));
    let ran = folder.run(["retry", "d"]);
    assert_eq!((ran.code, origin.requests_to("/a"), origin.requests_to("/b")), (0, 1, 2), "{ran:?}");
}

#[test]
fn a_command_that_is_refused_leaves_report_and_job_as_they_were() {
    let (origin, folder) = (start(Origin::builder().script("/b", ["never", "size=1"])), Folder::new());
    list(&folder, &origin, &["/a?size=10", "/b"]);
    assert_eq!(folder.run("-P d -i list --report r --deadline 300ms".split(' ')).code, 4);
    let (report, lines) = (folder.read("r"), folder.read("list"));
    list(&folder, &origin, &["/a?size=10", "/other?size=1"]);
    for command in ["-P d -i list --report r", "resume d", "retry d"] {
        let ran = folder.run(command.split(' '));
        assert!(ran.code == 2 && ran.stderr.contains("line 2 differs"), "{command}: {ran:?}");
        for word in ["--new-job", "--journal none", "another folder"] {
            assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
        }
        assert_eq!(folder.read("r"), report, "{command}");
    }
    folder.write("list", &lines);
    assert_eq!(folder.run("resume d --deadline 10s".split(' ')).code, 0);
    // Nor is a job that is over put aside for a run that does not begin.
    list(&folder, &origin, &["/other?size=1"]);
    for further in [&[][..], &["--new-job"]] {
        let ran = folder.run("-P d -i list --report no/such/r".split(' ').chain(further.iter().copied()));
        assert!(ran.code == 2 && ran.stderr.contains("  fix: "), "{ran:?}");
        assert!(!was_put_aside(&folder, "d"));
    }
}

#[test]
fn verify_looks_at_what_was_skipped_too_and_says_how_each_file_was_compared() {
    let (origin, folder) = (origin(), Folder::new());
    std::fs::create_dir(folder.path().join("d")).expect("a folder");
    for name in ["b", "c"] {
        folder.write(&format!("d/{name}"), "there");
    }
    let urls = ["/b", "/c"].map(|path| origin.url(path));
    let one = origin.url("/x?text=x");
    let ran = folder.run(["-P", "d", &one, &urls[0], &urls[1]]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = folder.run(["verify", "d"]);
    let told = "3 of 3 files are as the journal has them (1 by length alone, 2 only found to be there)";
    assert!(ran.code == 0 && ran.stderr.contains(told), "{ran:?}");
    std::fs::remove_file(folder.path().join("d/c")).expect("a file");
    let ran = folder.run(["verify", "d"]);
    assert_eq!((ran.code, ran.out().as_str()), (5, "d/c: MISSING\n"), "{ran:?}");
    assert!(ran.stderr.contains("2 of 3 files"), "{ran:?}");
    let sum = format!("sha256:{}", hex("y"));
    assert_eq!(folder.run(["-P", "e", "--checksum", &sum, &origin.url("/y?text=y")]).code, 0);
    let ran = folder.run(["verify", "e"]);
    assert!(
        ran.stderr.contains("1 of 1 files are as the journal has them (1 compared by digest)"),
        "{ran:?}"
    );
}

#[test]
fn a_list_that_is_no_file_goes_on_by_the_same_command() {
    let (origin, folder) = (start(Origin::builder().script("/b", ["never", "size=20"])), Folder::new());
    let urls = format!("{}\n{}\n", origin.url("/a?size=1"), origin.url("/b"));
    let ran = folder.feed(["-P", "d", "-i", "/dev/stdin", "--deadline", "300ms"], &urls);
    assert!(ran.code == 4 && ran.stderr.contains("again with the same list to go on"), "{ran:?}");
    let ran = folder.run(["resume", "d"]);
    assert!(ran.code == 2 && ran.stderr.contains("/d -i -, or the same command"), "{ran:?}");
    let jobs = folder.run(["jobs"]).out();
    assert!(jobs.contains("gannet resume d -i -"), "{jobs}");
    let ran = folder.feed(["-P", "d", "-i", "/dev/stdin"], &urls);
    assert_eq!((ran.code, origin.requests_to("/a")), (0, 1), "{ran:?}");
}

/// Waits until a part is written down: nobody can be told of it.
fn wait_for_a_part(journal: &Path) {
    let begun = Instant::now();
    let is_there =
        || Journal::read(journal).is_ok_and(|read| read.parts().is_ok_and(|parts| !parts.is_empty()));
    while !is_there() {
        assert!(begun.elapsed() < LONG, "no part is written");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn explain_tells_of_what_a_kill_has_left_of_a_body() {
    let origin = start(Origin::builder().behave("/b", "size=3m&seed=1&etag=strong&stall=2m"));
    let folder = Folder::new();
    let url = origin.url("/b");
    let mut child = folder.command(["-P", "d", &url]).spawn().expect("the program starts");
    wait_for_a_part(&folder.path().join("d/.gannet/journal.sqlite"));
    child.kill().expect("it runs");
    assert_eq!(end(child).code, 137);
    let ran = folder.run(["explain", "d", &url]);
    let out = ran.out();
    assert!(ran.code == 0 && out.starts_with(&format!("{url}: no attempt has ended\n  kept: ")), "{ran:?}");
    assert!(out.contains("of 3.0 MiB in ") || out.contains("of 3 MiB in "), "{out}");
}

#[test]
fn explain_tells_of_the_part_of_a_redirected_url_too() {
    let stalls = "size=3m&seed=1&etag=strong&stall=2m";
    let folder = Folder::new();
    let origin = start(Origin::builder().behave("/end", stalls).behave("/b", "redirect=/end"));
    list(&folder, &origin, &["/a?size=1", "/b"]);
    let mut child = folder.command(["-P", "d", "-i", "list"]).spawn().expect("the program starts");
    wait_for_a_part(&folder.path().join("d/.gannet/journal.sqlite"));
    child.kill().expect("it runs");
    assert_eq!(end(child).code, 137);
    let (url, end) = (origin.url("/b"), origin.url("/end"));
    let ran = folder.run(["explain", "d", &url]);
    let out = ran.out();
    assert!(ran.code == 0 && out.starts_with(&format!("{url}: no attempt has ended\n  kept: ")), "{ran:?}");
    assert!(out.ends_with(&format!(", from {end}\n")) && out.lines().count() == 2, "{out}");
    let ran = folder.run(["explain", "d", &origin.url("/c")]);
    assert!(ran.code == 2 && ran.stderr.contains("nothing about"), "{ran:?}");
}

#[test]
fn a_report_that_cannot_be_written_says_what_to_do() {
    let (origin, folder) = (origin(), Folder::new());
    let ran = folder.run(["--report", "/dev/full", "-o", "x", &origin.url("/a?size=1")]);
    assert!(ran.code == 6 && ran.stderr.contains("/dev/full cannot be written"), "{ran:?}");
    assert!(ran.stderr.contains("  fix: free some space there, or name another file"), "{ran:?}");
}
