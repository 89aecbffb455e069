//! Who may open a journal, what is refused, and which files are its own.

use gannet::{Durability, ErrorKind, Journal};

use crate::fixture::{Folder, origin, run, urls};

#[test]
fn a_second_one_is_refused_while_the_first_has_it() {
    let folder = Folder::new();
    let first = folder.open();
    let refused = folder.open_as(Durability::Process).expect_err("it is locked");
    assert_eq!(refused.kind(), ErrorKind::JournalLocked);
    assert!(refused.message().contains("journal.sqlite is in use by another process"), "{refused}");
    assert!(Journal::read(folder.journal()).is_ok(), "reading goes on");
    drop(first);
    assert!(folder.open_as(Durability::Process).is_ok());
}

#[cfg(unix)]
#[tokio::test]
async fn its_folder_and_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, origin) = (Folder::new(), origin().await);
    let journal = folder.open();
    crate::fixture::run_with(&journal, &folder, &origin, &urls(&origin, &["/a?size=1"]), u64::MAX).await;
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let inside = folder.path().join(".gannet");
    assert_eq!(mode(&inside), 0o700);
    let mut files = 0;
    for entry in std::fs::read_dir(inside).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert!(files >= 3, "the journal, its log and its lock");
}

#[cfg(unix)]
#[tokio::test]
async fn by_a_link_it_is_the_journal_that_the_link_leads_to_with_one_lock() {
    let (folder, origin) = (Folder::new(), origin().await);
    let place = |name: &str| folder.path().join(name);
    std::fs::create_dir(place("links")).expect("it can be made");
    // Relative, of the same name and of another one, and one link behind another.
    let links = [place("links/journal.sqlite"), place("links/kept"), place("again")];
    let leads_to = ["../.gannet/journal.sqlite", "journal.sqlite", "links/kept"];
    for (link, leads_to) in links.iter().zip(leads_to) {
        std::os::unix::fs::symlink(leads_to, link).expect("a link");
    }
    let open = |link| Journal::open(link, Durability::Process);
    // Also where nothing is yet.
    let first = open(&links[2]).expect("it opens");
    for link in &links {
        let refused = open(link).expect_err("it is in use");
        assert_eq!(refused.kind(), ErrorKind::JournalLocked, "{}", link.display());
    }
    crate::fixture::run_with(&first, &folder, &origin, &urls(&origin, &["/a?size=1"]), u64::MAX).await;
    first.begin_anew().expect("no job uses it");
    crate::fixture::run_with(&first, &folder, &origin, &urls(&origin, &["/b?size=1"]), u64::MAX).await;
    drop(first);
    for link in &links {
        assert_eq!(Journal::read(link).expect("it can be read").summary().lines, 1);
        assert_eq!(Journal::history(link).len(), 1, "{}", link.display());
        assert!(Journal::files(link).contains(place(".gannet/journal.1.sqlite")), "{}", link.display());
        assert!(std::fs::symlink_metadata(link).expect("it is there").is_symlink());
    }
    let inside = std::fs::read_dir(place("links")).expect("it can be listed").count();
    assert_eq!((inside, folder.open().resumed().ok), (2, 1), "nothing lies beside a link");
}

#[cfg(unix)]
#[test]
fn an_empty_file_that_was_there_is_closed_to_others_and_no_other_is_touched() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let path = folder.path().join("journal.sqlite");
    let mode = || std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
    let open_to_all = || {
        let all = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(&path, all).expect("it is ours");
    };
    std::fs::write(&path, "").expect("it can be written");
    open_to_all();
    drop(Journal::open(&path, Durability::Process).expect("it opens"));
    assert_eq!(mode(), 0o600);
    // Who has let others read a journal knows why.
    open_to_all();
    drop(Journal::open(&path, Durability::Process).expect("it opens"));
    assert_eq!(mode(), 0o644);
}

#[tokio::test]
async fn a_newer_version_and_a_strangers_file_are_refused_and_left_as_they_are() {
    let (folder, origin) = (Folder::new(), origin().await);
    run(&folder, &origin, &urls(&origin, &["/a?size=1"])).await;
    let whole = std::fs::read(folder.journal()).expect("it is there");
    let mut newer = whole.clone();
    // `user_version` lies at 60, `application_id` at 68 (SQLite's file format, section 1.3).
    newer[60..64].copy_from_slice(&2_u32.to_be_bytes());
    let mut foreign = whole.clone();
    foreign[68..72].copy_from_slice(b"PNG!");
    // As most programs have theirs.
    let mut plain = foreign.clone();
    plain[18..20].copy_from_slice(&[1, 1]);
    plain[68..72].fill(0);
    let mut own_without_log = whole.clone();
    own_without_log[18..20].copy_from_slice(&[1, 1]);
    for (bytes, kind, says) in [
        (newer, ErrorKind::JournalNewer, "has format 2, and this version knows formats up to 1"),
        (
            foreign,
            ErrorKind::JournalDamaged,
            "not marked as a journal of gannet: it is a database of another",
        ),
        (plain, ErrorKind::JournalDamaged, "not marked as a journal of gannet: it is a database of another"),
        (own_without_log, ErrorKind::JournalDamaged, "is damaged: it is not in SQLite's WAL mode"),
        (b"plain text, and a lot of it".repeat(300), ErrorKind::JournalDamaged, "not a database"),
    ] {
        std::fs::write(folder.journal(), &bytes).expect("it can be written");
        let error = folder.open_as(Durability::Process).expect_err("it is refused");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(says), "{error}");
        assert_eq!(Journal::read(folder.journal()).err().map(|error| error.kind()), Some(kind));
        assert!(std::fs::read(folder.journal()).expect("it is there") == bytes, "it was changed");
    }
    std::fs::write(folder.journal(), &whole).expect("it can be written");
    assert_eq!(folder.open().resumed().ok, 1);
}

