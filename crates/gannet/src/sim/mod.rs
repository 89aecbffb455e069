//! A simulated network with a seeded plan of faults, in virtual time: the real engine, gate, pool and HTTP codec run
//! over it, with no socket and no waiting. For our own tests.

mod network;
mod server;
#[cfg(test)]
mod whole_engine;

pub(crate) use network::SimNetwork;
pub(crate) use server::{Fates, Seen};
