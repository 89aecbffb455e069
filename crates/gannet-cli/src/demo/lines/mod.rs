//! The Rust lines of the acts, as a user would write them. `gannet demo ACT` prints these very files and the act runs
//! them, so what is shown is what ran.

pub(super) mod all;
pub(super) mod cancel;
pub(super) mod first;
pub(super) mod hedge;
pub(super) mod lazy;
