//! The rows of a journal's tables as values, with their checksums. A row that does not match its own is never handed
//! out. Nothing here opens or locks anything.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, params};

use super::group::Settled;
use super::sum::Sum;
use super::trouble;
use crate::error::Error;
use crate::outcome::Ending;

/// The hashes of lines are kept in blocks of so many lines, one row each.
pub(super) const BLOCK: u64 = 1024;

/// The one row of `header`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) writer: String,
    pub(super) job: String,
    pub(super) created: i64,
    /// Whether all of its list has settled.
    pub(super) finished: i64,
    pub(super) settings: String,
    /// Lines that were read, counted from the first.
    pub(super) lines: u64,
    /// Rows of `fetches` by their outcome, as `Ending` numbers them.
    pub(super) endings: [u64; 5],
    pub(super) bytes: u64,
}

/// Fields of one row, in their order, and what is wrong if they are not what was written.
pub(super) struct Fields<'r, 's> {
    row: &'r Row<'s>,
    next: usize,
}

pub(super) type Read<T> = rusqlite::Result<T>;

impl<'r, 's> Fields<'r, 's> {
    pub(super) fn of(row: &'r Row<'s>) -> Self {
        Self { row, next: 0 }
    }

    pub(super) fn value(&mut self) -> Read<ValueRef<'r>> {
        self.next += 1;
        self.row.get_ref(self.next - 1)
    }

    pub(super) fn integer(&mut self) -> Read<Option<i64>> {
        Ok(self.value()?.as_i64_or_null()?)
    }

    pub(super) fn text(&mut self) -> Read<Option<&'r str>> {
        Ok(self.value()?.as_str_or_null()?)
    }

    pub(super) fn number(&mut self) -> Read<Option<u64>> {
        Ok(self.integer()?.map(i64::cast_unsigned))
    }

    pub(super) fn boxed(&mut self) -> Read<Option<Box<str>>> {
        Ok(self.text()?.map(Box::from))
    }
}

pub(super) const READ_HEADER: &str = "SELECT format, writer, job, created, finished, settings, \
settings_digest, lines, ok, failed, unfinished, cancelled, skipped, bytes, sum FROM header";

impl Header {
    /// What a job that goes on finds.
    pub(super) fn resumed(&self) -> super::Resumed {
        let count = |ending: Ending| self.endings[ending as usize];
        super::Resumed {
            lines: self.lines,
            ok: count(Ending::Ok),
            skipped: count(Ending::Skipped),
            failed: count(Ending::Failed),
            bytes: self.bytes,
            is_finished: self.finished == 1,
        }
    }

    pub(super) fn read(connection: &Connection, path: &Path) -> Result<Self, Error> {
        let sqlite = |cause| trouble::of_sqlite(path, cause);
        let mut query = connection.prepare(READ_HEADER).map_err(sqlite)?;
        let mut rows = query.query(()).map_err(sqlite)?;
        let row = rows.next().map_err(sqlite)?;
        let row = row.ok_or_else(|| trouble::damaged(path, "its header is missing"))?;
        let (header, sum) = Self::of(row).map_err(sqlite)?;
        if sum != Some(header.sum()) || rows.next().map_err(sqlite)?.is_some() {
            return Err(trouble::damaged(path, "its header does not match its checksum"));
        }
        Ok(header)
    }

    fn of(row: &Row<'_>) -> Read<(Self, Option<i64>)> {
        let mut fields = Fields::of(row);
        let format = fields.integer()?;
        let mut header = Self {
            writer: fields.text()?.unwrap_or_default().to_owned(),
            job: fields.text()?.unwrap_or_default().to_owned(),
            created: fields.integer()?.unwrap_or_default(),
            finished: fields.integer()?.unwrap_or_default(),
            settings: fields.text()?.unwrap_or_default().to_owned(),
            ..Self::default()
        };
        let digest = fields.integer()?;
        header.lines = fields.number()?.unwrap_or_default();
        for count in &mut header.endings {
            *count = fields.number()?.unwrap_or_default();
        }
        header.bytes = fields.number()?.unwrap_or_default();
        let sum = fields.integer()?;
        let is_whole = format == Some(super::schema::FORMAT) && digest == Some(header.settings_digest());
        Ok((header, sum.filter(|_| is_whole)))
    }

    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut write = connection
            .prepare_cached("INSERT OR REPLACE INTO header VALUES(1,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")?;
        let [ok, failed, unfinished, cancelled, skipped] = self.endings.map(u64::cast_signed);
        write.execute(params![
            super::schema::FORMAT,
            self.writer,
            self.job,
            self.created,
            self.finished,
            self.settings,
            self.settings_digest(),
            self.lines.cast_signed(),
            ok,
            failed,
            unfinished,
            cancelled,
            skipped,
            self.bytes.cast_signed(),
            self.sum(),
        ])?;
        Ok(())
    }

    pub(super) fn settings_digest(&self) -> i64 {
        super::sum::hash(self.settings.as_bytes()).cast_signed()
    }

    fn sum(&self) -> i64 {
        let mut sum = Sum::default();
        sum.begin("header").integer(Some(1)).integer(Some(super::schema::FORMAT));
        sum.text(Some(&self.writer)).text(Some(&self.job));
        sum.integer(Some(self.created)).integer(Some(self.finished)).text(Some(&self.settings));
        sum.integer(Some(self.settings_digest())).integer(Some(self.lines.cast_signed()));
        for count in self.endings {
            sum.integer(Some(count.cast_signed()));
        }
        sum.integer(Some(self.bytes.cast_signed())).end()
    }

    /// A row has come, in the place of another perhaps.
    pub(super) fn count(&mut self, row: &Settled) {
        if let Some((ending, bytes)) = row.before {
            self.endings[ending as usize] = self.endings[ending as usize].saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        self.endings[row.ending as usize] += 1;
        self.bytes += row.bytes;
    }
}

