//! What the journals of earlier jobs say of a URL and its file. Rows are read in the order in which they are asked for,
//! some ahead; those of other lists are found by an index of the URLs in a temporary file. Nothing here writes to a
//! journal, and what cannot be read is passed over: then the body is fetched, or skipped by its file's name alone.

use std::path::{Path, PathBuf};

mod older;

use older::Older;

use super::place;
use super::reading::JournalReader;
use super::rows::BLOCK;
use crate::error::{Error, ErrorKind};
use crate::outcome::{Ending, Recorded};
use crate::version::{Version, Written};

/// The earlier jobs that are asked one by one, the latest first: a list as a rule is like one of them, whose rows are read
/// as they come. For versions no others are asked.
const LOOKED_INTO: usize = 8;

/// So often are all of them opened anew, if one cannot be read.
const REOPENED: u32 = 8;

/// What is looked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Where a job of the same list has it.
    pub(super) seq: u64,
    pub(super) url: Box<str>,
    /// The file that stands there, by the name that it has in journals.
    pub(super) file: PathBuf,
    pub(super) what: What,
}

/// What is to be found of a URL and a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The version of it that the file holds.
    Version,
    /// Whose file it is.
    Owner,
}

/// The journals of earlier jobs, the latest first.
#[derive(Debug)]
pub(super) struct Earlier {
    /// That of this job, beside which they lie.
    beside: PathBuf,
    /// How often all of them were opened anew.
    reopened: u32,
    /// Those that are asked one by one, and why one of them cannot be.
    jobs: Vec<Result<Past, Error>>,
    older: Older,
}

/// One of them.
#[derive(Debug)]
struct Past {
    reader: JournalReader,
    /// Rows in order: all that there are from the first number to the second, which is not among them.
    rows: Vec<Recorded>,
    span: std::ops::Range<u64>,
    by_url: Index,
    by_path: Index,
    by_name: Index,
}

/// Whether rows can be found so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Index {
    None,
    Made,
}

impl Earlier {
    /// Those beside the journal in the file `path`.
    pub(super) fn beside(path: &Path) -> Self {
        let mut older = place::history(path);
        let latest = older.split_off(older.len().saturating_sub(LOOKED_INTO));
        let open = |path: PathBuf| JournalReader::open_past(&path).map(Past::of);
        let jobs = latest.into_iter().rev().map(open).collect();
        Self { beside: path.to_owned(), reopened: 0, jobs, older: Older::new(older) }
    }

    /// The latest word on a URL and its file. What is damaged may have been about this one: then nothing is known that is
    /// older.
    pub(super) fn find(&mut self, wanted: &Wanted) -> Written {
        match wanted.what {
            What::Version => match self.version(wanted) {
                Ok(found) => found.unwrap_or(Written::NoRow),
                Err(_) => Written::NoVersion,
            },
            What::Owner => match self.owner_if_need_be_again(wanted) {
                Ok(None) => Written::NoRow,
                // Nothing is to be said against it.
                Ok(Some(owner)) if owner == wanted.url => Written::NoVersion,
                Ok(Some(owner)) => self.own_beside(wanted).map_or(Written::OfAnother(owner), Written::Beside),
                Err(_) => self.own_beside(wanted).map_or(Written::Unreadable, Written::Beside),
            },
        }
    }

    /// The URL whose file it is. What the system refuses for a moment, as when there are too few descriptors, is asked for
    /// once more.
    fn owner_if_need_be_again(&mut self, wanted: &Wanted) -> Result<Option<Box<str>>, Error> {
        let told = self.owner(wanted);
        let lasts =
            |error: &Error| matches!(error.kind(), ErrorKind::JournalDamaged | ErrorKind::JournalNewer);
        if self.reopened >= REOPENED || told.is_ok() || told.as_ref().is_err_and(lasts) {
            return told;
        }
        let reopened = self.reopened + 1;
        *self = Self { reopened, ..Self::beside(&self.beside) };
        self.owner(wanted)
    }

    /// What the latest job says of the version that says anything, unless a later one has put another URL's body there.
    fn version(&mut self, wanted: &Wanted) -> Result<Option<Written>, Error> {
        for place in 0..self.jobs.len() {
            let Some(found) = self.job(place)?.find(wanted)? else { continue };
            for later in 0..place {
                if self.job(later)?.owner(wanted)?.is_some_and(|owner| owner != wanted.url) {
                    return Ok(Some(Written::NoVersion));
                }
            }
            return Ok(Some(found));
        }
        Ok(None)
    }

