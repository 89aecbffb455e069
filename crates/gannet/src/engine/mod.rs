//! The shell of I/O around the decisions: it drives fetches and jobs, keeps hosts and lanes, reads the clock for
//! the machines of `policy` and carries their orders out. The only room that spawns.

pub(crate) mod attempt;
pub(crate) mod book;
pub(crate) mod call;
#[cfg(feature = "compression")]
pub(crate) mod coding;
pub(crate) mod control;
pub(crate) mod copy;
pub(crate) mod core;
#[cfg(feature = "digests")]
pub(crate) mod digests;
mod drive;
pub(crate) mod errand;
pub(crate) mod fetch;
pub(crate) mod gate;
pub(crate) mod hosts;
pub(crate) mod job;
pub(crate) mod lane;
pub(crate) mod media;
pub(crate) mod plan;
#[cfg(feature = "robots")]
pub(crate) mod robots;
mod tempo;
pub(crate) mod timer;
mod trace;

/// Runs `job` as a task of its own, in the background of the runtime that calls this.
pub(crate) fn background<T: Send + 'static>(
    job: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(job)
}
