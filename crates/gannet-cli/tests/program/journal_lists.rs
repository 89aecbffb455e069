//! Lists that are not what a job's list is: torn, empty, without a URL, one of many in a folder. And what of a list may
//! not be sent twice.

use std::process::Command;

use gannet_origin::Origin;

use crate::fixture::{Folder, column, origin, start};

/// The names of journals in the folder of the job.
fn journals(folder: &Folder) -> Vec<String> {
    folder.names("out/.gannet").into_iter().filter(|name| name.ends_with(".sqlite")).collect()
}

/// A list of these paths, in a file of this name.
fn list(folder: &Folder, name: &str, origin: &Origin, paths: &[&str]) {
    let urls: Vec<String> = paths.iter().map(|path| origin.url(path)).collect();
    folder.write(name, &(urls.join("\n") + "\n"));
}

#[test]
fn a_torn_list_leaves_its_job_open_and_the_whole_one_is_gone_on_with() {
    let (origin, folder) = (origin(), Folder::new());
    let paths: Vec<String> = (0..2000).map(|number| format!("/{number}?size=1&{}", number * 7919)).collect();
    list(&folder, "list", &origin, &paths.iter().map(String::as_str).collect::<Vec<_>>());
    let packed = Command::new("gzip").arg("list").current_dir(folder.path()).status();
    assert!(packed.is_ok_and(|status| status.success()), "gzip packs it");
    let whole = folder.read_bytes("list.gz");
    std::fs::write(folder.path().join("list.gz"), &whole[..whole.len() / 2]).expect("it can be written");
    let run = || folder.run(["-P", "out", "-i", "list.gz", "--name", "{seq}", "--report", "r"]);
    let ran = run();
    let (rows, summary) = folder.report("r");
    assert_eq!((ran.code, &summary["errors"]["input.unreadable"]), (1, &1.into()), "{ran:?}");
    assert!(
        ran.stderr.contains("exit 1: the list could not be read to its end; gannet resume out to go on"),
        "{}",
        ran.stderr
    );
    let read = rows.len() as u64 - 1;
    assert!((1..1999).contains(&read), "{read} lines");
    let jobs = folder.run(["jobs"]).out();
    assert!(jobs.contains(&format!("{read} of {read} obtained  gannet resume out")), "{jobs}");
    // Again, and by `resume`: nothing changes.
    for ran in [run(), folder.run(["resume", "out"])] {
        assert!(ran.code == 1 && ran.stderr.contains("gannet resume out to go on"), "{ran:?}");
    }
    assert_eq!(origin.counts().requests, read);
    std::fs::write(folder.path().join("list.gz"), &whole).expect("it can be written");
    let ran = folder.run(["resume", "out"]);
    assert_eq!((ran.code, origin.counts().requests), (0, 2000), "{ran:?}");
    assert_eq!(journals(&folder), ["journal.sqlite"], "it was one job all the time");
    // Torn after its job is over, it says nothing against that.
    std::fs::write(folder.path().join("list.gz"), &whole[..whole.len() / 2]).expect("it can be written");
    assert_eq!(run().code, 1);
    std::fs::write(folder.path().join("list.gz"), &whole).expect("it can be written");
    assert_eq!((run().code, origin.counts().requests), (0, 2000));
    assert_eq!(journals(&folder), ["journal.sqlite"]);
}

/// The list in the file of this name, packed and torn behind so much of it.
fn torn(folder: &Folder, name: &str, part: f64) {
    let text = folder.read(name);
    let mut packed =
        Command::new("gzip").args(["-c", name]).current_dir(folder.path()).output().expect("gzip");
    assert!(packed.status.success() && !text.is_empty());
    packed.stdout.truncate((packed.stdout.len() as f64 * part) as usize);
    std::fs::write(folder.path().join(format!("{name}.gz")), packed.stdout).expect("it can be written");
}