#[tokio::test]
async fn what_cannot_be_made_is_an_error_that_names_it() {
    let folder = Folder::new();
    std::fs::write(folder.path().join(".gannet"), "in the way").expect("it can be written");
    let error = folder.open_as(Durability::Process).expect_err("its folder cannot be made");
    assert_eq!(error.kind(), ErrorKind::JournalFailed);
    assert!(error.message().contains(".gannet"), "{error}");
}

#[tokio::test]
async fn a_journal_that_is_not_wanted_any_more_leaves_nothing() {
    let (folder, origin) = (Folder::new(), origin().await);
    let journal = folder.open();
    crate::fixture::run_with(&journal, &folder, &origin, &urls(&origin, &["/a?size=1"]), u64::MAX).await;
    journal.remove().expect("it goes");
    let left = std::fs::read_dir(folder.path().join(".gannet")).expect("it can be listed").count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn credentials_are_never_kept() {
    let (folder, origin) = (Folder::new(), origin().await);
    let url = origin.url("/a?size=1").replace("http://", "http://me:sesame@");
    let request = gannet::Request::new(&url)
        .expect("a URL")
        .header(http::header::AUTHORIZATION, http::HeaderValue::from_static("Bearer sesame"))
        .header(http::header::COOKIE, http::HeaderValue::from_static("id=sesame"));
    let journal = folder.open();
    let mut job = gannet::Client::new().fetch_each([request]).journal(journal.clone());
    assert!(job.next().await.expect("one input").is_obtained());
    assert!(job.next().await.is_none());
    journal.close().expect("it is committed");
    let bytes = std::fs::read(folder.journal()).expect("it is there");
    assert!(bytes.windows(4).any(|window| window == b"/a?s"), "the URL is there");
    assert!(!bytes.windows(6).any(|window| window == b"sesame"));
}

#[tokio::test]
async fn each_file_that_a_journal_makes_is_known_as_its_own() {
    use gannet::sink::{Files, IfExists};
    let (folder, origin) = (Folder::new(), origin().await);
    let inside = folder.path().join(".gannet");
    let made = || -> Vec<String> {
        let entries = std::fs::read_dir(&inside).expect("it can be listed");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
        entries.map(|entry| name(entry).into_string().expect("text")).collect()
    };
    let own = Journal::files(folder.journal());
    let journal = folder.open();
    crate::fixture::run_with(&journal, &folder, &origin, &urls(&origin, &["/a?size=1"]), u64::MAX).await;
    journal.begin_anew().expect("no job uses it");
    crate::fixture::run_with(&journal, &folder, &origin, &urls(&origin, &["/b?size=1"]), u64::MAX).await;
    let names = made();
    assert!(names.len() >= 5 && names.contains(&"journal.1.sqlite".to_owned()), "{names:?}");
    assert!(names.iter().all(|name| own.contains(inside.join(name))), "{names:?}");
    // By whatever way it is named; of a link both what is named and what is meant.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&inside, folder.path().join("link")).expect("a link");
        std::os::unix::fs::symlink(folder.journal(), folder.path().join("kept")).expect("a link");
        let by_link = Journal::files(folder.path().join("link/../link/journal.sqlite"));
        assert!(names.iter().all(|name| by_link.contains(inside.join(name))));
        let by_name = Journal::files(folder.path().join("kept"));
        assert!(
            by_name.contains(folder.path().join("kept.lock"))
                && by_name.contains(inside.join("journal.sqlite-wal"))
        );
    }
    let sink = Files::in_directory(&inside).if_exists(IfExists::Overwrite);
    let sink = std::sync::Arc::new(sink.taken_where(move |path| own.contains(path)));
    let names = names.iter().map(|name| origin.url(&format!("/{name}"))).chain([origin.url("/fine")]);
    let mut job = gannet::Client::new().fetch_each(names).save_with(sink);
    while let Some(outcome) = job.next().await {
        let refused = outcome.error().map(gannet::Error::kind);
        assert_eq!(refused, (!outcome.url().ends_with("/fine")).then_some(ErrorKind::Exists), "{outcome:?}");
    }
    journal.close().expect("nobody has written into it");
}
