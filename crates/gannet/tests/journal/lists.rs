//! The list of a journal: it may grow; another one is another job, or refused.

use gannet::{Error, ErrorKind, Journal, Request};

use crate::fixture::{Folder, origin, run, run_requests, run_with, urls};

#[tokio::test]
async fn a_list_that_grew_has_only_its_new_lines_fetched() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list = urls(&origin, &["/a?size=1", "/b?size=1", "/c?size=1"]);
    run(&folder, &origin, &list[..2]).await;
    let grown = run(&folder, &origin, &list).await;
    assert_eq!((&*grown.endings(), grown.sent), ("ok+ ok+ ok", 1));
    assert!(grown.error.is_none() && Journal::history(folder.journal()).is_empty());
    assert_eq!(run(&folder, &origin, &list).await.endings(), "ok+ ok+ ok+");
}

#[tokio::test]
async fn an_unfinished_job_refuses_another_list_and_names_the_line() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list = urls(&origin, &["/a?size=1", "/b?size=1", "/c?size=1", "/d?size=1"]);
    run_with(&folder.open(), &folder, &origin, &list, 2).await;
    let other = urls(&origin, &["/a?size=1", "/x?size=1", "/c?size=1", "/y?size=1"]);
    let refused = run(&folder, &origin, &other).await;
    let error = refused.error.as_ref().expect("it is refused");
    assert_eq!(error.kind(), ErrorKind::JournalOtherList);
    assert!(error.message().contains("request 2 differs, which was http"), "{error}");
    assert_eq!((&*refused.endings(), refused.sent), ("ok+ failed cancelled cancelled", 0));
    let shorter = run(&folder, &origin, &list[..1]).await;
    let error = shorter.error.as_ref().expect("it is refused");
    assert!(error.message().contains("ends after 1 of"), "{error}");
    // What was refused has left no trace.
    let after = run(&folder, &origin, &list).await;
    assert!(after.error.is_none() && after.outcomes.iter().all(gannet::Outcome::is_obtained));
}

#[tokio::test]
async fn after_a_finished_job_another_list_begins_a_new_one() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list = urls(&origin, &["/a?size=1", "/b?size=1", "/c?size=1"]);
    run(&folder, &origin, &list).await;
    let other = urls(&origin, &["/a?size=1", "/x?size=1", "/c?size=1"]);
    let ran = run(&folder, &origin, &other).await;
    assert_eq!((&*ran.endings(), ran.sent), ("ok+ ok ok", 2));
    assert!(ran.error.is_none());
    let history = Journal::history(folder.journal());
    assert_eq!(history, [folder.path().join(".gannet/journal.1.sqlite")]);
    let urls_of = |path: &std::path::Path| -> Vec<String> {
        let reader = Journal::read(path).expect("it can be read");
        reader.rows().map(|row| row.expect("a good row").url.into()).collect()
    };
    assert_eq!(urls_of(&history[0]), list);
    assert_eq!(urls_of(&folder.journal()), other);
    assert_eq!(run(&folder, &origin, &other).await.endings(), "ok+ ok+ ok+");
}

#[tokio::test]
async fn the_lines_of_a_journal_can_be_compared_with_a_list_beforehand() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list: Vec<String> = (0..1500).map(|number| origin.url(&format!("/{number}?size=0"))).collect();
    run(&folder, &origin, &list).await;
    let reader = Journal::read(folder.journal()).expect("it can be read");
    let parts_at = |list: &[String]| {
        let mut lines = reader.lines();
        list.iter().position(|url| !lines.is_next(&gannet::Request::new(url)).expect("it is sound"))
    };
    let mut other = list.clone();
    other[1200] = origin.url("/another");
    let grown = [&list[..], &other[..1]].concat();
    assert_eq!([parts_at(&list), parts_at(&other), parts_at(&grown)], [None, Some(1200), Some(1500)]);
    let mut lines = reader.lines();
    list.iter().for_each(|url| drop(lines.is_next(&gannet::Request::new(url))));
    assert!(lines.is_over() && !reader.lines().is_over());
}

