//! How a body is to be named, once it is whole, and the first of its names that is free. Nothing here writes bytes.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::directory::Directory;
use super::names;
use super::part_key::PartKey;

/// The final name of a body: where, and what may be there already.
#[derive(Debug)]
pub(super) struct FinalName {
    pub(super) directory: Arc<Directory>,
    pub(super) name: OsString,
    pub(super) rule: Naming,
    /// The time that the file is to bear.
    pub(super) modified: Option<SystemTime>,
    pub(super) syncing: Syncing,
    /// Whose part it is until then.
    pub(super) part_key: PartKey,
}

impl FinalName {
    /// Where the part of this name lies, as a later run finds it, in whichever folder that is begun.
    pub(super) fn path_of_part(&self, name: &OsStr) -> PathBuf {
        let path = self.directory.path_of(name);
        std::path::absolute(&path).unwrap_or(path)
    }
}

/// Whether a body is on the disk itself before it gets its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syncing {
    /// It is where the system keeps it.
    Never,
    /// It is synced: what has a name is whole after a power cut, too.
    BeforeName,
}

/// What happens at the commit if something has the final name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// It is replaced.
    Replace,
    /// The commit fails.
    Refuse,
    /// The next free number is taken.
    NextFree,
}

/// Part names that are tried, and final names with a number.
pub(super) const TRIES: u32 = 10_000;

/// Each step fails if the name has been taken, so two processes never take the same.
pub(super) fn next_free(directory: &Directory, part_name: &OsStr, name: &OsStr) -> io::Result<OsString> {
    let mut tried = name.to_owned();
    for number in 1..TRIES {
        match directory.name_anew(part_name, &tried) {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|()| tried),
        }
        tried = names::labelled(&name.to_string_lossy(), &number.to_string()).into();
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
