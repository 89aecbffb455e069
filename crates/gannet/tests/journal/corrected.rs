//! Digests that were corrected after a line was done: what it has is compared with what it wants by now, and its file
//! replaced.

use std::sync::Arc;

use gannet::digest::{Algorithm, Digest};
use gannet::sink::{Files, IfExists, Sink};
use gannet::{Client, Ending, ErrorKind, Journal, Outcome, Request};
use gannet_origin::Origin;

use crate::fixture::Folder;

fn sha256(body: &str) -> Digest {
    Digest::of(Algorithm::Sha256, body.as_bytes())
}

/// Each path serves the next of these from request to request, the last one from then on.
async fn serving(bodies: &[&str]) -> Origin {
    let replies = bodies.iter().map(|body| format!("text={body}"));
    Origin::builder().script("/", replies).start().await.expect("a port is free")
}

fn request(origin: &Origin, path: &str, wanted: &[Digest]) -> Request {
    let request = Request::new(&origin.url(path)).expect("a URL");
    wanted.iter().cloned().fold(request, Request::digest)
}

fn files(folder: &Folder) -> Files {
    Files::in_directory(folder.path().join("out"))
}

async fn run_to(sink: impl Sink + 'static, journal: Journal, requests: Vec<Request>) -> Vec<Outcome> {
    let client = Client::builder().retries(0).build().expect("it fits together");
    let mut job = client.fetch_each(requests).save_with(Arc::new(sink)).concurrency(1).journal(journal);
    let mut outcomes = Vec::new();
    while let Some(outcome) = job.next().await {
        outcomes.push(outcome);
    }
    assert!(job.error().is_none(), "{:?}", job.error());
    outcomes.sort_by_key(Outcome::seq);
    outcomes
}

/// Runs the list with the folder's journal; files that are there are skipped.
async fn run(folder: &Folder, requests: Vec<Request>) -> Vec<Outcome> {
    run_to(files(folder), folder.open(), requests).await
}

/// The same, what failed is opened again.
async fn retry(folder: &Folder, requests: Vec<Request>) -> Vec<Outcome> {
    let journal = folder.open();
    journal.reopen_failed();
    run_to(files(folder), journal, requests).await
}

/// How each ended, `+` behind those from the journal.
fn ends(outcomes: &[Outcome]) -> String {
    let from = |outcome: &Outcome| if outcome.is_from_journal() { "+" } else { "" };
    let each = outcomes.iter().map(|outcome| format!("{}{}", outcome.ending().as_str(), from(outcome)));
    each.collect::<Vec<_>>().join(" ")
}

fn read(folder: &Folder, name: &str) -> String {
    std::fs::read_to_string(folder.path().join("out").join(name)).expect("a file")
}

