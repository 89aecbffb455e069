//! Bodies made durable before the rows that say they are there. What the disk refuses once is never asked for again:
//! the kernel may have dropped the pages (Rebello et al., "Can Applications Recover from fsync Failures?", 2020).

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::fetches;
use super::group::{Group, Write};
use super::shelf::News;
use super::{place, trouble};
use crate::error::Error;
use crate::outcome::Ending;

/// From so many bodies of a group on, their file systems are synced as a whole.
const EACH: usize = 16;

/// Syncs the bodies of a group's rows and the folders of their names.
pub(super) fn bodies(group: &Group) -> Result<(), Error> {
    let paths = files_of(group);
    let folders: BTreeSet<&Path> = paths.iter().map(|path| place::folder_of(path)).collect();
    let refused = |path: &Path, cause| trouble::of_io(path, "make durable", cause);
    if paths.len() >= EACH && CAN_SYNC_WHOLE {
        return folders
            .iter()
            .try_for_each(|folder| sync_whole(folder).map_err(|cause| refused(folder, cause)));
    }
    let mut all = paths.iter().map(PathBuf::as_path).chain(folders);
    all.try_for_each(|path| sync(path).map_err(|cause| refused(path, cause)))
}

/// The files of the bodies that are there. What was there already may have been named by a run that died before it was
/// synced.
fn files_of(group: &Group) -> Vec<PathBuf> {
    let of_row = |write: &Write| match write {
        Write::Row(row) if matches!(row.ending, Ending::Ok | Ending::Skipped) => {
            fetches::file_of(group.row(row))
        }
        _ => None,
    };
    let paths = group.writes().iter().filter_map(of_row);
    // A device or FIFO has nothing to sync, and opening it could wait for ever.
    paths.filter(|path| path.symlink_metadata().is_ok_and(|met| met.is_file())).collect()
}

/// Syncs the files of these parts; of one that is gone, or has become a body, nothing is said.
pub(super) fn parts(news: &mut Vec<News>) -> Result<(), Error> {
    let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
    let mut failed = None;
    news.retain(|(_, part)| {
        let grown = part.as_deref().filter(|part| part.good > 0);
        let Some(path) = grown.and_then(|part| part.on_disk.as_ref()).map(|on_disk| &on_disk.path) else {
            return true;
        };
        match File::open(path).and_then(|file| file.sync_data()) {
            Ok(()) => drop(folders.insert(place::folder_of(path).to_owned())),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return false,
            Err(cause) => drop(failed.get_or_insert(trouble::of_io(path, "make durable", cause))),
        }
        true
    });
    let refused = |folder: &Path, cause| trouble::of_io(folder, "make durable", cause);
    failed.map_or(Ok(()), Err)?;
    folders.iter().try_for_each(|folder| sync(folder).map_err(|cause| refused(folder, cause)))
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(target_os = "linux")]
const CAN_SYNC_WHOLE: bool = true;
#[cfg(not(target_os = "linux"))]
const CAN_SYNC_WHOLE: bool = false;

/// Syncs the file system of this folder: data, names, and what it has failed to write since (Linux 5.8).
#[cfg(target_os = "linux")]
fn sync_whole(folder: &Path) -> io::Result<()> {
    let folder = File::open(folder)?;
    Ok(rustix::io::retry_on_intr(|| rustix::fs::syncfs(&folder))?)
}

#[cfg(not(target_os = "linux"))]
fn sync_whole(folder: &Path) -> io::Result<()> {
    sync(folder)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::super::sum::Sum;
    use super::*;
    use crate::outcome::{Entry, Outcome, Record, Verdict};
    use crate::{ErrorKind, Phase};

    #[test]
    fn what_was_there_already_is_made_durable_too() {
        let file = std::env::current_exe().expect("this program is a file");
        let missing = file.with_file_name("nothing of this name");
        let error = Error::new(ErrorKind::Reset, Phase::Body, "it broke off");
        let verdicts = [Verdict::Skipped(file.clone()), Verdict::Skipped(missing), Verdict::Not(error)];
        let (mut group, mut sum, mut tries) = (Group::default(), Sum::default(), String::new());
        for verdict in verdicts {
            let outcome = Outcome::new(0, None, "http://h/".into(), verdict, Record::default());
            let entry = Entry::of_outcome(&outcome, &Method::GET, 0, &mut tries);
            fetches::write(&entry, &mut sum);
            group.push_row(&entry, &sum, None);
        }
        assert_eq!(files_of(&group), [file]);
    }
}
