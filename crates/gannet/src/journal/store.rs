//! One journal's database, as the journal's thread uses it: blocks of what is known are read, groups of what is new
//! are committed. Nothing here waits for work or knows a job.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::earlier::{Earlier, Wanted};
use super::fetches::{self, COLUMNS};
use super::group::{Group, Write};
use super::reading::JournalReader;
use super::rows::{self, BLOCK, Header};
use super::shelf::News;
use super::sum::Sum;
use super::{Durability, durable, parts, place, schema, trouble};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::number::ByNumber;
use crate::outcome::Recorded;
use crate::part::Part;
use crate::version::Written;

/// How long a commit waits for a reader that copies the log.
const BUSY: Duration = Duration::from_secs(10);
/// Rows that are read at once have so many bytes at most, but for the last one: a block of short ones is read at once.
pub(super) const AT_ONCE: usize = 2 << 20;
/// As many groups are committed until a log is emptied in which a reader was.
const GROUPS_BEHIND_A_READER: u32 = 64;

/// An open journal.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) path: PathBuf,
    pub(super) durability: Durability,
    /// `None` only while one file takes the place of another.
    connection: Option<Connection>,
    pub(super) header: Header,
    /// The hashes of the last block of lines, which is not full.
    tail: Vec<u64>,
    tail_is_new: bool,
    /// How many rows the blocks have that were asked about.
    settled: ByNumber<u64>,
    /// Opened when they are asked.
    earlier: Option<Earlier>,
    /// Groups that are committed before the log is emptied again: a reader was in the way.
    log_rests: u32,
}

/// Whether the log was emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Emptied {
    Yes,
    No,
}

