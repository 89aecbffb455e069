//! Bodies that one run has begun and the next goes on with: what the journal keeps of a part file, and what becomes of
//! the file when nobody goes on with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gannet::sink::{Files, IfExists};
use gannet::{Client, ClientBuilder, Durability, Ending, Event, Journal, Outcome, ResumeParts};
use gannet_origin::{Origin, body};

use crate::fixture::Folder;

const WHOLE: &str = "size=3m&seed=1&etag=strong";
/// Behind which the first answer breaks off, or falls silent.
const BROKEN: &str = "size=3m&seed=1&etag=strong&truncate=2m";

async fn origin<const N: usize>(queries: [&str; N]) -> Origin {
    Origin::builder().script("/x", queries).start().await.expect("a port is free")
}

fn client() -> ClientBuilder {
    Client::builder().retries(0)
}

fn files(folder: &Folder) -> Files {
    Files::in_directory(folder.path().join("out")).if_exists(IfExists::Overwrite)
}

/// Runs one URL with the folder's journal.
async fn run(folder: &Folder, origin: &Origin, client: ClientBuilder) -> Outcome {
    run_into(files(folder), &folder.open(), origin, client).await
}

async fn run_into(files: Files, journal: &Journal, origin: &Origin, client: ClientBuilder) -> Outcome {
    journal.reopen_failed();
    let client = client.build().expect("the settings agree");
    let job = client.fetch_each([origin.url("/x")]).save_with(Arc::new(files));
    let mut job = job.journal(journal.clone());
    let outcome = job.next().await.expect("one URL");
    assert!(job.next().await.is_none() && job.error().is_none(), "{:?}", job.error());
    outcome
}

/// What lies in the folder of the bodies.
fn names(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path().join("out")).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// How much of the one part is good, as the journal says, and where it lies; `None` if there is none.
fn told(folder: &Folder) -> Option<(u64, PathBuf)> {
    let parts = Journal::read(folder.journal()).expect("it can be read").parts().expect("it is sound");
    assert!(parts.len() <= 1, "{parts:?}");
    let (seq, part) = parts.into_iter().next()?;
    assert_eq!(seq, 0);
    Some((part.good, part.on_disk.expect("it lies on the disk").path))
}

/// A run whose body breaks off: how much of it is good, and where it lies.
async fn broken(folder: &Folder, origin: &Origin) -> (u64, PathBuf) {
    let outcome = run(folder, origin, client()).await;
    assert_eq!(outcome.ending(), Ending::Failed, "{outcome:?}");
    let (good, path) = told(folder).expect("it is written down");
    assert!(good >= 1 << 20 && path.exists() && names(folder).len() == 1, "{good} bytes in {path:?}");
    (good, path)
}

/// The body is whole, nothing else is there, and nothing is said of a part.
fn is_whole(folder: &Folder, seed: u64) {
    assert_eq!((names(folder), told(folder)), (vec!["x".to_owned()], None));
    let found = std::fs::read(folder.path().join("out/x")).expect("a file");
    assert!(found == body(3 << 20, seed), "it is another body");
}

fn ranges(origin: &Origin) -> Vec<Option<String>> {
    origin.requests().into_iter().map(|request| request.range).collect()
}

#[tokio::test]
async fn the_next_run_goes_on_with_a_body_that_broke_off() {
    for durability in [Durability::Process, Durability::Power] {
        let (folder, origin) = (Folder::new(), origin([BROKEN, WHOLE]).await);
        drop(folder.open_as(durability).expect("a journal"));
        let (good, _) = broken(&folder, &origin).await;
        let journal = folder.open_as(durability).expect("a journal");
        let outcome = run_into(files(&folder), &journal, &origin, client()).await;
        journal.close().expect("it is written");
        assert_eq!((outcome.ending(), outcome.resumed_from()), (Ending::Ok, good), "{outcome:?}");
        is_whole(&folder, 1);
        assert_eq!(ranges(&origin), [None, Some(format!("bytes={good}-"))]);
    }
}

#[tokio::test]
async fn what_changed_between_two_runs_is_fetched_whole() {
    let (folder, origin) = (Folder::new(), origin([BROKEN, "size=3m&seed=2&etag=strong"]).await);
    broken(&folder, &origin).await;
    assert_eq!(run(&folder, &origin, client()).await.resumed_from(), 0);
    is_whole(&folder, 2);
}

#[tokio::test]
async fn the_setting_of_the_next_run_says_whether_it_goes_on() {
    let dated = "size=3m&seed=1&range=ok";
    for (first, then, query, goes_on) in [
        (ResumeParts::Safe, ResumeParts::Never, WHOLE, false),
        (ResumeParts::Never, ResumeParts::Safe, WHOLE, false),
        (ResumeParts::Always, ResumeParts::Safe, dated, false),
        (ResumeParts::Always, ResumeParts::Always, dated, true),
        (ResumeParts::Safe, ResumeParts::Always, dated, false),
    ] {
        let cut = format!("{query}&truncate=2m");
        let (folder, origin) = (Folder::new(), origin([&cut, query]).await);
        let _ = run(&folder, &origin, client().resume_parts(first)).await;
        let outcome = run(&folder, &origin, client().resume_parts(then)).await;
        assert_eq!(outcome.resumed_from() > 0, goes_on, "{first:?}, {then:?}, {query}: {outcome:?}");
        is_whole(&folder, 1);
    }
}

