//! What a journal keeps of the command line, as JSON: enough to go on, and nothing secret. Plain data.

use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::print::Print;
use crate::args::{BodyArgs, Deadline, GetArgs, Given};
use crate::input::can_be_read_twice;
use crate::say::Complaint;

/// The command line of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Rises when something breaks.
    v: u32,
    /// The folder that it was given in.
    pub(super) cwd: PathBuf,
    #[serde(flatten)]
    pub(super) given: Given,
    /// Where its bodies go; `None` in journals that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bodies: Option<Bodies>,
    /// The folder of its files, as the system knows it: that of `-P`, else the one that the names of `-o` and `-O` are
    /// relative to.
    output: Option<PathBuf>,
    /// The same folder as the options of this run name it.
    #[serde(skip)]
    pub(super) named: PathBuf,
    /// Whether what `--until` asked for was obtained.
    pub(super) is_met: bool,
    /// Whether the last run was `gannet retry`: to resume it would not try again what it has not come to.
    #[serde(default)]
    pub(super) is_retry: bool,
    /// Whether all of it has settled, and a run has told so to its end: until then the same command goes on, though it be
    /// to fetch nothing.
    #[serde(default)]
    pub(super) is_told: bool,
    /// Of the list, if all of it has settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) print: Option<Print>,
}

/// Where the bodies of a job go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Bodies {
    /// `--no-body`.
    Nowhere,
    /// `-P`.
    Below,
    /// `-o` and `-O`.
    Own,
}

impl Bodies {
    fn of(args: &BodyArgs) -> Self {
        match &args.directory {
            Some(_) => Self::Below,
            None if args.no_body => Self::Nowhere,
            None => Self::Own,
        }
    }

    /// The folder that they go to, if they have one in common.
    fn folder(self, args: &BodyArgs) -> Option<PathBuf> {
        let is_absolute = |file: &String| Path::new(file).is_absolute();
        match self {
            Self::Nowhere => None,
            Self::Below => args.directory.as_deref().map(settled),
            Self::Own if !args.remote_name && args.files.iter().all(is_absolute) => None,
            Self::Own => Some(settled(args.output_dir.as_deref().unwrap_or(Path::new("")))),
        }
    }

    /// In words, behind "went".
    fn told(self, folder: Option<&Path>) -> String {
        let folder = folder.map(|folder| folder.display());
        match (self, folder) {
            (Self::Nowhere, _) => "nowhere (--no-body)".to_owned(),
            (Self::Below, Some(folder)) => format!("below {folder} (-P)"),
            (Self::Own, Some(folder)) => format!("to files of their own in {folder} (-o, -O)"),
            (Self::Below | Self::Own, None) => "to files of their own (-o, -O)".to_owned(),
        }
    }
}

impl Settings {
    /// What is kept of these options.
    pub(crate) fn of(args: &GetArgs) -> Self {
        let mut given = args.given.clone();
        let list = args.input.list.as_deref();
        // What is given by a pipe is there for one run, as what is on standard input is.
        if list.is_some_and(|list| list != "-" && !can_be_read_twice(list)) {
            given.stdin_readers.push("--input".to_owned());
        }
        let bodies = Bodies::of(&args.body);
        Self {
            v: 1,
            cwd: std::env::current_dir().unwrap_or_default(),
            given,
            bodies: Some(bodies),
            output: bodies.folder(&args.body),
            named: args.body.directory.clone().or_else(|| args.body.output_dir.clone()).unwrap_or_default(),
            is_met: false,
            is_retry: false,
            is_told: false,
            print: None,
        }
    }

