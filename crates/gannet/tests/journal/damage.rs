//! Flipped bits and torn tails: what is left is what was written, or refused; never a wrong answer.
//!
//! A run takes a sample; `GANNET_TEST_JOURNAL_COUNT=all` takes every bit and every byte, and
//! `GANNET_TEST_JOURNAL_SEED` begins elsewhere.

use std::path::Path;
use std::sync::Arc;

use gannet::part::Part;
use gannet::sim::{Answer, Replies};
use gannet::sink::{Files, IfExists};
use gannet::{Client, Durability, Ending, ErrorKind, Journal, JournalReader, Outcome, Recorded};

use crate::fixture::Folder;

const LIST: [&str; 5] = ["http://h/a", "http://h/b", "http://h/c", "http://h/d", "http://h/e"];

/// The place of one that fails, and of one whose body breaks off and leaves a part.
const FAILED: usize = 1;
const BROKEN: usize = 4;

/// Which of `all` places are looked at.
fn sample(all: usize, by_default: usize) -> Vec<usize> {
    let count = std::env::var("GANNET_TEST_JOURNAL_COUNT").ok();
    let count = match count.as_deref() {
        Some("all") => all,
        Some(count) => count.parse().expect("a count or \"all\""),
        None => by_default,
    };
    if count >= all {
        return (0..all).collect();
    }
    let seed = std::env::var("GANNET_TEST_JOURNAL_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    eprintln!(
        "GANNET_TEST_JOURNAL_SEED={seed} GANNET_TEST_JOURNAL_COUNT={count} cargo test -p gannet --test journal"
    );
    let mut dice = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| dice.usize(..all)).take(count).collect()
}

async fn run(folder: &Folder, journal: Journal) -> (Vec<Outcome>, Option<gannet::Error>) {
    let replies = Replies::new()
        .on(LIST[0], Answer::ok("one").header("etag", "\"1\""))
        .on(LIST[1], Answer::status(404))
        .on(LIST[2], "three")
        .on(LIST[3], "four")
        .on(LIST[BROKEN], Answer::chunks(["a part"]).header("etag", "\"5\"").cut());
    let client = Client::builder().transport(replies).retries(0).build().expect("it fits together");
    let files = Files::in_directory(folder.path().join("out")).if_exists(IfExists::Overwrite);
    let job = client.fetch_each(LIST).save_with(Arc::new(files));
    let mut job = job.concurrency(1).journal(journal);
    let mut outcomes = Vec::new();
    while let Some(outcome) = job.next().await {
        outcomes.push(outcome);
    }
    outcomes.sort_by_key(Outcome::seq);
    (outcomes, job.error().cloned())
}

/// What a whole journal says, and its files.
struct Whole {
    rows: Vec<String>,
    main: Vec<u8>,
    /// The main file and the log before the log was emptied into it.
    begun: Vec<u8>,
    log: Vec<u8>,
}

/// A row without what differs from run to run.
fn shown(row: &Recorded) -> String {
    let error = row.error.as_ref().map(|error| (error.kind, error.message.clone()));
    let name = row.path.as_ref().and_then(|path| path.file_name());
    let reply = (row.status, row.bytes, &row.etag, &row.final_url, name, row.attempt_count(), row.winner);
    format!("{} {} {} {} {error:?} {reply:?}", row.seq, row.url, row.method, row.ending.as_str())
}

/// All rows, those of parts last.
fn rows(path: &Path) -> Result<Vec<String>, gannet::Error> {
    let reader = Journal::read(path)?;
    let rows: Result<Vec<String>, _> = reader.rows().map(|row| row.map(|row| shown(&row))).collect();
    Ok([rows?, parts(&reader)?].concat())
}

/// The parts, without what differs from run to run.
fn parts(reader: &JournalReader) -> Result<Vec<String>, gannet::Error> {
    let shown = |(seq, part): (u64, Part)| format!("{seq} {} {:?} {:?}", part.url, part.etag, part.total);
    Ok(reader.parts()?.into_iter().map(shown).collect())
}

async fn whole() -> Whole {
    let folder = Folder::new();
    let journal = folder.open();
    journal.note_settings("{\"settings\":true}");
    run(&folder, journal.clone()).await;
    let log = std::fs::read(folder.path().join(".gannet/journal.sqlite-wal")).expect("the log is there");
    let begun = std::fs::read(folder.journal()).expect("it is there");
    journal.close().expect("it is committed");
    let rows = rows(&folder.journal()).expect("it is whole");
    assert_eq!(rows.len(), LIST.len() + 1, "one of them has a part");
    assert!(rows[FAILED].contains("failed") && rows[5].starts_with("4 http://h/e"), "{rows:?}");
    drop(journal);
    let main = std::fs::read(folder.journal()).expect("it is there");
    assert!(begun != main && log.len() > 4096, "the log has something to say");
    Whole { rows, main, begun, log }
}

/// Whether something may be missing, as it had not been committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// What is not refused has all of them.
    All,
    Some,
}

