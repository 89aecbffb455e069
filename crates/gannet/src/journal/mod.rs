//! What a job has settled, durable: a file that a run leaves behind and the next one goes on from. One file is one
//! job; its tables are described in docs/JOURNAL.md. Nothing in this room fetches, writes a body or decides what is
//! tried again.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::error::{Error, ErrorKind, Phase};

mod admitted;
mod durable;
mod earlier;
mod fetches;
mod fork;
mod group;
mod line;
mod names;
mod naming;
mod outdated;
mod own;
mod parts;
mod place;
mod reading;
mod rows;
mod run;
mod schema;
mod scribe;
mod shelf;
mod store;
mod sum;
mod trouble;

pub use own::JournalFiles;
pub use reading::{JobSummary, JournalLines, JournalReader, JournalRows};
pub(crate) use run::{IsAsked, Known, Run};
pub(crate) use scribe::PartLog;

use group::Write;
use names::Names;
use place::Lock;
use run::{OtherList, Since};
use scribe::Scribe;
use shelf::Shelf;
use store::Store;

/// What a row of a [`Journal`] survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// The death of the process at any instant, by `kill -9` too. A power cut may lose the bodies of rows that say
    /// they are done.
    Process,
    /// A power cut: bodies and the folders of their names are synced before their rows, and the rows are synced as they
    /// are committed. Costs a sync of each file, or of its file system, for each group of rows, and of each body
    /// under way each second or 8 MiB.
    Power,
}

/// The durable record of what a job has settled: the next run with the same list goes on where this one stopped.
///
/// A journal belongs to one list. A line is identified by method, URL, name of its file and the caller's own id; its
/// mirrors and digests may change between two runs, and a line that was [refused](crate::Request::refused) may be mended.
/// What may be secret (userinfo, header fields, bodies) is neither compared nor kept.
///
/// - What was obtained, skipped or failed has settled: it is not fetched again, and its outcome comes from the journal
///   ([`Outcome::recorded`](crate::Outcome::recorded)). [`reopen_failed`](Self::reopen_failed) opens what failed.
/// - What was stopped or never begun is fetched.
/// - What was obtained is fetched again if [a digest](crate::Request::digest) is wanted of it by now that contradicts the
///   one which was computed of its body (feature `digests`). The body takes the place of the job's own file.
/// - A list that only grew is taken: its new lines are new work.
/// - An unfinished job with another list is refused with [`JournalOtherList`](ErrorKind::JournalOtherList), which names
///   the first line that differs; nothing is sent for that line and those behind it.
/// - After a finished job another list is a new job, and the old journal is kept as history beside it. A list is read
///   once, so that lines that both begin with are taken over as they settled. Whoever can read it twice compares it
///   before ([`JournalReader::lines`]), and [begins anew](Self::begin_anew): then nothing is taken over.
///
/// Rows are written by a thread of the journal's own, in groups, at most 50 ms after their outcome; a job's end waits
/// for the last of them. A row comes after its body has its name. Up to 16,384 rows wait for the thread, then the list
/// waits too.
///
/// A job with a journal leaves the part files of bodies that it has not finished, as
/// [`leave_parts`](crate::ClientBuilder::leave_parts) does, and the next run goes on with them. How far each part is, is
/// written down when it is begun and then at most 250 ms (or 8 MiB) later than the file; under
/// [`Durability::Power`] each second or 8 MiB, after a sync of the file. What lies in the file behind that is cut off by
/// the next run.
///
/// It is a handle: clones stand for the same journal, and the lock is held until the last is dropped, which waits for
/// the thread. A journal serves one job at a time.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Handle>);

/// What all handles share.
#[derive(Debug)]
struct Handle {
    path: PathBuf,
    scribe: Arc<Scribe>,
    thread: Mutex<Option<(JoinHandle<Store>, Lock)>>,
    known: Mutex<Resumed>,
    settings: String,
    reopens_failed: AtomicBool,
    leaves_open: AtomicBool,
    holds_to_its_list: AtomicBool,
    is_in_use: AtomicBool,
    /// A job has worked with it.
    was_used: AtomicBool,
    /// A job was put aside since it was opened, or will have been when anything is asked.
    is_begun_anew: AtomicBool,
    names: Mutex<Names>,
    forgets_superseded: AtomicBool,
}

