//! One body on its way to a file: held while small, written in blocks on blocking threads when large, named at its
//! commit. A part file has exactly one owner at any moment, and the owner's drop removes it. Nothing here chooses
//! a final name.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::block::Block;
use super::final_name::{FinalName, Naming, Syncing, TRIES, next_free};
use super::part_key::is_of_part;
use super::{Part as SinkPart, io_error};
use crate::error::{Error, ErrorKind};
use crate::outcome::Receipt;
use crate::part::{OnDisk, Part, Tail};

/// Bodies up to this length, in bytes, are held in memory and written with one call at their commit.
const SMALL: usize = 64 << 10;

/// Larger ones are handed to a blocking thread in blocks of at least this length, in bytes.
const BLOCK: usize = 256 << 10;

/// Where the bytes go.
#[derive(Debug, Clone)]
enum Target {
    File(Arc<FinalName>),
    Device(PathBuf),
}

/// A body on its way to a file or a device.
#[derive(Debug)]
pub(super) struct PartFile {
    target: Target,
    held: Block,
    length: u64,
    work: Work,
    /// What a later run would find, if it is to find anything.
    left: Option<Left>,
    /// What is left to do once all is written.
    last: Last,
}

/// What a thread does after it has written a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Sync,
}

/// What of a body lies on the disk for a later run.
#[derive(Debug)]
struct Left {
    length: u64,
    on_disk: OnDisk,
    spared: Arc<AtomicBool>,
}

/// At most one block of a body is being written.
#[derive(Debug)]
enum Work {
    Idle(Option<Open>),
    Writing(oneshot::Receiver<Result<(Open, Option<Left>), Error>>),
    Broken(Error),
}

impl PartFile {
    /// A body that gets its name at its commit.
    pub(super) fn to_file(place: FinalName) -> Self {
        Self::to(Target::File(Arc::new(place)))
    }

    /// A body that is written to a device or FIFO as it comes.
    pub(super) fn to_device(path: PathBuf) -> Self {
        Self::to(Target::Device(path))
    }

    /// What an earlier run has left under `part_name`: its first `part.good` bytes, if they are there as they were
    /// told. Of another file nothing stays.
    pub(super) fn reopened(place: FinalName, part_name: OsString, part: &Part) -> io::Result<Option<Self>> {
        let place = Arc::new(place);
        let file = match place.directory.open_again(&part_name) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(cause),
        };
        let spared = Arc::<AtomicBool>::default();
        let mut draft =
            Draft { file, place: place.clone(), part_name: Some(part_name), spared, written: part.good };
        // A thread of a fetch that was dropped may be writing its last block.
        let is_written = matches!(draft.file.try_lock(), Err(TryLockError::WouldBlock));
        if is_written || !draft.is_as_told(part)? {
            return Ok(None);
        }
        draft.cut(part)?;
        draft.spared.store(true, Ordering::Relaxed);
        let mut this = Self::to(Target::File(place));
        this.length = part.good;
        this.left = draft.left(draft.tail_on_disk()?);
        this.work = Work::Idle(Some(Open::Draft(draft)));
        Ok(Some(this))
    }

    fn to(target: Target) -> Self {
        let last = match &target {
            Target::File(place) if place.syncing == Syncing::BeforeName => Last::Sync,
            Target::File(_) | Target::Device(_) => Last::Nothing,
        };
        Self { target, held: Block::default(), length: 0, work: Work::Idle(None), left: None, last }
    }

    fn poll_work(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Work::Writing(answer) = &mut self.work {
            self.work = match ready!(Pin::new(answer).poll(context)) {
                Ok(Ok((open, left))) => {
                    self.left = left.or(self.left.take());
                    Work::Idle(Some(open))
                }
                Ok(Err(error)) => Work::Broken(error),
                Err(_) => Work::Broken(self.unwritten("the writing thread was stopped")),
            };
        }
        Poll::Ready(match &self.work {
            Work::Broken(error) => Err(error.clone()),
            Work::Idle(_) | Work::Writing(_) => Ok(()),
        })
    }

    /// Hands what is held to a blocking thread. Whichever lives longer, this part or the thread's work, owns the
    /// open file, and its drop removes what was not named.
    fn hand_over(&mut self, last: Last) {
        let Work::Idle(open) = &mut self.work else { return };
        let (open, target, block) = (open.take(), self.target.clone(), self.held.take());
        let (tell, answer) = oneshot::channel();
        self.work = Work::Writing(answer);
        let planned = self.left.as_ref().map(Left::planned);
        let job = move || {
            let result = open.map_or_else(|| target.open(planned), Ok).and_then(|mut open| {
                open.write(&block).map_err(|cause| target.blame(cause))?;
                let left = open.left(&block);
                if last == Last::Sync {
                    open.sync().map_err(|cause| target.blame(cause))?;
                }
                Ok((open, left))
            });
            drop(tell.send(result));
        };
        if let Err(cause) = self.target.spawn(job) {
            self.work = Work::Broken(self.target.blame(cause));
        }
    }

    fn unwritten(&self, why: &str) -> Error {
        let message = format!("cannot write {}: {why}", self.target.path().display());
        io_error::without_cause(ErrorKind::SinkFailed, message)
    }
}

