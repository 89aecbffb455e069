//! Bodies that a killed run has left without a name, and of which its journal knows nothing: the others are gone on
//! with. Only what nobody writes is removed: whoever writes a part holds its lock.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gannet::Journal;

/// How deep folders are looked through.
const DEEPEST: usize = 16;
/// Letters and digits of a part's label.
const LABEL: usize = 8;

/// A folder that a job writes to, and which of the files in it are the job's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) folder: PathBuf,
    pub(crate) files: Which,
}

/// Which files of a folder a job may write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    /// All, also in folders below: the folder is the job's.
    Below,
    /// Any in it; the folder is others', too.
    Any,
    /// That of this name.
    Named(OsString),
}

impl Which {
    /// Whether the part that has this name may be the job's.
    fn has(&self, part: &str) -> bool {
        match self {
            Self::Below | Self::Any => true,
            Self::Named(name) => body_of(part).is_some_and(|body| *name == *body),
        }
    }
}

/// What a journal says of its job's parts.
#[derive(Debug)]
pub(super) struct Leftovers {
    /// Since when they are the job's.
    since: SystemTime,
    /// Names of those that are gone on with; no two parts have the same label.
    known: HashSet<OsString>,
}

impl Leftovers {
    /// Of the job in this journal; `None` if it cannot be read.
    pub(super) fn of(journal: &Path) -> Option<Self> {
        let reader = Journal::read(journal).ok()?;
        let parts = reader.parts().ok()?.into_iter();
        let name = |part: gannet::part::Part| Some(part.on_disk?.path.file_name()?.to_owned());
        let known = parts.filter_map(|(_, part)| name(part)).collect();
        Some(Self { since: reader.summary().created, known })
    }

    /// Nobody goes on with any of them.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// Removes the parts there that are younger than the job and not gone on with.
    pub(super) fn remove(&self, written: &[Written]) {
        written.iter().for_each(|Written { folder, files }| self.look_through(folder, files, 0));
    }

    fn look_through(&self, folder: &Path, files: &Which, depth: usize) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let (Ok(kind), name) = (entry.file_type(), entry.file_name()) else { continue };
            if kind.is_dir() {
                if *files == Which::Below && depth < DEEPEST {
                    self.look_through(&entry.path(), files, depth + 1);
                }
                continue;
            }
            let text = name.to_string_lossy();
            let is_ours = body_of(&text).is_some() && files.has(&text) && !self.known.contains(&name);
            if kind.is_file() && is_ours {
                remove_unless_written(&entry.path(), self.since);
            }
        }
    }
}

/// `NAME` of `NAME.LABEL.part`.
fn body_of(part: &str) -> Option<&str> {
    let (name, label) = part.strip_suffix(".part")?.rsplit_once('.')?;
    let is_label = label.len() == LABEL && label.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_label && !name.is_empty()).then_some(name)
}

fn remove_unless_written(path: &Path, since: SystemTime) {
    let is_young = |met: fs::Metadata| met.modified().is_ok_and(|at| at >= since);
    let Ok(file) = File::open(path) else { return };
    if file.metadata().is_ok_and(is_young) && file.try_lock().is_ok() {
        // If it cannot be removed, it is in nobody's way.
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_from_files_of_others() {
        assert_eq!(body_of("a.txt.Zk3aB9x1.part"), Some("a.txt"));
        assert_eq!(body_of("a.Zk3aB9x1.part"), Some("a"));
        for other in
            ["a.part", "a.txt.part", "Zk3aB9x1.part", "a.Zk3aB9x12.part", "a.Zk3aB-x1.part", "a.Zk3aB9x1"]
        {
            assert_eq!(body_of(other), None, "{other}");
        }
    }
}