/// What a journal knew of its job when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Resumed {
    /// Lines of the list that had been read.
    pub lines: u64,
    /// Of these, those that were obtained.
    pub ok: u64,
    /// Those that were there already.
    pub skipped: u64,
    /// Those that failed.
    pub failed: u64,
    /// Bytes of the bodies obtained.
    pub bytes: u64,
    /// Whether all of the list had settled.
    pub is_finished: bool,
}

impl Resumed {
    /// Lines that had been read and are still to be fetched.
    pub fn open(&self) -> u64 {
        self.lines.saturating_sub(self.ok + self.skipped + self.failed)
    }
}

impl Journal {
    /// Opens the journal in the file `path`, or makes an empty one. Its folder is made for its owner alone (0700), as
    /// its files are (0600). Of a symbolic link the file is meant that it leads to, and all that belongs to the journal lies
    /// beside that. What a killed process has left half-written is cleaned up.
    ///
    /// Blocks for a few file operations, and longer if another program reads the file: up to 200 ms if another process
    /// has its lock, which may only look whether it is in use.
    ///
    /// # Errors
    /// - [`JournalLocked`](ErrorKind::JournalLocked): another process works with it, or another [`Journal`] of this one.
    /// - [`JournalNewer`](ErrorKind::JournalNewer): a newer version wrote it; it is left as it is.
    /// - [`JournalDamaged`](ErrorKind::JournalDamaged): it does not hold what was written; it is left as it is. Only
    ///   the header and the rows of parts are looked at here. Others are checked as they are met, and end the job with the
    ///   same error.
    /// - [`DiskFull`](ErrorKind::DiskFull), [`ReadOnly`](ErrorKind::ReadOnly),
    ///   [`JournalFailed`](ErrorKind::JournalFailed): the system refused something.
    pub fn open(path: impl AsRef<Path>, durability: Durability) -> Result<Self, Error> {
        let path = &*place::resolved(path.as_ref());
        let lock = place::lock(path)?;
        let store = Store::open(path, durability)?;
        lock.works();
        let known = store.header().resumed();
        let settings = store.header().settings.clone();
        let shelf = Shelf::new(durability, &store.lines_with_parts()?);
        let started = Scribe::start(store, shelf);
        let (scribe, thread) = started.map_err(|cause| trouble::of_io(path, "start a thread for", cause))?;
        Ok(Self(Arc::new(Handle {
            path: path.to_owned(),
            scribe,
            thread: Mutex::new(Some((thread, lock))),
            known: Mutex::new(known),
            settings,
            reopens_failed: AtomicBool::new(false),
            leaves_open: AtomicBool::new(false),
            holds_to_its_list: AtomicBool::new(false),
            is_in_use: AtomicBool::new(false),
            is_begun_anew: AtomicBool::new(false),
            was_used: AtomicBool::new(false),
            names: Mutex::new(Names::of_this_process()),
            forgets_superseded: AtomicBool::new(false),
        })))
    }

    /// Reads the journal in the file `path`, also while another process works with it. Nothing is changed.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for the lock.
    pub fn read(path: impl AsRef<Path>) -> Result<JournalReader, Error> {
        JournalReader::open(&place::resolved(path.as_ref()))
    }

    /// The journals of earlier jobs beside the one in the file `path`, the oldest first: `journal.1.sqlite` beside
    /// `journal.sqlite`.
    pub fn history(path: impl AsRef<Path>) -> Vec<PathBuf> {
        place::history(&place::resolved(path.as_ref()))
    }

