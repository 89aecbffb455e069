//! How the names of files stand in a journal: absolute, so that they hold from wherever the next run is begun. A run is
//! given them back as it names them itself. Nothing here looks at a file.

use std::path::{Path, PathBuf};

use crate::path::below;

/// The folder of a job's files, by both its names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// As the run names it.
    given: PathBuf,
    /// As it is kept; empty if nothing was said of it.
    kept: PathBuf,
    /// That of the process, which relative names are relative to.
    current: PathBuf,
}

impl Names {
    /// Of a run of which nothing is said but where it runs.
    pub(super) fn of_this_process() -> Self {
        Self { current: std::env::current_dir().unwrap_or_default(), ..Self::default() }
    }

    /// What the run names `given/x` is kept as `kept/x`.
    pub(super) fn below(&mut self, given: &Path, kept: &Path) {
        self.given = given.to_owned();
        self.kept = self.current.join(kept);
    }

    /// The name of a file as it stands in the journal.
    pub(super) fn kept(&self, path: &Path) -> PathBuf {
        let rest = below(path, &self.given).filter(|_| !self.kept.as_os_str().is_empty());
        match rest {
            Some(rest) => self.kept.join(rest),
            None => self.current.join(path),
        }
    }

    /// The name of a file as the run has it.
    pub(super) fn given(&self, path: PathBuf) -> PathBuf {
        let rest = below(&path, &self.kept).filter(|_| !self.kept.as_os_str().is_empty());
        match rest {
            Some(rest) => self.given.join(rest),
            None => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_absolute_and_given_back_as_the_run_has_them() {
        let mut names = Names { current: "/b".into(), ..Names::default() };
        let pairs = |names: &Names, pairs: &[(&str, &str)]| {
            for (given, kept) in pairs {
                assert_eq!(names.kept(Path::new(given)), Path::new(kept), "{given} in {names:?}");
                assert_eq!(names.kept(&names.kept(Path::new(given))), Path::new(kept), "{kept} stays");
            }
        };
        pairs(&names, &[("f", "/b/f"), ("/a/f", "/a/f")]);
        assert_eq!(names.given("/b/f".into()), Path::new("/b/f"));
        names.below(Path::new("../a/out"), Path::new("/a/out"));
        pairs(&names, &[("../a/out/d/f", "/a/out/d/f"), ("f", "/b/f"), ("/c/f", "/c/f")]);
        assert_eq!(names.given("/a/out/d/f".into()), Path::new("../a/out/d/f"));
        assert_eq!(names.given("/a/outer/f".into()), Path::new("/a/outer/f"));
        names.below(Path::new(""), Path::new("/b"));
        pairs(&names, &[("f", "/b/f"), ("/c/f", "/c/f")]);
        assert_eq!(names.given("/b/f".into()), Path::new("f"));
    }
}
