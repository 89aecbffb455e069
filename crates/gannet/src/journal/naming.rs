//! The files of lines that have settled behind one that has not: their names are told of before that line is given one,
//! for it comes first. Nothing here gives names.

use std::path::PathBuf;

use super::rows::{self, BLOCK};
use super::store::Store;
use super::trouble;
use crate::error::Error;
use crate::outcome::Ending;

/// Hears of a file, by its name in the journal.
pub(crate) type Tell = Box<dyn FnMut(PathBuf) + Send>;

/// What is told before anything of the lines is handed out.
#[derive(Default)]
pub(super) enum Naming {
    Due(Tell, Reopens),
    UnderWay,
    #[default]
    Done,
}

/// Which lines that have a row are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reopens {
    /// Those that were stopped.
    Stopped,
    /// Those that have failed, too.
    Failed,
}

impl std::fmt::Debug for Naming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Due(..) => "Due",
            Self::UnderWay => "UnderWay",
            Self::Done => "Done",
        })
    }
}

impl Naming {
    pub(super) fn tell(self, store: &Store) -> Result<(), Error> {
        let Self::Due(tell, reopens) = self else { return Ok(()) };
        store
            .names_behind_the_first_open(reopens, tell)
            .map_err(|cause| trouble::of_sqlite(&store.path, cause))
    }
}

impl Store {
    /// Looks at no row where all lines have settled, and of others only at those behind the first that has not.
    fn names_behind_the_first_open(&self, reopens: Reopens, mut tell: Tell) -> rusqlite::Result<()> {
        let settled = match reopens {
            Reopens::Stopped => "'ok', 'skipped', 'failed'",
            Reopens::Failed => "'ok', 'skipped'",
        };
        let Some(first) = self.first_open(settled, reopens)? else { return Ok(()) };
        let query = format!(
            "SELECT path FROM fetches WHERE seq > ? AND path IS NOT NULL AND outcome IN ({settled}) ORDER BY seq"
        );
        let mut query = self.connection().prepare(&query)?;
        let mut found = query.query([first.cast_signed()])?;
        while let Some(row) = found.next()? {
            if let Some(path) = rows::path_of(row.get_ref(0)?)? {
                tell(path);
            }
        }
        Ok(())
    }

    /// A line in front of which all have settled, and near which is the first that has not.
    fn first_open(&self, settled: &str, reopens: Reopens) -> rusqlite::Result<Option<u64>> {
        let lines = self.header().lines;
        let mut first = lines;
        for block in 0..lines.div_ceil(BLOCK) {
            // What is damaged is said when the block is read.
            let rows = rows::settled_in(self.connection(), block)?.unwrap_or_default();
            if rows < BLOCK.min(lines - block * BLOCK) {
                first = block * BLOCK;
                break;
            }
        }
        let count = |ending: Ending| self.header().endings[ending as usize];
        let stopped = count(Ending::Unfinished) + count(Ending::Cancelled);
        let failed = if reopens == Reopens::Failed { count(Ending::Failed) } else { 0 };
        if stopped + failed > 0 {
            let query =
                format!("SELECT seq FROM fetches WHERE outcome NOT IN ({settled}) ORDER BY seq LIMIT 1");
            let mut query = self.connection().prepare(&query)?;
            let found = query.query(())?.next()?.map(|row| row.get::<_, i64>(0)).transpose()?;
            first = first.min(found.map_or(lines, i64::cast_unsigned));
        }
        Ok((first < lines).then_some(first))
    }
}