    /// `None` for what this version cannot read.
    pub(super) fn of_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|settings: &Self| settings.v == 1)
    }

    pub(super) fn to_json(&self) -> String {
        // A path that is no text cannot be kept; the job then goes on by the same command alone.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// How to go on with the job of this name, in words for a shell, where `verb` is `resume` or `retry`; `None` if it
    /// takes the same command.
    pub(super) fn go_on(&self, verb: &str, name: &str) -> Option<String> {
        let Given { words, secret, stdin_readers } = &self.given;
        if words.is_empty() || secret.iter().any(|flag| flag == "URL") {
            return None;
        }
        let mut again = match &stdin_readers[..] {
            [] => String::new(),
            // The list is to be sent there again.
            [one] if one == "--input" => " -i -".to_owned(),
            _ => return None,
        };
        again.push_str(&Given::again(secret));
        if self.is_late() {
            again.push_str(" --deadline ...");
        }
        Some(format!("gannet {verb} {name}{again}"))
    }

    /// Whether the moment of its deadline has passed.
    fn is_late(&self) -> bool {
        let given = self.given.words.iter().rev().find_map(|word| word.strip_prefix("--deadline="));
        match given.map(str::parse) {
            Some(Ok(Deadline::At(at))) => at <= SystemTime::now(),
            _ => false,
        }
    }

    /// Whether a failure among its rows would stop it again.
    pub(super) fn stops_at_failures(&self) -> bool {
        self.given.words.iter().any(|word| word == "--fail-early")
    }

    /// What of it came from standard input.
    pub(super) fn stdin_readers(&self) -> &[String] {
        &self.given.stdin_readers
    }

    /// What is to be there again, for what can be read only once.
    pub(super) fn of_stdin(&self) -> &'static str {
        let is_on_stdin = self.given.words.iter().any(|word| word == "--input=-");
        match self.stdin_readers() {
            [list] if list == "--input" && is_on_stdin => "list on standard input",
            [list] if list == "--input" => "list",
            _ => "standard input",
        }
    }

    /// Whether the same list, or the same URLs, were given, as far as the command line tells.
    pub(super) fn is_same_list(&self, other: &Self) -> bool {
        let is_of_list = |word: &&String| !word.starts_with('-') || word.starts_with("--input=");
        // A pipe has another name each time.
        let name =
            |of: &Self, word: &String| match of.given.stdin_readers.iter().any(|flag| flag == "--input") {
                true if word.starts_with("--input=") => "--input=-".to_owned(),
                _ => word.clone(),
            };
        let list = |of: &Self| -> Vec<String> {
            of.given.words.iter().filter(is_of_list).map(|word| name(of, word)).collect()
        };
        list(self) == list(other) && self.cwd == other.cwd
    }

    /// Whether the options were given that make lines ask for the same, as far as that can be told from what is kept.
    pub(super) fn have_same_lines(&self, other: &Self) -> bool {
        let are_all_kept = self.given.secret.is_empty() && other.given.secret.is_empty();
        are_all_kept && self.cwd == other.cwd && self.given.words_of_lines().eq(other.given.words_of_lines())
    }

    /// The folder of its files, if it has one.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        self.output.as_deref().map(settled)
    }

    /// Whether its bodies may have gone to devices and pipes, as `-o` takes them.
    pub(super) fn writes_where_it_is_told(&self) -> bool {
        self.bodies == Some(Bodies::Own)
    }

    /// What is done is not where it is wanted now: the files have been moved, or bodies are to go elsewhere.
    pub(super) fn moved_to(&self, now: &Self) -> Option<Complaint> {
        let (was, is) = (self.folder(), now.folder());
        let (was_kind, is_kind) = (self.bodies.unwrap_or(Bodies::Below), now.bodies.unwrap_or(Bodies::Below));
        match (was, is) {
            // An older journal says no more than its folder.
            (None, _) if self.bodies.is_none() => None,
            (was, is) if (was_kind, &was) == (is_kind, &is) => None,
            (Some(was), Some(is)) if (was_kind, is_kind) == (Bodies::Below, Bodies::Below) => {
                let what = format!("the job in {} was begun in {}", is.display(), was.display());
                let complaint = Complaint::new(what)
                    .why("its folder was moved, and its journal names the files by their old place");
                Some(complaint.fix(
                    "move it back, or begin anew with --new-job: files that are there are not fetched again",
                ))
            }
            (was, is) => {
                let (was, is) = (was_kind.told(was.as_deref()), is_kind.told(is.as_deref()));
                let what =
                    format!("the bodies of the job in this journal went {was}, and are to go {is} now");
                let complaint = Complaint::new(what).why("what is done would not be there");
                Some(complaint.fix("another --journal for it, or begin anew with --new-job"))
            }
        }
    }
}

/// The path as the system knows it, as far as it is there; what is not there yet holds no links.
pub(super) fn settled(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut settled = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(settled.pop()),
            Component::CurDir => {}
            part => settled.push(part),
        }
        settled = settled.canonicalize().unwrap_or(settled);
    }
    settled
}
