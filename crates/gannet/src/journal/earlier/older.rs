//! Whose file something is, by the journals behind those that are asked one by one: all of them, by one index in a
//! temporary file. It is made once, when the latest ones knew nothing, and holds hashes alone: what it finds is read in
//! its journal. Nothing here writes to a journal.

use std::hash::{DefaultHasher, Hasher as _};
use std::path::PathBuf;

use rusqlite::{Connection, params};

use super::{Wanted, file_beside, has_file};
use crate::error::{Error, ErrorKind};
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
    index: Option<Connection>,
    /// The one that was read last.
    reader: Option<(u32, JournalReader)>,
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
        let name = wanted.file.file_name().unwrap_or_default();
        for (by, what) in [(By::Path, wanted.file.as_os_str()), (By::Name, name)] {
            let mut owner = None;
            for (job, seq) in self.found(by, what.as_encoded_bytes())? {
                if owner.as_ref().is_some_and(|(known, _)| *known != job) {
                    break;
                }
                match self.row(job, seq)?.filter(|row| has_file(row, wanted)) {
                    Some(row) if *row.url == *wanted.url => return Ok(Some(row.url)),
                    Some(row) => owner = Some((job, row.url)),
                    None => {}
                }
            }
            if let Some((_, url)) = owner {
                return Ok(Some(url));
            }
        }
        Ok(None)
    }

    /// The file that this URL has in the folder of the other one.
    pub(super) fn beside(&mut self, wanted: &Wanted) -> Result<Option<PathBuf>, Error> {
        for (job, seq) in self.found(By::Url, wanted.url.as_bytes())? {
            let row = self.row(job, seq)?.filter(|row| *row.url == *wanted.url);
            if let Some(file) = row.and_then(|row| file_beside(row, wanted)) {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// Jobs and numbers of rows, the latest job first.
    fn found(&mut self, by: By, what: &[u8]) -> Result<Vec<(u32, u64)>, Error> {
        if self.journals.is_empty() {
            return Ok(Vec::new());
        }
        let index = match self.index.take().map_or_else(|| make(&self.journals), Ok) {
            Ok(index) => index,
            Err(error) => {
                // It is not tried for each question.
                self.journals.clear();
                return Err(error);
            }
        };
        let column = match by {
            By::Path => "path",
            By::Name => "name",
            By::Url => "url",
        };
        let query = format!(
            "SELECT job, seq FROM files WHERE {column} = ? ORDER BY job DESC, seq DESC LIMIT {LOOKED_AT}"
        );
        let found = index.prepare_cached(&query).and_then(|mut query| {
            query.query_map([hash(what)], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        });
        self.index = Some(index);
        let found: Vec<(u32, i64)> = found.map_err(|cause| trouble::of_sqlite(&self.journals[0], cause))?;
        Ok(found.into_iter().map(|(job, seq)| (job, seq.cast_unsigned())).collect())
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

/// Looks at each row of these journals once; one that cannot be read is passed over.
fn make(journals: &[PathBuf]) -> Result<Connection, Error> {
    let own = |cause| trouble::of_sqlite(&journals[0], cause);
    // Without a name it is a temporary file.
    let index = Connection::open("").map_err(own)?;
    index.execute_batch(TABLE).map_err(own)?;
    {
        let mut insert = index.prepare("INSERT INTO files VALUES (?, ?, ?, ?, ?)").map_err(own)?;
        for (job, journal) in (0u32..).zip(journals) {
            let Ok(reader) = JournalReader::open_past(journal) else { continue };
            let all = reader.each_file(|seq, url, path| {
                let name = path.rsplit(|byte| std::path::is_separator(char::from(*byte))).next();
                let (path, name, url) = (hash(path), hash(name.unwrap_or_default()), hash(url));
                insert.execute(params![job, seq, path, name, url]).map(drop)
            });
            match all {
                // What is damaged says nothing more; what it said until then is proved when it is read.
                Err(error) if error.kind() != ErrorKind::JournalDamaged => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }
    index.execute_batch(INDEXES).map_err(own)?;
    Ok(index)
}

fn hash(bytes: &[u8]) -> i64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish().cast_signed()
}
