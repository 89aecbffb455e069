//! Pure decisions. Facts and a `now` go in, orders come out. Nothing in this room knows a clock, a source of
//! randomness, a socket or tokio: all of these are arguments.

pub(crate) mod backoff;
#[cfg_attr(not(test), expect(dead_code, reason = "purses of hosts are not kept yet"))]
pub(crate) mod budget;
pub(crate) mod classify;
#[cfg_attr(not(test), expect(dead_code, reason = "no hedge is advised and no retry is parked yet"))]
pub(crate) mod fetch;
#[cfg_attr(not(test), expect(dead_code, reason = "every hedge has a fixed delay yet"))]
pub(crate) mod hedge;
pub(crate) mod host;
pub(crate) mod job;
#[cfg_attr(not(test), expect(dead_code, reason = "no host is listened to yet"))]
pub(crate) mod latency;
pub(crate) mod queue;
#[cfg(test)]
mod tail;
#[cfg_attr(not(test), expect(dead_code, reason = "no retry is parked yet"))]
pub(crate) mod waiting;
