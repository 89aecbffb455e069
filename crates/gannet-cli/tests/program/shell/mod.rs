//! What people type in a shell, as a shell runs it: standard output, standard error and exit code of each, against
//! the origin.

mod lines;
mod pipes;

use std::process::{Command, Stdio};

use super::fixture::{self, Folder, Ran, end};

/// Runs a script with `$URL` and the like set, and `gannet` on its path.
pub(crate) fn sh(folder: &Folder, script: &str, variables: &[(&str, &str)]) -> Ran {
    end(shell(folder, script, variables).spawn().expect("a shell starts"))
}

pub(crate) fn shell(folder: &Folder, script: &str, variables: &[(&str, &str)]) -> Command {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_gannet"));
    let folder_of_program = program.parent().expect("the program lies in a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    // As in a shell, whose children die of a closed pipe.
    command.args(["-o", "pipefail", "-c", script]).current_dir(folder.path());
    fixture::without_settings(&mut command);
    command.env("PATH", format!("{}:{path}", folder_of_program.display())).envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