    /// The URL whose file it is, by the latest job that knows it.
    fn owner(&mut self, wanted: &Wanted) -> Result<Option<Box<str>>, Error> {
        for place in 0..self.jobs.len() {
            let found = self.job(place)?.owner(wanted)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        if let Some(found) = self.older.owner(wanted)? {
            return Ok(Some(found));
        }
        self.owner_before_a_move(wanted)
    }

    /// The same where the folder that journals name is gone, as after it was moved: by the row whose path ends most like the
    /// file's.
    fn owner_before_a_move(&mut self, wanted: &Wanted) -> Result<Option<Box<str>>, Error> {
        let mut best = Lost::default();
        for place in 0..self.jobs.len() {
            best.or(self.job(place)?.lost(wanted)?);
        }
        best.or(self.older.lost(wanted)?);
        Ok(best.0.map(|(_, url)| url))
    }

    /// A file that this URL has in the folder of the other one, and that no later job has made another's.
    fn own_beside(&mut self, wanted: &Wanted) -> Option<PathBuf> {
        let mut files = Vec::new();
        for job in self.jobs.iter_mut().flatten() {
            files.extend(job.files_beside(wanted).unwrap_or_default());
        }
        files.extend(self.older.files_beside(wanted).unwrap_or_default());
        files.into_iter().find(|file| {
            let own = Wanted { file: file.clone(), ..wanted.clone() };
            self.owner(&own).is_ok_and(|owner| owner.as_ref() == Some(&wanted.url))
        })
    }

    fn job(&mut self, place: usize) -> Result<&mut Past, Error> {
        self.jobs[place].as_mut().map_err(|error| error.clone())
    }
}

impl Past {
    fn of(reader: JournalReader) -> Self {
        let (by_url, by_path, by_name) = (Index::None, Index::None, Index::None);
        Self { reader, rows: Vec::new(), span: 0..0, by_url, by_path, by_name }
    }

    fn find(&mut self, wanted: &Wanted) -> Result<Option<Written>, Error> {
        if let Some(row) = self.row(wanted.seq)?
            && let Some(written) = word_of(row, wanted)
        {
            return Ok(Some(written));
        }
        let mut latest = None;
        for seq in self.rows_of_url(&wanted.url)? {
            let row = self.reader.row(seq)?;
            match row.as_ref().and_then(|row| word_of(row, wanted)) {
                Some(version @ Written::Version(_)) => return Ok(Some(version)),
                other => latest = latest.or(other),
            }
        }
        Ok(latest)
    }

    /// The URL whose file it is, as far as this job knows it. What it skipped was that line's, too. Rows are found by the
    /// name as it was spelled, else by the file's own name, of which some are looked at.
    fn owner(&mut self, wanted: &Wanted) -> Result<Option<Box<str>>, Error> {
        // As a rule the list is the same.
        if let Some(row) =
            self.row(wanted.seq)?.filter(|row| *row.url == *wanted.url && has_file(row, wanted))
        {
            return Ok(Some(row.url.clone()));
        }
        if self.by_path == Index::None {
            self.reader.index_paths()?;
            self.by_path = Index::Made;
        }
        let mut all = self.reader.found_by_path(&wanted.file)?;
        if all.is_empty() {
            self.index_by_name()?;
            let name = Path::new(wanted.file.file_name().unwrap_or_default());
            all = self.reader.found_by_name(name)?;
        }
        let mut owner = None;
        for seq in all {
            match self.reader.row(seq)?.filter(|row| has_file(row, wanted)) {
                Some(row) if *row.url == *wanted.url => return Ok(Some(row.url)),
                Some(row) => owner = Some(row.url),
                None => {}
            }
        }
        Ok(owner)
    }

    /// What it may have been before a folder was moved.
    fn lost(&mut self, wanted: &Wanted) -> Result<Lost, Error> {
        self.index_by_name()?;
        let mut all = self.reader.found_by_name(Path::new(wanted.file.file_name().unwrap_or_default()))?;
        // Of very many of one name some are found.
        all.extend(self.rows_of_url(&wanted.url)?);
        let mut best = Lost::default();
        for seq in all {
            if let Some(row) = self.reader.row(seq)? {
                best.add(row, wanted);
            }
        }
        Ok(best)
    }

    fn index_by_name(&mut self) -> Result<(), Error> {
        if self.by_name == Index::None {
            self.reader.index_names()?;
            self.by_name = Index::Made;
        }
        Ok(())
    }

    /// The files that this URL has in the folder of the other one.
    fn files_beside(&mut self, wanted: &Wanted) -> Result<Vec<PathBuf>, Error> {
        let mut files = Vec::new();
        for seq in self.rows_of_url(&wanted.url)? {
            files.extend(self.reader.row(seq)?.and_then(|row| file_beside(row, wanted)));
        }
        Ok(files)
    }

