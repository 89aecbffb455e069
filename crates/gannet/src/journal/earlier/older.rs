//! Whose file something is, by the journals behind those that are asked one by one: all of them, by one index in a
//! temporary file. It is made once, when the latest ones knew nothing, and holds hashes alone: what it finds is read in
//! its journal. Nothing here writes to a journal.

use std::hash::{DefaultHasher, Hasher as _};
use std::path::PathBuf;

use rusqlite::{Connection, params};

use super::{Lost, Wanted, file_beside, has_file};
use crate::error::Error;
use crate::journal::reading::JournalReader;
use crate::journal::trouble;
use crate::outcome::Recorded;

/// Rows that are looked at for one question. Hashes seldom deceive, but many files may have one name.
const LOOKED_AT: usize = 64;

/// Sorted in a file: of millions of rows nothing is held.
const TABLE: &str = "PRAGMA temp_store = FILE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; \
    CREATE TABLE files(job INTEGER, seq INTEGER, path INTEGER, name INTEGER, url INTEGER); BEGIN";
const INDEXES: &str = "COMMIT; CREATE INDEX by_path ON files(path, job, seq); \
    CREATE INDEX by_name ON files(name, job, seq); CREATE INDEX by_url ON files(url, job, seq)";

/// The journals of earlier jobs that nobody asks one by one.
#[derive(Debug)]
pub(super) struct Older {
    /// The oldest first.
    journals: Vec<PathBuf>,
    /// Made when something is asked for the first time.
    index: Option<Result<Index, Error>>,
    /// The one that was read last.
    reader: Option<(u32, JournalReader)>,
}

/// Where each file and each URL is to be found.
#[derive(Debug)]
struct Index {
    connection: Connection,
    /// The latest job that could not be read, and why: of what is older nothing is known for sure.
    unread: Option<(u32, Error)>,
}

/// By what rows are found.
#[derive(Debug, Clone, Copy)]
enum By {
    Path,
    Name,
    Url,
}

impl Older {
    pub(super) fn new(journals: Vec<PathBuf>) -> Self {
        Self { journals, index: None, reader: None }
    }

    /// The URL whose file it is, by the latest job that knows it.
    pub(super) fn owner(&mut self, wanted: &Wanted) -> Result<Option<Box<str>>, Error> {
        let mut all = self.found(By::Path, wanted.file.as_os_str().as_encoded_bytes())?;
        all.extend(self.found(By::Name, wanted.file.file_name().unwrap_or_default().as_encoded_bytes())?);
        all.sort_by_key(|(job, _)| std::cmp::Reverse(*job));
        let mut owner = None;
        for (job, seq) in all {
            if owner.as_ref().is_some_and(|(known, _)| *known != job) {
                break;
            }
            if let Some(row) = self.row(job, seq)?.filter(|row| has_file(row, wanted)) {
                let is_own = *row.url == *wanted.url;
                owner = Some((job, row.url));
                if is_own {
                    break;
                }
            }
        }
        match (self.unread()?, owner) {
            (Some((unread, error)), owner) if owner.as_ref().is_none_or(|(job, _)| *job < unread) => {
                Err(error)
            }
            (_, owner) => Ok(owner.map(|(_, url)| url)),
        }
    }

    /// What it may have been before a folder was moved.
    pub(super) fn lost(&mut self, wanted: &Wanted) -> Result<Lost, Error> {
        let mut all = self.found(By::Name, wanted.file.file_name().unwrap_or_default().as_encoded_bytes())?;
        all.extend(self.found(By::Url, wanted.url.as_bytes())?);
        all.sort_by_key(|(job, _)| std::cmp::Reverse(*job));
        let mut best = Lost::default();
        for (job, seq) in all {
            if let Some(row) = self.row(job, seq)? {
                best.add(row, wanted);
            }
        }
        Ok(best)
    }

    /// The files that this URL has in the folder of the other one.
    pub(super) fn files_beside(&mut self, wanted: &Wanted) -> Result<Vec<PathBuf>, Error> {
        let mut files = Vec::new();
        for (job, seq) in self.found(By::Url, wanted.url.as_bytes())? {
            let row = self.row(job, seq)?.filter(|row| *row.url == *wanted.url);
            files.extend(row.and_then(|row| file_beside(row, wanted)));
        }
        Ok(files)
    }

    /// Jobs and numbers of rows, the latest job first.
    fn found(&mut self, by: By, what: &[u8]) -> Result<Vec<(u32, u64)>, Error> {
        let column = match by {
            By::Path => "path",
            By::Name => "name",
            By::Url => "url",
        };
        let query = format!(
            "SELECT job, seq FROM files WHERE {column} = ? ORDER BY job DESC, seq DESC LIMIT {LOOKED_AT}"
        );
        let Some(index) = self.index()? else { return Ok(Vec::new()) };
        let found = index.connection.prepare_cached(&query).and_then(|mut query| {
            query
                .query_map([hash(what)], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())))?
                .collect()
        });
        found.map_err(|cause| trouble::of_sqlite(&self.journals[0], cause))
    }

    fn unread(&mut self) -> Result<Option<(u32, Error)>, Error> {
        Ok(self.index()?.and_then(|index| index.unread.clone()))
    }

    /// `None` if there are no such journals.
    fn index(&mut self) -> Result<Option<&Index>, Error> {
        if self.journals.is_empty() {
            return Ok(None);
        }
        // What cannot be made is not tried for each question.
        let index = self.index.get_or_insert_with(|| make(&self.journals));
        index.as_ref().map(Some).map_err(|error| error.clone())
    }

    fn row(&mut self, job: u32, seq: u64) -> Result<Option<Recorded>, Error> {
        let reader = match self.reader.take() {
            Some((known, reader)) if known == job => reader,
            _ => JournalReader::open_past(&self.journals[job as usize])?,
        };
        let row = reader.row(seq);
        self.reader = Some((job, reader));
        row
    }
}

/// Looks at each row of these journals once.
fn make(journals: &[PathBuf]) -> Result<Index, Error> {
    let own = |cause| trouble::of_sqlite(&journals[0], cause);
    // Without a name it is a temporary file.
    let connection = Connection::open("").map_err(own)?;
    connection.execute_batch(TABLE).map_err(own)?;
    let mut unread = None;
    {
        let mut insert = connection.prepare("INSERT INTO files VALUES (?, ?, ?, ?, ?)").map_err(own)?;
        for (job, journal) in (0u32..).zip(journals) {
            let mut failed = None;
            let all = JournalReader::open_past(journal).and_then(|reader| {
                reader.each_file(|seq, url, path| {
                    let name = path.rsplit(|byte| std::path::is_separator(char::from(*byte))).next();
                    let (path, name, url) = (hash(path), hash(name.unwrap_or_default()), hash(url));
                    let added = insert.execute(params![job, seq, path, name, url]).map(drop);
                    added.inspect_err(|cause| failed = cause.sqlite_error_code())
                })
            });
            match (all, failed) {
                (Ok(()), _) => {}
                // There is no room for the index.
                (Err(error), Some(_)) => return Err(error),
                (Err(error), None) => unread = Some((job, error)),
            }
        }
    }
    connection.execute_batch(INDEXES).map_err(own)?;
    Ok(Index { connection, unread })
}

fn hash(bytes: &[u8]) -> i64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish().cast_signed()
}
