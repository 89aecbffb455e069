//! The rows of `fetches`: what has settled, read and written. A row that does not match its checksum is never handed out.
//! Nothing here opens or locks anything.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use http::Method;
use rusqlite::{CachedStatement, Connection, Row};

use super::rows::{Fields, Read, at_millis, path_field, path_of};
use super::sum::{self, Field, Sum, Written};
use crate::error::{ErrorKind, Phase};
use crate::outcome::{Ending, Entry, Recorded, RecordedError, Wanted, name_of, version_of};

/// The columns of `fetches`, with their checksum.
pub(super) const COLUMNS: &str = "seq, line, url, method, line_hash, outcome, code, phase, message, \
wanted, status, http, bytes, final_url, path, etag, last_modified, content_type, digests, attempts, winner, tries, \
started, ended, queued_us, total_us, sum";

const WRITE: &str = "INSERT OR REPLACE INTO fetches VALUES\
(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";

const ENDINGS: [Ending; 5] =
    [Ending::Ok, Ending::Failed, Ending::Unfinished, Ending::Cancelled, Ending::Skipped];

/// Reads a row of [`COLUMNS`]. `None` is one that does not match its checksum, or holds what is never written. `sum` is
/// room to work in.
pub(super) fn read(row: &Row<'_>, sum: &mut Sum) -> Read<Option<Recorded>> {
    let mut fields = Fields::of(row);
    let f = &mut fields;
    let seq = f.number()?.unwrap_or_default();
    let (line, url) = (f.number()?, f.boxed()?);
    let method = f.text()?.and_then(|name| Method::from_bytes(name.as_bytes()).ok());
    let line_hash = f.number()?;
    let ending = f.text()?.and_then(|name| ENDINGS.into_iter().find(|known| known.as_str() == name));
    let (code, phase) = (f.text()?, f.text()?);
    let error = RecordedError {
        kind: code.and_then(ErrorKind::of_code).unwrap_or(ErrorKind::JournalDamaged),
        phase: phase.and_then(Phase::of_name).unwrap_or(Phase::Sink),
        message: f.boxed()?.unwrap_or_default(),
        wanted: f
            .text()?
            .and_then(|name| [Wanted::Budget, Wanted::Time].into_iter().find(|known| known.as_str() == name)),
    };
    let status = f.integer()?.and_then(|status| u16::try_from(status).ok());
    let http = f.text()?.and_then(version_of);
    let (bytes, final_url) = (f.number()?.unwrap_or_default(), f.boxed()?);
    let path = path_of(f.value()?)?;
    let (etag, last_modified, content_type, digests) = (f.boxed()?, f.boxed()?, f.boxed()?, f.boxed()?);
    let attempts = f.integer()?.and_then(|count| u32::try_from(count).ok()).unwrap_or_default();
    let winner = f.integer()?.and_then(|place| usize::try_from(place).ok());
    let (tries, started, ended) = (f.boxed()?, f.number()?, f.number()?);
    let (queued, total) = (f.number()?.unwrap_or_default(), f.number()?.unwrap_or_default());
    let known = f.integer()?;
    let (Some(url), Some(method), Some(line_hash), Some(ending)) = (url, method, line_hash, ending) else {
        return Ok(None);
    };
    let row = Recorded {
        seq,
        line,
        url,
        method,
        line_hash,
        ending,
        error: code.is_some().then_some(error),
        status,
        http,
        bytes,
        final_url,
        path,
        etag,
        last_modified,
        content_type,
        digests,
        winner,
        started: started.map(at_millis),
        ended: ended.map(at_millis),
        queued: Duration::from_micros(queued),
        total: Duration::from_micros(total),
        attempts,
        tries,
        parsed: OnceLock::new(),
    };
    // What is never written would be summed up as something else.
    write(&Entry::of_row(&row), sum);
    Ok((known == Some(sum.end())).then_some(row))
}

/// Makes `sum` the row that is to be kept.
pub(super) fn write(entry: &Entry<'_>, sum: &mut Sum) {
    let error = entry.error.as_ref();
    sum.begin("fetches").number(Some(entry.seq)).number(entry.line).text(Some(entry.url));
    sum.text(Some(entry.method)).number(Some(entry.line_hash)).text(Some(entry.ending.as_str()));
    sum.text(error.map(|error| error.kind.code())).text(error.map(|error| error.phase.as_str()));
    sum.text(error.map(|error| error.message));
    sum.text(error.and_then(|error| error.wanted).map(Wanted::as_str));
    sum.number(entry.status.map(u64::from)).text(entry.http.map(name_of));
    sum.number(Some(entry.bytes)).text(entry.final_url);
    path_field(entry.path).add_to(sum);
    sum.text(entry.etag.as_deref()).text(entry.last_modified.as_deref());
    sum.text(entry.content_type.as_deref()).text(entry.digests.as_deref());
    sum.number(Some(u64::from(entry.attempts))).number(entry.winner.map(|place| place as u64));
    sum.text(entry.tries.as_deref()).number(entry.started).number(entry.ended);
    sum.number(Some(entry.queued)).number(Some(entry.total));
}