fn names(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path().join("out")).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_line_whose_digest_was_corrected_is_open_again_and_its_file_is_replaced() {
    for rule in [IfExists::Skip, IfExists::Fail, IfExists::Rename, IfExists::Overwrite, IfExists::Update] {
        let (folder, origin) = (Folder::new(), serving(&["old", "new"]).await);
        let list = |of_a: &str| {
            vec![request(&origin, "/a.txt", &[sha256(of_a)]), request(&origin, "/b.txt", &[sha256("old")])]
        };
        // What was there before is nobody's of this job.
        std::fs::create_dir(folder.path().join("out")).expect("a folder");
        let is_renamed = rule == IfExists::Rename;
        if is_renamed {
            std::fs::write(folder.path().join("out/a.txt"), "mine").expect("a file");
        }
        let name = if is_renamed { "a.1.txt" } else { "a.txt" };
        let run = |of_a| run_to(files(&folder).if_exists(rule), folder.open(), list(of_a));
        assert_eq!(ends(&run("old").await), "ok ok", "{rule:?}");
        assert_eq!(ends(&run("old").await), "ok+ ok+", "{rule:?}");
        assert_eq!(origin.counts().requests, 2);
        let outcomes = run("new").await;
        assert_eq!((&*ends(&outcomes), read(&folder, name).as_str()), ("ok ok+", "new"), "{rule:?}");
        assert!(outcomes[0].path().is_some_and(|path| path.ends_with(name)), "{rule:?}: {outcomes:?}");
        assert_eq!(outcomes[0].digests(), [sha256("new")]);
        assert_eq!((origin.requests_to("/a.txt"), origin.requests_to("/b.txt")), (2, 1));
        assert_eq!(ends(&run("new").await), "ok+ ok+", "{rule:?}");
        assert_eq!(origin.counts().requests, 3, "{rule:?}: it is done by now");
        let known = Journal::read(folder.journal()).expect("it is whole").summary();
        assert_eq!((known.lines, known.count(Ending::Ok), known.bytes, known.is_finished), (2, 2, 6, true));
        assert!(Journal::history(folder.journal()).is_empty(), "it is the same list");
        match is_renamed {
            true => assert_eq!((read(&folder, "a.txt"), names(&folder).len()), ("mine".to_owned(), 3)),
            false => assert_eq!(names(&folder), ["a.txt", "b.txt"], "{rule:?}"),
        }
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_had_anew_is_a_failure_and_is_never_skipped() {
    let (folder, origin) = (Folder::new(), serving(&["old", "old", "old", "new"]).await);
    let list = |wanted: Digest| vec![request(&origin, "/a", &[wanted])];
    assert_eq!(ends(&run(&folder, list(sha256("old"))).await), "ok");
    let outcomes = run(&folder, list(sha256("new"))).await;
    let error = outcomes[0].error().expect("the server has the old one still");
    assert_eq!(error.kind(), ErrorKind::Digest);
    let both = format!("{}, {} was expected", sha256("old").to_hex(), sha256("new").to_hex());
    assert!(error.message().contains(&both), "{error}");
    assert_eq!((read(&folder, "a").as_str(), names(&folder).len()), ("old", 1), "it stays where it is");
    assert_eq!(ends(&run(&folder, list(sha256("new"))).await), "failed+");
    assert_eq!(origin.counts().requests, 2);
    // Its file is known to be wrong, or not known to be right: it is asked for.
    let of_md5 = Digest::of(Algorithm::Md5, b"new");
    assert_eq!(ends(&retry(&folder, list(of_md5)).await), "failed");
    assert_eq!((read(&folder, "a").as_str(), origin.counts().requests), ("old", 3));
    assert_eq!(ends(&retry(&folder, list(sha256("new"))).await), "ok");
    assert_eq!((read(&folder, "a").as_str(), origin.counts().requests), ("new", 4));
    let known = Journal::read(folder.journal()).expect("it is whole").summary();
    assert_eq!((known.rows(), known.count(Ending::Ok), known.bytes), (1, 1, 3));
}

#[tokio::test]
async fn a_run_that_is_stopped_leaves_a_corrected_line_open() {
    let (folder, origin) = (Folder::new(), serving(&["old", "new"]).await);
    let list = |wanted: &str| vec![request(&origin, "/a", &[sha256(wanted)]), request(&origin, "/b", &[])];
    assert_eq!(ends(&run(&folder, list("old")).await), "ok ok");
    for round in 0..2 {
        let client = Client::new();
        let mut job =
            client.fetch_each(list("new")).save_with(Arc::new(files(&folder))).journal(folder.open());
        job.cancel();
        let mut outcomes = Vec::new();
        while let Some(outcome) = job.next().await {
            outcomes.push(outcome);
        }
        outcomes.sort_by_key(Outcome::seq);
        assert_eq!(ends(&outcomes), "cancelled ok+", "round {round}: what is done is done");
    }
    assert_eq!(origin.counts().requests, 2);
    assert_eq!(ends(&run(&folder, list("new")).await), "ok ok+");
    assert_eq!(read(&folder, "a"), "new");
}

/// A body under way is cut off: the old file is there still, and must not be skipped by the next run.
#[tokio::test]
async fn a_corrected_line_that_was_cut_off_is_gone_on_with() {
    let replies = ["text=old".to_owned(), "never".to_owned(), "text=new".to_owned()];
    let origin = Origin::builder().script("/", replies).start().await.expect("a port is free");
    let folder = Folder::new();
    let list = |wanted: &str| vec![request(&origin, "/a", &[sha256(wanted)])];
    assert_eq!(ends(&run(&folder, list("old")).await), "ok");
    let mut job =
        Client::new().fetch_each(list("new")).save_with(Arc::new(files(&folder))).journal(folder.open());
    while origin.counts().requests < 2 {
        assert!(futures::poll!(Box::pin(job.next())).is_pending());
        tokio::task::yield_now().await;
    }
    job.cancel();
    let outcome = job.next().await.expect("one input");
    assert!(outcome.ending() == Ending::Cancelled && outcome.attempts().len() == 1, "{outcome:?}");
    drop(job);
    assert_eq!(ends(&run(&folder, list("new")).await), "ok");
    assert_eq!((read(&folder, "a").as_str(), origin.counts().requests), ("new", 3));
}

#[tokio::test]
async fn a_line_of_which_no_such_digest_is_known_stays_done() {
    let (folder, origin) = (Folder::new(), serving(&["old"]).await);
    let md5 = |body: &[u8]| Digest::of(Algorithm::Md5, body);
    let list =
        |of_a: &[Digest], of_b: &[Digest]| vec![request(&origin, "/a", of_a), request(&origin, "/b", of_b)];
    assert_eq!(ends(&run(&folder, list(&[], &[sha256("old")])).await), "ok ok");
    let others = list(&[sha256("new")], &[md5(b"new")]);
    assert_eq!(ends(&run(&folder, others).await), "ok+ ok+");
    let both = list(&[], &[md5(b"new"), sha256("new")]);
    assert_eq!(ends(&run(&folder, both).await), "ok+ failed", "one that is known is enough");
    assert_eq!(origin.requests_to("/a"), 1);
}

#[tokio::test]
async fn what_is_no_file_of_the_job_is_neither_replaced_nor_told_as_what_is_wanted() {
    let (folder, origin) = (Folder::new(), serving(&["old", "new"]).await);
    let list = |wanted: &str| vec![request(&origin, "/a", &[sha256(wanted)])];
    assert_eq!(ends(&run(&folder, list("old")).await), "ok");
    let other = folder.path().join("other");
    std::fs::create_dir(&other).expect("a folder");
    std::fs::write(other.join("a.x"), "mine").expect("a file");
    let elsewhere = || Files::in_directory(&other).names("{base}.x".parse().expect("a template"));
    let outcomes = run_to(elsewhere(), folder.open(), list("new")).await;
    let error = outcomes[0].error().expect("nothing is known of what is there");
    assert_eq!((error.kind(), origin.counts().requests), (ErrorKind::Digest, 1));
    let both = [sha256("old").to_hex(), sha256("new").to_hex()];
    assert!(both.iter().all(|value| error.message().contains(value)), "{error}");
    let mine = || std::fs::read_to_string(other.join("a.x")).ok();
    assert_eq!((mine(), read(&folder, "a")), (Some("mine".to_owned()), "old".to_owned()));
    // Where it has its own file, whatever names are given by now, that one is replaced.
    let journal = folder.open();
    journal.reopen_failed();
    let renamed = files(&folder).names("{base}.x".parse().expect("a template"));
    assert_eq!(ends(&run_to(renamed, journal, list("new")).await), "ok");
    assert_eq!((names(&folder), read(&folder, "a")), (vec!["a".to_owned()], "new".to_owned()));
}
