//! A folder, an origin that counts, and jobs with a journal over both.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gannet::sink::{Files, IfExists};
use gannet::{Client, Durability, Error, Journal, Outcome, Request};
use gannet_origin::Origin;

/// A folder of the test's own, gone with it.
pub(crate) struct Folder(PathBuf);

static COUNT: AtomicU64 = AtomicU64::new(0);

impl Folder {
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// One that no disk is waited for, where there is such a place.
    pub(crate) fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::below(memory) } else { Self::new() }
    }

    fn below(parent: &Path) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("gannet-journal-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("the temporary folder takes another");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Where the journal lies.
    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join(".gannet/journal.sqlite")
    }

    pub(crate) fn open(&self) -> Journal {
        self.open_as(Durability::Process).expect("the journal opens")
    }

    pub(crate) fn open_as(&self, durability: Durability) -> Result<Journal, Error> {
        Journal::open(self.journal(), durability)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What came of a run.
pub(crate) struct Ran {
    /// In input order.
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) error: Option<Error>,
    /// Requests that the origin has seen.
    pub(crate) sent: u64,
}

impl Ran {
    /// Each outcome, `+` behind those from the journal.
    pub(crate) fn endings(&self) -> String {
        let each = self.outcomes.iter().map(|outcome| {
            let from = if outcome.is_from_journal() { "+" } else { "" };
            format!("{}{from}", outcome.ending().as_str())
        });
        each.collect::<Vec<_>>().join(" ")
    }
}

pub(crate) async fn origin() -> Origin {
    Origin::builder().start().await.expect("a port is free")
}

/// URLs of `paths` there.
pub(crate) fn urls(origin: &Origin, paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| origin.url(path)).collect()
}

/// Runs the list with the folder's journal; files of the same name are replaced, so that only the journal holds a
/// fetch back.
pub(crate) async fn run(folder: &Folder, origin: &Origin, list: &[String]) -> Ran {
    run_with(&folder.open(), folder, origin, list, u64::MAX).await
}

/// The same with a journal that is open, until so many outcomes have come.
pub(crate) async fn run_with(
    journal: &Journal,
    folder: &Folder,
    origin: &Origin,
    list: &[String],
    at_most: u64,
) -> Ran {
    let requests = list.iter().map(|url| Request::new(url).expect("a URL")).collect();
    run_requests(journal, folder, origin, requests, at_most).await
}

/// The same of requests.
pub(crate) async fn run_requests(
    journal: &Journal,
    folder: &Folder,
    origin: &Origin,
    requests: Vec<Request>,
    at_most: u64,
) -> Ran {
    let before = origin.counts().requests;
    let client = Client::builder().retries(0).build().expect("it fits together");
    let sink = Arc::new(Files::in_directory(folder.path().join("out")).if_exists(IfExists::Overwrite));
    let mut job = client.fetch_each(requests).save_with(sink).concurrency(1).journal(journal.clone());
    let mut outcomes = Vec::new();
    while let Some(outcome) = job.next().await {
        outcomes.push(outcome);
        if outcomes.len() as u64 == at_most {
            job.cancel();
        }
    }
    outcomes.sort_by_key(Outcome::seq);
    Ran { outcomes, error: job.error().cloned(), sent: origin.counts().requests - before }
}
