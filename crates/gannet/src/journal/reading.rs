//! A journal as tools read it: its job, its rows. Nothing here writes or locks.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::fetches::{self, COLUMNS};
use super::rows::{self, BLOCK, Header};
use super::sum::Sum;
use super::{line, parts, place, schema, store, trouble};
use crate::error::{Error, ErrorKind};
use crate::outcome::{Ending, Recorded};
use crate::part::Part;
use crate::request::Request;

/// A journal that is read.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    connection: Connection,
    header: Header,
    /// Dropped when the connection is closed.
    _traces: Traces,
}

/// What SQLite makes beside a journal for one who reads it, and cannot remove for one who may not write.
#[derive(Debug)]
struct Traces {
    /// The journal that had none of it.
    of: Option<PathBuf>,
}

impl Traces {
    fn new(path: &Path) -> Self {
        Self { of: place::has_empty_log(path).then(|| path.to_owned()) }
    }

    const NONE: Self = Self { of: None };
}

impl Drop for Traces {
    fn drop(&mut self) {
        let Some(path) = self.of.as_deref().filter(|path| place::beside(path, "-shm").exists()) else {
            return;
        };
        // Who works with it removes them at the end, and nobody puts it aside meanwhile.
        let Some(_lock) = place::lock_at_once(path) else { return };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // The last one who closes it removes them, if it may write. They are in nobody's way if it may not.
        if let Ok(connection) = Connection::open_with_flags(path, flags) {
            drop(connection.query_row("SELECT id FROM header", (), |_| Ok(())));
        }
    }
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
        if place::beside(path, "-journal").exists() {
            // What SQLite writes beside a file while it is made, and never again.
            return Err(schema::not_made(path));
        }
        if !place::has_lock(path) && place::has_empty_log(path) {
            return Self::open_past(path);
        }
        Self::open_where_it_is(path)
    }

    fn open_where_it_is(path: &Path) -> Result<Self, Error> {
        schema::check_file(path)?;
        match Self::open_as(path, path) {
            // SQLite wants to make files beside it. Where it may not, and nothing is missing in the file, nobody writes it.
            Err(error) if is_refused(&error) && place::has_empty_log(path) => {
                Self::open_as(path, Path::new(&immutable(path))).map_err(|_| error)
            }
            opened => opened,
        }
    }

    /// Opens the journal `path` by a name that SQLite takes for it.
    fn open_as(path: &Path, name: &Path) -> Result<Self, Error> {
        let sqlite = |cause| trouble::of_sqlite(path, cause);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let flags = if name == path { flags } else { flags | OpenFlags::SQLITE_OPEN_URI };
        let traces = if name == path { Traces::new(path) } else { Traces::NONE };
        let connection = Connection::open_with_flags(name, flags).map_err(sqlite)?;
        connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(sqlite)?;
        schema::check(&connection, path)?;
        let header = Header::read(&connection, path)?;
        Ok(Self { path: path.to_owned(), connection, header, _traces: traces })
    }

    /// Opens the journal of an earlier job, which nobody writes to any more: then SQLite makes no files beside it, which
    /// nobody would remove.
    pub(super) fn open_past(path: &Path) -> Result<Self, Error> {
        let has_log = std::fs::metadata(place::beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
        let Some(uri) = uri_of(path).filter(|_| !has_log) else { return Self::open_where_it_is(path) };
        schema::check_file(path)?;
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(uri, flags);
        let connection = connection.map_err(|cause| trouble::of_sqlite(path, cause))?;
        schema::check(&connection, path)?;
        let header = Header::read(&connection, path)?;
        Ok(Self { path: path.to_owned(), connection, header, _traces: Traces::NONE })
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

    /// The lines of its list, to be compared with those of another one.
    pub fn lines(&self) -> JournalLines<'_> {
        JournalLines { reader: self, next: 0, hashes: Vec::new(), bytes: Vec::new() }
    }

    /// The rows of this URL, in the order of the list; every row is looked at.
    ///
    /// # Errors
    /// A row among them is damaged.
    pub fn rows_of(&self, url: &str) -> Result<Vec<Recorded>, Error> {
        self.select("url = ?", params![url], usize::MAX)
    }

    /// The row of the line of this number, if it has one.
    ///
    /// # Errors
    /// It is damaged.
    pub fn row(&self, seq: u64) -> Result<Option<Recorded>, Error> {
        self.select("seq = ?", params![seq.cast_signed()], 1).map(|rows| rows.into_iter().next())
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

    /// So many rows as there are in a block, or less at the end: those of this number and behind it.
    pub(super) fn rows_from(&self, seq: u64) -> Result<Vec<Recorded>, Error> {
        self.select("seq >= ?", params![seq.cast_signed()], usize::MAX)
    }

    /// Makes an index of the URLs, in a temporary file. Looks at each row once.
    pub(super) fn index_urls(&self) -> Result<(), Error> {
        let make = "PRAGMA temp_store = FILE; \
            CREATE TEMP TABLE by_url(url TEXT, seq INTEGER, PRIMARY KEY(url, seq)) WITHOUT ROWID; \
            INSERT INTO by_url SELECT url, seq FROM main.fetches ORDER BY url, seq;";
        self.connection.execute_batch(make).map_err(|cause| trouble::of_sqlite(&self.path, cause))
    }

    /// The numbers of this URL's rows, the latest first, by the index; of very many some.
    pub(super) fn found_by_url(&self, url: &str) -> Result<Vec<u64>, Error> {
        self.found("SELECT seq FROM by_url WHERE url = ? ORDER BY seq DESC LIMIT 64", &url)
    }

    /// Makes an index of the files, in a temporary file. Looks at each row once.
    pub(super) fn index_paths(&self) -> Result<(), Error> {
        let make = "PRAGMA temp_store = FILE; \
            CREATE TEMP TABLE by_path(path, seq INTEGER, PRIMARY KEY(path, seq)) WITHOUT ROWID; \
            INSERT INTO by_path SELECT path, seq FROM main.fetches WHERE path IS NOT NULL ORDER BY path, seq;";
        self.connection.execute_batch(make).map_err(|cause| trouble::of_sqlite(&self.path, cause))
    }

    /// The same of their names without their folders.
    pub(super) fn index_names(&self) -> Result<(), Error> {
        let make = "PRAGMA temp_store = FILE; \
            CREATE TEMP TABLE by_name(name, seq INTEGER, PRIMARY KEY(name, seq)) WITHOUT ROWID; \
            INSERT INTO by_name SELECT substr(path, 1 + length(rtrim(path, replace(path, '/', '')))) AS name, seq \
            FROM main.fetches WHERE path IS NOT NULL ORDER BY name, seq;";
        self.connection.execute_batch(make).map_err(|cause| trouble::of_sqlite(&self.path, cause))
    }

    /// Number, URL and file of each row that has a file, as they stand there, unproved.
    pub(super) fn each_file(
        &self,
        mut hear: impl FnMut(i64, &[u8], &[u8]) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        let query = "SELECT seq, url, path FROM fetches WHERE path IS NOT NULL";
        let mut all = || {
            let mut query = self.connection.prepare(query)?;
            let mut rows = query.query(())?;
            while let Some(row) = rows.next()? {
                hear(row.get(0)?, row.get_ref(1)?.as_bytes()?, row.get_ref(2)?.as_bytes()?)?;
            }
            Ok(())
        };
        all().map_err(|cause| trouble::of_sqlite(&self.path, cause))
    }

    /// The numbers of the rows that name this file so, by the index; of very many some.
    pub(super) fn found_by_path(&self, path: &Path) -> Result<Vec<u64>, Error> {
        self.found("SELECT seq FROM by_path WHERE path = ? LIMIT 64", &rows::path_field(Some(path)))
    }

    /// The same for those that give a file this name in any folder.
    pub(super) fn found_by_name(&self, name: &Path) -> Result<Vec<u64>, Error> {
        self.found("SELECT seq FROM by_name WHERE name = ? LIMIT 64", &rows::path_field(Some(name)))
    }

    fn found(&self, query: &str, wanted: &dyn rusqlite::ToSql) -> Result<Vec<u64>, Error> {
        let sqlite = |cause| trouble::of_sqlite(&self.path, cause);
        let mut query = self.connection.prepare_cached(query).map_err(sqlite)?;
        let found = query.query_map([wanted], |row| row.get::<_, i64>(0)).map_err(sqlite)?;
        found.map(|seq| seq.map(i64::cast_unsigned).map_err(sqlite)).collect()
    }

    /// The hashes of a block of its lines.
    pub(super) fn hashes(&self, block: u64) -> Result<Vec<u64>, Error> {
        rows::read_hashes(&self.connection, &self.path, block)
    }

    /// The first of some rows: as many as a block has, or those that have more bytes than `most` together.
    fn select(
        &self,
        which: &str,
        values: &[&dyn rusqlite::ToSql],
        most: usize,
    ) -> Result<Vec<Recorded>, Error> {
        let sqlite = |cause| trouble::of_sqlite(&self.path, cause);
        let query = format!("SELECT {COLUMNS} FROM fetches WHERE {which} ORDER BY seq LIMIT {BLOCK}");
        let mut query = self.connection.prepare_cached(&query).map_err(sqlite)?;
        let mut found = query.query(values).map_err(sqlite)?;
        let (mut all, mut sum, mut size) = (Vec::new(), Sum::default(), 0);
        while size < most
            && let Some(row) = found.next().map_err(sqlite)?
        {
            let seq: i64 = row.get(0).map_err(sqlite)?;
            let read = fetches::read(row, &mut sum).map_err(sqlite)?;
            size += sum.row().len();
            all.push(read.ok_or_else(|| store::wrong_row(&self.path, seq.cast_unsigned()))?);
        }
        Ok(all)
    }
}

/// A file that never changes, in SQLite's words; `None` for a name that is no text.
fn uri_of(path: &Path) -> Option<String> {
    let text = std::path::absolute(path).ok()?.to_str()?.to_owned();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    let each = text.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02x}"),
    });
    cfg!(unix).then(|| format!("file:{}?immutable=1", each.collect::<String>()))
}

