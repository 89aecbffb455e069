//! Turns what the operating system says about an output into our own error. Nothing here retries or decides.

use std::io;
use std::path::Path;

use crate::error::{Error, ErrorKind, Phase};

/// The error for the output at `path`, whose cause is kept as its source.
pub(super) fn of_path(path: &Path, cause: io::Error) -> Error {
    of(&path.display().to_string(), cause)
}

/// The error for an output that is called `name`.
pub(super) fn of(name: &str, cause: io::Error) -> Error {
    let kind = kind_of(&cause);
    let message = match kind {
        ErrorKind::DiskFull => format!("cannot write {name}: the disk is full"),
        ErrorKind::ReadOnly => format!("cannot write {name}: the file system is read-only"),
        ErrorKind::DiskFailed => format!("cannot write {name}: the disk fails ({})", bare(&cause)),
        ErrorKind::NoDescriptors => format!("cannot write {name}: no file descriptor is free (ulimit -n)"),
        ErrorKind::Forbidden => format!("cannot write {name}: permission denied"),
        ErrorKind::Exists => format!("{name} exists already"),
        ErrorKind::SinkClosed => format!("the reader of {name} has gone"),
        _ => format!("cannot write {name}: {}", bare(&cause)),
    };
    Error::new(kind, Phase::Sink, message).caused_by(cause)
}

/// An error that has no cause in the operating system.
pub(super) fn without_cause(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, Phase::Sink, message)
}

/// What kind of trouble this is for an output.
pub(crate) fn kind_of(cause: &io::Error) -> ErrorKind {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::DiskFull,
        io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
        io::ErrorKind::PermissionDenied => ErrorKind::Forbidden,
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory | io::ErrorKind::NotFound => {
            ErrorKind::BadPlace
        }
        io::ErrorKind::AlreadyExists => ErrorKind::Exists,
        io::ErrorKind::InvalidFilename => ErrorKind::BadName,
        io::ErrorKind::BrokenPipe => ErrorKind::SinkClosed,
        _ => kind_by_number(cause).unwrap_or(ErrorKind::SinkFailed),
    }
}

/// The kind of what has no stable kind in the standard library.
#[cfg(unix)]
fn kind_by_number(cause: &io::Error) -> Option<ErrorKind> {
    use rustix::io::Errno;
    match Errno::from_io_error(cause)? {
        // A symbolic link stood where none is followed.
        Errno::LOOP => Some(ErrorKind::BadPlace),
        Errno::IO => Some(ErrorKind::DiskFailed),
        Errno::MFILE | Errno::NFILE => Some(ErrorKind::NoDescriptors),
        _ => None,
    }
}

#[cfg(not(unix))]
fn kind_by_number(_: &io::Error) -> Option<ErrorKind> {
    None
}

/// The system's words as a lower-case fragment, without its number.
fn bare(cause: &io::Error) -> String {
    let text = cause.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// The folder cannot be used.
pub(super) fn no_folder(folder: &Path, cause: io::Error) -> Error {
    let shown = folder.display();
    let message = match cause.kind() {
        io::ErrorKind::NotFound => format!("the folder {shown} does not exist"),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => format!("{shown} is no folder"),
        _ => return of_path(folder, cause),
    };
    without_cause(ErrorKind::BadPlace, message).caused_by(cause)
}

/// A request says nothing of where its body goes, where each has to.
pub(super) fn no_place() -> Error {
    without_cause(ErrorKind::BadName, "no path was given for this request".to_owned())
}

/// There are fewer paths than requests.
pub(super) fn no_path(seq: u64, count: usize) -> Error {
    let message =
        format!("no path was given for request {}, only for the first {count}", seq.saturating_add(1));
    without_cause(ErrorKind::BadName, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn each_errno_has_its_kind_and_a_lower_case_message() {
        use rustix::io::Errno;
        for (errno, kind) in [
            (Errno::NOSPC, ErrorKind::DiskFull),
            (Errno::DQUOT, ErrorKind::DiskFull),
            (Errno::ROFS, ErrorKind::ReadOnly),
            (Errno::ACCESS, ErrorKind::Forbidden),
            (Errno::PERM, ErrorKind::Forbidden),
            (Errno::ISDIR, ErrorKind::BadPlace),
            (Errno::NOTDIR, ErrorKind::BadPlace),
            (Errno::NOENT, ErrorKind::BadPlace),
            (Errno::LOOP, ErrorKind::BadPlace),
            (Errno::NAMETOOLONG, ErrorKind::BadName),
            (Errno::EXIST, ErrorKind::Exists),
            (Errno::IO, ErrorKind::DiskFailed),
            (Errno::FBIG, ErrorKind::SinkFailed),
            (Errno::MFILE, ErrorKind::NoDescriptors),
            (Errno::NFILE, ErrorKind::NoDescriptors),
            (Errno::PIPE, ErrorKind::SinkClosed),
        ] {
            let error = of_path(Path::new("out/a"), io::Error::from_raw_os_error(errno.raw_os_error()));
            assert_eq!((error.kind(), error.phase()), (kind, Phase::Sink), "{errno:?}");
            assert!(error.message().contains("out/a") && !error.message().contains("os error"), "{error}");
            assert!(std::error::Error::source(&error).is_some());
        }
    }
}
