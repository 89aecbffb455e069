//! An open folder. Every step below it goes by its descriptor and follows no symbolic link, so that a link put in
//! the way at any moment leads nowhere. Nothing here chooses names.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags};
use rustix::io::retry_on_intr;

use crate::version::There;

/// A folder, held open.
#[derive(Debug)]
pub(super) struct Directory {
    descriptor: OwnedFd,
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

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Directory {
    /// Opens the user's own folder; links in its path are the user's own too.
    pub(super) fn open(path: &Path, make: Make) -> io::Result<Self> {
        if make == Make::IfMissing {
            make_folders(path)?;
        }
        let here = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let descriptor = retry_on_intr(|| rustix::fs::open(here, FOLDER, Mode::empty()))?;
        Ok(Self { descriptor, path: path.to_owned() })
    }

    /// Opens the folder `name` in this one.
    pub(super) fn child(&self, name: &OsStr, make: Make) -> io::Result<Self> {
        if make == Make::IfMissing {
            let mode = Mode::from_raw_mode(0o777);
            match retry_on_intr(|| rustix::fs::mkdirat(&self.descriptor, name, mode)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(cause) => return Err(cause.into()),
            }
        }
        let flags = FOLDER.union(OFlags::NOFOLLOW);
        let open = || rustix::fs::openat(&self.descriptor, name, flags, Mode::empty());
        Ok(Self { descriptor: retry_on_intr(open)?, path: self.path.join(name) })
    }

    /// The path of `name` in this folder, for messages and receipts.
    pub(super) fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    /// Looks at what stands under `name`.
    pub(super) fn look(&self, name: &OsStr) -> io::Result<Met> {
        met(rustix::fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW))
    }

    /// The file that stands under `name`; `None` if none does any more.
    pub(super) fn there(&self, name: &OsStr) -> Option<There> {
        let found = rustix::fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        let seconds = u64::try_from(found.st_mtime).ok();
        let part = u32::try_from(found.st_mtime_nsec).unwrap_or_default();
        let modified = seconds.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::new(seconds, part)));
        let length = u64::try_from(found.st_size).unwrap_or_default();
        is_file.then(|| There { path: self.path_of(name), length, modified })
    }

    /// Whether files can be made here.
    pub(super) fn check_writable(&self) -> io::Result<()> {
        let wanted = Access::WRITE_OK.union(Access::EXEC_OK);
        Ok(rustix::fs::accessat(&self.descriptor, ".", wanted, AtFlags::empty())?)
    }

    /// Makes a file that was not there, with the rights that the process's umask leaves of 0666.
    pub(super) fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::WRONLY
            .union(OFlags::CREATE)
            .union(OFlags::EXCL)
            .union(OFlags::NOFOLLOW)
            .union(OFlags::CLOEXEC);
        let mode = Mode::from_raw_mode(0o666);
        Ok(File::from(retry_on_intr(|| rustix::fs::openat(&self.descriptor, name, flags, mode))?))
    }

    /// Opens a file that was left here, to read it and write on; what is no file is `NotFound`.
    pub(super) fn open_again(&self, name: &OsStr) -> io::Result<File> {
        if self.look(name)? != Met::File {
            return Err(io::ErrorKind::NotFound.into());
        }
        let flags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
        let open = || rustix::fs::openat(&self.descriptor, name, flags, Mode::empty());
        Ok(File::from(retry_on_intr(open)?))
    }

    /// Removes a file.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty()))?)
    }

    /// Gives the file `from` the name `to`, in place of what stood there; of a link, the link itself.
    pub(super) fn replace(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::renameat(&self.descriptor, from, &self.descriptor, to))?)
    }

    /// Gives the file `from` the name `to` if nothing stands there, else fails with `AlreadyExists`.
    pub(super) fn name_anew(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match self.rename_anew(from, to) {
            // Some file systems (NFS) do not know the flag; a hard link never replaces either.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
                let here = &self.descriptor;
                retry_on_intr(|| rustix::fs::linkat(here, from, here, to, AtFlags::empty()))?;
                self.remove(from)
            }
            result => Ok(result?),
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    fn rename_anew(&self, from: &OsStr, to: &OsStr) -> rustix::io::Result<()> {
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        retry_on_intr(|| rustix::fs::renameat_with(&self.descriptor, from, &self.descriptor, to, flags))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    fn rename_anew(&self, _: &OsStr, _: &OsStr) -> rustix::io::Result<()> {
        Err(rustix::io::Errno::NOSYS)
    }
}

/// Makes a folder and those above it; the standard library leaves it half-done when it is interrupted.
fn make_folders(path: &Path) -> io::Result<()> {
    loop {
        match std::fs::create_dir_all(path) {
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            made => return made,
        }
    }
}

/// What stands at the user's own path, itself, not what it links to.
pub(super) fn look_at(path: &Path) -> io::Result<Met> {
    met(rustix::fs::lstat(path))
}

fn met(found: rustix::io::Result<rustix::fs::Stat>) -> io::Result<Met> {
    match found.map(|found| FileType::from_raw_mode(found.st_mode)) {
        Ok(FileType::RegularFile) => Ok(Met::File),
        Ok(FileType::Directory) => Ok(Met::Folder),
        Ok(FileType::Symlink) => Ok(Met::Link),
        Ok(_) => Ok(Met::Device),
        Err(rustix::io::Errno::NOENT) => Ok(Met::Nothing),
        Err(cause) => Err(cause.into()),
    }
}
