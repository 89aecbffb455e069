//! What the user wants of files and folders that are there, or are not. Nothing here looks at any.

use std::path::PathBuf;

use super::directory::Met;
use super::{Admission, io_error};
use crate::error::{Error, ErrorKind};

/// What to do if a file of that name exists before the job. Names given twice within the job are numbered instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IfExists {
    /// It is replaced, in one step, once the new body is whole.
    Overwrite,
    /// Nothing is fetched, and the file counts as obtained.
    Skip,
    /// The request fails before anything is sent.
    Fail,
    /// The body gets the next free number: `name.1.ext`.
    Rename,
    /// It is fetched under a condition, and replaced in one step if the server has another version; else the outcome
    /// [is unchanged](crate::Outcome::is_unchanged), and counts as obtained.
    ///
    /// The condition is that of the journal's earlier jobs, if they have this URL and file: the ETag, strong or weak
    /// (`If-None-Match`, RFC 9110, section 13.1.2), else the Last-Modified (`If-Modified-Since`, section 13.1.3); it is
    /// sent to the URL that it came from and to no other. A file of another length than the journal has, or written to
    /// since, is fetched plainly. Of a file that no journal knows the time is the condition, as with `curl -z` and
    /// `wget -N`: that is right only if the file has the server's time (see [`Files::keep_times`](super::Files::keep_times))
    /// or the clocks agree. A request is sent plainly that is no GET, has a body, conditions or a range of its own, or
    /// digests that its body has to have.
    Update,
}

/// Whether a folder for files is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateDirectory {
    /// It is made, with its parents: the folder of the sink when the first request is admitted, the folder of a given
    /// path when the first byte of its body has come.
    WhenMissing,
    /// A missing folder is an error.
    Never,
    /// Nothing is made, and a missing folder is no error: for showing what a job would do. Of the sink then only
    /// [`admit`](super::Sink::admit) is called.
    Pretend,
}

/// Whether names below a directory that differ in case only are two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letters {
    /// They are one.
    Folded,
    /// They are two.
    Exact,
}

/// When a file says that it was modified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// When its body was written.
    Written,
    /// When the server says.
    Servers,
}

/// What the rule says of what stands under the name.
pub(super) fn admission(met: Met, rule: IfExists, path: PathBuf) -> Result<Admission, Error> {
    let refuse = |kind, what: &str| Err(io_error::without_cause(kind, format!("{} {what}", path.display())));
    match (met, rule) {
        (Met::Nothing, _) => Ok(Admission::Fetch),
        (Met::Folder, _) => refuse(ErrorKind::BadPlace, "is a folder"),
        (Met::Device, _) => refuse(ErrorKind::BadPlace, "is a device, socket or FIFO"),
        (Met::File | Met::Link, IfExists::Overwrite | IfExists::Rename | IfExists::Update) => {
            Ok(Admission::Fetch)
        }
        (Met::File | Met::Link, IfExists::Fail) => refuse(ErrorKind::Exists, "exists already"),
        (Met::File, IfExists::Skip) => Ok(Admission::Skip(path)),
        (Met::Link, IfExists::Skip) => {
            refuse(ErrorKind::BadPlace, "is a symbolic link, which is not followed")
        }
    }
}
