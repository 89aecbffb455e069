//! What people read on standard error: errors, notes, progress, the closing line. Nothing here fetches, and nothing
//! waits for a slow terminal.

mod amounts;
mod attempts;
mod bar;
mod closing;
mod complaint;
mod errors;
mod hints;
mod holding;
mod log;
mod progress;
mod watchdog;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, OnceLock};

use gannet::{Event, Outcome};
use indicatif::ProgressBar;

pub(crate) use amounts::{as_given, bytes as amount, seconds, size_as_given};
pub(crate) use closing::closing_line;
pub(crate) use complaint::Complaint;
pub(crate) use errors::Errors;
pub(crate) use hints::{OTHER_LIST, hint, reason};
pub(crate) use holding::{crowding, held_back_by};
pub(crate) use progress::{Eyes, Meter, Sight, Watched};
pub(crate) use watchdog::{Watchdog, queued, stuck};

use crate::exit::Exit;
use crate::pen::Pen;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Nothing.
    Nothing,
    /// Errors only.
    Errors,
    /// Errors, notes, progress, and a closing line for several URLs.
    Normal,
    /// Each attempt too.
    Attempts,
}

/// Speaks on standard error. Clones speak with the same voice.
#[derive(Debug, Clone)]
pub(crate) struct Voice {
    level: Level,
    pen: Pen,
    ink: Ink,
    bar: Arc<OnceLock<ProgressBar>>,
}

/// Whether colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Plain,
    Coloured,
}

impl Voice {
    /// A voice that says so much. Starts its thread.
    pub(crate) fn of(level: Level, ink: Ink) -> io::Result<Self> {
        Ok(Self { level, pen: Pen::to(io::stderr())?, ink, bar: Arc::default() })
    }

    /// How much it says.
    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// The pen it writes with, to wait for.
    pub(crate) fn pen(&self) -> &Pen {
        &self.pen
    }

    /// Says an error.
    pub(crate) fn complain(&self, complaint: &Complaint) {
        self.say(Level::Errors, &self.ink.error(complaint));
    }

    /// Says why nothing is sent, and waits until it is said: nothing else goes on yet. It is said whatever the
    /// level: `-s` is about fetches, and who mistypes a script should not have to guess.
    pub(crate) fn refuse(&self, complaint: &Complaint) -> Exit {
        // If nobody can read it, there is nowhere else to say it.
        let _ = io::stderr().write_all(self.ink.error(complaint).as_bytes());
        Exit::Refused
    }

    /// Says more about errors.
    pub(crate) fn complain_more(&self, line: &str) {
        self.say(Level::Errors, &format!("{line}\n"));
    }

    /// Says what is no error.
    pub(crate) fn note(&self, text: &str) {
        self.say(Level::Normal, &format!("{text}\n"));
    }

    /// Says how far a run is, to those who asked for it though they want to hear of errors only.
    fn show_progress(&self, line: &str) {
        self.say(Level::Errors, &format!("{line}\n"));
    }

    /// Tells each attempt of an outcome.
    pub(crate) fn tell_attempts(&self, outcome: &Outcome) {
        // Those of an earlier run were told by that run.
        if self.level == Level::Attempts && !outcome.is_from_journal() {
            self.say(Level::Attempts, &attempts::told(outcome));
        }
    }

    /// Tells what the run hangs on.
    pub(crate) fn tell_stuck(&self, text: &str) {
        self.say(Level::Attempts, text);
    }

    /// Tells attempts as they start.
    pub(crate) fn watcher(&self) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
        let voice = self.clone();
        move |event| {
            if let Event::AttemptStarted { seq, url, why } = event {
                voice.say(Level::Attempts, &format!("> {seq} {} {url}\n", why.as_str()));
            }
        }
    }

    /// Shows a bar below all that is said from now on.
    fn show(&self, bar: ProgressBar) {
        // A second bar would be a slip of ours that costs nothing.
        let _ = self.bar.set(bar);
    }

    fn say(&self, level: Level, text: &str) {
        if self.level < level {
            return;
        }
        match self.bar.get() {
            Some(bar) => bar.suspend(|| self.pen.write(text.as_bytes())),
            None => self.pen.write(text.as_bytes()),
        }
        self.pen.flush();
    }
}

impl Ink {
    /// By `NO_COLOR`, `CLICOLOR_FORCE`, and whether a terminal listens.
    pub(crate) fn chosen() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_forced =
            std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0");
        let can = io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        if !is_set("NO_COLOR") && (is_forced || can) { Self::Coloured } else { Self::Plain }
    }

    /// The lines of a complaint.
    pub(crate) fn error(self, complaint: &Complaint) -> String {
        let text = complaint.to_string();
        match (self, text.strip_prefix("error:")) {
            (Self::Coloured, Some(rest)) => format!("\u{1b}[1;31merror:\u{1b}[0m{rest}"),
            _ => text,
        }
    }
}
