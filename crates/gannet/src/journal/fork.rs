//! One journal put aside as history, and another one begun with a copy of its first lines. A process that dies at any
//! step leaves one of the two.

use super::fetches::{self, COLUMNS};
use super::group::{Group, Write};
use super::rows::{self, BLOCK};
use super::shelf::News;
use super::store::{Emptied, Store, wrong_row};
use super::sum::Sum;
use super::{parts, place, trouble};
use crate::error::Error;
use crate::outcome::Entry;
use crate::part::Part;

impl Store {
    /// Keeps the journal as it is as history, and goes on with a copy of its first lines.
    pub(super) fn fork(&mut self, at: u64) -> Result<(), Error> {
        if self.header.lines == 0 {
            return Ok(());
        }
        place::remove_draft(&self.path)?;
        let draft = place::draft_of(&self.path);
        // Of lines that are no lines of the new job nobody goes on with anything.
        self.drop_parts(at)?;
        let parts = parts::read(self.connection(), &self.path, 0..at)?;
        let mut fork = Self::open(&draft, self.durability)?;
        fork.take_over(self, parts, at)?;
        fork.close()?;
        // With a log of its own beside it the file would not be all of the history, and the log be taken for the new one's.
        if self.empty_log()? == Emptied::No {
            return Err(trouble::locked(&self.path));
        }
        self.close()?;
        place::put_aside(&self.path, &draft)
            .map_err(|cause| trouble::of_io(&self.path, "put aside", cause))?;
        *self = Self::open(&self.path, self.durability)?;
        Ok(())
    }

    /// Copies the lines before `at`, with what is known of them: block by block, whatever the length of the list. Nobody sees
    /// the copy before it is whole.
    fn take_over(&mut self, from: &Self, parts: Vec<(u64, Part)>, at: u64) -> Result<(), Error> {
        let path = self.path.clone();
        let own = |cause| trouble::of_sqlite(&path, cause);
        let theirs = |cause| trouble::of_sqlite(&from.path, cause);
        self.header.settings.clone_from(&from.header.settings);
        for block in 0..at.div_ceil(BLOCK) {
            let hashes = rows::read_hashes(from.connection(), &from.path, block)?;
            let kept = usize::try_from(at - block * BLOCK).unwrap_or(usize::MAX);
            self.commit_all(&hashes.into_iter().take(kept).map(Write::Line).collect())?;
        }
        let parts: Vec<News> = parts.into_iter().map(|(seq, part)| (seq, Some(Box::new(part)))).collect();
        // Writes down the settings, too.
        self.transact(&Group::default(), &[], &parts).map_err(own)?;
        let (mut group, mut sum) = (Group::default(), Sum::default());
        let query = format!("SELECT {COLUMNS} FROM fetches WHERE seq < ? ORDER BY seq");
        let mut query = from.connection().prepare(&query).map_err(theirs)?;
        let mut found = query.query([at.cast_signed()]).map_err(theirs)?;
        while let Some(row) = found.next().map_err(theirs)? {
            let seq: i64 = row.get(0).map_err(theirs)?;
            let row = fetches::read(row, &mut sum).map_err(theirs)?;
            let row = row.ok_or_else(|| wrong_row(&from.path, seq.cast_unsigned()))?;
            // It is the row that was just summed up.
            group.push_row(&Entry::of_row(&row), &sum, None);
            if group.len() as u64 >= BLOCK {
                self.commit_all(&group)?;
                group.clear();
            }
        }
        self.commit_all(&group)
    }

    fn commit_all(&mut self, group: &Group) -> Result<(), Error> {
        self.commit_plain(group, group.writes(), &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Durability;

    #[test]
    fn a_copy_takes_the_same_memory_however_long_the_list_is() {
        let folder = std::env::temp_dir().join(format!("gannet-fork-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        let path = folder.join("journal.sqlite");
        let mut store = Store::open(&path, Durability::Process).expect("it can be made");
        let lines = 100 * BLOCK + 7;
        for first in (0..lines).step_by(1000) {
            let group = (first..lines.min(first + 1000)).map(Write::Line).collect();
            store.commit_all(&group).expect("it is written");
        }
        let at = lines - 3;
        let used = allocation_counter::measure(|| store.fork(at).expect("it is put aside"));
        assert!(used.bytes_max < 256 << 10, "it took {} bytes at once", used.bytes_max);
        assert_eq!((store.header.lines, place::history(&path).len()), (at, 1));
        let hashes = |block| rows::read_hashes(store.connection(), &path, block).expect("it is sound");
        let all: Vec<u64> = (0..=at / BLOCK).flat_map(hashes).collect();
        assert!(all.into_iter().eq(0..at), "they are other lines");
        drop(store);
        std::fs::remove_dir_all(folder).expect("it is there");
    }
}
