//! Going on: what has settled is not fetched again, what has not is.

use gannet::{AttemptRecord, Ending, Journal, WhyStopped};

use crate::fixture::{Folder, origin, run, run_with, urls};

#[tokio::test]
async fn what_has_settled_is_not_fetched_again_and_comes_from_the_journal() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list = urls(&origin, &["/a?size=10&header=ETag:%22x%22", "/b?status=404", "/c?size=30"]);
    let first = run(&folder, &origin, &list).await;
    assert_eq!((&*first.endings(), first.sent), ("ok failed ok", 3));
    let second = run(&folder, &origin, &list).await;
    assert_eq!((&*second.endings(), second.sent), ("ok+ failed+ ok+", 0));
    for (one, other) in first.outcomes.iter().zip(&second.outcomes) {
        assert_eq!((one.seq(), one.url(), one.path()), (other.seq(), other.url(), other.path()));
        assert_eq!(
            (one.status(), one.length(), one.winner()),
            (other.status(), other.length(), other.winner())
        );
        assert_eq!(one.attempts().len(), other.attempts().len());
        assert_eq!(one.reply().map(|reply| &reply.url), other.reply().map(|reply| &reply.url));
        let kind = |outcome: &gannet::Outcome| outcome.error().map(|error| (error.kind(), error.to_string()));
        assert_eq!(kind(one), kind(other));
    }
    let reply = second.outcomes[0].reply().expect("it was obtained");
    assert_eq!(reply.headers.get("etag").map(http::HeaderValue::as_bytes), Some(&b"\"x\""[..]));
    let failed = &second.outcomes[1].attempts()[0];
    assert!(matches!(&failed.why_stopped, WhyStopped::Failed(error) if error.message().contains("404")));
}

#[cfg(feature = "digests")]
#[tokio::test]
async fn digests_come_back_from_the_journal() {
    use gannet::digest::{Algorithm, Digest};
    let (folder, origin) = (Folder::new(), origin().await);
    let all = [Algorithm::Sha256, Algorithm::Md5].map(|algorithm| Digest::of(algorithm, b"one"));
    let request = || gannet::Request::new(&origin.url("/a?text=one")).expect("a URL");
    let request = || all.iter().fold(request(), |request, digest| request.digest(digest.clone()));
    let sink = || std::sync::Arc::new(gannet::sink::Files::in_directory(folder.path().join("out")));
    for from_journal in [false, true] {
        let job = gannet::Client::new().fetch_each([request()]).save_with(sink());
        let outcome = job.journal(folder.open()).next().await.expect("one URL");
        let digests = outcome.digests();
        assert!(digests.len() == 2 && all.iter().all(|digest| digests.contains(digest)), "{outcome:?}");
        assert_eq!(outcome.is_from_journal(), from_journal);
    }
}

#[tokio::test]
async fn what_was_stopped_goes_on_where_it_was() {
    let (folder, origin) = (Folder::new(), origin().await);
    let paths: Vec<String> = (0..40).map(|number| format!("/{number}?size=10")).collect();
    let list = urls(&origin, &paths.iter().map(String::as_str).collect::<Vec<_>>());
    let first = run_with(&folder.open(), &folder, &origin, &list, 7).await;
    let done = first.outcomes.iter().filter(|outcome| outcome.ending() == Ending::Ok).count();
    assert!((7..40).contains(&done), "{done}");
    let journal = folder.open();
    assert_eq!((journal.resumed().ok, journal.resumed().is_finished), (done as u64, false));
    let second = run_with(&journal, &folder, &origin, &list, u64::MAX).await;
    assert_eq!(second.sent, 40 - done as u64);
    assert_eq!(second.outcomes.iter().filter(|outcome| outcome.is_obtained()).count(), 40);
    assert_eq!(second.outcomes.iter().filter(|outcome| outcome.is_from_journal()).count(), done);
    drop(journal);
    assert!(folder.open().resumed().is_finished);
}

#[tokio::test]
async fn what_failed_is_settled_until_it_is_reopened() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list = urls(&origin, &["/a?size=10", "/b?status=500,200&size=5", "/c?status=404"]);
    assert_eq!(run(&folder, &origin, &list).await.endings(), "ok failed failed");
    assert_eq!(run(&folder, &origin, &list).await.endings(), "ok+ failed+ failed+");
    let journal = folder.open();
    journal.reopen_failed();
    let again = run_with(&journal, &folder, &origin, &list, u64::MAX).await;
    assert_eq!(again.sent, 2);
    assert!(again.outcomes[0].is_from_journal());
    drop(journal);
    let counts = Journal::read(folder.journal()).expect("it can be read").summary();
    assert_eq!(counts.rows(), 3);
    let after = run(&folder, &origin, &list).await;
    assert_eq!(after.sent, 0);
}

