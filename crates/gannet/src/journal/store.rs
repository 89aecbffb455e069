//! One journal's database, as the journal's thread uses it: blocks of what is known are read, groups of what is new
//! are committed. Nothing here waits for work or knows a job.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::earlier::{Earlier, Wanted};
use super::reading::JournalReader;
use super::rows::{self, BLOCK, COLUMNS, FetchWriter, Header};
use super::shelf::News;
use super::{Durability, durable, parts, place, schema, trouble};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::outcome::{Ending, Recorded};
use crate::part::Part;
use crate::version::Written;

/// How long a commit waits for a reader that copies the log.
const BUSY: Duration = Duration::from_secs(10);
/// As many groups are committed until a log is emptied in which a reader was.
const GROUPS_BEHIND_A_READER: u32 = 64;

/// An open journal.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    durability: Durability,
    /// `None` only while one file takes the place of another.
    connection: Option<Connection>,
    header: Header,
    /// The hashes of the last block of lines, which is not full.
    tail: Vec<u64>,
    tail_is_new: bool,
    /// Opened when they are asked.
    earlier: Option<Earlier>,
    /// Groups that are committed before the log is emptied again: a reader was in the way.
    log_rests: u32,
}

/// Whether the log was emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Emptied {
    Yes,
    No,
}

/// What is known of a block of lines.
#[derive(Debug)]
pub(super) struct Block {
    /// The first line's sequence number.
    pub(super) first: u64,
    pub(super) hashes: Vec<u64>,
    /// The rows of those that have settled, in order.
    pub(super) rows: VecDeque<Recorded>,
    /// Of bodies of which the first bytes are there, in order.
    pub(super) parts: VecDeque<(u64, Part)>,
}

impl Block {
    /// The part of this line's body, if there is one. Lines are asked for in order.
    pub(super) fn take_part(&mut self, seq: u64) -> Option<Box<Part>> {
        while self.parts.front().is_some_and(|(place, _)| *place < seq) {
            self.parts.pop_front();
        }
        let is_next = self.parts.front().is_some_and(|(place, _)| *place == seq);
        if is_next { self.parts.pop_front().map(|(_, part)| Box::new(part)) } else { None }
    }

    /// The row of this line, if it comes next.
    pub(super) fn take(&mut self, seq: u64) -> Option<Recorded> {
        let is_next = self.rows.front().is_some_and(|row| row.seq == seq);
        if is_next { self.rows.pop_front() } else { None }
    }
}

/// One thing to be written down.
#[derive(Debug)]
pub(super) enum Write {
    /// The next line of the list.
    Line(u64),
    /// A row, and what the row in its place counted for.
    Row(Box<Recorded>, Option<(Ending, u64)>),
    /// All of the list has settled.
    Finish,
    Settings(String),
    /// From this line on the list is another one: the job before is history.
    Fork(u64),
    /// Nobody goes on with any part.
    DropParts,
}

