//! What is on its way from memory to the disk, and the thread that takes it there. Nothing here decides what goes.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use super::chunks::{Chunks, Gauge, Kept, Piece};
use super::segment::{Extent, Growing, Opener};
use super::writer::Shared;
use crate::error::{Error, ErrorKind};
use crate::sink::io_error;

/// Some bytes of a body on their way to the disk.
#[derive(Debug)]
pub(super) struct Moving {
    length: u64,
    fate: Mutex<Fate>,
}

#[derive(Debug)]
enum Fate {
    Leaving(Arc<Vec<Kept>>),
    Landed(Extent),
    /// They were needed before they got there.
    CalledBack,
    Lost(Error),
}

impl Moving {
    pub(super) fn new(run: Vec<Kept>, length: u64) -> Self {
        Self { length, fate: Mutex::new(Fate::Leaving(Arc::new(run))) }
    }

    pub(super) fn len(&self) -> u64 {
        self.length
    }

    /// Where they are now, if they are on the disk.
    ///
    /// # Errors
    /// They were lost on the way.
    pub(super) fn landed(&self) -> Result<Option<Extent>, Error> {
        match &*self.locked() {
            Fate::Landed(extent) => Ok(Some(extent.clone())),
            Fate::Lost(error) => Err(error.clone()),
            Fate::Leaving(_) | Fate::CalledBack => Ok(None),
        }
    }

    /// Takes them out from wherever they are.
    pub(super) fn call_back(&self) -> Result<Piece, Error> {
        let mut fate = self.locked();
        match &*fate {
            Fate::Landed(extent) => Ok(Piece::Disk(extent.clone())),
            Fate::Lost(error) => Err(error.clone()),
            Fate::Leaving(run) => {
                let run = run.clone();
                *fate = Fate::CalledBack;
                Ok(Piece::Run(run))
            }
            Fate::CalledBack => Ok(Piece::Run(Arc::default())),
        }
    }

    fn locked(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().expect("no thread panics while it holds the lock of a move")
    }
}

/// What the thread does next.
#[derive(Debug)]
pub(super) enum Chore {
    Move(Job),
    /// Closing a large file takes a while, so it is not done where a body is dropped.
    Drop(Vec<Chunks>),
}

/// Bytes of one body that are to go to the disk.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) seq: u64,
    pub(super) moving: Arc<Moving>,
}

/// Where the bytes go.
#[derive(Clone)]
pub(super) struct Ground {
    pub(super) folder: Arc<Path>,
    pub(super) open: Opener,
    /// The length from which on the next file is begun, in bytes.
    pub(super) longest: u64,
    pub(super) disk: Gauge,
}

impl Ground {
    fn take(&self, growing: &mut Growing, moving: &Arc<Moving>) {
        let run = match &*moving.locked() {
            // The body has gone, and none but us has it.
            _ if Arc::strong_count(moving) == 1 => return,
            Fate::Leaving(run) => run.clone(),
            _ => return,
        };
        let pieces = run.iter().map(|kept| &kept.bytes[..]);
        let landed = growing.append(pieces, self.longest, &self.disk, || (self.open)(&self.folder));
        let mut fate = moving.locked();
        if matches!(*fate, Fate::Leaving(_)) {
            *fate = landed.map_or_else(|cause| Fate::Lost(self.blame(cause)), Fate::Landed);
        }
    }

    fn blame(&self, cause: std::io::Error) -> Error {
        let folder = self.folder.display();
        io_error::of(&format!("a temporary file in {folder} for bodies that wait for their turn"), cause)
    }
}

impl fmt::Debug for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ground").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The thread's own handle. If it panics, its drop says so to all who wait.
pub(super) struct Mover {
    pub(super) shared: Arc<Shared>,
}

impl Mover {
    /// Works until the sink has gone.
    pub(super) fn run(self, growing: Growing) {
        let mut growing = Some(growing);
        while let Some((chore, ground)) = self.shared.next_chore(&mut growing) {
            match chore {
                Chore::Drop(chunks) => {
                    drop(chunks);
                    self.shared.change(|state| state.announce());
                }
                Chore::Move(job) => {
                    if let Some(growing) = &mut growing {
                        ground.take(growing, &job.moving);
                    }
                    let (seq, length) = (job.seq, job.moving.len());
                    drop(job);
                    self.shared.change(|state| state.moved(seq, length));
                }
            }
        }
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let message =
                "cannot hold bodies for their turn: the thread that takes them to the disk panicked";
            let error = io_error::without_cause(ErrorKind::SinkFailed, message);
            self.shared.change(|state| state.fail(error));
        }
    }
}
