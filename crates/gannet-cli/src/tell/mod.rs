//! What the program tells about itself on standard output: its settings, completions, the man page. Nothing here
//! fetches.

mod man;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use crate::args::{self, Surroundings};
use crate::exit::Exit;

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
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::StdoutClosed,
        Err(_) => Exit::Local,
    };
    exit.into()
}