#[tokio::test]
async fn row_65_a_part_that_somebody_edited_is_begun_anew() {
    let in_front: fn(&mut Vec<u8>) = |bytes| bytes[0] ^= 1;
    let at_its_end: fn(&mut Vec<u8>) = |bytes| *bytes.last_mut().expect("it is long") ^= 1;
    let longer: fn(&mut Vec<u8>) = |bytes| {
        *bytes.last_mut().expect("it is long") ^= 1;
        bytes.extend([7; 99]);
    };
    let edits = [in_front, at_its_end, longer, |bytes| bytes.truncate(1 << 20), Vec::clear];
    for (number, edit) in edits.into_iter().enumerate() {
        let (folder, origin) = (Folder::new(), origin([BROKEN, WHOLE]).await);
        let (_, path) = broken(&folder, &origin).await;
        let mut bytes = std::fs::read(&path).expect("it is there");
        edit(&mut bytes);
        std::fs::write(&path, bytes).expect("it can be written");
        assert_eq!(run(&folder, &origin, client()).await.resumed_from(), 0, "edit {number}");
        is_whole(&folder, 1);
    }
    let (folder, origin) = (Folder::new(), origin([BROKEN, WHOLE]).await);
    let (_, path) = broken(&folder, &origin).await;
    std::fs::remove_file(path).expect("it is there");
    assert_eq!(run(&folder, &origin, client()).await.resumed_from(), 0);
    is_whole(&folder, 1);
}

#[tokio::test]
async fn what_lies_behind_the_bytes_that_were_written_down_is_cut_off() {
    let (folder, origin) = (Folder::new(), origin([BROKEN, BROKEN, WHOLE]).await);
    let (good, path) = broken(&folder, &origin).await;
    // As after a crash: blocks were written of which the journal does not know, right ones or not.
    let append = |path: &Path| {
        use std::io::Write as _;
        let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("it is there");
        file.write_all(&[7; 100_000]).expect("it can be written");
    };
    append(&path);
    // A run that opens it and ends before a byte comes changes nothing of what is known.
    let journal = folder.open();
    journal.reopen_failed();
    let next = client().build().expect("the settings agree");
    let job = next.fetch_each([origin.url("/x")]).save_with(Arc::new(files(&folder)));
    let mut job = job.journal(journal.clone());
    tokio::select! {
        _ = job.next() => panic!("it is silent"),
        _ = origin.wait_until(|counts| counts.requests == 2, Duration::from_secs(10)) => {}
    }
    drop(job);
    journal.close().expect("it is written");
    drop(journal);
    assert_eq!(told(&folder), Some((good, path.clone())));
    assert_eq!(std::fs::metadata(&path).expect("it is there").len(), good);
    let outcome = run(&folder, &origin, client()).await;
    assert_eq!(outcome.resumed_from(), good, "{outcome:?}");
    is_whole(&folder, 1);
}

#[tokio::test]
async fn a_part_is_written_down_as_ours_before_the_next_run_writes_to_it() {
    for durability in [Durability::Process, Durability::Power] {
        let (folder, origin) = (Folder::new(), origin([BROKEN, WHOLE]).await);
        let (good, _) = broken(&folder, &origin).await;
        let (tell, told_of) = std::sync::mpsc::channel();
        let path = folder.journal();
        // What a process that is killed here leaves: bytes that were not told of are on the disk already.
        let watched = client().watch(move |event| {
            if let Event::Part { part, .. } = event
                && part.good > good
            {
                let parts = Journal::read(&path).and_then(|journal| journal.parts()).expect("it is sound");
                tell.send(parts).expect("the test is there");
            }
        });
        let journal = folder.open_as(durability).expect("a journal");
        let before = std::time::SystemTime::now();
        let outcome = run_into(files(&folder), &journal, &origin, watched).await;
        assert_eq!(outcome.resumed_from(), good, "{outcome:?}");
        let (_, known) = told_of.try_iter().next().expect("it was told").swap_remove(0);
        let held = known.on_disk.expect("it lies on the disk").held;
        assert!(known.good > good || held >= Some(before), "{} of {good}, {held:?}", known.good);
    }
}

