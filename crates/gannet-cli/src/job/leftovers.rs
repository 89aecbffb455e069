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

    /// Removes the parts below these folders that are younger than the job and not gone on with.
    pub(super) fn remove(&self, folders: &[PathBuf]) {
        folders.iter().for_each(|folder| self.look_through(folder, 0));
    }

    fn look_through(&self, folder: &Path, depth: usize) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let (Ok(kind), name) = (entry.file_type(), entry.file_name()) else { continue };
            if kind.is_dir() && depth < DEEPEST {
                self.look_through(&entry.path(), depth + 1);
            } else if kind.is_file() && is_part(&name.to_string_lossy()) && !self.known.contains(&name) {
                remove_unless_written(&entry.path(), self.since);
            }
        }
    }
}

/// `NAME.LABEL.part`.
fn is_part(name: &str) -> bool {
    let labelled = name.strip_suffix(".part").and_then(|name| name.rsplit_once('.'));
    labelled.is_some_and(|(name, label)| {
        !name.is_empty() && label.len() == LABEL && label.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
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
        assert!(is_part("a.txt.Zk3aB9x1.part") && is_part("a.Zk3aB9x1.part"));
        for other in
            ["a.part", "a.txt.part", "Zk3aB9x1.part", "a.Zk3aB9x12.part", "a.Zk3aB-x1.part", "a.Zk3aB9x1"]
        {
            assert!(!is_part(other), "{other}");
        }
    }
}