    /// The files of the journal in the file `path`: itself, those beside it (`-wal`, `-shm`, `.lock` and their kin), and
    /// the journals of earlier jobs, whether they are there or not. A job whose bodies go to the folder of its journal has
    /// to keep them from these names: see [`Files::taken_where`](crate::sink::Files::taken_where).
    ///
    /// Asks the file system what `path` leads to.
    pub fn files(path: impl AsRef<Path>) -> JournalFiles {
        JournalFiles::of(path.as_ref())
    }

    /// The file that it lies in; what a link leads to, if it was opened by one.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// What it knew when it was opened.
    pub fn resumed(&self) -> Resumed {
        self.0.known()
    }

    /// What it knows by what is committed so far.
    pub fn committed(&self) -> Resumed {
        self.0.scribe.summary()
    }

    /// Whether all of its list has settled, by what is committed so far.
    pub fn is_finished(&self) -> bool {
        self.0.scribe.summary().is_finished
    }

    /// The settings of the last run, as they were given to [`note_settings`](Self::note_settings); empty if none were.
    pub fn settings(&self) -> &str {
        &self.0.settings
    }

    /// Keeps the caller's own description of the run, such as its command line as JSON; it must hold no secrets.
    pub fn note_settings(&self, settings: impl Into<String>) {
        self.0.scribe.push(Write::Settings(settings.into()));
    }

    /// Opens again what failed, for the next job that is given this journal. To be called before.
    pub fn reopen_failed(&self) {
        self.0.reopens_failed.store(true, Ordering::Relaxed);
    }

    /// The next job that is given this journal fetches nothing but what is opened again: what had failed
    /// ([`reopen_failed`](Self::reopen_failed)), and what was obtained and is not wanted so any more. What was stopped or
    /// never begun, and what a list has grown by, ends without being tried (`cancelled`, or `unfinished` if a deadline had
    /// cut it), and is as open as it was for the job after it. What had failed and is stopped has failed still. To be called
    /// before.
    pub fn leave_open(&self) {
        self.0.leaves_open.store(true, Ordering::Relaxed);
    }

    /// Refuses another list also after a finished job, which is not put aside then. Holds for the next job that is given
    /// this journal; to be called before.
    pub fn hold_to_its_list(&self) {
        self.0.holds_to_its_list.store(true, Ordering::Relaxed);
    }

    /// The attempts of what has settled are read ahead, too, by the journal's own thread: for callers who look at
    /// [those of each outcome](crate::Outcome::attempts). To be called before a job is given this journal.
    pub fn read_attempts_ahead(&self) {
        self.0.scribe.read_attempts();
    }

    /// Begins a new job, whatever the list; the old one is kept as history. To be called before a job is given this
    /// journal.
    ///
    /// # Errors
    /// A job is using it.
    pub fn begin_anew(&self) -> Result<(), Error> {
        if self.0.is_in_use.load(Ordering::Acquire) {
            return Err(in_use(&self.0.path));
        }
        self.0.is_begun_anew.store(true, Ordering::Relaxed);
        // Of a journal that holds nothing nothing is kept.
        self.0.scribe.push(Write::Fork(0));
        *self.0.lock_known() = Resumed::default();
        Ok(())
    }

    /// Says where files lie that the next job names `given/...`: they are kept as `folder/...`, whose links are best
    /// resolved, and a later job that says the same of a name of its own gets them back by that one. Without this, relative
    /// names are kept as they are in the folder that was the current one when the journal was opened, and given back
    /// absolute. To be called before a job is given this journal.
    pub fn names_below(&self, given: impl AsRef<Path>, folder: impl AsRef<Path>) {
        self.0.lock_names().below(given.as_ref(), folder.as_ref());
    }

    /// When it is closed, and all of its list has settled, the journals of earlier jobs go whose list was the same, or
    /// the beginning of it: so that a list that is updated again and again leaves one journal.
    pub fn forget_superseded(&self) {
        self.0.forgets_superseded.store(true, Ordering::Relaxed);
    }

