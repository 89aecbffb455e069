//! The log of `-vv`: what the library tells `tracing` of each fetch and attempt, a line each on standard error. What is
//! in it is the library's to choose; nobody else's events are taken, for they may hold what is secret.

use std::io;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::fmt::time::uptime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{Level, Voice};

/// The target of the library's own spans and events.
const OURS: &str = "gannet";

impl Voice {
    /// Writes the log from now on, with the time since the start.
    pub(crate) fn log(&self) {
        let voice = self.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || Lines(voice.clone()))
            .with_span_events(FmtSpan::NEW)
            .with_timer(uptime())
            .with_target(false)
            .with_ansi(false);
        let ours = Targets::new().with_target(OURS, LevelFilter::TRACE);
        // There is one log in a process; a second would be a slip of ours that costs nothing.
        let _ = tracing_subscriber::registry().with(lines).with(ours).try_init();
    }
}

/// Takes whole lines, as the log writes them.
struct Lines(Voice);

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.say(Level::Attempts, &String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
