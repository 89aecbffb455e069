//! Where bodies go. A sink gives each body a part; a part is written, flushed and committed, and dropping it
//! before its commit leaves nothing behind. Nothing in this room fetches or decides.

use std::io::Read;
use std::path::Path;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::error::Error;
use crate::outcome::{Receipt, ReplyHead};
use crate::part::OnDisk;
use crate::request::Request;

mod block;
pub mod conformance;
#[cfg_attr(not(unix), path = "directory_portable.rs")]
mod directory;
mod discard;
mod files;
mod final_name;
pub(crate) mod io_error;
mod memory;
mod names;
mod ordered;
mod own_path;
mod part_file;
mod part_key;
mod rules;
#[cfg(test)]
pub(crate) mod scratch;
mod taken;
mod template;

pub use discard::Discard;
pub use files::Files;
pub use memory::Memory;
pub(crate) use memory::too_large;
pub use ordered::Ordered;
pub use part_key::PartKey;
pub use rules::{CreateDirectory, IfExists};
pub use template::NameTemplate;

pub use crate::version::There;

/// Where the bodies of many requests go.
pub trait Sink: Send + Sync {
    /// Looks at a request before anything of it is sent. Called once for each, in input order; may set the
    /// request's [`place`](Request::save_as).
    ///
    /// # Errors
    /// The body could not be kept, whatever the server says.
    fn admit(&self, seq: u64, request: &mut Request) -> Result<Admission, Error> {
        let _ = (seq, request);
        Ok(Admission::Fetch)
    }

    /// Looks once more at a request whose file, which is there, is that of another URL, as the job's journal tells: it needs
    /// another name. Called after [`admit`](Self::admit) said that it can be skipped, and again if what it gives then is
    /// another URL's, too: `again` counts, from 0, and the request is each time as `admit` left it. `None`, as by default, if
    /// names are what they are: then it is skipped.
    ///
    /// # Errors
    /// As with `admit`.
    fn admit_beside(&self, seq: u64, request: &mut Request, again: u32) -> Option<Result<Admission, Error>> {
        let _ = (seq, request, again);
        None
    }

    /// Takes note of a request that is not fetched, since an earlier run of its job has settled it. Stands in the place
    /// of [`admit`](Self::admit), in input order, and by default calls it. `file` is where its body is as that run tells,
    /// which may be another place than it would get by now.
    fn known(&self, seq: u64, request: &mut Request, file: Option<&Path>) {
        let _ = file;
        drop(self.admit(seq, request));
    }

    /// Takes note of a file that an earlier run of the job has made, before a request is admitted that comes before the one
    /// whose file it is: it is not given to another one. Does nothing by default.
    fn reserve(&self, file: &Path) {
        let _ = file;
    }

    /// Says which requests may start now. The context's waker is woken when the answer changes.
    fn room(&self, context: &mut Context<'_>) -> Room {
        let _ = context;
        Room::Any
    }

    /// Whether [`room`](Self::room) may ever answer [`Room::Only`].
    fn keeps_order(&self) -> bool {
        false
    }

    /// Opens the place for one body. Nothing of an earlier part of the same request is left when this is called.
    ///
    /// # Errors
    /// The place cannot be made.
    fn begin(&self, seq: u64, request: &Request, head: &ReplyHead) -> Result<Box<dyn Part>, Error>;

    /// Opens what an earlier run has left of a body, with its first `part.good` bytes and no more; `None` if there is
    /// nothing, or not what was left. Of the latter nothing stays, nor of what lies where this body no longer goes.
    ///
    /// # Errors
    /// The place cannot be opened. What was left is removed then, too: nobody goes on with it.
    fn reopen(
        &self,
        seq: u64,
        request: &Request,
        part: &crate::part::Part,
    ) -> Result<Option<Box<dyn Part>>, Error> {
        let _ = (seq, request, part);
        Ok(None)
    }

    /// The request of this number has settled, with or without a body. Called once for each admitted request.
    fn settled(&self, seq: u64) {
        let _ = seq;
    }
}

/// What a sink says to a request before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Fetch it.
    Fetch,
    /// It is there already, at this path.
    Skip(std::path::PathBuf),
    /// Something is there: fetch it if the server has another version of it by now, as far as that is known.
    Update(There),
}

/// Which requests may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Any.
    Any,
    /// Only the request of this number, until there is room again.
    Only(u64),
}

/// One body on its way to its place. Dropping it before [`commit`](Self::commit) leaves nothing behind.
pub trait Part: Send {
    /// Ready when a chunk can be taken.
    ///
    /// # Errors
    /// What was written earlier has failed.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>>;

    /// Takes one chunk. To be called after [`poll_ready`](Self::poll_ready) was ready.
    ///
    /// # Errors
    /// The chunk cannot be kept.
    fn write(&mut self, chunk: Bytes) -> Result<(), Error>;

    /// Ready when all that was taken is in its place, under its temporary name.
    ///
    /// # Errors
    /// Writing has failed.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>>;

    /// Bytes taken so far.
    fn length(&self) -> u64;

    /// Whether the part can be begun anew: no byte of it has left our hands.
    fn restartable(&self) -> bool {
        true
    }

    /// From now on dropping it leaves on the disk what is there, for a later run to go on with. Before the first byte,
    /// or not at all.
    fn spare(&mut self) {}

    /// How many bytes lie where a later run would find them, and where; `None` if none ever will.
    fn on_disk(&self) -> Option<(u64, &OnDisk)> {
        None
    }

    /// Whether it can be [read back](Self::read_back): then it may come in pieces even where digests of the whole are wanted.
    fn reads_back(&self) -> bool {
        false
    }

    /// All that was taken, from its first byte on, to be compared as a whole; after a flush, and before more is taken.
    /// `None` if it cannot be had.
    ///
    /// # Errors
    /// It cannot be read.
    fn read_back(&self) -> Result<Option<Box<dyn Read + Send>>, Error> {
        Ok(None)
    }

    /// Drops it and leaves nothing behind, though it was to be [spared](Self::spare).
    fn discard(self: Box<Self>) {}

    /// Gives the body its final place, in one synchronous step.
    ///
    /// # Errors
    /// The final place cannot be given.
    fn commit(self: Box<Self>) -> Result<Receipt, Error>;
}