#[tokio::test]
async fn a_job_can_be_begun_anew_whatever_its_journal_says() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list = urls(&origin, &["/a?size=1", "/b?size=1", "/c?size=1"]);
    run_with(&folder.open(), &folder, &origin, &list, 1).await;
    let journal = folder.open();
    journal.begin_anew().expect("nobody uses it");
    let other = urls(&origin, &["/x?size=1"]);
    let ran = run_with(&journal, &folder, &origin, &other, u64::MAX).await;
    assert_eq!((&*ran.endings(), ran.error.is_none()), ("ok", true));
    // Once more, with what this very journal has written since it was opened.
    journal.begin_anew().expect("nobody uses it");
    let ran = run_with(&journal, &folder, &origin, &other, u64::MAX).await;
    assert_eq!((&*ran.endings(), ran.error.is_none(), ran.sent), ("ok", true, 1));
    drop(journal);
    assert_eq!(Journal::history(folder.journal()).len(), 2);
    assert_eq!(run(&folder, &origin, &other).await.endings(), "ok+");
}

#[tokio::test]
async fn a_new_journal_that_is_begun_anew_after_its_first_job_takes_nothing_over() {
    let (folder, origin) = (Folder::new(), origin().await);
    let journal = folder.open();
    let list = urls(&origin, &["/a?size=1", "/b?size=1", "/c?size=1"]);
    for _ in 0..2 {
        journal.begin_anew().expect("nobody uses it");
        let ran = run_with(&journal, &folder, &origin, &list, u64::MAX).await;
        assert_eq!((&*ran.endings(), ran.sent), ("ok ok ok", 3));
    }
    drop(journal);
    assert_eq!(Journal::history(folder.journal()).len(), 1, "of nothing there is no history");
}

#[tokio::test]
async fn a_process_that_dies_while_it_puts_a_journal_aside_loses_nothing() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list = urls(&origin, &["/a?size=1", "/b?size=1", "/c?status=404"]);
    run(&folder, &origin, &list).await;
    let inside = folder.path().join(".gannet");
    // It has its second name, and a draft of the new one lies there, with its log.
    std::fs::hard_link(folder.journal(), inside.join("journal.1.sqlite")).expect("it can have two names");
    std::fs::copy(folder.journal(), inside.join("journal.sqlite.new")).expect("it can be copied");
    std::fs::write(inside.join("journal.sqlite.new-wal"), b"half a log").expect("it can be written");
    let ran = run(&folder, &origin, &list).await;
    assert_eq!((&*ran.endings(), ran.sent), ("ok+ ok+ failed+", 0));
    assert!(Journal::history(folder.journal()).is_empty());
    let mut names: Vec<_> =
        std::fs::read_dir(&inside).expect("it is there").flatten().map(|met| met.file_name()).collect();
    names.sort();
    assert_eq!(names, ["journal.sqlite", "journal.sqlite.lock"]);
    // And then it is put aside.
    let other = urls(&origin, &["/a?size=1", "/x?size=1"]);
    assert_eq!(run(&folder, &origin, &other).await.endings(), "ok+ ok");
    assert_eq!(Journal::history(folder.journal()).len(), 1);
}

#[tokio::test]
async fn a_line_that_was_refused_is_known_again_when_it_is_mended() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list = urls(&origin, &["/a?size=1", "/b?size=1", "/c?size=1"]);
    let requests = || list.iter().map(|url| Request::new(url).expect("a URL")).collect::<Vec<_>>();
    let mut refused = requests();
    let why = || Error::input("x", "no sum");
    refused[1] = refused[1].clone().identified("b").refused(why()).refused(Error::input("x", "another"));
    let ran = run_requests(&folder.open(), &folder, &origin, refused, u64::MAX).await;
    assert_eq!((&*ran.endings(), ran.sent), ("ok failed ok", 2));
    let outcome = &ran.outcomes[1];
    assert_eq!((outcome.url(), outcome.error().map(Error::message)), (&*list[1], Some("no sum")));
    assert_eq!(outcome.error().and_then(Error::url), Some(&*list[1]));
    let mut mended = requests();
    mended[1] = mended[1].clone().identified("b").mirror(&list[0]).expect("a URL");
    let again = run_requests(&folder.open(), &folder, &origin, mended.clone(), u64::MAX).await;
    assert_eq!((&*again.endings(), again.sent), ("ok+ failed+ ok+", 0));
    let journal = folder.open();
    journal.reopen_failed();
    let again = run_requests(&journal, &folder, &origin, mended, u64::MAX).await;
    assert_eq!((&*again.endings(), again.sent), ("ok+ ok ok+", 1));
    assert!(Journal::history(folder.journal()).is_empty());
}