#[tokio::test]
async fn a_job_that_is_dropped_keeps_what_had_settled() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list = urls(&origin, &["/a?size=10", "/b?size=10", "/c?silent"]);
    let journal = folder.open();
    let client = gannet::Client::builder().retries(0).build().expect("it fits together");
    let mut job = client.fetch_each(list.clone()).journal(journal.clone());
    let mut seen = 0;
    while seen < 2 {
        seen += u64::from(job.next().await.expect("three inputs").ending() == Ending::Ok);
    }
    drop(job);
    journal.close().expect("it is committed");
    drop(journal);
    let resumed = folder.open().resumed();
    assert_eq!((resumed.lines, resumed.ok, resumed.open()), (3, 2, 1));
}

#[tokio::test]
async fn a_journal_serves_one_job_at_a_time() {
    let folder = Folder::new();
    let journal = folder.open();
    let client = gannet::Client::new();
    let mut one = client.fetch_each(["http://127.0.0.1:1/"]).journal(journal.clone());
    let first = futures::poll!(Box::pin(one.next()));
    assert!(first.is_pending());
    let mut other = client.fetch_each(["http://127.0.0.1:1/"]).journal(journal.clone());
    let refused = other.next().await.expect("an outcome that says why");
    assert_eq!(refused.error().map(gannet::Error::kind), Some(gannet::ErrorKind::Settings));
    drop(one);
    let mut third = client.fetch_each(["http://127.0.0.1:1/"]).retry(0).journal(journal);
    let outcome = third.next().await.expect("one input has one outcome");
    assert_eq!(outcome.ending(), Ending::Failed, "{outcome:?}");
}

#[tokio::test]
async fn lines_that_are_just_being_read_are_waited_for() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list = urls(&origin, &["/a?size=10", "/b?status=404"]);
    run(&folder, &origin, &list).await;
    for round in 0..150 {
        let journal = folder.open();
        journal.note_settings(format!("{round}"));
        let ran = run_with(&journal, &folder, &origin, &list, u64::MAX).await;
        assert!(ran.error.is_none() && ran.sent == 0, "round {round}: {:?}", ran.error);
    }
}

#[tokio::test]
async fn a_second_job_of_one_journal_knows_what_the_first_has_settled() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list = urls(&origin, &["/a?size=10", "/b?size=20", "/c?status=404"]);
    let journal = folder.open();
    let first = run_with(&journal, &folder, &origin, &list, u64::MAX).await;
    assert_eq!((first.sent, journal.resumed().lines), (3, 0));
    let longer = urls(&origin, &["/a?size=10", "/b?size=20", "/c?status=404", "/d?size=30"]);
    let second = run_with(&journal, &folder, &origin, &longer, u64::MAX).await;
    assert!(second.error.is_none() && second.sent == 1, "{} were sent: {:?}", second.sent, second.error);
    journal.close().expect("it can be closed");
    let summary = gannet::Journal::read(folder.journal()).expect("it is whole").summary();
    assert_eq!((summary.lines, summary.rows(), summary.count(Ending::Ok)), (4, 4, 3));
}

#[tokio::test]
async fn a_job_whose_journal_is_closed_ends_and_says_so() {
    let (folder, origin) = (Folder::new(), origin().await);
    let journal = folder.open();
    journal.close().expect("it can be closed");
    let ran = run_with(&journal, &folder, &origin, &urls(&origin, &["/a?size=10"]), u64::MAX).await;
    assert_eq!(ran.error.map(|error| error.kind()), Some(gannet::ErrorKind::JournalFailed));
    assert_eq!(ran.sent, 0);
    journal.remove().expect("it can be removed");
    assert!(!folder.journal().exists());
}

/// SQLite's locks are the process's: the system drops them when any descriptor of the file is closed.
#[cfg(target_os = "linux")]
#[test]
fn who_reads_a_journal_in_the_process_that_writes_it_takes_no_lock_from_it() {
    use std::os::unix::fs::MetadataExt as _;

    let folder = Folder::new();
    let journal = folder.open();
    let number = std::fs::metadata(folder.journal()).expect("it is there").ino().to_string();
    let held = || {
        let all = std::fs::read_to_string("/proc/locks").expect("it can be read");
        all.lines().filter(|lock| lock.contains("POSIX") && lock.contains(&format!(":{number} "))).count()
    };
    // Its thread may still let go of those that it took to write.
    assert!(held() > 0, "a reader of another process sees that it is open");
    drop(gannet::Journal::read(folder.journal()).expect("it can be read"));
    assert!(held() > 0, "it still sees it");
    drop(journal);
}

