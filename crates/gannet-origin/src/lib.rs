//! An HTTP origin that can be slow, hostile or broken on demand, for tests, demos and benches.
//!
//! Each request says by its query what shall be done to it: `/?size=1k&delay=200ms`, `/?reset=120`,
//! `/?script=503,503,200`; [`QUERY_KEYS`] lists them all. What no query can say is said by a
//! [`RawReply`], a [`TlsFault`] or an [`Http2Fault`]; bodies that a test gives are
//! [`OriginBuilder::file`]s. The origin counts what it sees, and tells when a client left a request alone.
//!
//! It serves the loopback only. It is no server for the world: nothing here is hardened.

mod behave;
mod body;
mod coding;
mod count;
mod echo;
mod entity;
mod fault2;
mod fields;
mod frame2;
mod hostile2;
mod keys;
mod limits;
mod link;
mod origin;
mod range;
mod raw;
mod reply;
mod request1;
mod serve;
mod tls;
mod tls_fault;
mod unanswered;
mod wire1;
mod wire2;

pub use body::{body, body_byte};
pub use count::{Counts, HowEnded, RequestRecord};
pub use fault2::{AfterGoAway, BadFrame, Flood, Http2Fault, ResetAt};
pub use keys::QUERY_KEYS;
pub use origin::{Origin, OriginBuilder};
pub use raw::{RawReply, Step};
pub use tls::{Certificate, Credentials, Tls, TlsVersions};
pub use tls_fault::TlsFault;
pub use unanswered::{Blackhole, Refusal, refusing_addr};