    fn rows_of_url(&mut self, url: &str) -> Result<Vec<u64>, Error> {
        if self.by_url == Index::None {
            self.reader.index_urls()?;
            self.by_url = Index::Made;
        }
        self.reader.found_by_url(url)
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

/// Whether the row says that this is its file, whatever it ended with: what could not be updated has its file still.
fn has_file(row: &Recorded, wanted: &Wanted) -> bool {
    row.path.as_deref().is_some_and(|path| is_one_file(path, wanted))
}

/// The URL of a row whose folder is gone, and how many parts its path has in common with the end of the file's.
#[derive(Debug, Default)]
struct Lost(Option<(usize, Box<str>)>);

impl Lost {
    /// Takes a row into account; of two that are alike one of another URL counts, of which nothing is lost.
    fn add(&mut self, row: Recorded, wanted: &Wanted) {
        let Some(path) = row.path.filter(|path| path.file_name() == wanted.file.file_name()) else { return };
        let alike = path.components().rev().zip(wanted.file.components().rev());
        let alike = alike.take_while(|(one, other)| one == other).count();
        let is_better = match &self.0 {
            None => true,
            Some((known, url)) => alike > *known || (alike == *known && **url == *wanted.url),
        };
        if is_better && folder_of(&path).is_none() {
            self.0 = Some((alike, row.url));
        }
    }

    /// What an earlier job says, if that is more alike.
    fn or(&mut self, other: Self) {
        let length = |lost: &Self| lost.0.as_ref().map_or(0, |(alike, _)| *alike);
        if length(&other) > length(self) {
            *self = other;
        }
    }
}

/// The row's file, if it is there, in the folder of the other one, and not that one.
fn file_beside(row: Recorded, wanted: &Wanted) -> Option<PathBuf> {
    let path = row.path.filter(|path| !is_one_file(path, wanted))?;
    let path = if folder_of(&path).is_some() { path } else { wanted.file.with_file_name(path.file_name()?) };
    let is_there = path.symlink_metadata().is_ok_and(|met| met.is_file());
    let is_beside =
        folder_of(&path) == folder_of(&wanted.file) && path.file_name() != wanted.file.file_name();
    (is_there && is_beside).then_some(path)
}

fn full(path: &Path) -> PathBuf {
    match path.as_os_str().is_empty() {
        true => std::env::current_dir().unwrap_or_default(),
        false => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

/// The folder of a file, without links.
fn folder_of(path: &Path) -> Option<PathBuf> {
    full(path).parent().and_then(|folder| folder.canonicalize().ok())
}

/// Whether the name in a journal is that of the file.
fn is_one_file(path: &Path, wanted: &Wanted) -> bool {
    let (named, file) = (full(path), full(&wanted.file));
    named == file || (named.file_name() == file.file_name() && folder_of(&named) == folder_of(&file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Durability;
    use crate::journal::fetches;
    use crate::journal::group::{Group, Write};
    use crate::journal::store::Store;
    use crate::journal::sum::Sum;
    use crate::outcome::{Entry, Outcome, Record, Verdict};

    #[test]
    fn names_are_gone_through_only_if_no_path_is_spelled_so() {
        let folder = std::env::temp_dir().join(format!("gannet-earlier-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("d")).expect("a folder can be made");
        let path = folder.join("journal.sqlite");
        let mut store = Store::open(&path, Durability::Process).expect("it can be made");
        for (seq, name) in (0..).zip(["a", "d/../b"]) {
            let (url, verdict) = (format!("http://h/{name}"), Verdict::Skipped(folder.join(name)));
            let outcome = Outcome::new(seq, None, url.into(), verdict, Record::default());
            let (mut tries, mut sum) = (String::new(), Sum::default());
            let row = Entry::of_outcome(&outcome, &http::Method::GET, seq, &mut tries);
            fetches::write(&row, &mut sum);
            let mut group: Group = [Write::Line(seq)].into_iter().collect();
            group.push_row(&row, &sum, None);
            store.commit(&group, Vec::new()).expect("it is written");
        }
        store.close().expect("it is written");
        let mut past = Past::of(JournalReader::open_past(&path).expect("it can be read"));
        for (name, owner, by_name) in
            [("a", "http://h/a", Index::None), ("b", "http://h/d/../b", Index::Made)]
        {
            let (url, file) = ("http://h/other".into(), folder.join(name));
            let wanted = Wanted { seq: 9, url, file, what: What::Owner };
            assert_eq!(past.owner(&wanted).expect("it is sound").as_deref(), Some(owner));
            assert_eq!((past.by_path, past.by_name), (Index::Made, by_name), "{name}");
        }
        std::fs::remove_dir_all(folder).expect("it is there");
    }
}
