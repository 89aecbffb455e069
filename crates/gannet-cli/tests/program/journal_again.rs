//! With which settings a job is gone on with: those that it was begun with, from wherever they came and wherever it is
//! gone on with, and those that are given anew.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use gannet::{Durability, Journal};
use gannet_origin::Origin;
use serde_json::Value;

use crate::fixture::{Folder, Ran, column, end, origin, start};

/// A list of these paths.
fn list(folder: &Folder, origin: &Origin, paths: &[&str]) {
    let urls: Vec<String> = paths.iter().map(|path| origin.url(path)).collect();
    folder.write("list", &(urls.join("\n") + "\n"));
}

/// One of two is done, and the other does not answer the first time.
fn half_done() -> (Origin, Folder) {
    let (origin, folder) = (start(Origin::builder().script("/b", ["never", "size=20"])), Folder::new());
    list(&folder, &origin, &["/a?size=10", "/b"]);
    (origin, folder)
}

/// Runs a line in a folder below, with these variables.
fn run_in(folder: &Folder, below: &str, line: &str, variables: &[(&str, &str)]) -> Ran {
    let place = folder.path().join(below);
    std::fs::create_dir_all(&place).expect("a folder");
    let mut command = folder.command(line.split(' '));
    command.current_dir(place).envs(variables.iter().copied());
    end(command.spawn().expect("the program starts"))
}

#[test]
fn a_job_whose_folder_was_named_from_another_is_where_it_was() {
    for again in ["-i ../list -P ../out --deadline 10s", "resume ../out --deadline 10s"] {
        let (_origin, folder) = half_done();
        let ran = run_in(&folder, "sub", "-i ../list -P ../out --deadline 300ms", &[]);
        assert_eq!(ran.code, 4, "{ran:?}");
        let ran = run_in(&folder, "sub", again, &[]);
        assert_eq!((ran.code, folder.names("out").len()), (0, 2), "{again}: {ran:?}");
    }
}

#[test]
fn settings_of_the_environment_are_the_jobs_and_are_not_needed_again() {
    let (origin, folder) = half_done();
    let variables = [("GANNET_DIRECTORY_PREFIX", "eout"), ("GANNET_USER", "me:hidden")];
    let ran = run_in(&folder, "", "-i list --deadline 300ms", &variables);
    assert!(ran.code == 4 && ran.stderr.contains("gannet resume eout --user ... to go on"), "{ran:?}");
    let ran = run_in(&folder, "", "resume eout", &[]);
    assert!(ran.code == 2 && ran.stderr.contains("the job was given --user,"), "{ran:?}");
    // A secret may come from there again; other settings of now are not the job's.
    let now = [("GANNET_USER", "me:hidden"), ("GANNET_DIRECTORY_PREFIX", "other")];
    let ran = run_in(&folder, "", "resume eout --deadline 10s", &now);
    assert_eq!((ran.code, ran.stdout.len(), origin.requests_to("/a")), (0, 0, 1), "{ran:?}");
    assert_eq!(folder.names("eout"), ["a_size=10", "b"]);
}

#[test]
fn options_that_lead_to_another_journal_are_refused() {
    let (origin, folder) = half_done();
    let url = origin.url("/b");
    assert_eq!(folder.run(["-o", "x", "--deadline", "300ms", &url]).code, 4);
    let name = folder.run(["jobs"]).out();
    let name = name.split(' ').next().expect("a name");
    for other in [&["-o", "y"][..], &["--journal", "none"]] {
        let ran = folder.run(["resume", name].iter().chain(other));
        assert!(ran.code == 2 && ran.stderr.contains("is not where its job was begun"), "{ran:?}");
    }
    assert_eq!(origin.requests_to("/b"), 1);
}

#[test]
fn the_same_list_is_the_same_job_whatever_options_changed() {
    let (origin, folder) = (origin(), Folder::new());
    list(&folder, &origin, &["/a?size=10", "/c?size=20"]);
    assert_eq!(folder.run("-i list -P out".split(' ')).code, 0);
    let ran = folder.run("-i list -P out --report r --retry 3".split(' '));
    let (rows, _) = folder.report("r");
    assert_eq!((ran.code, origin.counts().requests, column(&rows, "outcome")), (0, 2, vec!["ok".into(); 2]));
    assert!(!folder.path().join("out/.gannet/journal.1.sqlite").exists(), "it is no new job");
    list(&folder, &origin, &["/other?size=10"]);
    assert_eq!(folder.run("-i list -P out".split(' ')).code, 0);
    assert!(folder.path().join("out/.gannet/journal.1.sqlite").exists(), "another list is one");
}