impl Store {
    /// Opens the journal, or makes an empty one.
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self, Error> {
        place::make_file(path)?;
        schema::check_file(path)?;
        let sqlite = |cause| trouble::of_sqlite(path, cause);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
        if prepare(&connection, durability).map_err(sqlite)? != "wal" {
            // Whatever stood in its way, SQLite does not say, and would go on without a log.
            let what = "cannot be written: SQLite was refused its log";
            return Err(trouble::of(ErrorKind::JournalFailed, path, what));
        }
        if schema::is_empty(&connection).map_err(sqlite)? {
            let header = new_header();
            make(&connection, &header).map_err(sqlite)?;
            place::sync_folder(path).map_err(|cause| trouble::of_io(path, "make durable", cause))?;
        }
        schema::check(&connection, path)?;
        let header = Header::read(&connection, path)?;
        let tail = match header.lines % BLOCK {
            0 => Vec::new(),
            _ => rows::read_hashes(&connection, path, header.lines / BLOCK)?,
        };
        if tail.len() as u64 != header.lines % BLOCK {
            return Err(trouble::damaged(path, "its last lines are missing"));
        }
        let path = path.to_owned();
        Ok(Self {
            path,
            durability,
            connection: Some(connection),
            header,
            tail,
            tail_is_new: false,
            log_rests: 0,
            earlier: None,
        })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// What is known of the lines of a block.
    pub(super) fn read(&self, block: u64) -> Result<Block, Error> {
        let first = block * BLOCK;
        let hashes = rows::read_hashes(self.connection(), &self.path, block)?;
        let wanted = BLOCK.min(self.header.lines.saturating_sub(first));
        if hashes.len() as u64 != wanted {
            return Err(trouble::damaged(&self.path, format_args!("row {block} of lines is not whole")));
        }
        let sqlite = |cause| trouble::of_sqlite(&self.path, cause);
        let query = format!("SELECT {COLUMNS} FROM fetches WHERE seq >= ? AND seq < ? ORDER BY seq");
        let mut query = self.connection().prepare_cached(&query).map_err(sqlite)?;
        let range = [first.cast_signed(), (first + wanted).cast_signed()];
        let mut found = query.query(range).map_err(sqlite)?;
        let mut settled = VecDeque::new();
        let mut next = first;
        while let Some(row) = found.next().map_err(sqlite)? {
            let seq: i64 = row.get(0).map_err(sqlite)?;
            let row = rows::read_fetch(row).map_err(sqlite)?;
            let row = row.filter(|row| row.seq >= next && row.seq < first + wanted);
            let row = row.ok_or_else(|| wrong_row(&self.path, seq.cast_unsigned()))?;
            let of_line = usize::try_from(row.seq - first).ok().and_then(|place| hashes.get(place));
            if of_line != Some(&row.line_hash) {
                return Err(wrong_row(&self.path, row.seq));
            }
            next = row.seq + 1;
            settled.push_back(row);
        }
        let parts = parts::read(self.connection(), &self.path, first..first + wanted)?.into();
        Ok(Block { first, hashes, rows: settled, parts })
    }

    /// The lines of which there are parts.
    pub(super) fn lines_with_parts(&self) -> Result<Vec<u64>, Error> {
        let all = parts::read(self.connection(), &self.path, 0..u64::MAX)?;
        Ok(all.into_iter().map(|(seq, _)| seq).collect())
    }

    /// What the journals of earlier jobs say.
    pub(super) fn look_up(&mut self, wanted: &Wanted) -> Written {
        self.earlier.get_or_insert_with(|| Earlier::beside(&self.path)).find(wanted)
    }

    /// Removes the journals of earlier jobs, the latest first, whose list is the beginning of this one's, once that has
    /// settled: this one has a row for each of their lines.
    pub(super) fn forget_superseded(&mut self) -> Result<(), Error> {
        self.earlier = None;
        while self.header.finished == 1
            && let Some(last) = place::history(&self.path).pop()
            && self.supersedes(&last)?
        {
            for end in ["-shm", "-wal", ""] {
                match std::fs::remove_file(place::beside(&last, end)) {
                    Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                        return Err(trouble::of_io(&last, "remove", cause));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn supersedes(&self, other: &Path) -> Result<bool, Error> {
        let Ok(other) = JournalReader::open_past(other) else { return Ok(false) };
        let lines = other.summary().lines;
        if lines > self.header.lines {
            return Ok(false);
        }
        for block in 0..lines.div_ceil(BLOCK) {
            let own = rows::read_hashes(self.connection(), &self.path, block)?;
            if !other.hashes(block).is_ok_and(|others| own.starts_with(&others)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes a group down, in its order: bodies first, then their rows, then what is new of parts.
    pub(super) fn commit(&mut self, group: &[Write], mut parts: Vec<News>) -> Result<(), Error> {
        if self.durability == Durability::Power {
            durable::parts(&mut parts)?;
            durable::bodies(group.iter().filter_map(|write| match write {
                Write::Row(row, _) => Some(&**row),
                _ => None,
            }))?;
        }
        let mut rest = group;
        let stands_apart = |write: &Write| matches!(write, Write::Fork(_) | Write::DropParts);
        while let Some(place) = rest.iter().position(stands_apart) {
            self.commit_plain(&rest[..place], &[])?;
            match rest[place] {
                Write::Fork(at) => {
                    self.earlier = None;
                    self.fork(at)?;
                }
                _ => self.drop_parts(0)?,
            }
            rest = &rest[place + 1..];
        }
        self.commit_plain(rest, &parts)
    }

    fn commit_plain(&mut self, group: &[Write], parts: &[News]) -> Result<(), Error> {
        if group.is_empty() && parts.is_empty() {
            return Ok(());
        }
        let path = self.path.clone();
        self.transact(group, parts).map_err(|cause| trouble::of_sqlite(&path, cause))?;
        let log = std::fs::metadata(place::beside(&self.path, "-wal")).map_or(0, |log| log.len());
        self.log_rests = self.log_rests.saturating_sub(1);
        if log <= schema::LOG || self.log_rests > 0 {
            return Ok(());
        }
        // Rows are not held up by a program that reads for long: the log grows meanwhile.
        self.wait_for_others(Duration::ZERO)?;
        let emptied = self.empty_log();
        self.wait_for_others(BUSY)?;
        if emptied? == Emptied::No {
            self.log_rests = GROUPS_BEHIND_A_READER;
        }
        Ok(())
    }

    fn transact(&mut self, group: &[Write], parts: &[News]) -> rusqlite::Result<()> {
        let connection = self.connection.take().expect("a store is open between its steps");
        let result = self.transact_on(&connection, group, parts);
        self.connection = Some(connection);
        result
    }

    fn transact_on(
        &mut self,
        connection: &Connection,
        group: &[Write],
        parts: &[News],
    ) -> rusqlite::Result<()> {
        let transaction = connection.unchecked_transaction()?;
        let mut fetches = FetchWriter::new(&transaction)?;
        for write in group {
            match write {
                Write::Line(hash) => self.line(&transaction, *hash)?,
                Write::Row(row, before) => {
                    fetches.write(row)?;
                    self.header.count(row, *before);
                    self.header.finished = 0;
                }
                Write::Finish => self.header.finished = 1,
                Write::Settings(settings) => self.header.settings.clone_from(settings),
                Write::Fork(_) | Write::DropParts => unreachable!("a group is cut there"),
            }
        }
        drop(fetches);
        for (seq, part) in parts {
            match part {
                Some(part) => parts::write(&transaction, *seq, part)?,
                None => parts::remove(&transaction, *seq..*seq + 1)?,
            }
        }
        if self.tail_is_new {
            rows::write_hashes(&transaction, self.header.lines / BLOCK, &self.tail)?;
            self.tail_is_new = false;
        }
        self.header.writer = WRITER.to_owned();
        self.header.write(&transaction)?;
        transaction.commit()
    }

    fn line(&mut self, connection: &Connection, hash: u64) -> rusqlite::Result<()> {
        self.tail.push(hash);
        self.tail_is_new = true;
        self.header.finished = 0;
        if self.tail.len() as u64 == BLOCK {
            rows::write_hashes(connection, self.header.lines / BLOCK, &self.tail)?;
            self.tail.clear();
            self.tail_is_new = false;
        }
        self.header.lines += 1;
        Ok(())
    }

    /// Keeps the journal as it is as history, and goes on with a copy of its first lines.
    fn fork(&mut self, at: u64) -> Result<(), Error> {
        let refused = |cause| trouble::of_io(&self.path, "put aside", cause);
        let (draft, history) = (place::beside(&self.path, ".new"), place::next_free(&self.path));
        for old in ["", "-wal", "-shm"].map(|end| place::beside(&draft, end)) {
            if old.exists() {
                std::fs::remove_file(&old).map_err(refused)?;
            }
        }
        // Of lines that are no lines of the new job nobody goes on with anything.
        self.drop_parts(at)?;
        let kept: Vec<u64> = self.hashes_before(at)?;
        let parts = parts::read(self.connection(), &self.path, 0..at)?;
        let mut fork = Self::open(&draft, self.durability)?;
        let path = draft.clone();
        fork.take_over(self, (&kept, parts), at).map_err(|cause| trouble::of_sqlite(&path, cause))?;
        fork.close()?;
        // With a log of its own beside it the file would not be all of the history, and the log be taken for the new one's.
        if self.empty_log()? == Emptied::No {
            return Err(trouble::locked(&self.path));
        }
        self.close()?;
        std::fs::rename(&self.path, history)
            .and_then(|()| std::fs::rename(&draft, &self.path))
            .and_then(|()| place::sync_folder(&self.path))
            .map_err(|cause| trouble::of_io(&self.path, "put aside", cause))?;
        *self = Self::open(&self.path, self.durability)?;
        Ok(())
    }

    /// Removes the parts of the lines from `from` on, with their files.
    fn drop_parts(&mut self, from: u64) -> Result<(), Error> {
        let dropped = parts::read(self.connection(), &self.path, from..u64::MAX)?;
        if dropped.is_empty() {
            return Ok(());
        }
        let removed = parts::remove(self.connection(), from..u64::MAX);
        removed.map_err(|cause| trouble::of_sqlite(&self.path, cause))?;
        parts::remove_files(dropped.into_iter().map(|(_, part)| part));
        Ok(())
    }

    fn hashes_before(&self, at: u64) -> Result<Vec<u64>, Error> {
        let mut all = Vec::new();
        for block in 0..at.div_ceil(BLOCK) {
            all.extend(rows::read_hashes(self.connection(), &self.path, block)?);
        }
        all.truncate(usize::try_from(at).unwrap_or(usize::MAX));
        Ok(all)
    }

    fn take_over(
        &mut self,
        from: &Self,
        (lines, parts): (&[u64], Vec<(u64, Part)>),
        at: u64,
    ) -> rusqlite::Result<()> {
        self.header.settings.clone_from(&from.header.settings);
        let group: Vec<Write> = lines.iter().copied().map(Write::Line).collect();
        let parts: Vec<News> = parts.into_iter().map(|(seq, part)| (seq, Some(Box::new(part)))).collect();
        self.transact(&group, &parts)?;
        let query = format!("SELECT {COLUMNS} FROM fetches WHERE seq < ? ORDER BY seq");
        let mut query = from.connection().prepare(&query)?;
        let mut found = query.query([at.cast_signed()])?;
        let mut group = Vec::new();
        loop {
            let row = found.next()?.map(rows::read_fetch).transpose()?.flatten();
            let is_last = row.is_none();
            group.extend(row.map(|row| Write::Row(Box::new(row), None)));
            if is_last || group.len() as u64 >= BLOCK {
                self.transact(&group, &[])?;
                group.clear();
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Copies the log of recent commits into the main file, and closes it. Only then one file is all of the journal.
    pub(super) fn close(&mut self) -> Result<(), Error> {
        let _ = self.empty_log()?;
        let Some(connection) = self.connection.take() else { return Ok(()) };
        connection.close().map_err(|(_, cause)| trouble::of_sqlite(&self.path, cause))
    }

    fn wait_for_others(&self, longest: Duration) -> Result<(), Error> {
        let set = self.connection().busy_timeout(longest);
        set.map_err(|cause| trouble::of_sqlite(&self.path, cause))
    }

    fn empty_log(&self) -> Result<Emptied, Error> {
        let Some(connection) = &self.connection else { return Ok(Emptied::Yes) };
        let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get::<_, i64>(0));
        match emptied.map_err(|cause| trouble::of_sqlite(&self.path, cause)) {
            Ok(0) => Ok(Emptied::Yes),
            // A reader is in the way: another time.
            Ok(_) => Ok(Emptied::No),
            Err(error) if error.kind() == ErrorKind::JournalLocked => Ok(Emptied::No),
            Err(error) => Err(error),
        }
    }

    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("a store is open between its steps")
    }
}

/// What the journal says of the program that wrote to it last.
const WRITER: &str = concat!("gannet ", env!("CARGO_PKG_VERSION"));

fn new_header() -> Header {
    Header {
        writer: WRITER.to_owned(),
        job: std::iter::repeat_with(fastrand::alphanumeric).take(16).collect(),
        created: rows::millis_of(Clock::wall()).cast_signed(),
        ..Header::default()
    }
}

/// Sets how the connection behaves; gives the mode that its file is in then.
fn prepare(connection: &Connection, durability: Durability) -> rusqlite::Result<String> {
    connection.busy_timeout(BUSY)?;
    connection.execute_batch(schema::SETTINGS)?;
    // What is refused is told when the statement ends, after its row.
    let mut switch = connection.prepare("PRAGMA journal_mode = WAL")?;
    let modes: Vec<String> = switch.query_map((), |row| row.get(0))?.collect::<Result<_, _>>()?;
    let synchronous = match durability {
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // The log is emptied between commits, where it holds nobody up.
    connection.query_row("PRAGMA wal_autocheckpoint = 0", (), |_| Ok(()))?;
    Ok(modes.into_iter().next().unwrap_or_default())
}

fn make(connection: &Connection, header: &Header) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    schema::make(&transaction)?;
    header.write(&transaction)?;
    transaction.commit()?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
}

/// A row that does not match its checksum; which one it was can only be told by where it was found.
pub(super) fn wrong_row(path: &Path, seq: u64) -> Error {
    trouble::damaged(path, format_args!("row {seq} of fetches does not match its checksum"))
}
