//! Which files are a journal's own, by their names: also those that are not there yet. Nothing here opens any.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::place::{HISTORY, folder_of, resolved};

/// The files of a journal: itself, what lies beside it while it is open or being put aside, and the journals of earlier
/// jobs. Given by [`Journal::files`](super::Journal::files).
#[derive(Debug, Clone)]
pub struct JournalFiles {
    /// The journal as it was named, and what that leads to.
    journals: Vec<PathBuf>,
}

/// What stands behind the name of a journal in those of its other files: SQLite's log and its index, the log of one that
/// was not made to its end, our lock, and the draft that is to take its place.
const ENDS: [&[u8]; 9] =
    [b"", b"-wal", b"-shm", b"-journal", b".lock", b".new", b".new-wal", b".new-shm", b".new-journal"];

impl JournalFiles {
    pub(super) fn of(journal: &Path) -> Self {
        let mut journals = vec![journal.to_owned()];
        // All others lie beside what a link leads to.
        journals.extend(Some(resolved(journal)).filter(|real| real != journal));
        Self { journals }
    }

    /// Whether this path is that of one of them, whether it is there or not. Names that differ in the case of ASCII
    /// letters only are one. The file system is asked only about paths of such a name.
    pub fn contains(&self, file: impl AsRef<Path>) -> bool {
        let file = file.as_ref();
        let Some(name) = file.file_name() else { return false };
        let is_own = |journal: &&PathBuf| journal.file_name().is_some_and(|own| is_named(own, name));
        let mut alike = self.journals.iter().filter(is_own).peekable();
        alike.peek().is_some() && {
            let folder = settled(folder_of(file));
            alike.any(|journal| settled(folder_of(journal)) == folder)
        }
    }
}

/// Whether a file of this name, in the folder of the journal, is its own.
fn is_named(journal: &OsStr, file: &OsStr) -> bool {
    let (own, file) = (journal.as_encoded_bytes(), file.as_encoded_bytes());
    let is_end = |rest: &[u8]| ENDS.iter().any(|end| end.eq_ignore_ascii_case(rest));
    let earlier = numbered(Path::new(journal), file).map(|(_, rest)| rest);
    behind(file, own).is_some_and(is_end) || earlier.is_some_and(is_end)
}

/// The number of the earlier job whose journal has this name, and what stands behind that.
pub(super) fn numbered<'f>(journal: &Path, file: &'f [u8]) -> Option<(u32, &'f [u8])> {
    let rest = behind(file, journal.file_stem()?.as_encoded_bytes())?.strip_prefix(b".")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = rest.split_at(digits);
    let number: u32 = std::str::from_utf8(number).ok()?.parse().ok()?;
    if !(1..=HISTORY).contains(&number) {
        return None;
    }
    let rest = match journal.extension() {
        Some(end) => behind(rest.strip_prefix(b".")?, end.as_encoded_bytes())?,
        None => rest,
    };
    Some((number, rest))
}

fn behind<'f>(name: &'f [u8], begin: &[u8]) -> Option<&'f [u8]> {
    let (found, rest) = name.split_at_checked(begin.len())?;
    found.eq_ignore_ascii_case(begin).then_some(rest)
}

/// The folder as the system knows it, as far as it is there; what is not there yet holds no links.
fn settled(folder: &Path) -> PathBuf {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let mut settled = PathBuf::new();
    for step in folder.components() {
        match step {
            Component::ParentDir => drop(settled.pop()),
            Component::CurDir => {}
            step => settled.push(step),
        }
        settled = settled.canonicalize().unwrap_or(settled);
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_journal_are_told_from_others_by_their_names() {
        let own = JournalFiles::of(Path::new("no-such-folder/journal.sqlite"));
        for name in [
            "journal.sqlite",
            "journal.sqlite-wal",
            "journal.sqlite-shm",
            "journal.sqlite-journal",
            "journal.sqlite.lock",
            "journal.sqlite.new",
            "journal.sqlite.new-wal",
            "journal.1.sqlite",
            "journal.100000.sqlite",
            "journal.12.sqlite-shm",
            "Journal.SQLite",
            "JOURNAL.1.sqlite-WAL",
        ] {
            assert!(own.contains(Path::new("no-such-folder").join(name)), "{name}");
            assert!(own.contains(Path::new("./gone/../no-such-folder/.").join(name)), "{name}");
            assert!(!own.contains(name) && !own.contains(Path::new("no-such-folder/x").join(name)), "{name}");
        }
        for name in [
            "journal",
            "journal.sqlite.gz",
            "journal.sqlite-wal2",
            "journal.sqlite.part",
            "xjournal.sqlite",
            "journal.0.sqlite",
            "journal.100001.sqlite",
            "journal..sqlite",
            "journal.1x.sqlite",
            "journal.-1.sqlite",
            "journal.1",
            "",
        ] {
            assert!(!own.contains(Path::new("no-such-folder").join(name)), "{name}");
        }
        let bare = JournalFiles::of(Path::new("kept"));
        assert!(bare.contains("kept") && bare.contains("./kept-wal") && bare.contains("kept.3"));
        assert!(!bare.contains("kept.x") && !bare.contains("kept.3.sqlite"));
    }
}
