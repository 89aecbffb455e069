//! Where the files of a job are, and whose they are: what a journal says of it holds whatever the next run is given, and
//! from wherever it is run.

use gannet::Journal;
use gannet_origin::Origin;

use crate::fixture::{Folder, Ran, end, origin, start};

/// A list of these paths.
fn list(folder: &Folder, origin: &Origin, paths: &[&str]) {
    let urls: Vec<String> = paths.iter().map(|path| origin.url(path)).collect();
    folder.write("list", &(urls.join("\n") + "\n"));
}

#[test]
fn a_journal_whose_bodies_went_elsewhere_says_so_and_never_calls_them_done() {
    let (origin, folder) = (origin(), Folder::new());
    let urls = [origin.url("/a?size=10"), origin.url("/b?size=20")].join(" ");
    let run = |output: &str| folder.run(format!("--journal J {output} {urls}").split(' '));
    // The same places, spelled otherwise.
    let places = [("--no-body", "--no-body"), ("-P p1", "-P ./p1"), ("-P p2", "-P p3")];
    for first in ["--no-body", "-P p1", "-O", "-O --output-dir d --create-dirs"] {
        assert_eq!(run(&format!("{first} --new-job")).code, 0, "{first}");
        for (other, next) in places {
            origin.reset_counts();
            let (ran, code) = (run(next), if first == other { 0 } else { 2 });
            assert_eq!((ran.code, origin.counts().requests), (code, 0), "{first}, then {next}: {ran:?}");
            let is_told = ["went ", "was begun in "].iter().any(|words| ran.stderr.contains(words));
            assert_eq!(is_told, code == 2, "{first}, then {next}: {ran:?}");
        }
    }
    assert!(!folder.path().join("p3").exists() && !folder.path().join("p2").exists());
    // Of a job that is not over, files of their own are not fetched anew either.
    let origin = start(Origin::builder().script("/s", ["never", "size=7"]));
    let urls = [origin.url("/a?size=10"), origin.url("/s")].join(" ");
    let run = |output: &str| folder.run(format!("--journal K {output} --create-dirs {urls}").split(' '));
    assert_eq!(run("-O --output-dir d --deadline 500ms").code, 4);
    for next in ["-O --output-dir e", "-O", "--no-body", "-P d"] {
        let ran = run(next);
        let is_told =
            ran.stderr.contains("went to files of their own in /") && ran.stderr.contains("/d (-o, -O), and");
        assert!(ran.code == 2 && is_told, "{next}: {ran:?}");
    }
    // Nothing of what was refused has been forgotten.
    assert_eq!(
        (run("-O --output-dir ./d").code, origin.requests_to("/a"), folder.read_bytes("d/s").len()),
        (0, 1, 7)
    );
}

/// Runs the program in a folder below.
fn run_in(folder: &Folder, below: &str, line: &str) -> Ran {
    let place = folder.path().join(below);
    std::fs::create_dir_all(&place).expect("a folder");
    let mut command = folder.command(line.split(' '));
    end(command.current_dir(place).spawn().expect("the program starts"))
}

#[test]
fn the_files_of_a_job_are_found_from_wherever_its_runs_were_begun() {
    let (origin, folder) = (origin(), Folder::new());
    list(&folder, &origin, &["/a?size=10", "/b?size=20"]);
    assert_eq!(run_in(&folder, "a", "-P out -i ../list --report r").code, 0);
    list(&folder, &origin, &["/a?size=10", "/b?size=20", "/c?size=30"]);
    let ran = run_in(&folder, "b/c", "-P ../../a/out -i ../../list --report r");
    assert!(ran.code == 0 && ran.stderr.contains("2 were done already"), "{ran:?}");
    let (rows, _) = folder.report("b/c/r");
    let files = ["a_size=10", "b_size=20", "c_size=30"];
    for (row, file) in rows.iter().zip(files) {
        assert_eq!(row["body"]["path"], format!("../../a/out/{file}"), "as the run names it");
    }
    for (below, job) in [("", "a/out"), ("a", "out"), ("b/c", "../../a/out"), ("else", "../a/out")] {
        let ran = run_in(&folder, below, &format!("verify {job}"));
        assert_eq!((ran.code, ran.out().as_str()), (0, ""), "in {below:?}: {ran:?}");
    }
    std::fs::remove_file(folder.path().join("a/out/a_size=10")).expect("a file");
    let ran = run_in(&folder, "a", "verify out");
    assert_eq!((ran.code, ran.out().as_str()), (5, "out/a_size=10: MISSING\n"), "{ran:?}");
    let journal = Journal::read(folder.path().join("a/out/.gannet/journal.sqlite")).expect("a journal");
    let out = folder.path().join("a/out").canonicalize().expect("a folder");
    for (row, file) in journal.rows().zip(files) {
        assert_eq!(row.expect("a row").path, Some(out.join(file)), "what sqlite3 is told");
    }
}