/// Looks at a journal that something has happened to: what it answers, and what a run makes of it.
async fn judge(folder: &Folder, whole: &Whole, may_have: Rows, what: &str) {
    let path = folder.journal();
    let is_refusal = |kind| matches!(kind, ErrorKind::JournalDamaged | ErrorKind::JournalNewer);
    match Journal::read(&path) {
        Err(error) => assert!(is_refusal(error.kind()), "{what}: {error}"),
        Ok(reader) => {
            match parts(&reader) {
                Ok(found) => {
                    assert!(found.is_empty() || found == whole.rows[LIST.len()..], "{what}: {found:?}")
                }
                Err(error) => assert!(is_refusal(error.kind()), "{what}: {error}"),
            }
            for row in reader.rows() {
                match row {
                    Ok(row) => assert_eq!(
                        shown(&row),
                        whole.rows[usize::try_from(row.seq).expect("small")],
                        "{what}"
                    ),
                    Err(error) => assert!(is_refusal(error.kind()), "{what}: {error}"),
                }
            }
        }
    }
    let journal = match Journal::open(&path, Durability::Process) {
        Err(error) => return assert!(is_refusal(error.kind()), "{what}: {error}"),
        Ok(journal) => journal,
    };
    let (outcomes, error) = run(folder, journal).await;
    for outcome in &outcomes {
        let of = usize::try_from(outcome.seq()).expect("small");
        if let Some(row) = outcome.recorded() {
            assert_eq!(shown(row), whole.rows[of], "{what}");
        } else if error.is_none() {
            assert_eq!(may_have, Rows::Some, "{what}: a row was lost without a word: {outcome:?}");
            let wanted = if [FAILED, BROKEN].contains(&of) { Ending::Failed } else { Ending::Ok };
            assert_eq!(outcome.ending(), wanted, "{what}: {outcome:?}");
        }
    }
    assert_eq!(outcomes.len(), LIST.len(), "{what}");
    match error {
        Some(error) => assert!(is_refusal(error.kind()), "{what}: {error}"),
        None => match rows(&path) {
            // A row of a part that was lost is work that is repeated.
            Ok(rows) => assert!(rows == whole.rows || rows == whole.rows[..LIST.len()], "{what}: {rows:?}"),
            Err(error) => assert!(is_refusal(error.kind()), "{what}: {error}"),
        },
    }
}

fn lay_out(folder: &Folder, main: &[u8], log: &[u8]) {
    let inside = folder.path().join(".gannet");
    drop(std::fs::remove_dir_all(&inside));
    std::fs::create_dir(&inside).expect("a folder can be made");
    std::fs::write(folder.journal(), main).expect("it can be written");
    if !log.is_empty() {
        std::fs::write(inside.join("journal.sqlite-wal"), log).expect("it can be written");
    }
}

#[tokio::test]
async fn a_flipped_bit_is_found_or_changes_nothing() {
    let (whole, folder) = (whole().await, Folder::in_memory());
    for bit in sample(whole.main.len() * 8, 2_000) {
        let mut main = whole.main.clone();
        main[bit / 8] ^= 1 << (bit % 8);
        lay_out(&folder, &main, &[]);
        judge(&folder, &whole, Rows::All, &format!("bit {bit} of {}", main.len() * 8)).await;
    }
}

/// SQLite takes the number of cells from the page, and the cells from their offsets: a page that says it has fewer hands
/// out fewer rows, without an error.
#[tokio::test]
async fn a_page_that_has_lost_rows_is_found_before_anything_is_asked_for() {
    let (whole, folder) = (whole().await, Folder::in_memory());
    let is_leaf_of_rows = |page: &&usize| {
        let page = &whole.main[**page * 4096..][..4096];
        page[0] == 0x0d && page[3..5] == (LIST.len() as u16).to_be_bytes()
    };
    let pages: Vec<usize> = (1..whole.main.len() / 4096).collect();
    let leaf = *pages.iter().find(is_leaf_of_rows).expect("five rows are on one page");
    for fewer in 0..LIST.len() as u8 {
        let mut main = whole.main.clone();
        main[leaf * 4096 + 4] = fewer;
        lay_out(&folder, &main, &[]);
        let journal = Journal::open(folder.journal(), Durability::Process).expect("it can be opened");
        let (outcomes, error) = run(&folder, journal).await;
        let error = error.expect("rows are missing");
        assert_eq!(error.kind(), ErrorKind::JournalDamaged, "{error}");
        assert!(error.message().contains(&format!("lines 0 to 5 have {fewer} of their 5 rows")), "{error}");
        assert!(outcomes.iter().all(|outcome| outcome.attempts().is_empty()), "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_torn_journal_is_recovered_or_refused() {
    let (whole, folder) = (whole().await, Folder::in_memory());
    for length in sample(whole.main.len(), 300) {
        lay_out(&folder, &whole.main[..length], &[]);
        // Of an empty file SQLite makes a new one.
        let may_have = if length == 0 { Rows::Some } else { Rows::All };
        let what = format!("the first {length} bytes of {}", whole.main.len());
        judge(&folder, &whole, may_have, &what).await;
    }
}

#[tokio::test]
async fn a_torn_log_is_recovered_to_its_last_whole_group() {
    let (whole, folder) = (whole().await, Folder::in_memory());
    let (main, log) = (&whole.begun, &whole.log);
    for length in sample(log.len(), 500) {
        lay_out(&folder, main, &log[..length]);
        assert!(Journal::open(folder.journal(), Durability::Process).is_ok(), "{length} bytes");
        lay_out(&folder, main, &log[..length]);
        judge(&folder, &whole, Rows::Some, &format!("the first {length} bytes of the log")).await;
    }
    for bit in sample(log.len() * 8, 500) {
        let mut log = log.clone();
        log[bit / 8] ^= 1 << (bit % 8);
        lay_out(&folder, main, &log);
        judge(&folder, &whole, Rows::Some, &format!("bit {bit} of the log")).await;
    }
}
