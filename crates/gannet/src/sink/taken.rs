//! Files that no body may replace, since the job itself reads or writes them. Nothing here writes.

use std::fmt;
use std::path::{Path, PathBuf};

use super::own_path::placed;

/// Files that are the job's own.
#[derive(Default)]
pub(super) struct Taken {
    files: Vec<PathBuf>,
    rules: Vec<Box<Rule>>,
}

type Rule = dyn Fn(&Path) -> bool + Send + Sync;

impl Taken {
    /// This one, which need not be there yet.
    pub(super) fn add(&mut self, path: &Path) {
        self.files.push(placed(path));
        // What a link leads to is written to, and the link must stay.
        self.files.extend(path.canonicalize());
    }

    /// Those of which the caller says so.
    pub(super) fn add_where(&mut self, rule: impl Fn(&Path) -> bool + Send + Sync + 'static) {
        self.rules.push(Box::new(rule));
    }

    /// Whether a body there would replace one of them.
    pub(super) fn has(&self, path: &Path) -> bool {
        // The names are compared first: they cost no look at the file system.
        let is_alike = |taken: &&PathBuf| taken.file_name() == path.file_name();
        let mut alike = self.files.iter().filter(is_alike).peekable();
        let is_named = alike.peek().is_some() && {
            let path = placed(path);
            alike.any(|taken| *taken == path)
        };
        is_named || self.rules.iter().any(|rule| rule(path))
    }
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken").field("files", &self.files).finish_non_exhaustive()
    }
}
