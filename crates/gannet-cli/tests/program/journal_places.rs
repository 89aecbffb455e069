//! Where the files of a job are, and whose they are: what a journal says of it holds whatever the next run is given, and
//! from wherever it is run.

use gannet_origin::Origin;

use crate::fixture::{Folder, origin, start};

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
