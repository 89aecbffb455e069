//! The network itself: who connects is given a pipe with a server at its other end, or one of the ways to fail.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::server::{ConnectFate, Fates, Seen, serve};
use crate::transport::BoxFuture;
use crate::transport::connect::{OtherNetwork, Stream};

/// What one pipe holds in each direction, in bytes.
const PIPE: usize = 16 << 10;

/// A network of servers that behave as drawn from one seed.
pub(crate) struct SimNetwork {
    fates: Arc<Fates>,
    seen: Arc<Seen>,
}

impl SimNetwork {
    pub(crate) fn new(fates: Fates) -> Self {
        Self { fates: Arc::new(fates), seen: Arc::default() }
    }

    /// What the servers see, as it goes on.
    pub(crate) fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen)
    }
}

impl OtherNetwork for SimNetwork {
    fn connect(&self, host: &str, _: u16) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let (fates, seen) = (Arc::clone(&self.fates), Arc::clone(&self.seen));
        let host = host.to_owned();
        Box::pin(async move {
            let (delay, fate) = fates.connect();
            sleep(delay).await;
            match fate {
                ConnectFate::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
                ConnectFate::Silent => {
                    sleep(Duration::from_secs(86_400)).await;
                    Err(io::ErrorKind::TimedOut.into())
                }
                ConnectFate::Accepted => {
                    let (ours, theirs) = tokio::io::duplex(PIPE);
                    // The other side of the network: it ends when its pipe does.
                    crate::engine::background(serve(host, theirs, fates, seen));
                    Ok(Box::new(ours) as Box<dyn Stream>)
                }
            }
        })
    }
}