impl SinkPart for PartFile {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_work(context))?;
        if self.held.len() < BLOCK {
            return Poll::Ready(Ok(()));
        }
        self.hand_over(Last::Nothing);
        self.poll_work(context)
    }

    fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        if let Work::Broken(error) = &self.work {
            return Err(error.clone());
        }
        self.length += chunk.len() as u64;
        self.held.push(chunk);
        Ok(())
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_work(context))?;
        if self.last == Last::Sync {
            // Once: a disk that has refused it is not asked again.
            self.last = Last::Nothing;
            self.hand_over(Last::Sync);
            return self.poll_work(context);
        }
        let is_small = matches!((&self.target, &self.work), (Target::File(_), Work::Idle(None)));
        if self.held.len() == 0 || (is_small && self.held.len() <= SMALL) {
            return Poll::Ready(Ok(()));
        }
        self.hand_over(Last::Nothing);
        self.poll_work(context)
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn spare(&mut self) {
        let Target::File(place) = &self.target else { return };
        let path = place.path_of_part(&place.part_key.part_of(&place.name));
        let spared = Arc::new(AtomicBool::new(true));
        self.left = Some(Left { length: 0, on_disk: OnDisk::new(path, None, Tail::of(&[])), spared });
    }

    fn on_disk(&self) -> Option<(u64, &OnDisk)> {
        self.left.as_ref().map(|left| (left.length, &left.on_disk))
    }

    fn reads_back(&self) -> bool {
        matches!(self.target, Target::File(_))
    }

    fn read_back(&self) -> Result<Option<Box<dyn Read + Send>>, Error> {
        match &self.work {
            Work::Broken(error) => Err(error.clone()),
            Work::Idle(None) if self.reads_back() => Ok(Some(Box::new(self.held.reader()))),
            Work::Idle(Some(Open::Draft(draft))) if self.held.len() == 0 => {
                let file = draft.read_back().map_err(|cause| self.target.blame(cause))?;
                Ok(Some(Box::new(file)))
            }
            Work::Idle(_) | Work::Writing(_) => Ok(None),
        }
    }

    /// Whoever owns the file by now, this part or a thread, removes it.
    fn discard(self: Box<Self>) {
        if let Some(left) = &self.left {
            left.spared.store(false, Ordering::Relaxed);
        }
    }

    /// A file can always be begun anew; a device only as long as nothing was given to it.
    fn restartable(&self) -> bool {
        matches!(self.target, Target::File(_)) || self.length == self.held.len() as u64
    }

    fn commit(mut self: Box<Self>) -> Result<Receipt, Error> {
        let open = match &mut self.work {
            Work::Idle(open) => open.take(),
            Work::Broken(error) => return Err(error.clone()),
            Work::Writing(_) => return Err(self.unwritten("the body was committed before it was flushed")),
        };
        let place = match &self.target {
            Target::File(place) => place,
            Target::Device(path) if self.held.len() == 0 => {
                return Ok(Receipt::in_file(path.clone(), self.length));
            }
            Target::Device(_) => return Err(self.unwritten("the body was committed before it was flushed")),
        };
        let mut open = open.map_or_else(|| self.target.open(None), Ok)?;
        open.write(&self.held.take()).map_err(|cause| self.target.blame(cause))?;
        let Open::Draft(draft) = open else { return Err(self.unwritten("it is a device")) };
        let name = draft.name_finally().map_err(|cause| self.target.blame(cause))?;
        Ok(Receipt::in_file(place.directory.path_of(&name), self.length))
    }
}

