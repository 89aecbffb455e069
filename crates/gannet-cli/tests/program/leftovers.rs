//! What a killed run leaves without a name: removed by the next run of its own job, and by nobody else.

use std::path::Path;
use std::time::{Duration, Instant};

use gannet_origin::{Origin, body};

use crate::fixture::{Folder, LONG, end, start};

/// A body that nothing vouches for, so that its part is not written down; of it the beginning comes.
const STALLS: &str = "size=3m&seed=1&stall=2m";
const WHOLE: &str = "size=3m&seed=1";
/// Names that a part might have, and that others have given.
const STRANGERS: [&str; 4] = ["backup.20261123.part", "video.download.part", "b.Zk3aB9x1.part", "b.part"];

/// Files below the folder that are called like parts.
fn parts(folder: &Folder) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.path().to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            match entry.file_type().expect("it is there") {
                kind if kind.is_dir() => folders.push(entry.path()),
                _ => found.push(entry.path()),
            }
        }
    }
    let name = |path: &Path| path.strip_prefix(folder.path()).expect("it is below").display().to_string();
    let mut names: Vec<String> = found.iter().map(|path| name(path)).collect();
    names.retain(|name| name.ends_with(".part"));
    names.sort();
    names
}

/// Runs this and kills it amid a body; gives the part that it leaves.
fn killed(folder: &Folder, args: &[&str]) -> String {
    let before = parts(folder);
    let mut child = folder.command(args).spawn().expect("the program starts");
    let begun = Instant::now();
    let left = loop {
        // Nobody can be told of it.
        let new = parts(folder).into_iter().find(|name| !before.contains(name));
        let is_begun =
            |name: &String| std::fs::metadata(folder.path().join(name)).is_ok_and(|found| found.len() > 0);
        match new.filter(is_begun) {
            Some(new) => break new,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
        assert!(begun.elapsed() < LONG, "no part is begun");
    };
    child.kill().expect("it runs");
    assert_eq!(end(child).code, 137);
    left
}

/// Writes strangers' files into these folders; gives their names, and those below others that are made.
fn strangers(folder: &Folder, folders: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for below in folders {
        std::fs::create_dir_all(folder.path().join(below)).expect("a folder can be made");
        all.extend(STRANGERS.map(|name| Path::new(below).join(name).display().to_string()));
    }
    all.iter().for_each(|name| folder.write(name, "of somebody else"));
    all.sort();
    all
}

/// An origin at which each of these paths stalls first.
fn stalling(paths: &[&str]) -> Origin {
    start(paths.iter().fold(Origin::builder(), |origin, path| origin.script(*path, [STALLS, WHOLE])))
}

#[test]
fn parts_that_a_killed_run_has_left_without_a_row_are_removed_and_those_of_others_stay() {
    for args in [
        &["-P", "d"][..],
        &["-O"],
        &["-o", "b"],
        &["--create-dirs", "-o", "d/sub/b"],
        &["--create-dirs", "-o", "d#1/b"],
        &["--journal", "j", "-P", "d"],
        &["--journal", "j", "-o", "b"],
    ] {
        let (origin, folder) = (stalling(&["/b"]), Folder::new());
        let url = origin.url("/[b-b]");
        let args: Vec<&str> = args.iter().copied().chain([&*url]).collect();
        let left = killed(&folder, &args);
        let others = strangers(&folder, &["", "d", "d/sub", "db"]);
        assert!(parts(&folder).contains(&left), "{args:?}");
        let ran = folder.run(&args);
        assert_eq!((ran.code, parts(&folder)), (0, others.clone()), "{args:?}: {ran:?}");
        assert!(others.iter().all(|name| folder.read(name) == "of somebody else"), "{args:?}");
    }
}

#[test]
fn parts_of_other_jobs_stay_until_their_own_job_goes_on() {
    for (one, other) in [
        (&["-O"][..], &["-O"][..]),
        (&["-P", "d"], &["-P", "d/sub"]),
        (&["-P", "."], &["-o", "big.iso"]),
        (&["--journal", "j1", "-P", "d"], &["--journal", "j2", "-P", "d"]),
        (&["-P", "d"], &["-P", "d", "--journal", "none"]),
    ] {
        let (origin, folder) = (stalling(&["/a", "/b"]), Folder::new());
        let urls = [origin.url("/a"), origin.url("/b")];
        let jobs = [(one, &urls[0]), (other, &urls[1])];
        let [one, other] = jobs.map(|(args, url)| [args, &[url]].concat());
        let left = [killed(&folder, &one), killed(&folder, &other)];
        let ran = folder.run(&other);
        assert!(ran.code == 0 && parts(&folder).contains(&left[0]), "{other:?}: {left:?}, {ran:?}");
        assert_eq!(folder.run(&one).code, 0);
        let stays = if other.contains(&"none") { &left[1..] } else { &[] };
        assert_eq!(
            parts(&folder),
            stays,
            "{one:?}, {other:?}: what runs without a journal is not gone on with"
        );
    }
    // The outer job first.
    let (origin, folder) = (stalling(&["/a", "/b"]), Folder::new());
    let (outer, inner) = ([".", &origin.url("/a")], ["d/sub", &origin.url("/b")]);
    let run = |[below, url]: [&str; 2]| folder.run(["-P", below, url]).code;
    let left = killed(&folder, &["-P", inner[0], inner[1]]);
    killed(&folder, &["-P", outer[0], outer[1]]);
    assert_eq!((run(outer), parts(&folder)), (0, vec![left]));
    assert_eq!((run(inner), parts(&folder)), (0, vec![]));
}

#[test]
fn a_run_that_is_refused_removes_nothing() {
    let script = [STALLS, STALLS, WHOLE];
    let (origin, folder) = (start(Origin::builder().script("/b", script)), Folder::new());
    let list = |paths: &[&str]| {
        let urls: Vec<String> = paths.iter().map(|path| origin.url(path)).collect();
        folder.write("list", &(urls.join("\n") + "\n"));
    };
    let run = ["-P", "d", "-i", "list"];
    list(&["/b", "/c?size=1"]);
    // Of a run that is killed at once the journal does not even know the list.
    assert_eq!(folder.run(run.iter().chain(&["--deadline", "300ms"])).code, 4);
    killed(&folder, &run);
    strangers(&folder, &["", "d", "d/sub"]);
    let (before, asked) = (parts(&folder), origin.counts().requests);
    list(&["/other", "/c?size=1"]);
    let ran = folder.run(run);
    assert!(ran.code == 2 && ran.stderr.contains("another list"), "{ran:?}");
    list(&["/b", "/c?size=1"]);
    let ran = folder.run(run.iter().chain(&["--report", "no/such/folder/r"]));
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!((parts(&folder), origin.counts().requests), (before.clone(), asked));
    assert_eq!((folder.run(run).code, parts(&folder).len()), (0, before.len() - 1));
}

#[test]
fn a_retry_that_was_killed_leaves_nothing_for_ever() {
    let script = ["status=404", STALLS, "status=404", WHOLE];
    let (origin, folder) = (start(Origin::builder().script("/b", script)), Folder::new());
    folder.write("list", &format!("{}\n{}\n", origin.url("/a?size=1"), origin.url("/b")));
    assert_eq!(folder.run(["-P", "d", "-i", "list"]).code, 1);
    let left = killed(&folder, &["retry", "d"]);
    // It is over still, and fetches nothing.
    let asked = origin.counts().requests;
    assert_eq!(parts(&folder), [left]);
    let ran = folder.run(["-P", "d", "-i", "list"]);
    assert_eq!((ran.code, origin.counts().requests, parts(&folder)), (1, asked, vec![]), "{ran:?}");
    assert_eq!(folder.run(["retry", "d"]).code, 1);
    assert_eq!((folder.run(["retry", "d"]).code, parts(&folder)), (0, vec![]));
}

#[test]
fn a_part_goes_though_its_body_gets_another_name_or_its_folder_was_moved() {
    let stalls = "size=3m&seed=1&etag=strong&stall=2m";
    let script = ["size=3m&seed=1&etag=strong&stall=2m", "size=3m&seed=1&etag=strong"];
    let (origin, folder) = (start(Origin::builder().script("/b", script)), Folder::new());
    let url = origin.url("/b");
    assert_eq!(folder.run(["-P", "d", "--deadline", "500ms", &url]).code, 4);
    assert_eq!(parts(&folder).len(), 1, "the part is left");
    let ran = folder.run(["-P", "d", "--name", "x/{seq}_{base}", &url]);
    assert_eq!((ran.code, parts(&folder), folder.names("d/x")), (0, vec![], vec!["0_b".into()]), "{ran:?}");
    assert!(folder.read_bytes("d/x/0_b") == body(3 << 20, 1));
    // Its journal names the part by its old place, if at all.
    for (script, has_row) in [([stalls, WHOLE, WHOLE], true), ([STALLS, STALLS, WHOLE], false)] {
        let (origin, folder) = (start(Origin::builder().script("/b", script)), Folder::new());
        let url = origin.url("/b");
        assert_eq!(folder.run(["-P", "d", "--deadline", "500ms", &url]).code, 4);
        if !has_row {
            killed(&folder, &["-P", "d", &url]);
        }
        std::fs::rename(folder.path().join("d"), folder.path().join("e")).expect("it can be moved");
        let ran = folder.run(["-P", "e", &url]);
        assert!(ran.code == 2 && parts(&folder).len() == 1, "{ran:?}");
        let ran = folder.run(["-P", "e", "--new-job", &url]);
        assert_eq!((ran.code, parts(&folder)), (0, vec![]), "{ran:?}");
    }
}
