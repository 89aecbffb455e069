//! `--if-exists update`: a list that is run again, and files that only another version replaces.

use std::fs::File;
use std::time::{Duration, SystemTime};

use gannet_origin::{Origin, Tls};

use crate::fixture::{Folder, column, end, origin, start};
use crate::schema;

fn list(folder: &Folder, origin: &Origin, paths: &[&str]) {
    let urls: Vec<String> = paths.iter().map(|path| origin.url(path)).collect();
    folder.write("list", &(urls.join("\n") + "\n"));
}

const UPDATE: [&str; 8] = ["-P", "out", "-i", "list", "--if-exists", "update", "--report", "r"];

#[test]
fn a_list_that_is_run_again_replaces_what_has_changed_and_says_what_has_not() {
    let (origin, folder) = (origin(), Folder::new());
    let paths =
        ["/a?etag=strong&size=10", "/b?etag=weak&size=20", "/c?etag=v1&size=30&seed=1&change-after=1"];
    list(&folder, &origin, &paths);
    assert_eq!(folder.run(["-P", "out", "-i", "list", "--name", "{seq}"]).code, 0);
    let before = folder.read_bytes("out/2");
    let args: Vec<&str> =
        UPDATE.iter().copied().chain(["--name", "{seq}", "--report-order", "input"]).collect();
    let ran = folder.run(&args);
    let (rows, summary) = folder.report("r");
    schema::hold(&folder.read("r"));
    assert_eq!((ran.code, origin.counts().requests), (0, 6), "{ran:?}");
    let same: Vec<_> = rows.iter().map(|row| (row["unchanged"].clone(), row["status"].clone())).collect();
    assert_eq!(same, [(true.into(), 304.into()), (true.into(), 304.into()), (().into(), 200.into())]);
    assert_eq!(
        (column(&rows, "outcome"), column(&rows, "bytes")),
        (vec!["ok".to_owned(); 3], ["10", "20", "30"].map(str::to_owned).to_vec())
    );
    assert_eq!(rows[0]["bytes_wire"], 0);
    assert_eq!(
        (&summary["ok"], &summary["unchanged"], &summary["skipped"]),
        (&3.into(), &2.into(), &0.into())
    );
    assert!(ran.stderr.contains("1 of 3 URLs fetched, 2 unchanged"), "{}", ran.stderr);
    assert!(folder.read_bytes("out/2") != before, "it has changed");
    let told = folder.run(["explain", "out", &origin.url(paths[0])]).out();
    assert!(told.contains(": unchanged in out/0, 10 B"), "{told}");
    // What was stopped goes on: what was asked is not asked again.
    let ran = folder.run(args.iter().copied().chain(["--host-rate", "6/m", "--deadline", "300ms"]));
    assert_eq!(ran.code, 4, "{ran:?}");
    let asked = origin.counts().requests;
    assert_eq!(folder.run(["resume", "out", "--host-rate", "1000/s", "--deadline", "10s"]).code, 0);
    let (rows, summary) = folder.report("r");
    let asked = origin.counts().requests - asked;
    assert_eq!((asked, &summary["unchanged"], rows.len()), (2, &3.into(), 3));
    let names: Vec<String> = std::fs::read_dir(folder.path().join("out/.gannet"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert!(
        !names.iter().any(|name| name.contains(".1.")),
        "a list that is updated leaves one journal: {names:?}"
    );
}

#[test]
fn a_file_of_its_own_is_asked_for_by_its_time_and_then_by_what_the_journal_knows() {
    let (origin, folder) = (origin(), Folder::new());
    let url = origin.url("/a?etag=strong&last-modified=1700000000&size=10");
    let args = ["-o", "x", "--if-exists", "update", "-w", "%{http_code}", &url];
    let file = || File::options().write(true).open(folder.path().join("x")).expect("it is there");
    folder.write("x", "0123456789");
    file()
        .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_699_999_999))
        .expect("it takes a time");
    assert_eq!((folder.run(args).out(), folder.run(args).out()), ("200".to_owned(), "304".to_owned()));
    // Its time is of no matter then; one that was written to since is another file.
    file().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).expect("it takes a time");
    assert_eq!(folder.run(args).out(), "304");
    folder.write("x", "mine now");
    assert_eq!((folder.run(args).out(), folder.run(args).out()), ("200".to_owned(), "304".to_owned()));
    let jobs = folder.run(["jobs"]).out();
    assert!(jobs.lines().count() == 1 && jobs.contains("1 of 1 obtained"), "{jobs}");
}

#[test]
fn it_holds_over_http2_with_the_servers_times_and_from_another_folder() {
    let (origin, folder) = (start(Origin::builder().tls(Tls::Both)), Folder::new());
    folder.write(
        "list",
        &format!("{}\n", origin.localhost_url("/a?etag=strong&last-modified=4000000000&size=10")),
    );
    folder.write("ca.pem", origin.ca_pem());
    let own = ["--cacert", "ca.pem", "--http2", "-R"];
    assert_eq!(folder.run(["-P", "out", "-i", "list"].iter().chain(&own)).code, 0);
    let modified = std::fs::metadata(folder.path().join("out").join(&folder.names("out")[0]));
    assert!(modified.and_then(|met| met.modified()).expect("a file") > SystemTime::now(), "-R");
    folder.run(UPDATE.iter().chain(&own));
    let row = folder.report("r").0.remove(0);
    assert_eq!((&row["unchanged"], &row["http"]), (&true.into(), &"2".into()), "{row}");
    std::fs::create_dir(folder.path().join("else")).expect("a folder");
    let out = folder.path().join("out");
    let args = ["-i", "../list", "--if-exists", "update", "--report", "r", "--cacert", "../ca.pem", "-P"];
    let mut elsewhere = folder.command(args);
    let child =
        elsewhere.arg(&out).current_dir(folder.path().join("else")).spawn().expect("the program starts");
    assert_eq!(end(child).code, 0);
    assert_eq!(folder.report("else/r").0[0]["unchanged"], true);
}

#[test]
fn what_may_be_updated_is_shown_and_what_goes_to_no_file_is_refused() {
    let (origin, folder) = (origin(), Folder::new());
    list(&folder, &origin, &["/a", "/b"]);
    std::fs::create_dir(folder.path().join("out")).expect("a folder");
    folder.write("out/a", "x");
    let ran = folder.run(["-P", "out", "-i", "list", "--if-exists", "update", "--dry-run"]);
    let out = ran.out();
    assert!(out.contains("out/a (if it has changed)") && out.contains("out/b\n"), "{out}");
    assert!(ran.stderr.contains("2 to fetch") && origin.counts().requests == 0, "{}", ran.stderr);
    assert_eq!(folder.run(["--if-exists", "update", &origin.url("/a")]).code, 2);
}
