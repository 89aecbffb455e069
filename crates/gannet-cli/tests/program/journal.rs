//! What a run leaves behind and the next one goes on from: the same command, `resume` and `retry`; and what is told of
//! jobs: `jobs`, `explain`, `verify`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use gannet::digest::{Algorithm, Digest};
use gannet::{Durability, Journal};
use gannet_origin::Origin;
use serde_json::Value;

use crate::fixture::{Folder, LONG, Ran, column, end, origin, start};

/// Waits until so many rows are written down: nobody can be told of it.
fn wait_for_rows(journal: &Path, rows: u64) {
    let begun = Instant::now();
    while Journal::read(journal).map_or(0, |reader| reader.summary().rows()) < rows {
        assert!(begun.elapsed() < LONG, "{rows} rows are not written");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A list of these paths.
fn list(folder: &Folder, origin: &Origin, paths: &[&str]) {
    let urls: Vec<String> = paths.iter().map(|path| origin.url(path)).collect();
    folder.write("list", &(urls.join("\n") + "\n"));
}

/// Runs `-P out -i list`, and kills it when so many rows are written.
fn kill_after(folder: &Folder, rows: u64, args: &[&str]) {
    let own = ["-P", "out", "-i", "list"];
    let mut child = folder.command(own.iter().chain(args)).spawn().expect("the program starts");
    wait_for_rows(&folder.path().join("out/.gannet/journal.sqlite"), rows);
    child.kill().expect("it runs");
    assert_eq!(end(child).code, 137);
}

/// A job that is over, with two files and a failure.
fn ended(folder: &Folder, origin: &Origin) {
    list(folder, origin, &["/a?size=10", "/b?status=404", "/c?size=30"]);
    let ran = folder.run(["-P", "out", "-i", "list"]);
    assert_eq!(ran.code, 1, "{ran:?}");
}

#[test]
fn after_a_kill_the_same_command_goes_on_and_reports_all() {
    let folder = Folder::new();
    let origin = start(Origin::builder().behave("/d", "stall=10"));
    list(&folder, &origin, &["/a?size=10", "/b?status=404", "/c?size=200k", "/d?size=500k"]);
    kill_after(&folder, 3, &[]);
    let left = folder.names("out");
    assert!(
        left.iter().all(|name| name.starts_with("a_") || name.starts_with("c_") || name.ends_with(".part"))
    );
    drop(origin);
    // Another server at the same place would be asked for nothing but what is left.
    let again =
        folder.run(["-P", "out", "-i", "list", "--report", "r", "--deadline", "300ms", "--retry", "0"]);
    let (rows, summary) = folder.report("r");
    assert_eq!((again.code, rows.len(), &summary["firsts"]), (1, 4, &1.into()), "{again:?}");
    assert_eq!(column(&rows, "outcome"), ["failed", "failed", "ok", "ok"]);
    assert_eq!(
        rows.iter().filter(|row| row["url"].as_str().is_some_and(|url| url.contains("/d"))).count(),
        1
    );
    assert!(again.stderr.contains("3 were done already"), "{}", again.stderr);
    assert_eq!(folder.names("out"), ["a_size=10", "c_size=200k"], "no part is left");
    assert_eq!(std::fs::metadata(folder.path().join("out/c_size=200k")).expect("a file").len(), 200 << 10);
}

#[test]
fn nothing_that_is_done_is_asked_for_again_and_the_code_is_that_of_the_whole_job() {
    let (origin, folder) = (origin(), Folder::new());
    list(&folder, &origin, &["/a?size=10", "/b?status=404", "/c?size=30"]);
    let run = |args: &[&str]| folder.run(["-P", "out", "-i", "list", "--report", "r"].iter().chain(args));
    assert_eq!((run(&[]).code, origin.counts().requests), (1, 3));
    let (before, _) = folder.report("r");
    let again = run(&["--report-order", "input"]);
    let (rows, summary) = folder.report("r");
    assert_eq!((again.code, origin.counts().requests, rows.len()), (1, 3, 3));
    for field in ["url", "outcome", "status", "bytes", "attempts", "started", "error", "body"] {
        assert_eq!(column(&rows, field), column(&before, field), "{field}");
    }
    assert_eq!((&summary["ok"], &summary["failed"], &summary["attempts"]), (&2.into(), &1.into(), &0.into()));
    assert!(again.stderr.contains("404 Not Found") && again.stderr.contains("gannet retry out"), "{again:?}");
}

#[test]
fn a_list_that_grew_is_taken_and_only_its_new_lines_are_fetched() {
    let (origin, folder) = (origin(), Folder::new());
    list(&folder, &origin, &["/a?size=10"]);
    assert_eq!(folder.run(["-P", "out", "-i", "list"]).code, 0);
    list(&folder, &origin, &["/a?size=10", "/b?size=20", "/c?size=30"]);
    for (args, requests) in [(&["-P", "out", "-i", "list"][..], 3), (&["resume", "out"], 3)] {
        let ran = folder.run(args);
        assert_eq!((ran.code, origin.counts().requests), (0, requests), "{ran:?}");
    }
}

#[test]
fn an_unfinished_job_with_another_list_is_refused_and_new_job_begins_anew() {
    let (origin, folder) = (start(Origin::builder().behave("/b", "never")), Folder::new());
    list(&folder, &origin, &["/a?size=10", "/b?size=10"]);
    assert_eq!(folder.run(["-P", "out", "-i", "list", "--deadline", "300ms"]).code, 4);
    list(&folder, &origin, &["/a?size=10", "/other?size=10"]);
    let asked = origin.requests_to("/other");
    let ran = folder.run(["-P", "out", "-i", "list"]);
    assert_eq!((ran.code, origin.requests_to("/other")), (2, asked), "{ran:?}");
    assert!(ran.stderr.contains("line 2 differs") && ran.stderr.contains("--new-job"), "{}", ran.stderr);
    // What was refused has changed nothing.
    let jobs = folder.run(["jobs"]).out();
    assert!(jobs.contains("1 of 2 obtained, 1 to do  gannet resume out"), "{jobs}");
    let ran = folder.run(["-P", "out", "-i", "list", "--new-job"]);
    assert_eq!((ran.code, origin.requests_to("/other")), (0, 1), "{ran:?}");
    let below = folder.path().join("out/.gannet/journal.1.sqlite");
    assert!(Journal::read(below).is_ok_and(|old| old.summary().lines == 2), "the old job is kept");
}

#[test]
fn after_a_job_that_is_over_another_list_takes_nothing_over() {
    let (origin, folder) = (start(Origin::builder().script("/b", ["status=404", "size=20"])), Folder::new());
    list(&folder, &origin, &["/a?size=10", "/b", "/c?size=30"]);
    assert_eq!(folder.run(["-P", "out", "-i", "list"]).code, 1);
    let names = |folder: &Folder| {
        std::fs::read_dir(folder.path().join("out/.gannet")).expect("a folder").flatten().count()
    };
    // Other lists: a line of the end is another one, the list is shorter, a line has come before the others.
    for (paths, requests, code) in [
        (&["/a?size=10", "/b", "/d?size=1"][..], 2, 0),
        (&["/a?size=10", "/b"], 0, 0),
        (&["/e?size=1", "/a?size=10", "/b"], 1, 0),
    ] {
        list(&folder, &origin, paths);
        let before = names(&folder);
        for verb in ["resume", "retry"] {
            let ran = folder.run([verb, "out"]);
            assert!(ran.code == 2 && ran.stderr.contains("the list is not the one"), "{ran:?}");
        }
        let asked = origin.counts().requests;
        let ran = folder.run(["-P", "out", "-i", "list"]);
        assert_eq!((ran.code, origin.counts().requests - asked), (code, requests), "{paths:?}: {ran:?}");
        assert!(!ran.stderr.contains("done already") && names(&folder) == before + 1, "{ran:?}");
    }
    // The same list, and one that grew, are the same job still.
    let asked = origin.counts().requests;
    assert!(folder.run(["-P", "out", "-i", "list"]).stderr.contains("3 were done already"));
    list(&folder, &origin, &["/e?size=1", "/a?size=10", "/b", "/f?size=1"]);
    let before = names(&folder);
    let ran = folder.run(["-P", "out", "-i", "list"]);
    assert_eq!((ran.code, origin.counts().requests - asked, names(&folder)), (0, 1, before), "{ran:?}");
    // URLs of the command line are a list, too.
    let urls = [origin.url("/e?size=1"), origin.url("/g?size=1")];
    let ran = folder.run(["-P", "out", &urls[0], &urls[1]]);
    assert_eq!((ran.code, names(&folder)), (0, before + 1), "{ran:?}");
    assert!(!ran.stderr.contains("done already"), "{ran:?}");
}

#[test]
fn the_same_file_of_a_list_with_other_options_may_be_another_list() {
    let (origin, folder) = (origin(), Folder::new());
    list(&folder, &origin, &["/a?size=10", "/b?size=20"]);
    let run = |options: &[&str]| {
        let asked = origin.counts().requests;
        let ran = folder.run([&["-P", "out", "-i", "list", "--if-exists", "skip"], options].concat());
        assert_eq!(ran.code, 0, "{options:?}: {ran:?}");
        (origin.counts().requests - asked, ran.stderr.contains("2 were done already"))
    };
    assert_eq!(run(&[]), (2, false));
    assert_eq!(run(&[]), (0, true));
    assert_eq!(run(&["-j", "1"]), (0, true));
    assert_eq!(run(&["-G", "-d", "key=1"]), (2, false), "URLs with a query are others");
    assert_eq!(run(&["-G", "-d", "key=1"]), (0, true));
    assert_eq!(run(&["-G", "-d", "key=2"]), (2, false), "and so are those with another one");
}

#[test]
fn a_report_is_a_list_of_what_failed_whatever_the_names_of_the_others() {
    let origin = Origin::builder().script("/a/f", ["text=one"]).script("/b/f", ["status=404", "text=other"]);
    let origin = origin.script("/c/f", ["text=third"]);
    let (origin, folder) = (start(origin), Folder::new());
    list(&folder, &origin, &["/a/f", "/b/f"]);
    assert_eq!(folder.run(["-P", "out", "-i", "list", "--report", "r.jsonl"]).code, 1);
    assert_eq!((folder.names("out"), folder.read("out/f").as_str()), (vec!["f".to_owned()], "one"));
    // The name of what had failed is that of what had not.
    let ran = folder.run(["-P", "out", "-i", "r.jsonl", "--report", "again"]);
    assert_eq!((ran.code, origin.counts().requests), (0, 3), "{ran:?}");
    assert_eq!(folder.names("out"), ["f", "f.0"]);
    assert_eq!([folder.read("out/f"), folder.read("out/f.0")], ["one", "other"]);
    let (rows, _) = folder.report("again");
    assert_eq!(
        (rows.len(), &rows[0]["outcome"], &rows[0]["body"]["path"]),
        (1, &"ok".into(), &"out/f.0".into())
    );
    // However the folder is spelled, and though the next name is another's, too.
    list(&folder, &origin, &["/c/f"]);
    let ran = folder.run(["-P", "./out", "-i", "list"]);
    assert_eq!((ran.code, origin.counts().requests), (0, 4), "{ran:?}");
    assert_eq!((folder.names("out").len(), folder.read("out/f.0-1").as_str()), (3, "third"));
    list(&folder, &origin, &["/c/f", "/a/f"]);
    let ran = folder.run(["-P", "out", "-i", "list", "--new-job"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        ["f", "f.0", "f.0-1"].map(|name| folder.read(&format!("out/{name}"))),
        ["one", "other", "third"]
    );
}

#[test]
fn of_a_list_that_is_read_once_the_beginning_is_taken_over_after_a_job_that_is_over() {
    let (origin, folder) = (origin(), Folder::new());
    let feed = |paths: &[&str]| {
        let urls: Vec<String> = paths.iter().map(|path| origin.url(path)).collect();
        folder.feed(["-P", "out", "-i", "-"], &(urls.join("\n") + "\n"))
    };
    assert_eq!(feed(&["/a?size=1", "/b?status=404", "/c?size=1"]).code, 1);
    let ran = feed(&["/a?size=1", "/b?status=404", "/d?size=1"]);
    assert_eq!((ran.code, origin.counts().requests), (1, 4), "{ran:?}");
    assert!(ran.stderr.contains("2 were done already"), "{ran:?}");
    assert!(folder.path().join("out/.gannet/journal.1.sqlite").exists());
}

#[test]
fn resume_goes_on_from_anywhere_with_the_options_of_the_job() {
    let (origin, folder) = (start(Origin::builder().script("/b", ["never", "size=20"])), Folder::new());
    list(&folder, &origin, &["/a?size=10", "/b"]);
    let args = "-P out -i list --name {seq}_{base} --deadline 300ms --report r";
    let ran = folder.run(args.split(' '));
    assert!(ran.code == 4 && ran.stderr.contains("gannet resume out to go on"), "{ran:?}");
    assert_eq!(folder.report("r").1["resume"], "gannet resume out");
    std::fs::create_dir(folder.path().join("else")).expect("a folder");
    let mut elsewhere = folder.command(["resume", "../out", "--deadline", "10s"]);
    let ran = end(elsewhere.current_dir(folder.path().join("else")).spawn().expect("the program starts"));
    assert_eq!((ran.code, folder.names("out")), (0, vec!["0_a".into(), "1_b".into()]), "{ran:?}");
    let (rows, summary) = folder.report("r");
    assert_eq!((rows.len(), &summary["ok"], &summary["resume"]), (2, &2.into(), &Value::Null));
}

#[test]
fn resume_without_a_name_takes_the_one_unfinished_job_that_was_begun_here() {
    let (origin, folder) =
        (start(Origin::builder().script("/b", ["never", "never", "text=x"])), Folder::new());
    assert_eq!(folder.run(["resume"]).code, 2);
    let url = origin.url("/b");
    assert_eq!(folder.run(["-o", "x", "--deadline", "200ms", &url]).code, 4);
    assert_eq!(folder.run(["-P", "out", "--deadline", "200ms", &url]).code, 4);
    let ran = folder.run(["resume"]);
    assert!(ran.code == 2 && ran.stderr.contains("there are 2 unfinished jobs here"), "{ran:?}");
    assert_eq!(folder.run(["resume", "out", "--deadline", "10s"]).code, 0);
    let name =
        folder.run(["jobs"]).out().lines().last().and_then(|line| line.split(' ').next()).map(str::to_owned);
    let name = name.expect("a name");
    assert_eq!(folder.run(["resume", &name, "--deadline", "10s"]).code, 0);
    assert!(!folder.run(["jobs"]).out().contains(&name), "what is obtained is forgotten");
    assert_eq!(folder.read("x"), "x");
}

#[test]
fn retry_fetches_what_failed_and_nothing_else() {
    let (origin, folder) = (start(Origin::builder().script("/b", ["status=404", "size=20"])), Folder::new());
    list(&folder, &origin, &["/a?size=10", "/b"]);
    assert_eq!(folder.run(["-P", "out", "-i", "list"]).code, 1);
    assert_eq!((folder.run(["resume", "out"]).code, origin.counts().requests), (1, 2));
    let ran = folder.run(["retry", "out"]);
    assert_eq!((ran.code, origin.counts().requests, origin.requests_to("/a")), (0, 3, 1), "{ran:?}");
    assert!(ran.stderr.contains("1 was done already"), "{}", ran.stderr);
    assert_eq!(folder.run(["retry"]).code, 2);
}

#[test]
fn a_single_url_that_failed_is_tried_again_by_the_same_command() {
    let (origin, folder) = (start(Origin::builder().script("/b", ["status=404", "size=20"])), Folder::new());
    let url = origin.url("/b");
    assert_eq!(folder.run(["-P", "out", &url]).code, 3);
    assert_eq!(folder.run(["-P", "out", &url]).code, 0);
    let ran = folder.run(["-P", "out", &url]);
    assert!(ran.code == 0 && ran.stderr.contains("done already"), "{ran:?}");
    assert_eq!(origin.counts().requests, 2);
}

#[test]
fn files_that_are_to_be_replaced_are_fetched_anew_once_the_job_is_over() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/a?size=10");
    for (args, requests) in [
        (&["-o", "x"][..], 2),
        (&["-P", "out", "--if-exists", "overwrite"], 2),
        (&["-P", "out", "--journal", "none"], 1),
    ] {
        origin.reset_counts();
        let _ = std::fs::remove_dir_all(folder.path().join("out"));
        for _ in 0..2 {
            assert_eq!(folder.run(args.iter().copied().chain([url.as_str()])).code, 0);
        }
        assert_eq!(origin.counts().requests, requests, "{args:?}");
    }
    assert!(!folder.path().join("out/.gannet").exists(), "--journal none");
}

#[test]
fn what_was_asked_for_by_until_is_a_job_that_is_over() {
    let (origin, folder) = (start(Origin::builder().behave("/b", "never")), Folder::new());
    let urls = [origin.url("/a?size=1"), origin.url("/b")];
    let args = ["-P", "out", "--until", "first"];
    assert_eq!(folder.run(args.iter().copied().chain(urls.iter().map(String::as_str))).code, 0);
    let ran = folder.run(["-P", "out", &origin.url("/c?size=1")]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn what_goes_to_no_file_has_no_journal_unless_it_is_named() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/a?size=10");
    for args in ["", "--no-body", "-o /dev/null", "--dry-run -P out", "--curl -o x"] {
        let args = args.split(' ').filter(|word| !word.is_empty()).chain([url.as_str()]);
        assert_eq!(folder.run(args).code, 0);
    }
    assert!(std::fs::read_dir(folder.path()).expect("a folder").next().is_none(), "nothing was made");
    origin.reset_counts();
    list(&folder, &origin, &["/a", "/b"]);
    for _ in 0..2 {
        assert_eq!(folder.run(["--no-body", "--journal", "j", "-i", "list"]).code, 0);
        assert_eq!(origin.counts().requests, 2, "what was done is not asked for again");
    }
    let ran = folder.run(["--journal", "j", &url]);
    assert!(ran.code == 2 && ran.stderr.contains("--journal j contradicts"), "{ran:?}");
}

#[test]
fn a_journal_in_use_is_exit_6_and_one_of_a_newer_version_is_refused() {
    let (origin, folder) = (origin(), Folder::new());
    let path = folder.path().join("out/.gannet/journal.sqlite");
    let run = |folder: &Folder| folder.run(["-P", "out", "--report", "r", &origin.url("/a?size=10")]);
    folder.write("r", "an earlier report\n");
    let held = Journal::open(&path, Durability::Process).expect("a journal");
    let ran = run(&folder);
    assert!(ran.code == 6 && ran.stderr.contains("is in use by another process"), "{ran:?}");
    assert_eq!((folder.read("r").as_str(), origin.counts().requests), ("an earlier report\n", 0));
    drop(held);
    assert_eq!(run(&folder).code, 0);
}

#[test]
fn a_body_that_was_stopped_is_gone_on_with_and_one_of_a_new_job_is_begun_anew() {
    let whole = "size=3m&seed=1&etag=strong";
    let stalls = format!("{whole}&stall=2m");
    for (again, from_start) in [
        (&["resume", "out", "--deadline", "10s"][..], false),
        (&["-P", "out", "-i", "list", "--report", "r"], false),
        (&["-P", "out", "-i", "list", "--report", "r", "--new-job"], true),
    ] {
        let (origin, folder) = (start(Origin::builder().script("/b", [&stalls, whole])), Folder::new());
        list(&folder, &origin, &["/a?size=10", "/b"]);
        assert_eq!(folder.run("-P out -i list --report r --deadline 500ms".split(' ')).code, 4);
        assert_eq!(folder.names("out").len(), 2, "the part is left");
        let ran = folder.run(again);
        assert_eq!((ran.code, folder.names("out")), (0, vec!["a_size=10".into(), "b".into()]), "{ran:?}");
        let found = std::fs::read(folder.path().join("out/b")).expect("a file");
        assert!(found == gannet_origin::body(3 << 20, 1), "{again:?}");
        let (rows, _) = folder.report("r");
        let row = rows.iter().find(|row| row["url"] == *origin.url("/b")).expect("a row");
        assert_eq!(row["body"]["resumed_from"] == 0, from_start, "{again:?}: {row}");
    }
}

#[test]
fn what_until_asked_for_ends_a_job_with_no_part_left() {
    let (origin, folder) =
        (start(Origin::builder().behave("/b", "size=3m&etag=strong&stall=2m")), Folder::new());
    let urls = [origin.url("/b"), origin.url("/a?size=1&delay=300ms")];
    let ran = folder.run(["-P", "out", "--until", "first", &urls[0], &urls[1]]);
    assert_eq!((ran.code, folder.names("out")), (0, vec!["a_size=1&delay=300ms".to_owned()]), "{ran:?}");
}

#[test]
fn secrets_are_not_kept_and_have_to_be_given_again() {
    let (origin, folder) = (start(Origin::builder().script("/b", ["never", "size=20"])), Folder::new());
    list(&folder, &origin, &["/b"]);
    let secret = "hidden-and-not-told";
    let (user, header) = (format!("me:{secret}"), format!("X-Key: {secret}"));
    let ran = folder.run([
        "-P",
        "out",
        "-i",
        "list",
        "-u",
        &user,
        "-H",
        &header,
        "-H",
        "Accept: text/x",
        "--deadline",
        "300ms",
    ]);
    assert!(
        ran.stderr.contains("gannet resume out --header 'x-key: ...' --user ... to go on"),
        "{}",
        ran.stderr
    );
    for name in std::fs::read_dir(folder.path().join("out/.gannet")).expect("a folder") {
        let entry = name.expect("an entry");
        let mode = entry.metadata().expect("a file").permissions().mode();
        let bytes = std::fs::read(entry.path()).expect("a file");
        let holds = bytes.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
        assert!(!holds && mode & 0o777 == 0o600, "{entry:?}: {mode:o}");
    }
    let ran = folder.run(["resume", "out"]);
    assert!(ran.code == 2 && ran.stderr.contains("given --header x-key and --user"), "{ran:?}");
    let ran = folder.run(["resume", "out", "-u", &user, "-H", &header, "--deadline", "10s"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_list_from_standard_input_goes_on_by_the_same_command_alone() {
    let (origin, folder) = (start(Origin::builder().script("/b", ["never", "size=20"])), Folder::new());
    let urls = format!("{}\n{}\n", origin.url("/a?size=1"), origin.url("/b"));
    let ran = folder.feed(["-P", "out", "-i", "-", "--deadline", "300ms"], &urls);
    assert!(
        ran.code == 4 && ran.stderr.contains("again with the same list on standard input to go on"),
        "{ran:?}"
    );
    let ran = folder.run(["resume", "out"]);
    assert!(ran.code == 2 && ran.stderr.contains("the list came from standard input"), "{ran:?}");
    let ran = folder.feed(["-P", "out", "-i", "-"], &urls);
    assert_eq!((ran.code, origin.requests_to("/a")), (0, 1), "{ran:?}");
}

#[test]
fn a_moved_folder_is_told_and_its_files_are_kept_by_a_new_job() {
    let (origin, folder) = (origin(), Folder::new());
    ended(&folder, &origin);
    std::fs::rename(folder.path().join("out"), folder.path().join("moved")).expect("it can be moved");
    for args in ["resume moved", "-P moved -i list"] {
        let ran = folder.run(args.split(' '));
        assert!(ran.code == 2 && ran.stderr.contains("was moved"), "{args}: {ran:?}");
    }
    origin.reset_counts();
    let ran = folder.run("-P moved -i list --new-job".split(' '));
    assert_eq!((ran.code, origin.requests_to("/a")), (1, 0), "{ran:?}");
}

#[test]
fn jobs_tells_of_each_how_far_it_is_and_how_to_go_on() {
    let (origin, folder) = (origin(), Folder::new());
    assert!(folder.run(["jobs"]).out().contains("no jobs"));
    ended(&folder, &origin);
    assert_eq!(folder.run(["-P", "below/it", &origin.url("/x?size=1")]).code, 0);
    folder.run(["-o", "x", "-o", "y", &origin.url("/x?status=404"), &origin.url("/y")]);
    let out = folder.run(["jobs"]).out();
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines.len() == 3 && lines[0].ends_with("2 of 3 obtained, 1 failed  gannet retry out"), "{out}");
    assert!(lines[1].starts_with("below/it  20") && lines[1].ends_with("Z  1 of 1 obtained"), "{out}");
    assert!(
        lines[2].contains(" in /") && lines[2].contains("1 of 2 obtained, 1 failed  gannet retry "),
        "{out}"
    );
}

#[test]
fn explain_tells_each_attempt_and_wait() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/a?script=503,200&size=10");
    assert_eq!(folder.run(["-P", "out", "--retry-delay", "20ms", &url]).code, 0);
    let ran: Ran = folder.run(["explain", "out", url.trim_start_matches("http://")]);
    let out = ran.out();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((ran.code, lines.len()), (0, 5), "{out}");
    assert!(lines[0].starts_with(&url) && lines[0].contains("10 B, after 2 attempts"), "{out}");
    assert!(
        lines[2].contains("attempt 1 (the first)") && lines[2].contains("503 Service Unavailable"),
        "{out}"
    );
    assert!(lines[3].contains("waited 20 ms") || lines[3].contains("waited 2"), "{out}");
    assert!(lines[4].contains("attempt 2 (a retry)") && lines[4].ends_with(": obtained"), "{out}");
    let ran = folder.run(["explain", "out", "http://nobody.example/"]);
    assert!(ran.code == 2 && ran.stderr.contains("has nothing about"), "{ran:?}");
    assert_eq!(folder.run(["explain", "nowhere", &url]).code, 2);
}

#[test]
fn explain_tells_the_attempts_of_every_run() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/a?script=404,503,200&size=10");
    list(&folder, &origin, &["/a?script=404,503,200&size=10"]);
    assert_eq!(folder.run(["-P", "out", "-i", "list", "--retry", "0"]).code, 3);
    assert_eq!(folder.run(["retry", "out", "--retry", "1", "--retry-delay", "20ms"]).code, 0);
    let told = || folder.run(["explain", "out", &url]).out();
    let out = told();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 7, "{out}");
    assert!(lines[0].contains("obtained in out/a_") && lines[0].contains("10 B, after 2 attempts"), "{out}");
    assert!(lines[1].starts_with("  20") && lines[1].ends_with("Z: begun"), "{out}");
    assert!(lines[2].contains("attempt 1 (the first)") && lines[2].contains("404 Not Found"), "{out}");
    assert!(lines[3].starts_with("  20") && lines[3].contains("Z: begun again"), "{out}");
    assert!(lines[4].contains("attempt 1 (the first)") && lines[4].contains("503"), "{out}");
    assert!(lines[5].starts_with("  waited "), "{out}");
    assert!(lines[6].contains("attempt 2 (a retry)") && lines[6].ends_with(": obtained"), "{out}");
    // What is settled stays as it is.
    assert_eq!((folder.run(["-P", "out", "-i", "list"]).code, told()), (0, out));
}

#[test]
fn explain_says_how_many_earlier_attempts_are_not_kept() {
    let (origin, folder) = (origin(), Folder::new());
    list(&folder, &origin, &["/a?status=404"]);
    let tries = ["--retry", "69", "--retry-all-errors", "--retry-delay", "1ms", "--retry-budget", "off"];
    assert_eq!(folder.run(["-P", "out", "-i", "list"].iter().chain(&tries)).code, 3);
    assert_eq!(folder.run(["retry", "out", "--retry", "0"]).code, 3);
    let out = folder.run(["explain", "out", &origin.url("/a?status=404")]).out();
    let lines: Vec<&str> = out.lines().filter(|line| !line.starts_with("  waited ")).collect();
    assert_eq!((lines.len(), lines[1]), (70, "  not kept: 6 earlier attempts"), "{out}");
    assert!(lines[3].contains(" attempt (a retry)") && lines[66].contains(" attempt (a retry)"), "{out}");
    assert!(lines[67].contains("begun again") && lines[68].contains(" attempt 1 (the first)"), "{out}");
}

#[test]
fn verify_finds_files_that_are_gone_or_of_another_length() {
    let (origin, folder) = (origin(), Folder::new());
    ended(&folder, &origin);
    let ran = folder.run(["verify", "out"]);
    assert_eq!((ran.code, ran.out().as_str()), (0, ""), "{ran:?}");
    folder.write("out/a_size=10", "short");
    std::fs::remove_file(folder.path().join("out/c_size=30")).expect("a file");
    let ran = folder.run(["verify", "out"]);
    let told = "out/a_size=10: FAILED (5 bytes, 10 in the journal)\nout/c_size=30: MISSING\n";
    assert_eq!((ran.code, ran.out().as_str()), (5, told), "{ran:?}");
    assert!(ran.stderr.contains("0 of 2 files are as the journal has them"), "{}", ran.stderr);
}

#[test]
fn verify_compares_digests_where_there_are_any() {
    let (origin, folder) = (origin(), Folder::new());
    let sum = |text: &[u8]| Digest::of(Algorithm::Sha256, text);
    let (one, url) = (sum(b"one"), origin.url("/a?text=one"));
    let again = || folder.run(["-P", "out", "--report", "r", "--checksum", &one.to_string(), &url]);
    assert_eq!((again().code, folder.run(["verify", "out"]).code), (0, 0));
    folder.write("out/a_text=one", "two");
    let ran = folder.run(["verify", "out"]);
    let (found, known) = (sum(b"two").to_hex(), one.to_hex());
    let told = format!("out/a_text=one: FAILED (sha256 is {found}, {known} in the journal)\n");
    assert_eq!((ran.code, ran.out()), (5, told), "{ran:?}");
    // What was computed is told by a run that takes it from the journal, too.
    assert_eq!((again().code, origin.counts().requests), (0, 1));
    assert_eq!(folder.report("r").0[0]["body"]["sha256"], *known);
}
