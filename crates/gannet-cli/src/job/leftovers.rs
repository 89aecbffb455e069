//! Bodies that a killed run has left without a name. Only what nobody writes is removed: whoever writes a part holds
//! its lock.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gannet::Journal;

/// How deep folders are looked through.
const DEEPEST: usize = 16;
/// Letters and digits of a part's label.
const LABEL: usize = 8;

/// Removes the parts below these folders that are younger than the journal's job.
pub(super) fn remove(journal: &Path, folders: &[PathBuf]) {
    let Ok(reader) = Journal::read(journal) else { return };
    let since = reader.summary().created;
    folders.iter().for_each(|folder| look_through(folder, since, 0));
}

fn look_through(folder: &Path, since: SystemTime, depth: usize) {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth < DEEPEST {
            look_through(&entry.path(), since, depth + 1);
        } else if kind.is_file() && is_part(&entry.file_name().to_string_lossy()) {
            remove_unless_written(&entry.path(), since);
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