#[test]
fn paths_given_to_resume_are_those_of_where_it_is_run() {
    let (_origin, folder) = half_done();
    assert_eq!(folder.run("-i list -P out --report r --deadline 300ms".split(' ')).code, 4);
    let before = folder.read("r");
    let ran = run_in(&folder, "else", "resume ../out --report r --deadline 10s", &[]);
    assert_eq!((ran.code, folder.read("r") == before), (0, true), "{ran:?}");
    assert_eq!(folder.report("else/r").0.len(), 2);
}

#[test]
fn an_option_given_anew_stands_in_the_place_of_the_jobs() {
    let (origin, folder) =
        (start(Origin::builder().script("/b", ["never", "never", "size=1"])), Folder::new());
    list(&folder, &origin, &["/b", "/echo"]);
    let first = ["-H", "Accept: a/b", "-H", "Accept-Language: de", "-P", "out", "-i", "list"];
    let once = ["--deadline", "300ms", "--per-host", "1"];
    assert_eq!(folder.run(first.iter().chain(&once)).code, 4);
    assert_eq!(folder.run(["resume", "out", "--deadline", "300ms", "-H", "Accept: c/d"]).code, 4);
    let ran = folder.run(["resume", "out", "--deadline", "10s", "-H", "accept: e/f"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let echo: Value = serde_json::from_str(&folder.read("out/echo")).expect("JSON");
    let echo = echo.to_string().to_ascii_lowercase();
    assert!(echo.contains("e/f") && !echo.contains("a/b") && !echo.contains("c/d"), "{echo}");
    assert!(echo.contains("\"de\""), "{echo}");
}

#[test]
fn each_secret_field_that_is_missing_is_named() {
    let (_origin, folder) = half_done();
    let secrets = ["-H", "X-One: hidden", "-H", "X-Two: hidden", "-d", "hidden", "-d", "too"];
    // A POST that was under way would not be sent again.
    let job = ["-P", "out", "-i", "list", "-X", "PUT", "--deadline", "300ms"];
    assert_eq!(folder.run(job.iter().chain(&secrets)).code, 4);
    let ran = folder.run(["resume", "out"].iter().chain(&secrets[2..6]));
    assert!(ran.code == 2 && ran.stderr.contains("given --data and --header x-one,"), "{ran:?}");
    let ran = folder.run(["resume", "out", "--deadline", "10s"].iter().chain(&secrets));
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn what_is_done_is_done_when_an_earlier_failure_stops_the_job_again() {
    let (origin, folder) = (start(Origin::builder().behave("/d", "never")), Folder::new());
    list(&folder, &origin, &["/b?status=404&delay=500ms", "/a?size=10", "/d"]);
    let ran = folder.run("-i list -P out --fail-early".split(' '));
    assert!(ran.stderr.contains("gannet retry out"), "{ran:?}");
    // To resume it would stop at once.
    assert!(folder.run(["jobs"]).out().contains("gannet retry out"));
    let ran = folder.run("resume out --report r".split(' '));
    let (rows, summary) = folder.report("r");
    assert_eq!(column(&rows, "outcome"), ["cancelled", "failed", "ok"], "{ran:?}");
    assert_eq!((ran.code, &summary["ok"], origin.requests_to("/a")), (1, &1.into(), 1));
}

#[test]
fn what_is_done_is_done_when_the_deadline_is_over_and_another_is_asked_for() {
    let (origin, folder) = half_done();
    assert_eq!(folder.run("-i list -P out --deadline 300ms".split(' ')).code, 4);
    let past = "resume out --report r --deadline 2020-01-01T00:00:00Z";
    let ran = folder.run(past.split(' '));
    let (rows, summary) = folder.report("r");
    assert_eq!((ran.code, column(&rows, "outcome")), (4, vec!["ok".into(), "unfinished".into()]), "{ran:?}");
    assert_eq!(summary["resume"], "gannet resume out --deadline ...");
    assert!(folder.run(["jobs"]).out().contains("gannet resume out --deadline ..."));
    let ran = folder.run("resume out --deadline 10s".split(' '));
    assert_eq!((ran.code, origin.requests_to("/a"), origin.requests_to("/b")), (0, 1, 2), "{ran:?}");
    // When nothing is left to do, nothing comes too late.
    let ran = folder.run(past.split(' '));
    assert_eq!((ran.code, &folder.report("r").1["ok"]), (0, &2.into()), "{ran:?}");
}

#[test]
fn jobs_says_how_to_go_on_with_what_runs_and_with_what_came_from_standard_input() {
    let (origin, folder) = (start(Origin::builder().script("/b", ["status=404", "size=20"])), Folder::new());
    let urls = format!("{}\n{}\n", origin.url("/a?size=1"), origin.url("/b"));
    let ran = folder.feed(["-P", "out", "-i", "-"], &urls);
    assert!(ran.code == 1 && ran.stderr.contains("gannet retry out -i -"), "{ran:?}");
    assert!(folder.run(["jobs"]).out().contains("  gannet retry out -i -\n"));
    let held = Journal::open(folder.path().join("out/.gannet/journal.sqlite"), Durability::Process);
    let held = held.expect("a journal");
    let out = folder.run(["jobs"]).out();
    assert!(out.contains("1 failed  running\n") && !out.contains("retry"), "{out}");
    drop(held);
    let ran = folder.feed(["retry", "out", "-i", "-"], &urls);
    assert_eq!((ran.code, origin.requests_to("/a")), (0, 1), "{ran:?}");
}

#[test]
fn hints_can_be_copied_whatever_the_folder_is_called() {
    let (origin, folder) = (start(Origin::builder().behave("/b", "never")), Folder::new());
    list(&folder, &origin, &["/b"]);
    for (name, written) in [("-dash", "./-dash"), ("red\u{1b}[31m", r"$'red\033[31m'")] {
        let prefix = format!("--directory-prefix={name}");
        let ran = folder.run(["-i", "list", &prefix, "--deadline", "200ms"]);
        let how = format!("gannet resume {written}");
        assert!(ran.code == 4 && ran.stderr.contains(&format!("{how} to go on")), "{ran:?}");
        assert!(folder.run(["jobs"]).out().contains(&how));
        let ran = folder.run(["resume", &format!("./{name}"), "--deadline", "200ms"]);
        assert_eq!(ran.code, 4, "{ran:?}");
    }
    assert_eq!(folder.run(["resume", "--", "-dash"]).code, 4);
    let ran = folder.run(["resume", "--quiet"]);
    assert!(ran.code == 2 && ran.stderr.contains("comes before the name of a job"), "{ran:?}");
}

#[test]
fn standard_input_that_gave_more_than_a_list_is_asked_for_again() {
    let (origin, folder) = (start(Origin::builder().behave("/b", "never")), Folder::new());
    let url = origin.url("/b");
    let line = ["-P", "out", "--deadline", "200ms", "-K", "-"];
    let ran = folder.feed(line, &format!("url = \"{url}\"\nurl = \"{url}\"\n"));
    let told = "run the same command again with the same standard input";
    assert!(ran.code == 4 && ran.stderr.contains(told), "{ran:?}");
    let ran = folder.run(["resume", "out"]);
    assert!(ran.code == 2 && ran.stderr.contains("the job was given -K,"), "{ran:?}");
}

#[test]
fn a_damaged_journal_is_exit_6_for_resume_and_what_is_none_is_told() {
    let (_origin, folder) = half_done();
    assert_eq!(folder.run("-i list -P out --deadline 300ms".split(' ')).code, 4);
    folder.write("out/.gannet/journal.sqlite", &"this was a journal\n".repeat(500));
    for line in ["resume out", "retry out", "-i list -P out"] {
        let ran = folder.run(line.split(' '));
        assert!(
            ran.code == 6 && ran.stderr.contains("with -P, files that are there are kept"),
            "{line}: {ran:?}"
        );
    }
    // A row that is damaged ends each run alike: there is nothing to go on with.
    let journal = folder.path().join("two/.gannet/journal.sqlite");
    assert_eq!(folder.run("-i list -P two".split(' ')).code, 0);
    let mut bytes = std::fs::read(&journal).expect("it is there");
    let started = bytes.windows(11).position(|some| some == b"why_started").expect("a row has attempts");
    bytes[started] = b'W';
    std::fs::write(&journal, bytes).expect("it can be written");
    for line in ["resume two", "-i list -P two"] {
        let ran = folder.run(line.split(' '));
        assert!(ran.code == 6 && ran.stderr.contains("does not match its checksum"), "{line}: {ran:?}");
        assert!(ran.stderr.contains("exit 6: the journal cannot be used"), "{line}: {ran:?}");
        assert!(!ran.stderr.contains("to go on"), "{line}: {ran:?}");
    }
    folder.write("text", "of somebody");
    let ran = folder.run(["verify", "text"]);
    assert!(ran.code == 2 && ran.stderr.contains("text is no journal"), "{ran:?}");
}

#[test]
fn a_job_that_may_only_be_read_can_be_looked_at() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/a?size=10");
    assert_eq!(folder.run(["-P", "out", &url]).code, 0);
    let own = folder.path().join("out/.gannet");
    std::fs::set_permissions(&own, Permissions::from_mode(0o555)).expect("it is ours");
    for line in ["verify out", &format!("explain out {url}"), "jobs"] {
        let program = folder.command(line.split(' '));
        let ran = end(without_rights(&program).spawn().expect("a shell starts"));
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        assert!(!ran.out().contains("cannot"), "{line}: {ran:?}");
    }
    assert_eq!(std::fs::read_dir(&own).expect("a folder").count(), 2, "the journal and its lock");
    std::fs::set_permissions(&own, Permissions::from_mode(0o755)).expect("it is ours");
}

/// The same command, without the superuser's right to write anywhere.
fn without_rights(program: &Command) -> Command {
    let mut shell = Command::new("sh");
    let drop =
        "if [ \"$(id -u)\" = 0 ]; then exec setpriv --bounding-set=-all --inh-caps=-all -- \"$0\" \"$@\"; fi";
    shell
        .args(["-c", &format!("{drop}; exec \"$0\" \"$@\"")])
        .arg(program.get_program())
        .args(program.get_args());
    shell.current_dir(program.get_current_dir().expect("it has a folder"));
    for (name, value) in program.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

/// As a kill leaves it behind the last row and before the end is told: the run's own mark of that is missing.
fn untell(journal: &Path) {
    let journal = Journal::open(journal, Durability::Process).expect("a journal");
    let mut settings: Value = serde_json::from_str(journal.settings()).expect("JSON");
    assert_eq!(settings["is_told"], Value::Bool(true), "a run that ends has told so");
    settings["is_told"] = false.into();
    journal.note_settings(settings.to_string());
    journal.close().expect("it is written");
}

#[test]
fn a_kill_after_the_last_row_and_before_the_end_was_told_fetches_nothing_again() {
    let (origin, folder) = (origin(), Folder::new());
    list(&folder, &origin, &["/a?size=10", "/b?status=404", "/c?size=30"]);
    for rule in ["overwrite", "rename", "update"] {
        origin.reset_counts();
        let run = || folder.run(["-P", rule, "-i", "list", "--if-exists", rule, "--report", "r"]);
        assert_eq!((run().code, origin.counts().requests), (1, 3), "{rule}");
        untell(&folder.path().join(rule).join(".gannet/journal.sqlite"));
        let ran = run();
        assert_eq!((ran.code, origin.counts().requests, folder.report("r").0.len()), (1, 3, 3), "{ran:?}");
        assert!(ran.stderr.contains("3 were done already"), "{ran:?}");
        assert_eq!(folder.names(rule).len(), 2, "{rule}: no second file");
        // That run has told the end.
        assert_eq!((run().code, origin.counts().requests), (1, 6), "{rule}");
    }
}

#[test]
fn a_single_url_that_failed_goes_on_with_its_part_when_the_command_is_given_again() {
    let body = "size=3m&seed=1&etag=strong";
    for place in [&["-o", "f"][..], &["-P", "out"], &["-P", "out", "--if-exists", "overwrite"]] {
        let script = [&*format!("{body}&truncate=2m"), "status=404", body];
        let (origin, folder) = (start(Origin::builder().script("/f", script)), Folder::new());
        let run = || {
            folder.run(place.iter().copied().chain([
                "--retry",
                "1",
                "--retry-delay",
                "10ms",
                &origin.url("/f"),
            ]))
        };
        assert_eq!(run().code, 3, "{place:?}");
        let sent = origin.counts().bytes_sent;
        let again = run();
        let sent = origin.counts().bytes_sent - sent;
        assert_eq!((again.code, origin.counts().requests), (0, 3), "{place:?}: {again:?}");
        assert!((1..2 << 20).contains(&sent), "{place:?}: {sent} bytes were sent again");
    }
}