#[test]
fn whose_a_file_is_is_known_though_each_job_was_begun_in_another_folder() {
    let origin = Origin::builder().behave("/x/f", "text=x").behave("/y/f", "text=y").behave("/z/g", "text=z");
    let (origin, folder) = (start(origin.script("/s", ["never", "never"])), Folder::new());
    let name = "--name {base}";
    for (below, out, path, file) in [
        ("a", "out", "/x/f", "f"),
        ("b", "../a/out", "/z/g", "g"),
        ("b", "../a/out", "/y/f", "f.0"),
        // They are skipped, as their own, by the names that they have from there.
        ("c", "../a/out", "/y/f", "f.0"),
        ("a", "./out", "/x/f", "f"),
    ] {
        let url = origin.url(path);
        let ran = run_in(&folder, below, &format!("-P {out} {name} --report r {url}"));
        assert_eq!(ran.code, 0, "{path} in {below}: {ran:?}");
        assert_eq!(folder.read(&format!("a/out/{file}")), path[1..2], "{path} in {below}");
        let (rows, _) = folder.report(&format!("{below}/r"));
        assert_eq!(rows[0]["body"]["path"], format!("{out}/{file}"), "{path} in {below}");
    }
    // The same beside a job that was begun elsewhere, and is put aside before its end.
    list(&folder, &origin, &["/x/f", "/s"]);
    assert_eq!(run_in(&folder, "a", &format!("-P new {name} -i ../list --deadline 300ms")).code, 4);
    let other = format!("-P ../a/new {name} --new-job {}", origin.url("/y/f"));
    assert_eq!(run_in(&folder, "b", &other).code, 0);
    assert_eq!(["f", "f.0"].map(|name| folder.read(&format!("a/new/{name}"))), ["x", "y"]);
}

#[test]
fn a_file_that_could_not_be_updated_is_its_urls_still() {
    let origin =
        Origin::builder().script("/x/c", ["text=x&etag=strong", "status=503"]).behave("/y/c", "text=y");
    let (origin, folder) = (start(origin), Folder::new());
    let [x, y] = ["/x/c", "/y/c"].map(|path| origin.url(path));
    assert_eq!(folder.run(["-P", "out", &x]).code, 0);
    assert_eq!(folder.run(["-P", "out", "--if-exists", "update", "--retry", "0", &x]).code, 3);
    let ran = folder.run(["-P", "out", &y]);
    assert_eq!(
        (ran.code, folder.names("out"), origin.requests_to("/y/c")),
        (0, vec!["c".into(), "c.0".into()], 1)
    );
    assert_eq!(["c", "c.0"].map(|name| folder.read(&format!("out/{name}"))), ["x", "y"], "{ran:?}");
    // Nor is it fetched where it is its own.
    let ran = folder.run(["-P", "out", &x, "--report", "r"]);
    assert_eq!((ran.code, folder.report("r").0[0]["outcome"].as_str()), (0, Some("skipped")), "{ran:?}");
}

#[test]
fn two_jobs_of_one_folder_are_told_apart() {
    let origin = start(Origin::builder().script("/b", ["never", "size=20"]));
    let folder = Folder::new();
    assert_eq!(folder.run(["-P", "out", &origin.url("/a?size=10")]).code, 0);
    let urls = [origin.url("/b"), origin.url("/c?size=1")];
    let ran = folder.run(["-P", "out", "--journal", "out", "--deadline", "300ms", &urls[0], &urls[1]]);
    let hint = "gannet resume out/journal.sqlite";
    assert!(ran.code == 4 && ran.stderr.contains(&format!("{hint} to go on")), "{ran:?}");
    let jobs = folder.run(["jobs"]).out();
    let lines: Vec<&str> = jobs.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("out/.gannet/journal.sqlite  "), "{jobs}");
    assert!(lines[1].starts_with("out/journal.sqlite  ") && lines[1].ends_with(hint), "{jobs}");
    for command in ["resume out", "verify out"] {
        let ran = folder.run(command.split(' '));
        let names = "name the journal: out/.gannet/journal.sqlite or out/journal.sqlite";
        assert!(ran.code == 2 && ran.stderr.contains(names), "{command}: {ran:?}");
    }
    assert_eq!(folder.run("resume out/journal.sqlite --deadline 10s".split(' ')).code, 0);
    assert_eq!(folder.names("out"), ["a_size=10", "b", "c_size=1", "journal.sqlite", "journal.sqlite.lock"]);
    assert_eq!(folder.run(["verify", "out/.gannet/journal.sqlite"]).code, 0);
}