/// The lines of a journal's list, from the first on. Of a line there is only a hash of what it is: method, URL, name
/// of its file, the caller's own id.
#[derive(Debug)]
pub struct JournalLines<'j> {
    reader: &'j JournalReader,
    next: u64,
    /// Of the block that the next line is in.
    hashes: Vec<u64>,
    /// Room to write a line in.
    bytes: Vec<u8>,
}

impl JournalLines<'_> {
    /// Whether all of them were compared: what a list has beyond them is what it has grown by.
    pub fn is_over(&self) -> bool {
        self.next >= self.reader.header.lines
    }

    /// Whether the next line is this one; `false` if there is none.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn is_next(&mut self, line: &Result<Request, Error>) -> Result<bool, Error> {
        if self.is_over() {
            return Ok(false);
        }
        let place = usize::try_from(self.next % BLOCK).expect("a block is short");
        if place == 0 {
            self.hashes = self.reader.hashes(self.next / BLOCK)?;
        }
        self.next += 1;
        Ok(self.hashes.get(place) == Some(&line::hash_of(line, &mut self.bytes)))
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
        let next = params![self.next.cast_signed()];
        let rows = match self.reader.select("seq >= ?", next, store::AT_ONCE) {
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

/// Whether it may be that only something beside the journal cannot be made.
fn is_refused(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::JournalFailed | ErrorKind::ReadOnly)
}

/// The name of a file that nobody writes, as SQLite's URI.
fn immutable(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut uri = String::from("file:");
    for byte in absolute.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte))
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri + "?immutable=1"
}
