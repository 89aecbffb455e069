//! What is known of a body that lies in its file already, so that it is asked for only if the server has another version
//! of it by now. Plain data; what is asked for is decided in `policy::update`.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, ErrorKind, Phase};

/// A file that stands where a body is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct There {
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub length: u64,
    /// When it was written to last, if its file system says so.
    pub modified: Option<SystemTime>,
}

/// What earlier runs have written down of a URL and its file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(feature = "journal"), expect(dead_code, reason = "without a journal nothing is written down"))]
pub(crate) enum Written {
    /// Nothing.
    NoRow,
    /// That it was not obtained: whatever stands there is of no known version.
    NoVersion,
    /// The version that the file holds.
    Version(Box<Version>),
    /// That the file is another URL's, and this URL has none beside it.
    OfAnother(Box<str>),
    /// What cannot be read: the file may be another URL's, and this URL has none beside it of which that is known.
    Unreadable,
    /// That the file is another URL's, and this URL has this one beside it.
    Beside(PathBuf),
}

/// The version of a body that an earlier run has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// The URL that answered, after redirects: its validators belong to that one.
    pub(crate) url: Box<str>,
    pub(crate) etag: Option<Box<str>>,
    pub(crate) last_modified: Option<Box<str>>,
    /// In bytes.
    pub(crate) length: u64,
    /// When it had its name, at the latest.
    pub(crate) by: Option<SystemTime>,
}

/// A body in its file that is asked for only if it is another one by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) there: There,
    /// The only URL that may be asked by it; `None` is any.
    pub(crate) url: Option<Box<str>>,
    pub(crate) unless: Unless,
    /// As an earlier run has met them.
    pub(crate) etag: Option<Box<str>>,
    pub(crate) last_modified: Option<Box<str>>,
}

/// A body that an earlier run of the job has brought, and that is not wanted any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outdated {
    /// The file that holds it, whose place the next body takes; from admission on as its sink names it, and `None` if it is
    /// not that sink's.
    pub(crate) file: Option<PathBuf>,
    /// What speaks against it: a lower-case fragment.
    pub(crate) why: Box<str>,
}

/// The condition under which a server need not send the body (RFC 9110, sections 13.1.2 and 13.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unless {
    /// Its ETag is this one, by the weak comparison: `If-None-Match`.
    Etag(Box<str>),
    /// It was not modified after this date: `If-Modified-Since`.
    NotSince(Box<str>),
}

impl Outdated {
    /// Something stands where the next body would go, and is kept.
    pub(crate) fn not_replaced(&self, there: &Path) -> Error {
        let message = format!("{}, and what is in {} is kept", self.why, there.display());
        Error::new(ErrorKind::Digest, Phase::Verify, message)
    }

    /// Memory that it holds, roughly, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let file = self.file.as_ref().map_or(0, |file| file.as_os_str().len());
        size_of::<Self>() + file + self.why.len()
    }
}

impl Kept {
    /// Memory that it holds, roughly, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let texts = [&self.url, &self.etag, &self.last_modified];
        let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        size_of::<Self>() + self.there.path.as_os_str().len() + texts + 40
    }
}
