//! Shows each behaviour of the origin over real sockets. Clients are as plain as they can be.

mod client;
mod coding;
mod counting;
mod cuts;
mod files;
mod hostile2;
mod http1;
mod http2;
mod limits;
mod ranges;
mod tls;
