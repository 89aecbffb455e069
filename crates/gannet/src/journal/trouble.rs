//! What can be wrong with a journal, as errors that name it. Nothing here decides what becomes of the job.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

use crate::error::{Error, ErrorKind, Phase};

/// It does not hold what was written to it.
pub(super) fn damaged(path: &Path, what: impl std::fmt::Display) -> Error {
    of(ErrorKind::JournalDamaged, path, format_args!("is damaged: {what}"))
}

/// A newer version wrote it.
pub(super) fn newer(path: &Path, found: i64, known: i64) -> Error {
    let what = format!("has format {found}, and this version knows formats up to {known}");
    of(ErrorKind::JournalNewer, path, what)
}

pub(super) fn locked(path: &Path) -> Error {
    of(ErrorKind::JournalLocked, path, "is in use by another process")
}

/// The system refused something.
pub(super) fn of_io(path: &Path, what: &str, cause: io::Error) -> Error {
    let (kind, why) = match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::DiskFull, "the disk is full".to_owned())
        }
        io::ErrorKind::ReadOnlyFilesystem => (ErrorKind::ReadOnly, "the file system is read-only".to_owned()),
        io::ErrorKind::PermissionDenied => (ErrorKind::JournalFailed, "permission denied".to_owned()),
        io::ErrorKind::NotFound => (ErrorKind::JournalFailed, "it does not exist".to_owned()),
        _ => (ErrorKind::JournalFailed, cause.to_string().to_lowercase()),
    };
    Error::new(kind, Phase::Sink, format!("cannot {what} {}: {why}", path.display())).caused_by(cause)
}

/// SQLite refused something.
pub(super) fn of_sqlite(path: &Path, cause: rusqlite::Error) -> Error {
    use rusqlite::Error as Sql;
    let code = cause.sqlite_error_code();
    let kind = match (&cause, code) {
        (_, Some(ErrorCode::DiskFull)) => ErrorKind::DiskFull,
        (_, Some(ErrorCode::ReadOnly)) => ErrorKind::ReadOnly,
        (_, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) => ErrorKind::JournalLocked,
        (_, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch)) => {
            ErrorKind::JournalDamaged
        }
        // Columns or tables that are not there, values of another type: somebody else's file, or bits of ours.
        (_, Some(ErrorCode::Unknown))
        | (
            Sql::InvalidColumnType(..)
            | Sql::FromSqlConversionFailure(..)
            | Sql::IntegralValueOutOfRange(..)
            | Sql::InvalidColumnName(_)
            | Sql::InvalidColumnIndex(_)
            | Sql::Utf8Error(..)
            | Sql::QueryReturnedNoRows,
            _,
        ) => ErrorKind::JournalDamaged,
        _ => ErrorKind::JournalFailed,
    };
    let what = match kind {
        ErrorKind::DiskFull => "cannot be written: the disk is full".to_owned(),
        ErrorKind::ReadOnly => "cannot be written: it is read-only".to_owned(),
        ErrorKind::JournalLocked => "is in use by another process".to_owned(),
        ErrorKind::JournalDamaged => format!("is damaged: {cause}"),
        _ => format!("cannot be read or written: {cause}"),
    };
    of(kind, path, what).caused_by(cause)
}

pub(super) fn of(kind: ErrorKind, path: &Path, what: impl std::fmt::Display) -> Error {
    Error::new(kind, Phase::Sink, format!("the journal {} {what}", path.display()))
}