#[test]
fn a_body_that_went_to_no_regular_file_is_not_compared() {
    let (origin, folder) = (origin(), Folder::new());
    let urls = [origin.url("/a?size=10"), origin.url("/b?size=20")];
    let args = ["-o", "/dev/null", "-o", "b", "--journal", "J"];
    assert_eq!(folder.run(args.iter().copied().chain(urls.iter().map(String::as_str))).code, 0);
    let ran = folder.run(["verify", "J"]);
    assert_eq!((ran.code, ran.out().as_str()), (0, ""), "{ran:?}");
    let told = "1 of 1 files are as the journal has them (1 by length alone); 1 went to no regular file";
    assert!(ran.stderr.contains(told), "{ran:?}");
    // Nobody has written to a folder, nor to a pipe below -P.
    std::fs::remove_file(folder.path().join("b"))
        .and_then(|()| std::fs::create_dir(folder.path().join("b")))
        .expect("a folder");
    let ran = folder.run(["verify", "J"]);
    assert_eq!((ran.code, ran.out().as_str()), (5, "b: FAILED (it is no file)\n"), "{ran:?}");
    assert_eq!(folder.run(["-P", "out", &urls[0]]).code, 0);
    let file = folder.path().join("out/a_size=10");
    std::fs::remove_file(&file)
        .and_then(|()| std::os::unix::fs::symlink("/dev/null", &file))
        .expect("a link");
    let ran = folder.run(["verify", "out"]);
    assert_eq!((ran.code, ran.out().as_str()), (5, "out/a_size=10: FAILED (it is no file)\n"), "{ran:?}");
}

#[test]
fn who_reads_a_journal_leaves_nothing_beside_it() {
    let origin = start(Origin::builder().script("/s", ["never", "never", "size=7"]));
    let folder = Folder::new();
    let own = folder.path().join("out/.gannet");
    let beside = || {
        let names = std::fs::read_dir(&own).expect("a folder").flatten();
        let mut names: Vec<String> =
            names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    for (paths, deadline, code) in
        [(&["/a?size=10"][..], "10s", 0), (&["/b?size=20"], "10s", 0), (&["/a?size=10", "/s"], "500ms", 4)]
    {
        list(&folder, &origin, paths);
        assert_eq!(folder.run(["-P", "out", "-i", "list", "--deadline", deadline]).code, code);
    }
    let files = ["journal.1.sqlite", "journal.2.sqlite", "journal.sqlite", "journal.sqlite.lock"];
    assert_eq!(beside(), files);
    let explain = format!("explain out {}", origin.url("/a?size=10"));
    for (line, code) in [
        ("jobs", 0),
        ("verify out", 0),
        (&explain, 0),
        ("verify out/.gannet/journal.1.sqlite", 0),
        ("resume out --deadline 300ms", 4),
        ("-P out -i list --deadline 10s --new-job --name x{base}", 0),
        ("resume out", 0),
    ] {
        let before = beside().len();
        let ran = folder.run(line.split(' '));
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        let is_of_sqlite = |name: &String| name.ends_with("-shm") || name.ends_with("-wal");
        assert_eq!(beside().into_iter().find(is_of_sqlite), None, "{line}");
        assert!(beside().len() >= before, "{line}");
    }
}

#[test]
fn a_body_of_a_journals_name_is_no_job() {
    let (origin, folder) = (origin(), Folder::new());
    let urls = [origin.url("/x/journal.sqlite?text=a"), origin.url("/nope?status=404")];
    let ran = folder.run(["-P", "o", &urls[0], &urls[1]]);
    assert!(ran.code == 1 && ran.stderr.contains("gannet retry o to try these again"), "{ran:?}");
    let ran = folder.run(["jobs"]);
    assert!(ran.out().starts_with("o  ") && ran.out().lines().count() == 1, "{ran:?}");
    let ran = folder.run(["retry", "o"]);
    assert_eq!((ran.code, origin.requests_to("/nope")), (1, 2), "{ran:?}");
    // A journal that --journal has put there is one, also if it was moved or has been damaged.
    assert_eq!(folder.run(["--journal", "j", "--no-body", &urls[1]]).code, 3);
    let ran = folder.run(["jobs"]);
    assert_eq!(ran.out().lines().count(), 2, "{ran:?}");
    std::fs::copy(folder.path().join("j/journal.sqlite"), folder.path().join("o/journal.sqlite"))
        .expect("a file");
    let ran = folder.run(["retry", "o"]);
    assert!(ran.code == 2 && ran.stderr.contains("there are two jobs in o"), "{ran:?}");
    folder.write("j/journal.sqlite", "something else");
    let ran = folder.run(["jobs"]);
    assert!(ran.out().contains("j  the journal j/journal.sqlite is damaged"), "{ran:?}");
}
