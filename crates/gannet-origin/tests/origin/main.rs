//! Shows each behaviour of the origin over real sockets. Clients are as plain as they can be.

mod client;
mod counting;
mod cuts;
mod http1;
mod http2;
mod tls;
