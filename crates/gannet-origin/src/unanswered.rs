//! Addresses that never become a connection: one that refuses, one that swallows.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Connections that the kernel takes in, though the listener asked for none, before it drops more.
const MAX_FILLERS: usize = 16;

/// How long a connection on the loopback may take before it counts as dropped.
const PATIENCE: Duration = Duration::from_millis(50);

/// An address on the loopback where nobody listens: connecting is refused.
///
/// The port was free a moment ago; the system may hand it to someone else later. [`Refusal`] keeps it.
///
/// # Errors
///
/// If no port is free.
pub fn refusing_addr() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// An address on the loopback where nobody listens for as long as this lives: connecting is refused, and
/// the system hands the port to nobody else.
#[derive(Debug)]
pub struct Refusal {
    addr: SocketAddr,
    _bound: Socket,
}

impl Refusal {
    /// Takes a free port.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub fn open() -> io::Result<Self> {
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        bound.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let addr = bound.local_addr()?.as_socket().expect("an address of the internet was bound");
        Ok(Self { addr, _bound: bound })
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// An address on the loopback where a SYN is dropped: connecting goes on until the client gives up.
///
/// It is a listener that accepts nobody and whose queue is full (Linux drops the SYN then). It is one
/// until it is dropped.
#[derive(Debug)]
pub struct Blackhole {
    addr: SocketAddr,
    _listener: Socket,
    _fillers: Vec<TcpStream>,
}

impl Blackhole {
    /// Opens one on a free port. Takes some 50 ms, blocking.
    ///
    /// # Errors
    ///
    /// If no port is free, or the system takes in connection after connection instead of dropping any.
    pub fn open() -> io::Result<Self> {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        listener.listen(0)?;
        let addr = TcpListener::from(listener.try_clone()?).local_addr()?;
        let mut fillers = Vec::new();
        while fillers.len() < MAX_FILLERS {
            match TcpStream::connect_timeout(&addr, PATIENCE) {
                Ok(filler) => fillers.push(filler),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Ok(Self { addr, _listener: listener, _fillers: fillers });
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("the queue of the listener does not fill"))
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blackhole_swallows_a_connection() {
        let hole = Blackhole::open().unwrap();
        let error = TcpStream::connect_timeout(&hole.addr(), Duration::from_millis(100)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn nobody_listens_at_a_refusing_address() {
        let held = Refusal::open().unwrap();
        for addr in [refusing_addr().unwrap(), held.addr()] {
            let error = TcpStream::connect(addr).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        }
    }
}
