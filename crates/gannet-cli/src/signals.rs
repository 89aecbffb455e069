//! SIGINT, SIGTERM and SIGHUP as values. A SIGHUP that was ignored when the program started stays ignored, so that
//! `nohup` holds. What follows from a signal is decided in `run`.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// A signal that ends the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
    HangUp,
}

impl Signal {
    const ALL: [Self; 3] = [Self::Interrupt, Self::Terminate, Self::HangUp];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::HangUp => "SIGHUP",
        }
    }

    /// 128 and its number, as shells have it.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
            Self::HangUp => 129,
        }
    }

    fn kind(self) -> SignalKind {
        match self {
            Self::Interrupt => SignalKind::interrupt(),
            Self::Terminate => SignalKind::terminate(),
            Self::HangUp => SignalKind::hangup(),
        }
    }
}

/// Signals as they come.
#[derive(Debug)]
pub(crate) struct Signals(Vec<(Signal, Stream)>);

impl Signals {
    /// Starts to listen; to be called within a runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut streams = Vec::new();
        for known in Signal::ALL {
            if known != Signal::HangUp || !is_hangup_ignored() {
                streams.push((known, signal(known.kind())?));
            }
        }
        Ok(Self(streams))
    }

    /// The next signal.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub(crate) async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (known, stream) in &mut self.0 {
                if stream.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*known);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// Whether this process was started so that SIGHUP does nothing; no where that cannot be known.
fn is_hangup_ignored() -> bool {
    const HANGUP: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & HANGUP != 0)
}