impl Target {
    fn path(&self) -> PathBuf {
        match self {
            Self::File(place) => place.directory.path_of(&place.name),
            Self::Device(path) => path.clone(),
        }
    }

    fn blame(&self, cause: io::Error) -> Error {
        io_error::of_path(&self.path(), cause)
    }

    fn open(&self, planned: Option<Planned>) -> Result<Open, Error> {
        let open = match self {
            Self::File(place) => Draft::create(place, planned).map(Open::Draft),
            // Appending leaves alone what others wrote to the file behind /dev/stdout.
            Self::Device(path) => OpenOptions::new().append(true).open(path).map(Open::Device),
        };
        open.map_err(|cause| self.blame(cause))
    }

    /// Runs work that may block: for ever on a FIFO, which therefore gets a thread that no runtime waits for.
    fn spawn(&self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        match (self, tokio::runtime::Handle::try_current()) {
            (Self::File(_), Ok(runtime)) => {
                drop(runtime.spawn_blocking(job));
                Ok(())
            }
            _ => std::thread::Builder::new().name("gannet-write".to_owned()).spawn(job).map(drop),
        }
    }
}

/// What is written to.
#[derive(Debug)]
enum Open {
    Draft(Draft),
    Device(File),
}

impl Open {
    /// Writes all of it, whatever short writes and interruptions there are.
    fn write(&mut self, block: &[u8]) -> io::Result<()> {
        match self {
            Self::Draft(draft) => {
                draft.written += block.len() as u64;
                draft.file.write_all(block).map_err(|cause| draft.broke(cause))
            }
            Self::Device(file) => file.write_all(block),
        }
    }

    /// Waits until it is on the disk itself. What the disk refused may be gone though it can still be read: nobody goes
    /// on with it.
    fn sync(&self) -> io::Result<()> {
        match self {
            Self::Draft(draft) => {
                draft.file.sync_all().inspect_err(|_| draft.spared.store(false, Ordering::Relaxed))
            }
            Self::Device(_) => Ok(()),
        }
    }
}

impl Open {
    /// What a later run would find after this block was written, if it is to find anything.
    fn left(&self, block: &[u8]) -> Option<Left> {
        match self {
            Self::Draft(draft) if draft.spared.load(Ordering::Relaxed) => draft.left(Tail::of(block)),
            Self::Draft(_) | Self::Device(_) => None,
        }
    }
}

impl Left {
    fn planned(&self) -> Planned {
        let name = self.on_disk.path.file_name().map(OsStr::to_owned).unwrap_or_default();
        (name, self.spared.clone())
    }
}

/// A file under its part name. Dropping it removes the file, unless it is spared.
#[derive(Debug)]
struct Draft {
    file: File,
    place: Arc<FinalName>,
    /// `None` once the file has its final name.
    part_name: Option<OsString>,
    /// Whether the file stays when this is dropped.
    spared: Arc<AtomicBool>,
    written: u64,
}

/// The part name that was told of before there was a file, and whether that is to stay.
type Planned = (OsString, Arc<AtomicBool>);

/// A process that dies may have written to a file since it was told of: so long after that at most. What is told is
/// written down within 50 ms, and who writes behind what was told longer ago tells first that it is in its hands.
const LAG: Duration = Duration::from_secs(10);

