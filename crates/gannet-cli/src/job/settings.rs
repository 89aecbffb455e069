//! What a journal keeps of the command line, as JSON: enough to go on, and nothing secret. Plain data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::args::{GetArgs, Given};
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
    /// The folder of `-P`, as the system knows it.
    output: Option<PathBuf>,
    /// Whether what `--until` asked for was obtained.
    pub(super) is_met: bool,
}

impl Settings {
    /// What is kept of these options.
    pub(crate) fn of(args: &GetArgs) -> Self {
        let absolute = |path: &PathBuf| path.canonicalize().or_else(|_| std::path::absolute(path)).ok();
        Self {
            v: 1,
            cwd: std::env::current_dir().unwrap_or_default(),
            given: args.given.clone(),
            output: args.body.directory.as_ref().and_then(absolute),
            is_met: false,
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

    /// Whether the same command was given.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.given == other.given && self.cwd == other.cwd
    }

    /// The files have been moved: names in the journal lead elsewhere.
    pub(super) fn moved_to(&self, now: &Self) -> Option<Complaint> {
        let (was, is) = (self.output.as_ref()?, now.output.as_ref()?);
        (was != is).then(|| {
            Complaint::new(format!("the job in {} was begun in {}", is.display(), was.display()))
                .why("its folder was moved, and its journal names the files by their old place")
                .fix("move it back, or begin anew with --new-job: files that are there are not fetched again")
        })
    }
}