#[tokio::test]
async fn a_job_that_holds_to_its_list_is_not_put_aside() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list = urls(&origin, &["/a?size=1", "/b?size=1"]);
    run(&folder, &origin, &list).await;
    for other in [urls(&origin, &["/a?size=1", "/x?size=1"]), list[..1].to_vec()] {
        let journal = folder.open();
        journal.hold_to_its_list();
        let ran = run_with(&journal, &folder, &origin, &other, u64::MAX).await;
        drop(journal);
        assert_eq!(ran.error.map(|error| error.kind()), Some(ErrorKind::JournalOtherList));
        assert!(ran.sent == 0 && Journal::history(folder.journal()).is_empty());
    }
    assert_eq!(run(&folder, &origin, &list).await.endings(), "ok+ ok+");
}

#[tokio::test]
async fn earlier_jobs_are_found_though_somebody_has_removed_one() {
    let (folder, origin) = (Folder::new(), origin().await);
    for path in ["/a?size=1", "/b?size=1", "/c?size=1"] {
        run(&folder, &origin, &urls(&origin, &[path])).await;
    }
    let name = |number: u32| folder.path().join(format!(".gannet/journal.{number}.sqlite"));
    assert_eq!(Journal::history(folder.journal()), [name(1), name(2)]);
    std::fs::remove_file(name(1)).expect("it is there");
    std::fs::write(folder.path().join(".gannet/journal.x.sqlite"), b"a stranger").expect("it can be written");
    run(&folder, &origin, &urls(&origin, &["/d?size=1"])).await;
    assert_eq!(Journal::history(folder.journal()), [name(2), name(3)], "the latest is the last");
}

/// A list that breaks off behind this text.
struct Torn(std::io::Cursor<String>);

impl std::io::Read for Torn {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match std::io::Read::read(&mut self.0, into)? {
            0 => Err(std::io::Error::other("it is torn")),
            read => Ok(read),
        }
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_read_to_its_end_leaves_its_job_open() {
    let (folder, origin) = (Folder::new(), origin().await);
    let list = urls(&origin, &["/a?size=1", "/b?size=1", "/c?size=1"]);
    // Torn behind two lines, one line, and two of a job that is finished.
    for (whole, torn, sent, endings) in [
        (0, 2, 2, "ok ok failed"),
        (0, 1, 0, "ok+ failed"),
        (3, 0, 1, "ok+ ok+ ok"),
        (0, 2, 0, "ok+ ok+ failed"),
    ] {
        let before = origin.counts().requests;
        let client = gannet::Client::builder().retries(0).build().expect("it fits together");
        let sink = std::sync::Arc::new(gannet::sink::Files::in_directory(folder.path().join("out")));
        let text = list[..torn].join("\n") + "\n";
        let mut outcomes = Vec::new();
        if whole == 0 {
            let source = gannet::source::Lines::from_reader(Torn(std::io::Cursor::new(text)));
            let mut job = client.fetch_each(source).save_with(sink).journal(folder.open());
            while let Some(outcome) = job.next().await {
                outcomes.push(outcome);
            }
            assert!(job.error().is_none(), "{:?}", job.error());
            let error = outcomes.iter().find_map(gannet::Outcome::error).expect("it could not be read");
            assert_eq!(error.kind(), ErrorKind::InputUnreadable);
        } else {
            outcomes = run(&folder, &origin, &list[..whole]).await.outcomes;
        }
        outcomes.sort_by_key(gannet::Outcome::seq);
        let ran = crate::fixture::Ran { outcomes, error: None, sent: origin.counts().requests - before };
        assert_eq!((&*ran.endings(), ran.sent), (endings, sent));
        let known = folder.open().resumed();
        let is_finished = whole > 0 || torn == 2 && sent == 0;
        assert_eq!((known.failed, known.is_finished), (0, is_finished), "{known:?}");
    }
    assert!(Journal::history(folder.journal()).is_empty(), "it was one job all the time");
}
