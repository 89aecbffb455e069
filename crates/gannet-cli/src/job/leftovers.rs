//! Bodies that a killed run has left without a name, and of which its journal knows nothing: the others are gone on
//! with. Only what the job itself has begun is removed, which the names of parts tell, and only what nobody writes:
//! whoever writes a part holds its lock.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use gannet::Journal;
use gannet::sink::PartKey;

/// How deep folders are looked through.
const DEEPEST: usize = 16;

/// A folder that a job writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) folder: PathBuf,
    pub(crate) depth: Depth,
}

/// Which folders a job writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// This one.
    Here,
    /// Those below it, too.
    Below,
}

/// What a job may have left.
#[derive(Debug)]
pub(super) struct Leftovers {
    /// By which its parts are known.
    keys: Vec<PartKey>,
    /// Names of those that are gone on with.
    known: HashSet<OsString>,
    written: Vec<Written>,
}

impl Leftovers {
    /// Nobody goes on with any of them.
    pub(super) fn of_none(keys: Vec<PartKey>, written: Vec<Written>) -> Self {
        Self { keys, known: HashSet::new(), written }
    }

    /// But for those that this journal knows; `None` if it cannot be read.
    pub(super) fn beside(journal: &Path, keys: Vec<PartKey>, written: Vec<Written>) -> Option<Self> {
        let parts = Journal::read(journal).ok()?.parts().ok()?.into_iter();
        let name = |part: gannet::part::Part| Some(part.on_disk?.path.file_name()?.to_owned());
        let known = parts.filter_map(|(_, part)| name(part)).collect();
        Some(Self { keys, known, written })
    }

    /// Removes them. Blocks while folders are read.
    pub(super) fn remove(&self) {
        self.written.iter().for_each(|Written { folder, depth }| {
            let deepest = if *depth == Depth::Below { DEEPEST } else { 0 };
            self.look_through(folder, deepest);
        });
    }

    fn look_through(&self, folder: &Path, deepest: usize) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && deepest > 0 {
                self.look_through(&entry.path(), deepest - 1);
            }
            if kind.is_file() && self.has(&entry.file_name()) {
                remove_unless_written(&entry.path());
            }
        }
    }

    fn has(&self, name: &OsString) -> bool {
        self.keys.iter().any(|key| key.owns(name)) && !self.known.contains(name)
    }
}

fn remove_unless_written(path: &Path) {
    let Ok(file) = File::open(path) else { return };
    if file.try_lock().is_ok() {
        // If it cannot be removed, it is in nobody's way.
        let _ = fs::remove_file(path);
    }
}