/// The statuses of a row's attempts, run by run, the last one last; 0 for none.
fn tried(folder: &Folder, seq: u64) -> Vec<Vec<u16>> {
    let reader = Journal::read(folder.journal()).expect("it can be read");
    let row = reader.row(seq).expect("it is whole").expect("the line has a row");
    let statuses = |all: &[AttemptRecord]| {
        all.iter().map(|attempt| attempt.status.map_or(0, |status| status.as_u16())).collect::<Vec<_>>()
    };
    let earlier = row.earlier_runs();
    assert!(earlier.is_sorted_by(|one, other| one.began < other.began), "{earlier:?}");
    assert!(earlier.last().is_none_or(|last| row.started.is_none_or(|started| last.began <= started)));
    assert_eq!((row.attempt_count() as usize, row.attempts_not_kept()), (row.attempts().len(), 0));
    assert_eq!(row.winner, (row.ending == Ending::Ok).then_some(0));
    earlier.iter().map(|run| statuses(&run.attempts)).chain([statuses(row.attempts())]).collect()
}

/// Runs the list, and what failed again.
async fn retry(folder: &Folder, origin: &gannet_origin::Origin, list: &[String]) -> String {
    let journal = folder.open();
    journal.reopen_failed();
    run_with(&journal, folder, origin, list, u64::MAX).await.endings()
}

#[tokio::test]
async fn attempts_of_earlier_runs_stay_when_a_line_is_opened_again() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list = urls(&origin, &["/a?size=10", "/b?script=500,503,200&size=5"]);
    assert_eq!(run(&folder, &origin, &list).await.endings(), "ok failed");
    assert_eq!(tried(&folder, 1), [[500]]);
    assert_eq!(retry(&folder, &origin, &list).await, "ok+ failed");
    assert_eq!(tried(&folder, 1), [[500], [503]]);
    assert_eq!(retry(&folder, &origin, &list).await, "ok+ ok");
    assert_eq!(tried(&folder, 1), [[500], [503], [200]]);
    let ran = run(&folder, &origin, &list).await;
    assert_eq!((&*ran.endings(), ran.outcomes[1].attempts().len()), ("ok+ ok+", 1));
    assert_eq!(tried(&folder, 1), [[500], [503], [200]]);
    assert_eq!(tried(&folder, 0), [[200]], "what was not opened again is as it was");
    // So do the lines that another list begins with too.
    let other = [list[0].clone(), list[1].clone(), origin.url("/c?size=1")];
    let changed = [list[0].clone(), list[1].clone(), origin.url("/d?size=1")];
    assert_eq!(run(&folder, &origin, &other).await.endings(), "ok+ ok+ ok");
    assert_eq!(run(&folder, &origin, &changed).await.endings(), "ok+ ok+ ok");
    assert_eq!(
        (tried(&folder, 1), Journal::history(folder.journal()).len()),
        (vec![vec![500], vec![503], vec![200]], 1)
    );
}

#[tokio::test]
async fn attempts_of_earlier_runs_stay_when_the_file_is_there_at_last() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list = urls(&origin, &["/b?status=500"]);
    assert_eq!(run(&folder, &origin, &list).await.endings(), "failed");
    std::fs::create_dir_all(folder.path().join("out")).expect("it can be made");
    std::fs::write(folder.path().join("out/b_status=500"), "there").expect("it can be written");
    let journal = folder.open();
    journal.reopen_failed();
    let sink = gannet::sink::Files::in_directory(folder.path().join("out"));
    let sink = sink.if_exists(gannet::sink::IfExists::Skip);
    let job = gannet::Client::new().fetch_each(list).save_with(std::sync::Arc::new(sink));
    let outcome = job.journal(journal).next().await.expect("one line");
    assert_eq!((outcome.ending(), outcome.attempts().len()), (Ending::Skipped, 0));
    drop(outcome);
    assert_eq!(tried(&folder, 0), [vec![500], vec![]]);
}

#[tokio::test]
async fn attempts_of_a_run_that_was_stopped_stay() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list = urls(&origin, &["/c?silent"]);
    for runs in 1..=2 {
        origin.reset_counts();
        let journal = folder.open();
        let client = gannet::Client::new();
        let mut job = client.fetch_each(list.clone()).journal(journal.clone());
        while origin.requests_to("/c") == 0 {
            assert!(futures::poll!(Box::pin(job.next())).is_pending());
            tokio::task::yield_now().await;
        }
        job.cancel();
        let outcome = job.next().await.expect("one line");
        assert_eq!((outcome.ending(), outcome.attempts().len()), (Ending::Cancelled, 1));
        drop(job);
        journal.close().expect("it is committed");
        assert_eq!(tried(&folder, 0), vec![vec![0]; runs]);
    }
}