#[test]
fn after_a_torn_list_resume_is_named_however_the_run_ended() {
    let (origin, folder) = (origin(), Folder::new());
    let mut entries: Vec<String> = (0..1000)
        .map(|number| {
            format!("{{\"url\": \"{}\"}}", origin.url(&format!("/{number}?status=404&x={}", number * 7919)))
        })
        .collect();
    folder.write("l.jsonl", &(entries.join("\n") + "\n"));
    torn(&folder, "l.jsonl", 0.6);
    let ran = folder.run(["-P", "out", "-i", "l.jsonl.gz", "--input-format", "jsonl", "--report", "r"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        ran.stderr.contains("exit 3: the list could not be read to its end; gannet resume out"),
        "{ran:?}"
    );
    assert!(folder.report("r").1["resume"].as_str().is_some_and(|how| how.contains("gannet resume out")));
    entries[0] =
        format!("{{\"url\": \"{}\", \"digest\": \"md5:{}\"}}", origin.url("/?size=3"), "0".repeat(32));
    folder.write("m.jsonl", &(entries.join("\n") + "\n"));
    torn(&folder, "m.jsonl", 0.6);
    let ran = folder.run(["-P", "other", "-i", "m.jsonl.gz", "--input-format", "jsonl"]);
    assert!(ran.code == 5 && ran.stderr.contains("gannet resume other"), "{ran:?}");
    // Torn before its first line, it is no list: nothing is left of it, and no job is changed by it.
    torn(&folder, "l.jsonl", 0.01);
    let ran = folder.run(["-P", "third", "-i", "l.jsonl.gz", "--input-format", "jsonl"]);
    assert!(ran.code == 2 && !ran.stderr.contains("gannet re"), "{ran:?}");
    assert!(!folder.path().join("third/.gannet").exists(), "a journal of nothing");
    let before = folder.run(["jobs"]).out();
    let ran = folder.run(["-P", "out", "-i", "l.jsonl.gz", "--input-format", "jsonl"]);
    assert!(ran.code == 2 && !ran.stderr.contains("gannet re"), "{ran:?}");
    assert_eq!(folder.run(["jobs"]).out(), before);
}

#[test]
fn a_torn_list_changes_nothing_of_a_job_that_had_more_of_it() {
    let (origin, folder) = (start(Origin::builder().script("/b", ["status=404", "size=4"])), Folder::new());
    list(&folder, "list", &origin, &["/1?size=1", "/2?size=1", "/3?size=1", "/b"]);
    assert_eq!(folder.run(["-P", "out", "-i", "list"]).code, 1);
    list(&folder, "other", &origin, &["/1?size=1", "/2?size=1"]);
    torn(&folder, "other", 0.8);
    assert_eq!(folder.run(["-P", "out", "-i", "other.gz"]).code, 1);
    assert_eq!(journals(&folder), ["journal.sqlite"]);
    let ran = folder.run(["retry", "out"]);
    assert_eq!((ran.code, origin.counts().requests), (0, 5), "{ran:?}");
}

#[test]
fn a_list_without_a_url_is_no_reason_to_put_a_job_aside() {
    let (origin, folder) = (origin(), Folder::new());
    list(&folder, "list", &origin, &["/a?size=10", "/b?status=404"]);
    assert_eq!(folder.run(["-P", "out", "-i", "list"]).code, 1);
    for (text, args) in [
        ("", &[][..]),
        ("# nothing\n\n", &[]),
        ("xx:/\nhttp://[\n", &[]),
        ("xx:/\n", &["--new-job"]),
        ("", &["--if-exists", "overwrite"]),
        ("xx:/\n", &["--if-exists", "update"]),
        ("{\"url\": \"http://127.0.0.1:1/\", \"digest\": \"sha256:1\"}\n", &[]),
    ] {
        folder.write("other", text);
        let ran = folder.run(["-P", "out", "-i", "other"].iter().chain(args));
        assert_eq!(
            (ran.code, journals(&folder)),
            (2, vec!["journal.sqlite".to_owned()]),
            "{text:?}: {ran:?}"
        );
        assert!(!ran.stderr.contains("gannet re"), "{}", ran.stderr);
        let jobs = folder.run(["jobs"]).out();
        assert!(jobs.contains("1 of 2 obtained, 1 failed  gannet retry out"), "{text:?}: {jobs}");
    }
    // Nor of one that is not over.
    let slow = start(Origin::builder().script("/b", ["never", "size=20"]));
    list(&folder, "list", &slow, &["/a?size=10", "/b"]);
    assert_eq!(folder.run(["-P", "out", "-i", "list", "--deadline", "300ms"]).code, 4);
    folder.write("other", "xx:/\n");
    assert_eq!(folder.run(["-P", "out", "-i", "other"]).code, 2);
    let ran = folder.run(["resume", "out", "--deadline", "10s"]);
    assert_eq!((ran.code, slow.requests_to("/a")), (0, 1), "{ran:?}");
    // With a URL behind the others it is a list.
    folder.write("other", &format!("xx:/\n{}\n", origin.url("/c?size=1")));
    assert_eq!((folder.run(["-P", "out", "-i", "other"]).code, journals(&folder).len()), (1, 3));
}

#[test]
fn the_twelfth_list_in_a_folder_is_fetched_like_the_first() {
    let (origin, folder) = (origin(), Folder::new());
    for number in 1..=12 {
        list(&folder, "list", &origin, &[&*format!("/{number}?size={number}")]);
        let ran = folder.run(["-P", "out", "-i", "list", "--name", "{seq}"]);
        assert_eq!((ran.code, origin.counts().requests), (0, number), "{ran:?}");
    }
    assert_eq!(folder.names("out").len(), 12);
}

#[test]
fn a_post_that_was_under_way_is_not_sent_again_but_by_retry() {
    let folder = Folder::new();
    let origin = start(Origin::builder().script("/b", ["never", "size=20"]));
    list(&folder, "list", &origin, &["/a?size=10", "/b"]);
    let args = ["-P", "out", "-i", "list", "-d", "x", "--report", "r", "--deadline"];
    let run = |deadline| folder.run(args.into_iter().chain([deadline]));
    let ran = run("300ms");
    assert_eq!((ran.code, origin.counts().requests), (4, 2));
    assert!(
        ran.stderr.contains("gannet retry out --data ... to go on"),
        "all but that has settled: {}",
        ran.stderr
    );
    assert!(folder.run(["jobs"]).out().contains("1 failed  gannet retry out"));
    assert_eq!(column(&folder.report("r").0, "outcome"), ["ok", "unfinished"]);
    for _ in 0..2 {
        let again = run("10s");
        let (rows, summary) = folder.report("r");
        assert_eq!((again.code, origin.counts().requests), (1, 2), "{again:?}");
        assert_eq!(summary["errors"]["request.unanswered"], 1, "{rows:?}");
        assert!(again.stderr.contains("gannet retry out --data ... to try these again"), "{}", again.stderr);
    }
    let retried = folder.run(["retry", "out", "-d", "x", "--deadline", "10s"]);
    assert_eq!((retried.code, origin.counts().requests), (0, 3), "{retried:?}");
}

#[test]
fn a_run_that_is_stopped_before_its_first_line_leaves_nothing_to_go_on_with() {
    let folder = Folder::new();
    let mut command = folder.command(["-P", "out", "-i", "-", "--deadline", "200ms", "--report", "r"]);
    // Standard input that says nothing for as long as it is held.
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().expect("the program starts");
    let silent = child.stdin.take();
    let ran = crate::fixture::end(child);
    drop(silent);
    assert!(ran.code == 4 && !ran.stderr.contains("gannet resume"), "{ran:?}");
    assert!(!folder.path().join("out/.gannet").exists(), "a journal of nothing");
    assert!(!folder.run(["jobs"]).out().contains("obtained"));
}
