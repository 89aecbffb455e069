//! Pure decisions. Facts and a `now` go in, orders come out. Nothing in this room knows a clock, a source of
//! randomness, a socket or tokio: all of these are arguments.

pub(crate) mod backoff;
pub(crate) mod budget;
pub(crate) mod classify;
pub(crate) mod concurrency;
pub(crate) mod fetch;
pub(crate) mod hedge;
pub(crate) mod host;
pub(crate) mod job;
pub(crate) mod latency;
pub(crate) mod queue;
pub(crate) mod resume;
pub(crate) mod speed;
#[cfg(test)]
mod tail;
pub(crate) mod update;
pub(crate) mod waiting;
