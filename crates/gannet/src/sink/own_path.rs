//! Paths of the user's own: which name a file, which are one, and which stand for something that is written to as it is.
//! Nothing here opens anything.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::directory::{Met, look_at};
use super::io_error;
use crate::error::{Error, ErrorKind};

/// The file's name in a path of the user's own.
pub(super) fn own_name(path: &Path) -> Result<OsString, Error> {
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        let message = format!("{} names a folder, not a file", path.display());
        return Err(io_error::without_cause(ErrorKind::BadPlace, message));
    }
    path.file_name().map(OsString::from).ok_or_else(|| {
        io_error::without_cause(ErrorKind::BadName, format!("\"{}\" is no name for a file", path.display()))
    })
}

/// The same for the spellings of one path.
pub(super) fn full(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The same for the ways to one file's folder; a link under the name itself is not followed.
pub(super) fn placed(path: &Path) -> PathBuf {
    let full = full(path);
    let folder = full.parent().and_then(|folder| folder.canonicalize().ok());
    match (folder, full.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => full,
    }
}

/// Whether the user's own path is written to directly. The links in `/dev` and `/proc`, such as `/dev/stdout`,
/// stand for what is open already; in `/dev/shm` anyone may put them.
pub(super) fn is_device(path: &Path) -> bool {
    match look_at(path) {
        Ok(Met::Device) => true,
        Ok(Met::Link) => {
            let target = std::fs::read_link(path).unwrap_or_default();
            stands_for_open(path) || stands_for_open(&target) || leads_to_device(path)
        }
        _ => false,
    }
}

fn stands_for_open(path: &Path) -> bool {
    !path.starts_with("/dev/shm") && (path.starts_with("/dev") || path.starts_with("/proc"))
}

/// Whether a link of the user's own leads to a device, a FIFO or a socket.
#[cfg(unix)]
fn leads_to_device(link: &Path) -> bool {
    std::fs::metadata(link).is_ok_and(|met| !met.is_file() && !met.is_dir())
}

#[cfg(not(unix))]
fn leads_to_device(_: &Path) -> bool {
    false
}
