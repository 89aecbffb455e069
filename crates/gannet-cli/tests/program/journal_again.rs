//! With which settings a job is gone on with: those that it was begun with, from wherever they came and wherever it is
//! gone on with, and those that are given anew.

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
    let (origin, folder) = (start(Origin::builder().script("/b", ["never"; 2])), Folder::new());
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
    let job = ["-P", "out", "-i", "list", "--deadline", "300ms"];
    assert_eq!(folder.run(job.iter().chain(&secrets)).code, 4);
    let ran = folder.run(["resume", "out"].iter().chain(&secrets[2..6]));
    assert!(ran.code == 2 && ran.stderr.contains("given --data and --header x-one,"), "{ran:?}");
    let ran = folder.run(["resume", "out", "--deadline", "10s"].iter().chain(&secrets));
    assert_eq!(ran.code, 0, "{ran:?}");
}
