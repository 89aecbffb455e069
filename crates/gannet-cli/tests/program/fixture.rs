//! The program under test and a folder of its own for each run. Nothing here asserts what the program should do.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gannet_origin::{Origin, OriginBuilder};
use serde_json::Value;

/// Nothing here takes longer, unless it is broken.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// An origin with nothing special about it.
pub(crate) fn origin() -> Origin {
    start(Origin::builder())
}

pub(crate) fn start(builder: OriginBuilder) -> Origin {
    Origin::start_in_thread(builder).expect("an origin starts on the loopback")
}

/// A folder that is removed at the end, in which the program runs.
pub(crate) struct Folder(PathBuf);

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gannet-cli-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The program, to be run in this folder.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(args).current_dir(&self.0).env("XDG_CONFIG_HOME", &self.0);
        command.env("XDG_STATE_HOME", self.0.join(".gannet-state"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Ran {
        end(self.command(args).spawn().expect("the program starts"))
    }

    /// Runs the program with this on its standard input.
    pub(crate) fn feed<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>, input: &str) -> Ran {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        // The program may end without reading it.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        end(child)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("a file can be written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        String::from_utf8(bytes).expect("text")
    }

    pub(crate) fn read_bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The names in a folder below this one, in order; those of gannet's own folders apart.
    pub(crate) fn names(&self, below: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(below)).expect("a folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<String> =
            entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.starts_with(".gannet"));
        names.sort();
        names
    }

    /// The rows of the report in this file, and its summary.
    pub(crate) fn report(&self, name: &str) -> (Vec<Value>, Value) {
        rows(&self.read(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Ran {
    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The body that `/echo` gave.
    pub(crate) fn echo(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Takes away what the surroundings of the tests would say to the program.
pub(crate) fn without_settings(command: &mut Command) {
    let of_gannet = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GANNET_"));
    for (name, _) in of_gannet {
        command.env_remove(name);
    }
    command.env("XDG_CONFIG_HOME", "no-such-folder");
}

/// Waits for the end.
pub(crate) fn end(child: Child) -> Ran {
    let output = child.wait_with_output().expect("the program ends");
    // A signal that was not caught counts as shells count it.
    let by_signal =
        || 128 + std::os::unix::process::ExitStatusExt::signal(&output.status).unwrap_or_default();
    Ran {
        code: output.status.code().unwrap_or_else(by_signal),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The rows of a report, and its summary.
pub(crate) fn rows(text: &str) -> (Vec<Value>, Value) {
    let mut rows: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a row of JSON")).collect();
    let summary = rows.pop().expect("a summary");
    assert_eq!(summary["type"], "summary");
    assert!(rows.iter().all(|row| row["type"] == "result"));
    (rows, summary)
}

/// The values of one field, sorted as text.
pub(crate) fn column(rows: &[Value], field: &str) -> Vec<String> {
    let mut values: Vec<String> = rows
        .iter()
        .map(|row| row[field].as_str().map_or_else(|| row[field].to_string(), str::to_owned))
        .collect();
    values.sort();
    values
}
