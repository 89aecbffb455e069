//! Stand-ins for the network. With the feature `sim`: [`Replies`], a mock for tests of code that uses a client, in
//! three lines. For our own tests: a simulated network with a seeded plan of faults, in virtual time, over which the
//! real engine, gate, pool and HTTP codec run with no socket and no waiting.

#[cfg(test)]
mod network;
#[cfg(feature = "sim")]
mod replies;
#[cfg(test)]
mod server;
#[cfg(test)]
mod whole_engine;

#[cfg(test)]
pub(crate) use network::SimNetwork;
#[cfg(feature = "sim")]
pub use replies::{Answer, Replies};
#[cfg(test)]
pub(crate) use server::{Fates, Seen};
