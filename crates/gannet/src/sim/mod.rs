//! Stand-ins for the network, for tests of code that uses a client: they need no socket and no waiting.
//!
//! - [`Replies`]: a mock in three lines. It serves what it was told to serve.
//! - [`Faults`]: a layer over a mock, or over any other [`Transport`](crate::Transport), that refuses, resets, stalls,
//!   drips, cuts, answers 429 and 503, is slow and has outages: how often is said by the test or drawn, when is drawn
//!   from a seed.
//! - [`each_seed`]: a test under a thousand seeds, in virtual time.
//!
//! `crates/gannet/examples/sim_faults.rs` finds a fault in a function of a dozen lines with them.
//!
//! # Virtual time
//! The client waits by tokio's clock. Under `#[tokio::test(start_paused = true)]`, and in [`each_seed`], that clock
//! jumps to the next timer as soon as everything waits: ten minutes of retries take milliseconds. The feature `sim`
//! switches tokio's `test-util` on for it.
//!
//! # To replay a seed
//! A failure under [`each_seed`] prints its seed; `GANNET_SIM_SEED=17 cargo test NAME` runs that one alone.
//! [`Faults::fates`] lists what was decided for each request, and errors that were made up say so, with the seed. A run
//! repeats exactly if all its chance comes from the seed: [`Faults::client`] draws the jitter of backoffs from it, other
//! clients do by [`ClientBuilder::seed`](crate::ClientBuilder::seed), and your own code's dice are yours to seed. Keep
//! to one thread: between several, the order of events is the machine's.
//!
//! # What is simulated, and what is not
//! Real is all of the client but the wire: queue, gates, backoff, budget, hedges, races, deadlines, redirects, decoding,
//! sinks. Simulated is one exchange: the time to its first byte, its failure, its status, the pace of its body. Not
//! simulated are look-ups, TCP, TLS and HTTP's framing, so there are no connections that are reused, pooled or limited,
//! and `connect_timeout` has nothing to limit; a server that grows slower the more it is asked; the wall clock, which
//! runs on in real time (a Retry-After that is a date is judged by it; one in seconds is virtual); and the time that
//! computing takes, which is none. Files are written for real.

#[cfg(feature = "sim")]
mod faults;
#[cfg(feature = "sim")]
mod faulty_body;
#[cfg(test)]
mod network;
#[cfg(feature = "sim")]
mod replies;
#[cfg(feature = "sim")]
mod seeds;
#[cfg(test)]
mod server;
#[cfg(test)]
mod whole_engine;

#[cfg(feature = "sim")]
pub use faults::{Fate, Fault, Faults};
#[cfg(test)]
pub(crate) use network::SimNetwork;
#[cfg(feature = "sim")]
pub use replies::{Answer, Replies};
#[cfg(feature = "sim")]
pub use seeds::each_seed;
#[cfg(test)]
pub(crate) use server::{Fates, Seen};
