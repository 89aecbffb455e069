//! What the program tells about itself on standard output: its settings, completions, the man page. Nothing here
//! fetches.

mod man;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use crate::args::{self, Surroundings};
use crate::exit::Exit;
use crate::job::Refused;
use crate::say::{Complaint, Ink, Level, Voice};

/// Lets something be written to standard output, and gives its exit code.
pub(crate) fn telling(
    tell: impl FnOnce(&Voice, &mut dyn io::Write) -> Result<io::Result<Exit>, Refused>,
) -> ExitCode {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let voice = match Voice::of(Level::Normal, Ink::chosen()) {
        Ok(voice) => voice,
        Err(cause) => {
            return crate::refuse(&Complaint::new("no thread can be started").why(cause.to_string()));
        }
    };
    let exit = match tell(&voice, &mut out) {
        Ok(told) => {
            told.and_then(|exit| out.flush().map(|()| exit)).unwrap_or_else(|error| unwritten(&error))
        }
        Err(Refused { complaint, exit }) => {
            voice.refuse(&complaint);
            exit
        }
    };
    voice.pen().wait();
    exit.into()
}

/// `gannet config`.
pub(crate) fn config(named: Option<&Path>) -> ExitCode {
    match args::settings(named, &Surroundings::of_this_process()) {
        Ok(settings) => print(settings.listing().as_bytes()),
        Err(complaint) => crate::refuse(&complaint),
    }
}

/// `gannet completions`.
pub(crate) fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut args::definition(), "gannet", &mut text);
    print(&text)
}

/// `gannet man`.
pub(crate) fn man() -> ExitCode {
    print(&man::page(args::definition()))
}

fn print(text: &[u8]) -> ExitCode {
    let mut out = io::stdout().lock();
    let exit = match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Exit::Obtained,
        Err(error) => unwritten(&error),
    };
    exit.into()
}

/// What it comes to that standard output cannot be written.
fn unwritten(error: &io::Error) -> Exit {
    if error.kind() == io::ErrorKind::BrokenPipe { Exit::StdoutClosed } else { Exit::Local }
}
