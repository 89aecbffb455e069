//! What the journals of earlier jobs say of a URL and its file. Rows are read in the order in which they are asked for,
//! some ahead; those of other lists are found by an index of the URLs in a temporary file. Nothing here writes to a
//! journal, and what cannot be read is passed over: then the body is fetched.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::place;
use super::reading::JournalReader;
use super::rows::BLOCK;
use crate::error::Error;
use crate::outcome::{Ending, Recorded};
use crate::version::{Version, Written};

/// The earlier jobs that are looked into, the latest first.
const LOOKED_INTO: usize = 8;

/// What is looked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Where a job of the same list has it.
    pub(super) seq: u64,
    pub(super) url: Box<str>,
    /// The file that stands there.
    pub(super) file: PathBuf,
    /// The folder that the names in earlier journals are relative to.
    pub(super) names_in: Option<Arc<Path>>,
}

/// The journals of earlier jobs.
#[derive(Debug)]
pub(super) struct Earlier {
    jobs: Vec<Past>,
}

/// One of them.
#[derive(Debug)]
struct Past {
    reader: JournalReader,
    /// Rows in order: all that there are from the first number to the second, which is not among them.
    rows: Vec<Recorded>,
    span: std::ops::Range<u64>,
    index: Index,
}

/// Whether the rows of a URL can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Index {
    None,
    Made,
}

impl Earlier {
    /// Those beside the journal in the file `path`.
    pub(super) fn beside(path: &Path) -> Self {
        let latest = place::history(path).into_iter().rev().take(LOOKED_INTO);
        let open = |path: PathBuf| JournalReader::open_past(&path).ok();
        let past = |reader| Past { reader, rows: Vec::new(), span: 0..0, index: Index::None };
        Self { jobs: latest.filter_map(open).map(past).collect() }
    }

    /// The latest word on a URL and its file.
    pub(super) fn find(&mut self, wanted: &Wanted) -> Written {
        for job in &mut self.jobs {
            match job.find(wanted) {
                Ok(Some(written)) => return written,
                Ok(None) => {}
                // What is damaged may have been about this file.
                Err(_) => return Written::NoVersion,
            }
        }
        Written::NoRow
    }
}

impl Past {
    fn find(&mut self, wanted: &Wanted) -> Result<Option<Written>, Error> {
        if let Some(row) = self.row(wanted.seq)?
            && let Some(written) = word_of(row, wanted)
        {
            return Ok(Some(written));
        }
        if self.index == Index::None {
            self.reader.index_urls()?;
            self.index = Index::Made;
        }
        let mut latest = None;
        for seq in self.reader.found_by_url(&wanted.url)? {
            let row = self.reader.row(seq)?;
            match row.as_ref().and_then(|row| word_of(row, wanted)) {
                Some(version @ Written::Version(_)) => return Ok(Some(version)),
                other => latest = latest.or(other),
            }
        }
        Ok(latest)
    }

    /// The row of this number, with those behind it.
    fn row(&mut self, seq: u64) -> Result<Option<&Recorded>, Error> {
        if !self.span.contains(&seq) {
            self.rows = self.reader.rows_from(seq)?;
            let is_end = (self.rows.len() as u64) < BLOCK;
            let end = self.rows.last().filter(|_| !is_end).map_or(u64::MAX, |last| last.seq + 1);
            self.span = seq..end;
        }
        let place = self.rows.binary_search_by_key(&seq, |row| row.seq);
        Ok(place.ok().map(|place| &self.rows[place]))
    }
}

/// What a row says of a URL and its file; `None` if it is about another one, or about nothing.
pub(super) fn word_of(row: &Recorded, wanted: &Wanted) -> Option<Written> {
    // A file that was found unchanged by its time alone is of no known version still.
    let by_time = row.is_unchanged() && row.etag.is_none() && row.last_modified.is_none();
    if *row.url != *wanted.url || row.ending == Ending::Skipped || by_time {
        return None;
    }
    match &row.path {
        Some(path) if is_one_file(path, wanted) => Some(Written::Version(Box::new(Version {
            url: row.final_url.as_ref().unwrap_or(&row.url).clone(),
            etag: row.etag.clone(),
            last_modified: row.last_modified.clone(),
            length: row.bytes,
            by: row.ended,
        }))),
        None if row.ending != Ending::Ok => Some(Written::NoVersion),
        _ => None,
    }
}

/// Whether the name in a journal is that of the file.
fn is_one_file(path: &Path, wanted: &Wanted) -> bool {
    let full = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let named = match &wanted.names_in {
        Some(folder) => full(&folder.join(path)),
        None => full(path),
    };
    let file = full(&wanted.file);
    let real = |path: &Path| path.parent().and_then(|folder| folder.canonicalize().ok());
    named == file || (named.file_name() == file.file_name() && real(&named) == real(&file))
}
