//! The rows of `parts`, bodies of which the first bytes lie on the disk: read, written, and, where nobody goes on with
//! one, removed with its file. Nothing here decides which are gone on with.

use std::fs::{self, File, TryLockError};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, params_from_iter};

use super::rows::{Field, Fields, Read, path_field, path_of};
use super::sum::Sum;
use super::trouble;
use crate::error::Error;
use crate::part::{OnDisk, Part, Tail};

const COLUMNS: &str = "seq, url, etag, last_modified, date, total, coding, good_bytes, path, modified_ns, \
tail_bytes, tail, held_ns, sum";

/// How the name of a file ends that holds no whole body.
const END: &str = ".part";

/// The rows of these lines, in order.
pub(super) fn read(
    connection: &Connection,
    journal: &Path,
    lines: Range<u64>,
) -> Result<Vec<(u64, Part)>, Error> {
    let sqlite = |cause| trouble::of_sqlite(journal, cause);
    let query = format!("SELECT {COLUMNS} FROM parts WHERE seq >= ? AND seq < ? ORDER BY seq");
    let mut query = connection.prepare_cached(&query).map_err(sqlite)?;
    // Beyond what SQLite counts there are no lines.
    let range = [lines.start, lines.end].map(|line| i64::try_from(line).unwrap_or(i64::MAX));
    let mut found = query.query(range).map_err(sqlite)?;
    let mut all = Vec::new();
    let mut next = lines.start;
    while let Some(row) = found.next().map_err(sqlite)? {
        let place: i64 = row.get(0).map_err(sqlite)?;
        let part = read_one(&mut Fields::of(row)).map_err(sqlite)?;
        let part = part.filter(|(seq, _)| (next..lines.end).contains(seq));
        let wrong =
            || trouble::damaged(journal, format_args!("row {place} of parts does not match its checksum"));
        let part = part.ok_or_else(wrong)?;
        next = part.0 + 1;
        all.push(part);
    }
    Ok(all)
}

/// `None` is a row that does not match its checksum, or holds what is never written.
fn read_one(f: &mut Fields<'_, '_>) -> Read<Option<(u64, Part)>> {
    let (seq, url) = (f.number()?, f.boxed()?);
    let mut part = Part {
        etag: f.boxed()?,
        last_modified: f.boxed()?,
        date: f.boxed()?,
        total: f.number()?,
        coding: f.boxed()?,
        good: f.number()?.unwrap_or_default(),
        ..Part::new(url.unwrap_or_default())
    };
    let path = path_of(f.value()?)?;
    let at = |nanos| UNIX_EPOCH.checked_add(Duration::from_nanos(nanos));
    let modified = f.number()?.and_then(at);
    let length = f.number()?.and_then(|length| u32::try_from(length).ok()).unwrap_or_default();
    let tail = Tail { length, print: f.number()?.unwrap_or_default() };
    let held = f.number()?.and_then(at);
    part.on_disk = path.map(|path| OnDisk { held, ..OnDisk::new(path, modified, tail) });
    let sum = f.integer()?;
    let seq = seq.filter(|seq| sum == Some(sum_of(&fields(*seq, &part))));
    Ok(seq.map(|seq| (seq, part)))
}

pub(super) fn write(connection: &Connection, seq: u64, part: &Part) -> rusqlite::Result<()> {
    let own = fields(seq, part);
    let sum = [Field::Integer(Some(sum_of(&own)))];
    let mut query =
        connection.prepare_cached("INSERT OR REPLACE INTO parts VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)")?;
    query.execute(params_from_iter(own.iter().chain(&sum))).map(drop)
}

pub(super) fn remove(connection: &Connection, lines: Range<u64>) -> rusqlite::Result<()> {
    let range = [lines.start, lines.end].map(|line| i64::try_from(line).unwrap_or(i64::MAX));
    connection.prepare_cached("DELETE FROM parts WHERE seq >= ? AND seq < ?")?.execute(range).map(drop)
}

/// All fields of a row but its checksum, in the order of their columns.
fn fields(seq: u64, part: &Part) -> [Field<'_>; 13] {
    let number = |number: u64| Field::Integer(Some(number.cast_signed()));
    let on_disk = part.on_disk.as_ref();
    let since = |at: SystemTime| at.duration_since(UNIX_EPOCH).ok();
    let nanos = |since: Duration| u64::try_from(since.as_nanos()).ok().map(u64::cast_signed);
    let nanos = |at: Option<SystemTime>| Field::Integer(at.and_then(since).and_then(nanos));
    [
        number(seq),
        Field::Text(Some(&part.url)),
        Field::Text(part.etag.as_deref()),
        Field::Text(part.last_modified.as_deref()),
        Field::Text(part.date.as_deref()),
        Field::Integer(part.total.map(u64::cast_signed)),
        Field::Text(part.coding.as_deref()),
        number(part.good),
        path_field(on_disk.map(|on_disk| &*on_disk.path)),
        nanos(on_disk.and_then(|on_disk| on_disk.modified)),
        Field::Integer(on_disk.map(|on_disk| i64::from(on_disk.tail.length))),
        Field::Integer(on_disk.map(|on_disk| on_disk.tail.print.cast_signed())),
        nanos(on_disk.and_then(|on_disk| on_disk.held)),
    ]
}

fn sum_of(fields: &[Field<'_>]) -> i64 {
    let mut sum = Sum::default();
    sum.begin("parts");
    fields.iter().for_each(|field| field.add_to(&mut sum));
    sum.end()
}

/// Removes the files of parts that nobody goes on with, unless somebody writes there.
pub(super) fn remove_files(parts: impl IntoIterator<Item = Part>) {
    let paths = parts.into_iter().filter_map(|part| part.on_disk).map(|on_disk| on_disk.path);
    paths.filter(|path| is_part(path)).for_each(|path| remove_file(&path));
}

fn is_part(path: &Path) -> bool {
    let is_named = path.file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(END.as_bytes()));
    is_named && path.symlink_metadata().is_ok_and(|met| met.is_file())
}

fn remove_file(path: &PathBuf) {
    let file = File::open(path);
    // Whoever writes a part holds its lock; where nothing can be locked or opened, the journal's own lock has to do.
    let is_written = file.as_ref().is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
    if !is_written {
        // If it cannot be removed, it is in nobody's way.
        let _ = fs::remove_file(path);
    }
}