/// How many rows of `fetches` a block of lines has: a page that has lost some says nothing by itself. `None` if that is
/// not known.
pub(super) fn settled_in(connection: &Connection, block: u64) -> rusqlite::Result<Option<u64>> {
    let mut query = connection.prepare_cached("SELECT rows, sum FROM settled WHERE block = ?")?;
    let mut found = query.query([block.cast_signed()])?;
    let Some(row) = found.next()? else { return Ok(None) };
    let mut fields = Fields::of(row);
    let (rows, sum) = (fields.number()?.unwrap_or_default(), fields.integer()?);
    Ok((sum == Some(sum_of_settled(block, rows))).then_some(rows))
}

/// How many rows of `fetches` there are of these lines.
pub(super) fn count_in(connection: &Connection, lines: std::ops::Range<u64>) -> rusqlite::Result<u64> {
    let mut query = connection.prepare_cached("SELECT count(*) FROM fetches WHERE seq >= ? AND seq < ?")?;
    let range = [lines.start.cast_signed(), lines.end.cast_signed()];
    query.query_row(range, |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}

pub(super) fn write_settled(connection: &Connection, block: u64, rows: u64) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT OR REPLACE INTO settled VALUES(?,?,?)")?.execute(params![
        block.cast_signed(),
        rows.cast_signed(),
        sum_of_settled(block, rows)
    ])?;
    Ok(())
}

fn sum_of_settled(block: u64, rows: u64) -> i64 {
    let mut sum = Sum::default();
    sum.begin("settled").integer(Some(block.cast_signed())).integer(Some(rows.cast_signed())).end()
}

/// The hashes of one block of lines.
pub(super) fn read_hashes(connection: &Connection, path: &Path, block: u64) -> Result<Vec<u64>, Error> {
    let sqlite = |cause| trouble::of_sqlite(path, cause);
    let missing = || trouble::damaged(path, format_args!("row {block} of lines is missing"));
    let wrong = || trouble::damaged(path, format_args!("row {block} of lines does not match its checksum"));
    let mut query =
        connection.prepare_cached("SELECT hashes, sum FROM lines WHERE block = ?").map_err(sqlite)?;
    let mut rows = query.query([block.cast_signed()]).map_err(sqlite)?;
    let row = rows.next().map_err(sqlite)?.ok_or_else(missing)?;
    let mut fields = Fields::of(row);
    let hashes = fields.value().map_err(sqlite)?.as_blob().map_err(|_| wrong())?;
    let known = fields.integer().map_err(sqlite)?;
    if known != Some(sum_of_hashes(&mut Sum::default(), block, hashes)) || hashes.len() % 8 != 0 {
        return Err(wrong());
    }
    let each = hashes.as_chunks::<8>().0.iter();
    Ok(each.map(|bytes| u64::from_le_bytes(*bytes)).collect())
}

pub(super) fn write_hashes(connection: &Connection, block: u64, hashes: &[u64]) -> rusqlite::Result<()> {
    let mut bytes = Vec::with_capacity(8 * hashes.len());
    hashes.iter().for_each(|hash| bytes.extend_from_slice(&hash.to_le_bytes()));
    let sum = sum_of_hashes(&mut Sum::default(), block, &bytes);
    connection.prepare_cached("INSERT OR REPLACE INTO lines VALUES(?,?,?)")?.execute(params![
        block.cast_signed(),
        bytes,
        sum
    ])?;
    Ok(())
}

fn sum_of_hashes(sum: &mut Sum, block: u64, hashes: &[u8]) -> i64 {
    sum.begin("lines").integer(Some(block.cast_signed())).blob(Some(hashes)).end()
}

/// One field, borrowed.
pub(super) enum Field<'a> {
    Integer(Option<i64>),
    Text(Option<&'a str>),
    Blob(&'a [u8]),
}

impl Field<'_> {
    pub(super) fn add_to(&self, sum: &mut Sum) {
        match self {
            Self::Integer(number) => sum.integer(*number),
            Self::Text(text) => sum.text(*text),
            Self::Blob(bytes) => sum.blob(Some(bytes)),
        };
    }
}

impl rusqlite::ToSql for Field<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Self::Integer(Some(number)) => ValueRef::Integer(*number),
            Self::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
            Self::Integer(None) | Self::Text(None) => ValueRef::Null,
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

/// A path as text where it is text, else as its bytes.
pub(super) fn path_field(path: Option<&Path>) -> Field<'_> {
    match path {
        None => Field::Text(None),
        Some(path) => match path.to_str() {
            Some(text) => Field::Text(Some(text)),
            None => Field::Blob(path.as_os_str().as_encoded_bytes()),
        },
    }
}

pub(super) fn path_of(value: ValueRef<'_>) -> Read<Option<PathBuf>> {
    match value {
        ValueRef::Null => Ok(None),
        ValueRef::Blob(bytes) => Ok(Some(PathBuf::from(os_string(bytes)))),
        other => Ok(Some(PathBuf::from(other.as_str()?))),
    }
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

pub(super) fn at_millis(millis: u64) -> SystemTime {
    // A year beyond all calendars is no reason to panic.
    UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(UNIX_EPOCH)
}

pub(super) fn millis_of(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