    /// Waits until all that was handed over is committed. To be awaited while no job is using the journal.
    ///
    /// # Errors
    /// What [`error`](Self::error) gives, or it is closed.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing: it is committed all the same.
    pub async fn flush(&self) -> Result<(), Error> {
        std::future::poll_fn(|cx| self.0.scribe.poll_committed(cx)).await
    }

    /// Why writing has failed, if it has; what is not committed then is not done, and nothing more is written.
    pub fn error(&self) -> Option<Error> {
        self.0.scribe.error()
    }

    /// Waits until all that has settled is committed, and closes the file, and lets go of the lock. Nothing is
    /// written down after this, and a job that still uses it ends with [`JournalFailed`](ErrorKind::JournalFailed).
    ///
    /// Blocks for one commit.
    ///
    /// # Errors
    /// What [`error`](Self::error) gives, or closing has failed.
    pub fn close(&self) -> Result<(), Error> {
        self.0.close().map(drop)
    }

    /// Nobody goes on with the bodies of which the first bytes lie on the disk: their files are removed. To be called
    /// while no job is using the journal.
    pub fn drop_parts(&self) {
        self.0.scribe.push(Write::DropParts);
    }

    /// Closes it and removes its files and those of its [parts](Self::drop_parts), but not the journals of earlier jobs.
    ///
    /// # Errors
    /// As [`close`](Self::close); the system refused something.
    pub fn remove(self) -> Result<(), Error> {
        self.drop_parts();
        let lock = match self.0.close()? {
            Some(lock) => lock,
            None => place::lock(&self.0.path)?,
        };
        let refused = |cause| trouble::of_io(&self.0.path, "remove", cause);
        for end in ["-shm", "-wal", ""] {
            match std::fs::remove_file(place::beside(&self.0.path, end)) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(refused(cause)),
                _ => {}
            }
        }
        lock.remove().map_err(refused)
    }

    /// Gives it to a job.
    pub(crate) fn begin(&self) -> Result<Run, Error> {
        if self.0.is_in_use.swap(true, Ordering::AcqRel) {
            return Err(in_use(&self.0.path));
        }
        let what_is_known = match self.0.was_used.swap(true, Ordering::AcqRel) {
            true => Since::AnotherJob,
            false => Since::Opening,
        };
        Ok(Run::new(Arc::clone(&self.0), what_is_known))
    }
}

fn in_use(path: &Path) -> Error {
    let message = format!("the journal {} serves another job at this moment", path.display());
    Error::new(ErrorKind::Settings, Phase::Queue, message)
}

impl Handle {
    fn known(&self) -> Resumed {
        *self.lock_known()
    }

    fn lock_known(&self) -> MutexGuard<'_, Resumed> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reopens_failed(&self) -> bool {
        self.reopens_failed.load(Ordering::Relaxed)
    }

    fn leaves_open(&self) -> bool {
        self.leaves_open.load(Ordering::Relaxed)
    }

    fn is_begun_anew(&self) -> bool {
        self.is_begun_anew.load(Ordering::Relaxed)
    }

    fn other_list(&self) -> OtherList {
        match self.holds_to_its_list.load(Ordering::Relaxed) {
            true => OtherList::IsRefused,
            false => OtherList::IsANewJob,
        }
    }

    fn lock_names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job is done with it.
    fn release(&self) {
        self.is_in_use.store(false, Ordering::Release);
    }

    /// Joins the thread; gives the lock to whoever comes first.
    fn close(&self) -> Result<Option<Lock>, Error> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((thread, lock)) = thread.take() else {
            return self.scribe.error().map_or(Ok(None), Err);
        };
        self.scribe.close();
        let died = || trouble::of(ErrorKind::JournalFailed, &self.path, "lost its thread");
        let mut store = thread.join().map_err(|_| died())?;
        match self.scribe.error() {
            Some(error) => Err(error),
            None => {
                if self.forgets_superseded.load(Ordering::Relaxed) {
                    store.forget_superseded()?;
                }
                store.close().map(|()| Some(lock))
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Whoever wants to know how it went has called `close`.
        drop(self.close());
    }
}