#[tokio::test]
async fn a_job_that_is_dropped_leaves_parts_that_the_next_one_goes_on_with() {
    let (folder, origin) = (Folder::new(), origin(["size=3m&seed=1&etag=strong&stall=2m", WHOLE]).await);
    let (tell, mut told_of) = tokio::sync::watch::channel(0);
    let watched = client().watch(move |event| {
        if let Event::Part { part, .. } = event {
            tell.send_replace(part.good);
        }
    });
    let journal = folder.open();
    let watched = watched.build().expect("the settings agree");
    let job = watched.fetch_each([origin.url("/x")]).save_with(Arc::new(files(&folder)));
    let mut job = job.journal(journal.clone());
    tokio::select! {
        _ = job.next() => panic!("it stalls"),
        seen = told_of.wait_for(|good| *good >= 1 << 20) => drop(seen.expect("it tells of it")),
    }
    drop(job);
    journal.close().expect("it is written");
    drop(journal);
    let (good, path) = told(&folder).expect("it is written down");
    // A thread may be writing a last block, and holds the lock until it has.
    let file = std::fs::File::open(path).expect("it is there");
    file.lock().expect("it can be locked");
    drop(file);
    let outcome = run(&folder, &origin, client()).await;
    assert!(good >= 1 << 20 && outcome.resumed_from() == good, "{good}: {outcome:?}");
    is_whole(&folder, 1);
}

#[tokio::test]
async fn a_body_that_is_there_by_now_takes_its_part_away() {
    let (folder, origin) = (Folder::new(), origin([BROKEN, WHOLE]).await);
    broken(&folder, &origin).await;
    std::fs::write(folder.path().join("out/x"), body(3 << 20, 1)).expect("it can be written");
    let skips = Files::in_directory(folder.path().join("out"));
    let outcome = run_into(skips, &folder.open(), &origin, client()).await;
    assert_eq!((outcome.ending(), origin.counts().requests), (Ending::Skipped, 1), "{outcome:?}");
    is_whole(&folder, 1);
}

#[tokio::test]
async fn parts_of_a_job_that_nobody_goes_on_with_are_removed() {
    let nothing = (Vec::<String>::new(), None);
    let left = |folder: &Folder| (names(folder), told(folder));
    // Another list after a finished job, a job that is begun anew, and parts that are not wanted any more.
    let (folder, origin) = (Folder::new(), origin([BROKEN]).await);
    broken(&folder, &origin).await;
    let journal = folder.open();
    let job = client().build().expect("they agree").fetch_each([origin.url("/other?size=0")]);
    job.journal(journal.clone()).spawn().await;
    drop(journal);
    assert_eq!(left(&folder), nothing);
    for end in [|journal: &Journal| journal.begin_anew().expect("nobody uses it"), Journal::drop_parts] {
        let folder = Folder::new();
        broken(&folder, &origin).await;
        end(&folder.open());
        assert_eq!(left(&folder), nothing);
    }
    let folder = Folder::new();
    broken(&folder, &origin).await;
    folder.open().remove().expect("it can be removed");
    assert_eq!(names(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn a_race_leaves_no_part() {
    let (folder, origin) = (Folder::new(), origin([BROKEN, BROKEN]).await);
    let request = gannet::Request::new(&origin.url("/x")).expect("a URL");
    let request = request.mirror(&origin.url("/x?other")).expect("a URL").raced();
    let client = client().build().expect("the settings agree");
    let job = client.fetch_each([request]).save_with(Arc::new(files(&folder)));
    let outcome = job.journal(folder.open()).next().await.expect("one request");
    assert_eq!((outcome.ending(), told(&folder)), (Ending::Failed, None), "{outcome:?}");
    assert_eq!(names(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn short_bodies_leave_no_part() {
    let (folder, origin) = (Folder::new(), origin(["size=900k&seed=1&etag=strong&truncate=800k"]).await);
    let outcome = run(&folder, &origin, client()).await;
    assert_eq!((outcome.ending(), told(&folder)), (Ending::Failed, None), "{outcome:?}");
    assert_eq!(names(&folder), Vec::<String>::new());
}

#[cfg(feature = "digests")]
#[tokio::test]
async fn a_part_is_compared_with_the_digest_of_the_whole_in_the_next_run() {
    use gannet::digest::{Algorithm, Digest};
    use gannet::{ErrorKind, Request};
    let right = Digest::of(Algorithm::Sha256, &body(3 << 20, 1));
    for (first, goes_on) in [(BROKEN, true), ("size=3m&seed=2&etag=v1&truncate=2m", false)] {
        let then = if goes_on { WHOLE } else { "size=3m&seed=1&etag=v1" };
        let (folder, origin) = (Folder::new(), origin([first, then]).await);
        for retries in [0, 1] {
            let journal = folder.open();
            journal.reopen_failed();
            let client = client().retries(retries).build().expect("the settings agree");
            let request = Request::new(&origin.url("/x")).expect("a URL").digest(right.clone());
            let job = client.fetch_each([request]).save_with(Arc::new(files(&folder)));
            let outcome = job.journal(journal).next().await.expect("one URL");
            let attempts = outcome.attempts();
            match (retries, goes_on) {
                (0, _) => assert_eq!(outcome.ending(), Ending::Failed, "{outcome:?}"),
                (_, true) => assert!(outcome.resumed_from() > 0 && attempts.len() == 1, "{outcome:?}"),
                (_, false) => {
                    let error = attempts[0].why_stopped.error().map(gannet::Error::kind);
                    assert_eq!((error, outcome.resumed_from()), (Some(ErrorKind::Digest), 0), "{outcome:?}");
                }
            }
        }
        is_whole(&folder, 1);
    }
}
