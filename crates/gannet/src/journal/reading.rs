//! A journal as tools read it: its job, its rows. Nothing here writes or locks.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::rows::{self, BLOCK, COLUMNS, Header};
use super::{parts, place, schema, store, trouble};
use crate::error::Error;
use crate::outcome::{Ending, Recorded};
use crate::part::Part;

/// A journal that is read.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    connection: Connection,
    header: Header,
}

/// What a journal says of its job as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobSummary {
    /// The job's own name: 16 letters and digits.
    pub job: String,
    /// When it began, by the wall clock.
    pub created: SystemTime,
    /// The program that wrote to it last, such as `gannet 0.1.0`.
    pub writer: String,
    /// What [`Journal::note_settings`](super::Journal::note_settings) was given.
    pub settings: String,
    /// Whether all of its list has settled.
    pub is_finished: bool,
    /// Lines of its list that were read.
    pub lines: u64,
    /// Bytes of the bodies obtained.
    pub bytes: u64,
    endings: [u64; 5],
}

impl JobSummary {
    /// Rows that ended in this way.
    pub fn count(&self, ending: Ending) -> u64 {
        self.endings[ending as usize]
    }

    /// Rows of any kind. Lines without a row were read, and not begun or not finished.
    pub fn rows(&self) -> u64 {
        self.endings.iter().sum()
    }
}

impl JournalReader {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let sqlite = |cause| trouble::of_sqlite(path, cause);
        if place::beside(path, "-journal").exists() {
            // What SQLite writes beside a file while it is made, and never again.
            return Err(schema::not_made(path));
        }
        schema::check_file(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
        connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(sqlite)?;
        schema::check(&connection, path)?;
        let header = Header::read(&connection, path)?;
        Ok(Self { path: path.to_owned(), connection, header })
    }

    /// The file that it lies in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says of its job, as of its opening.
    pub fn summary(&self) -> JobSummary {
        let Header { writer, job, created, finished, settings, lines, endings, bytes } = self.header.clone();
        JobSummary {
            job,
            created: rows::at_millis(created.cast_unsigned()),
            writer,
            settings,
            is_finished: finished == 1,
            lines,
            bytes,
            endings,
        }
    }

    /// Its rows in the order of the list, read as they are asked for. After an error there are no more.
    pub fn rows(&self) -> JournalRows<'_> {
        JournalRows { reader: self, next: 0, ready: Vec::new().into_iter(), counted: 0, state: State::On }
    }

    /// The rows of this URL, in the order of the list; every row is looked at.
    ///
    /// # Errors
    /// A row among them is damaged.
    pub fn rows_of(&self, url: &str) -> Result<Vec<Recorded>, Error> {
        self.select("url = ?", params![url])
    }

    /// The row of the line of this number, if it has one.
    ///
    /// # Errors
    /// It is damaged.
    pub fn row(&self, seq: u64) -> Result<Option<Recorded>, Error> {
        self.select("seq = ?", params![seq.cast_signed()]).map(|rows| rows.into_iter().next())
    }

    /// Whether the line of this number was read, with a row or without; what its line was is not kept without one.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn has_line(&self, seq: u64) -> Result<bool, Error> {
        let query = "SELECT 1 FROM lines WHERE block = ?";
        let block = params![(seq / BLOCK).cast_signed()];
        let found = self.connection.query_row(query, block, |_| Ok(())).optional();
        let found = found.map_err(|cause| trouble::of_sqlite(&self.path, cause))?;
        Ok(found.is_some() && seq < self.header.lines)
    }

    /// The bodies of which the first bytes lie on the disk, by the number of their line.
    ///
    /// # Errors
    /// A row among them is damaged.
    pub fn parts(&self) -> Result<Vec<(u64, Part)>, Error> {
        parts::read(&self.connection, &self.path, 0..u64::MAX)
    }

    fn select(&self, which: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<Recorded>, Error> {
        let sqlite = |cause| trouble::of_sqlite(&self.path, cause);
        let query = format!("SELECT {COLUMNS} FROM fetches WHERE {which} ORDER BY seq LIMIT {BLOCK}");
        let mut query = self.connection.prepare_cached(&query).map_err(sqlite)?;
        let mut found = query.query(values).map_err(sqlite)?;
        let mut all = Vec::new();
        while let Some(row) = found.next().map_err(sqlite)? {
            let seq: i64 = row.get(0).map_err(sqlite)?;
            let read = rows::read_fetch(row).map_err(sqlite)?;
            all.push(read.ok_or_else(|| store::wrong_row(&self.path, seq.cast_unsigned()))?);
        }
        Ok(all)
    }
}

/// The rows of a journal, in the order of the list.
#[derive(Debug)]
pub struct JournalRows<'j> {
    reader: &'j JournalReader,
    next: u64,
    ready: std::vec::IntoIter<Recorded>,
    counted: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    On,
    Over,
}

impl Iterator for JournalRows<'_> {
    type Item = Result<Recorded, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(row) = self.ready.next() {
            return Some(Ok(row));
        }
        if self.state == State::Over {
            return None;
        }
        let result = self.read_on();
        if result.as_ref().is_none_or(Result::is_err) {
            self.state = State::Over;
        }
        result
    }
}

impl JournalRows<'_> {
    fn read_on(&mut self) -> Option<Result<Recorded, Error>> {
        let rows = match self.reader.select("seq >= ?", params![self.next.cast_signed()]) {
            Ok(rows) => rows,
            Err(error) => return Some(Err(error)),
        };
        self.counted += rows.len() as u64;
        let Some(last) = rows.last().map(|row| row.seq) else {
            let known: u64 = self.reader.header.endings.iter().sum();
            // Another process may have added some since.
            let missing = || format!("{} of its {known} rows are missing", known - self.counted);
            return (self.counted < known).then(|| Err(trouble::damaged(&self.reader.path, missing())));
        };
        let rise = rows.is_sorted_by(|one, other| one.seq < other.seq);
        if !rise || rows[0].seq < self.next {
            return Some(Err(trouble::damaged(&self.reader.path, "its rows are out of order")));
        }
        self.next = last + 1;
        self.ready = rows.into_iter();
        self.ready.next().map(Ok)
    }
}