/// Columns but the checksum.
const OWN: usize = 26;
/// The place of `path` among the columns.
const PATH: usize = 14;

/// The file that a row names, which [`write()`] wrote.
pub(super) fn file_of(row: &[u8]) -> Option<PathBuf> {
    let field = Written::of(row).nth(1 + PATH)?;
    path_of(field.into()).ok().flatten()
}

/// Writes rows that [`write()`] wrote; what two rows in a row have in common is bound once.
pub(super) struct Writer<'c, 'r> {
    statement: CachedStatement<'c>,
    /// What is bound; NULL is what a statement begins with.
    bound: [Field<'r>; OWN],
}

impl<'c, 'r> Writer<'c, 'r> {
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare_cached(WRITE)?;
        statement.clear_bindings();
        Ok(Self { statement, bound: [Field::Null; OWN] })
    }

    pub(super) fn write(&mut self, row: &'r [u8]) -> rusqlite::Result<()> {
        let mut fields = Written::of(row);
        // The name of the table.
        fields.next();
        for ((place, bound), field) in self.bound.iter_mut().enumerate().zip(fields) {
            if *bound != field {
                self.statement.raw_bind_parameter(place + 1, field)?;
                *bound = field;
            }
        }
        self.statement.raw_bind_parameter(OWN + 1, sum::hash(row).cast_signed())?;
        self.statement.raw_execute()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::path::Path;

    use http::Version;

    use super::super::schema;
    use super::*;
    use crate::outcome::EntryError;

    fn bare(seq: u64) -> Entry<'static> {
        Entry {
            seq,
            line: None,
            url: "",
            method: "GET",
            line_hash: 0,
            ending: Ending::Ok,
            error: None,
            status: None,
            http: None,
            bytes: 0,
            final_url: None,
            path: None,
            etag: None,
            last_modified: None,
            content_type: None,
            digests: None,
            attempts: 0,
            winner: None,
            tries: None,
            started: None,
            ended: None,
            queued: 0,
            total: 0,
        }
    }

    /// One that has all that a row can have.
    fn full(seq: u64) -> Entry<'static> {
        let text = |text| Some(Cow::Borrowed(text));
        let error = EntryError {
            kind: ErrorKind::Reset,
            phase: Phase::Body,
            message: "it broke off",
            wanted: Some(Wanted::Time),
        };
        Entry {
            line: Some(u64::MAX),
            url: "http://h/",
            method: "POST",
            line_hash: u64::MAX,
            ending: Ending::Failed,
            error: Some(error),
            status: Some(503),
            http: Some(Version::HTTP_2),
            bytes: 1,
            final_url: Some("http://other/"),
            path: Some(Path::new("a/file")),
            etag: text("\"e\""),
            last_modified: text("yesterday"),
            content_type: text(""),
            digests: text("{}"),
            attempts: 2,
            winner: Some(1),
            tries: text("[]"),
            started: Some(3),
            ended: Some(4),
            queued: 5,
            total: 6,
            ..bare(seq)
        }
    }

    #[test]
    fn what_a_row_has_is_its_own_whatever_the_one_before_had() {
        let connection = Connection::open_in_memory().expect("it opens");
        schema::make(&connection).expect("its tables are made");
        let path = Entry { path: Some(Path::new("another/file")), ..bare(4) };
        let entries = [bare(0), full(1), full(2), bare(3), path, bare(5), full(6)];
        let written = entries.map(|entry| {
            let mut sum = Sum::default();
            write(&entry, &mut sum);
            sum
        });
        let mut writer = Writer::new(&connection).expect("it is prepared");
        written.iter().for_each(|row| writer.write(row.row()).expect("it is written"));
        drop(writer);
        let query = format!("SELECT {COLUMNS} FROM fetches ORDER BY seq");
        let mut query = connection.prepare(&query).expect("it is prepared");
        let mut found = query.query(()).expect("it is run");
        for row in &written {
            let mut sum = Sum::default();
            let read = read(found.next().expect("it is read").expect("it is there"), &mut sum);
            let read = read.expect("it has its columns").expect("it matches its checksum");
            assert_eq!((sum.row(), read.path), (row.row(), file_of(row.row())), "{}", read.seq);
        }
        assert!(found.next().expect("it is read").is_none());
        assert_eq!(file_of(written[1].row()).as_deref(), Some(Path::new("a/file")));
    }
}
