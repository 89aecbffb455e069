//! A folder where the system knows no steps by descriptor. The same face as on unix, by paths: a link put in the
//! way between two steps is not noticed here. Nothing here chooses names.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::version::There;

/// A folder, by its path.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
}

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    Nothing,
    File,
    Folder,
    Link,
    Device,
}

/// Whether a missing folder is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Make {
    IfMissing,
    Never,
}

impl Directory {
    pub(super) fn open(path: &Path, make: Make) -> io::Result<Self> {
        if make == Make::IfMissing {
            fs::create_dir_all(path)?;
        }
        let here = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match fs::metadata(here)?.is_dir() {
            true => Ok(Self { path: path.to_owned() }),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn child(&self, name: &OsStr, make: Make) -> io::Result<Self> {
        let path = self.path.join(name);
        if make == Make::IfMissing {
            match fs::create_dir(&path) {
                Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(cause),
                _ => {}
            }
        }
        match look_at(&path)? {
            Met::Folder => Ok(Self { path }),
            Met::Nothing => Err(io::ErrorKind::NotFound.into()),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn look(&self, name: &OsStr) -> io::Result<Met> {
        look_at(&self.path.join(name))
    }

    pub(super) fn there(&self, name: &OsStr) -> Option<There> {
        let path = self.path_of(name);
        let found = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
        Some(There { path, length: found.len(), modified: found.modified().ok() })
    }

    pub(super) fn check_writable(&self) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn create(&self, name: &OsStr) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(self.path.join(name))
    }

    pub(super) fn open_again(&self, name: &OsStr) -> io::Result<File> {
        match self.look(name)? {
            Met::File => OpenOptions::new().read(true).write(true).open(self.path.join(name)),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    pub(super) fn replace(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    /// A hard link never replaces.
    pub(super) fn name_anew(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        fs::hard_link(self.path.join(from), self.path.join(to))?;
        self.remove(from)
    }
}

/// What stands at the user's own path, itself, not what it links to.
pub(super) fn look_at(path: &Path) -> io::Result<Met> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(Met::File),
        Ok(found) if found.is_dir() => Ok(Met::Folder),
        Ok(found) if found.is_symlink() => Ok(Met::Link),
        Ok(_) => Ok(Met::Device),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Met::Nothing),
        Err(cause) => Err(cause),
    }
}