impl Draft {
    fn create(place: &Arc<FinalName>, planned: Option<Planned>) -> io::Result<Self> {
        let (mut first, spared) =
            planned.map_or_else(Default::default, |(name, spared)| (Some(name), spared));
        for _ in 0..TRIES {
            let part_name = first.take().unwrap_or_else(|| place.part_key.part_of(&place.name));
            match place.directory.create(&part_name) {
                Ok(file) => {
                    // Tells it from what a killed process has left; where files cannot be locked, nothing is removed.
                    let _ = file.try_lock();
                    let part_name = Some(part_name);
                    return Ok(Self { file, place: place.clone(), part_name, spared, written: 0 });
                }
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
                Err(cause) => return Err(cause),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Whether the first bytes are those that were told of: as many at least, with the same end, and not touched since
    /// if they are all. What was written behind them was written soon after.
    fn is_as_told(&self, part: &Part) -> io::Result<bool> {
        let Some(told) = &part.on_disk else { return Ok(false) };
        let found = self.file.metadata()?;
        let is_older = match (told.modified, found.modified()) {
            (Some(told), Ok(modified)) if found.len() == part.good => told == modified,
            (Some(first), Ok(modified)) => {
                let last = told.held.map_or(first, |held| held.max(first));
                first <= modified && modified.duration_since(last).map_or(true, |since| since <= LAG)
            }
            _ => true,
        };
        let is_whole = found.len() >= part.good && is_older;
        Ok(is_whole && self.tail(part.good, told.tail.length)? == told.tail)
    }

    /// Cuts off what nobody has told of, and goes on behind the rest. The file gets the time that was told with it: until
    /// more is written, what was told stays true, whoever dies.
    fn cut(&mut self, part: &Part) -> io::Result<()> {
        if self.file.metadata()?.len() > part.good {
            self.file.set_len(part.good)?;
            if let Some(told) = part.on_disk.as_ref().and_then(|told| told.modified) {
                // Without it the body is begun anew after a crash, no more.
                let _ = self.file.set_modified(told);
            }
        }
        self.file.seek(SeekFrom::End(0)).map(drop)
    }

    /// The same file, from its first byte on.
    fn read_back(&self) -> io::Result<File> {
        let name = self.part_name.as_ref().ok_or(io::ErrorKind::NotFound)?;
        self.place.directory.open_again(name)
    }

    /// The print of the last `length` bytes before `end`.
    fn tail(&self, end: u64, length: u32) -> io::Result<Tail> {
        let length = u64::from(length).min(end).min(Tail::LONGEST as u64);
        let mut bytes = vec![0; length as usize];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(end - length))?;
        file.read_exact(&mut bytes)?;
        Ok(Tail::of(&bytes))
    }

    fn tail_on_disk(&self) -> io::Result<Tail> {
        self.tail(self.written, Tail::LONGEST as u32)
    }

    /// What a later run would find, if this file stays.
    fn left(&self, tail: Tail) -> Option<Left> {
        let name = self.part_name.as_ref().filter(|_| self.spared.load(Ordering::Relaxed))?;
        let modified = self.file.metadata().and_then(|found| found.modified()).ok();
        let on_disk = OnDisk::new(self.place.path_of_part(name), modified, tail);
        Some(Left { length: self.written, on_disk, spared: self.spared.clone() })
    }

    /// Unless the disk itself is gone, nobody goes on with what broke.
    fn broke(&self, cause: io::Error) -> io::Error {
        if !io_error::kind_of(&cause).ends_the_output() {
            self.spared.store(false, Ordering::Relaxed);
        }
        cause
    }

    /// Gives the file its final name, in one step of the file system, and says which it got.
    fn name_finally(mut self) -> io::Result<OsString> {
        let Some(part_name) = &self.part_name else { return Err(io::ErrorKind::NotFound.into()) };
        let FinalName { directory, name, rule, modified, .. } = &*self.place;
        if let Some(time) = modified {
            // Its bytes are what was asked for; a file system that keeps no such time is no reason to lose them.
            let _ = self.file.set_modified(*time);
        }
        let given = match rule {
            Naming::Replace => directory.replace(part_name, name).map(|()| name.clone()),
            Naming::Refuse => directory.name_anew(part_name, name).map(|()| name.clone()),
            Naming::NextFree => next_free(directory, part_name, name),
        };
        let given = given.map_err(|cause| self.broke(cause))?;
        self.part_name = None;
        Ok(given)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(part_name) = &self.part_name
            && !self.spared.load(Ordering::Relaxed)
        {
            let _ = self.place.directory.remove(part_name);
        }
    }
}

/// Removes what an earlier run has left there, if it is a part. It need not be opened for that.
pub(super) fn remove_left(path: &Path) {
    let is_file = || path.symlink_metadata().is_ok_and(|met| met.is_file());
    if path.file_name().is_some_and(is_of_part) && is_file() {
        // If it cannot be removed, it is in nobody's way.
        let _ = std::fs::remove_file(path);
    }
}
