//! The tables of a journal, and which versions of them this code takes. docs/JOURNAL.md describes them for others;
//! a test holds it to this file.

use std::path::Path;

use rusqlite::Connection;

use super::{place, trouble};
use crate::error::{Error, ErrorKind};

/// The format that is written, as `user_version`. It rises when an older version could misread what is written; the
/// tables of one format never change.
pub(super) const FORMAT: i64 = 1;

/// Marks the file as a journal of gannet, as `application_id`: "GNNT".
pub(super) const APPLICATION: i64 = 0x474e_4e54;

/// The statements that make the tables, which SQLite keeps word by word.
pub(super) const TABLES: [(&str, &str); 5] =
    [("header", HEADER), ("lines", LINES), ("settled", SETTLED), ("fetches", FETCHES), ("parts", PARTS)];

const HEADER: &str = "CREATE TABLE header(\
id INTEGER PRIMARY KEY, format INTEGER, writer TEXT, job TEXT, created INTEGER, finished INTEGER, \
settings TEXT, settings_digest INTEGER, lines INTEGER, \
ok INTEGER, failed INTEGER, unfinished INTEGER, cancelled INTEGER, skipped INTEGER, bytes INTEGER, sum INTEGER)";

const LINES: &str = "CREATE TABLE lines(block INTEGER PRIMARY KEY, hashes BLOB, sum INTEGER)";

const SETTLED: &str = "CREATE TABLE settled(block INTEGER PRIMARY KEY, rows INTEGER, sum INTEGER)";

const FETCHES: &str = "CREATE TABLE fetches(\
seq INTEGER PRIMARY KEY, line INTEGER, url TEXT, method TEXT, line_hash INTEGER, outcome TEXT, \
code TEXT, phase TEXT, message TEXT, wanted TEXT, status INTEGER, http TEXT, bytes INTEGER, final_url TEXT, path, \
etag TEXT, last_modified TEXT, content_type TEXT, digests TEXT, attempts INTEGER, winner INTEGER, tries TEXT, \
started INTEGER, ended INTEGER, queued_us INTEGER, total_us INTEGER, sum INTEGER)";

const PARTS: &str = "CREATE TABLE parts(\
seq INTEGER PRIMARY KEY, url TEXT, etag TEXT, last_modified TEXT, date TEXT, total INTEGER, coding TEXT, \
good_bytes INTEGER, path, modified_ns INTEGER, tail_bytes INTEGER, tail INTEGER, held_ns INTEGER, sum INTEGER)";

/// The longest journal's log of recent commits, in bytes, before it is copied into the main file.
pub(super) const LOG: u64 = 4 << 20;

/// How the connection behaves, whoever opened it.
pub(super) const SETTINGS: &str =
    "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;";

/// Makes the tables in an empty database.
pub(super) fn make(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "application_id", APPLICATION)?;
    for (_, statement) in TABLES {
        connection.execute(statement, ())?;
    }
    connection.pragma_update(None, "user_version", FORMAT)
}

/// Whether there is nothing at all in the database: a file that was just made.
pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    Ok(tables == 0 && version(connection)? == 0)
}

/// What SQLite's files begin with.
const DATABASE: &[u8] = b"SQLite format 3\0";

/// Looks at the file before SQLite does. It says of itself, in the bytes 18 and 19 of SQLite's file format, whether it has
/// a log of recent commits: of one that says otherwise SQLite would pass over the log, or write nothing. An empty file says
/// nothing yet. Whose it is, is in the bytes 68 to 71.
pub(super) fn check_file(path: &Path) -> Result<(), Error> {
    // It was looked at when this process opened it.
    if place::is_ours(path) {
        return Ok(());
    }
    match place::head_of(path) {
        Ok(head) if !head.starts_with(DATABASE) || head.get(18..20) == Some(&[2, 2]) => Ok(()),
        Ok(head) if head.get(68..72) != Some(&(APPLICATION as u32).to_be_bytes()) => Err(foreign(path)),
        Ok(_) => Err(trouble::damaged(path, "it is not in SQLite's WAL mode")),
        Err(cause) => Err(trouble::of_io(path, "read", cause)),
    }
}

/// It has another mark than a journal, or none.
fn foreign(path: &Path) -> Error {
    let what = "is not marked as a journal of gannet: it is a database of another program, or damaged";
    trouble::of(ErrorKind::JournalDamaged, path, what)
}

/// Its program died, or was refused something, while it made the file.
pub(super) fn not_made(path: &Path) -> Error {
    let what = "holds no job: it was not made to its end, and is made anew by the same command";
    trouble::of(ErrorKind::JournalFailed, path, what)
}

/// Looks at whose the database is, of which version, and whether its tables are those of the version.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), Error> {
    let sqlite = |cause| trouble::of_sqlite(path, cause);
    connection.execute_batch(SETTINGS).map_err(sqlite)?;
    if is_empty(connection).map_err(sqlite)? {
        return Err(not_made(path));
    }
    let application: i64 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(sqlite)?;
    if application != APPLICATION {
        return Err(foreign(path));
    }
    let found = version(connection).map_err(sqlite)?;
    if found > FORMAT {
        return Err(trouble::newer(path, found, FORMAT));
    }
    if found < 1 {
        return Err(trouble::damaged(path, format_args!("there is no format {found}")));
    }
    let mut query = connection.prepare("SELECT name, sql FROM sqlite_schema").map_err(sqlite)?;
    let pair = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    let tables: Vec<(String, String)> =
        query.query_map((), pair).and_then(Iterator::collect).map_err(sqlite)?;
    let is_known = |(name, sql): &(String, String)| TABLES.contains(&(name, sql));
    if tables.len() != TABLES.len() || !tables.iter().all(is_known) {
        return Err(trouble::damaged(path, "its tables are not those of its format"));
    }
    Ok(())
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