/// What is known of some lines of a block, mostly of all.
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
        place::remove_draft(path)?;
        place::forget_second_name(path)?;
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
            settled: ByNumber::default(),
            log_rests: 0,
            earlier: None,
        })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// What is known of the line `from` and of those behind it in its block, as far as that is no more than is read at once.
    pub(super) fn read(&self, from: u64) -> Result<Block, Error> {
        let block = from / BLOCK;
        let first = block * BLOCK;
        let mut hashes = rows::read_hashes(self.connection(), &self.path, block)?;
        let end = first + BLOCK.min(self.header.lines.saturating_sub(first));
        if first + hashes.len() as u64 != end {
            return Err(trouble::damaged(&self.path, format_args!("row {block} of lines is not whole")));
        }
        let sqlite = |cause| trouble::of_sqlite(&self.path, cause);
        let query = format!("SELECT {COLUMNS} FROM fetches WHERE seq >= ? AND seq < ? ORDER BY seq");
        let mut query = self.connection().prepare_cached(&query).map_err(sqlite)?;
        let mut found = query.query([from.cast_signed(), end.cast_signed()]).map_err(sqlite)?;
        let (mut settled, mut sum) = (VecDeque::with_capacity(hashes.len()), Sum::default());
        let (mut next, mut size) = (from, 0);
        while size < AT_ONCE
            && let Some(row) = found.next().map_err(sqlite)?
        {
            let seq: i64 = row.get(0).map_err(sqlite)?;
            let row = fetches::read(row, &mut sum).map_err(sqlite)?;
            let row = row.filter(|row| row.seq >= next && row.seq < end);
            let row = row.ok_or_else(|| wrong_row(&self.path, seq.cast_unsigned()))?;
            let of_line = usize::try_from(row.seq - first).ok().and_then(|place| hashes.get(place));
            if of_line != Some(&row.line_hash) {
                return Err(wrong_row(&self.path, row.seq));
            }
            next = row.seq + 1;
            size += sum.row().len();
            settled.push_back(row);
        }
        let end = if size < AT_ONCE { end } else { next };
        self.check_count(block, (from == first && size < AT_ONCE).then_some(settled.len() as u64))?;
        hashes.truncate((end - first) as usize);
        hashes.drain(..hashes.len().min((from - first) as usize));
        let parts = parts::read(self.connection(), &self.path, from..end)?.into();
        Ok(Block { first: from, hashes, rows: settled, parts })
    }

    /// A page that has lost rows says nothing by itself. `found` is how many the block has, if that is known.
    fn check_count(&self, block: u64, found: Option<u64>) -> Result<(), Error> {
        let sqlite = |cause| trouble::of_sqlite(&self.path, cause);
        let known = rows::settled_in(self.connection(), block).map_err(sqlite)?;
        let known = known.ok_or_else(|| {
            trouble::damaged(
                &self.path,
                format_args!("row {block} of settled is missing, or does not match its checksum"),
            )
        })?;
        let (first, end) = (block * BLOCK, self.header.lines.min((block + 1) * BLOCK));
        let found = match found {
            Some(found) => found,
            None => rows::count_in(self.connection(), first..end).map_err(sqlite)?,
        };
        if known != found {
            let what = format_args!("lines {first} to {end} have {found} of their {known} rows");
            return Err(trouble::damaged(&self.path, what));
        }
        Ok(())
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
    pub(super) fn commit(&mut self, group: &Group, mut parts: Vec<News>) -> Result<(), Error> {
        if self.durability == Durability::Power {
            durable::parts(&mut parts)?;
            durable::bodies(group)?;
        }
        let mut rest = group.writes();
        let stands_apart = |write: &Write| matches!(write, Write::Fork(_) | Write::DropParts);
        while let Some(place) = rest.iter().position(stands_apart) {
            self.commit_plain(group, &rest[..place], &[])?;
            match rest[place] {
                Write::Fork(at) => {
                    self.earlier = None;
                    self.fork(at)?;
                }
                _ => self.drop_parts(0)?,
            }
            rest = &rest[place + 1..];
        }
        self.commit_plain(group, rest, &parts)
    }

    /// Commits some of a group.
    pub(super) fn commit_plain(
        &mut self,
        group: &Group,
        writes: &[Write],
        parts: &[News],
    ) -> Result<(), Error> {
        if writes.is_empty() && parts.is_empty() {
            return Ok(());
        }
        let path = self.path.clone();
        self.transact(group, writes, parts).map_err(|cause| trouble::of_sqlite(&path, cause))?;
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

    pub(super) fn transact(
        &mut self,
        group: &Group,
        writes: &[Write],
        parts: &[News],
    ) -> rusqlite::Result<()> {
        let connection = self.connection.take().expect("a store is open between its steps");
        let result = self.transact_on(&connection, (group, writes), parts);
        self.connection = Some(connection);
        result
    }

    fn transact_on(
        &mut self,
        connection: &Connection,
        (group, writes): (&Group, &[Write]),
        parts: &[News],
    ) -> rusqlite::Result<()> {
        let transaction = connection.unchecked_transaction()?;
        let mut fetches = fetches::Writer::new(&transaction)?;
        let mut grown: BTreeMap<u64, u64> = BTreeMap::new();
        for write in writes {
            match write {
                Write::Line(hash) => self.line(&transaction, *hash)?,
                Write::Row(row) => {
                    fetches.write(group.row(row))?;
                    self.header.count(row);
                    *grown.entry(row.seq / BLOCK).or_default() += u64::from(row.before.is_none());
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
        for (block, more) in grown {
            self.settle(&transaction, block, more)?;
        }
        self.header.writer = WRITER.to_owned();
        self.header.write(&transaction)?;
        transaction.commit()
    }

    /// So many more rows of this block are written.
    fn settle(&mut self, connection: &Connection, block: u64, more: u64) -> rusqlite::Result<()> {
        let known = match self.settled.get(&block) {
            Some(rows) => *rows,
            None => rows::settled_in(connection, block)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?,
        };
        self.settled.insert(block, known + more);
        rows::write_settled(connection, block, known + more)
    }

    fn line(&mut self, connection: &Connection, hash: u64) -> rusqlite::Result<()> {
        if self.tail.is_empty() {
            self.settled.insert(self.header.lines / BLOCK, 0);
            self.settle(connection, self.header.lines / BLOCK, 0)?;
        }
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

    /// Removes the parts of the lines from `from` on, with their files.
    pub(super) fn drop_parts(&mut self, from: u64) -> Result<(), Error> {
        let dropped = parts::read(self.connection(), &self.path, from..u64::MAX)?;
        if dropped.is_empty() {
            return Ok(());
        }
        let removed = parts::remove(self.connection(), from..u64::MAX);
        removed.map_err(|cause| trouble::of_sqlite(&self.path, cause))?;
        parts::remove_files(dropped.into_iter().map(|(_, part)| part));
        Ok(())
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

    pub(super) fn empty_log(&self) -> Result<Emptied, Error> {
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

    pub(super) fn connection(&self) -> &Connection {
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

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::outcome::{Entry, Outcome, Record, Verdict};

    /// A journal with the rows of so many lines, each of whose URLs has so many bytes.
    fn store(path: &Path, lines: u64, length: usize) -> Store {
        let mut store = Store::open(path, Durability::Process).expect("it opens");
        let (mut tries, mut sum, mut group) = (String::new(), Sum::default(), Group::default());
        for seq in 0..lines {
            let url = format!("http://h/{seq}?{}", "q".repeat(length));
            let verdict = Verdict::Skipped("file".into());
            let outcome = Outcome::new(seq, None, url.into(), verdict, Record::default());
            let entry = Entry::of_outcome(&outcome, &Method::GET, seq, &mut tries);
            fetches::write(&entry, &mut sum);
            group.push(Write::Line(seq));
            group.push_row(&entry, &sum, None);
        }
        store.commit(&group, Vec::new()).expect("it is written");
        store
    }

    fn read_all(store: &Store) -> Result<Vec<Block>, Error> {
        let (mut all, mut next) = (Vec::new(), 0);
        while next < store.header().lines {
            let block = store.read(next)?;
            next += block.hashes.len() as u64;
            all.push(block);
        }
        Ok(all)
    }

    #[test]
    fn long_rows_are_read_in_pieces_and_short_ones_block_by_block() {
        let folder = std::env::temp_dir().join(format!("gannet-store-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("it can be made");
        let lines = 2 * BLOCK + 100;
        for (name, length) in [("short", 300), ("long", 20_000)] {
            let store = store(&folder.join(name), lines, length);
            let all = read_all(&store).expect("it is whole");
            let mut next = 0;
            for block in &all {
                assert_eq!(block.first, next);
                assert!((block.rows.len() - 1) * length <= AT_ONCE, "{} rows at once", block.rows.len());
                for (row, hash) in block.rows.iter().zip(&block.hashes) {
                    assert_eq!((row.seq, *hash), (next, next));
                    next += 1;
                }
                assert_eq!(block.first + block.hashes.len() as u64, next);
            }
            assert_eq!((next, all.len() == 3), (lines, length == 300), "{} pieces", all.len());
            // Whichever piece it is missing from.
            for seq in [2 * BLOCK + 99, BLOCK + 5, BLOCK - 1] {
                let removed = store.connection().execute("DELETE FROM fetches WHERE seq = ?", [seq as i64]);
                assert_eq!(removed, Ok(1));
                let error = read_all(&store).expect_err("a row is missing");
                let (first, end) = (seq / BLOCK * BLOCK, lines.min((seq / BLOCK + 1) * BLOCK));
                let says = format!("lines {first} to {end} have {} of their", end - first - 1);
                assert!(error.message().contains(&says), "{error}");
            }
        }
        std::fs::remove_dir_all(folder).expect("it is there");
    }
}
