//! One journal put aside as history, and another one begun with a copy of its first lines. A process that dies at any
//! step leaves one of the two.

use super::rows::{self, BLOCK, COLUMNS};
use super::shelf::News;
use super::store::{Emptied, Store, Write, wrong_row};
use super::{parts, place, trouble};
use crate::error::Error;
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
        let kept: Vec<u64> = self.hashes_before(at)?;
        let parts = parts::read(self.connection(), &self.path, 0..at)?;
        let mut fork = Self::open(&draft, self.durability)?;
        fork.take_over(self, (&kept, parts), at)?;
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

    fn hashes_before(&self, at: u64) -> Result<Vec<u64>, Error> {
        let mut all = Vec::new();
        for block in 0..at.div_ceil(BLOCK) {
            all.extend(rows::read_hashes(self.connection(), &self.path, block)?);
        }
        all.truncate(usize::try_from(at).unwrap_or(usize::MAX));
        Ok(all)
    }

    fn take_over(
        &mut self,
        from: &Self,
        (lines, parts): (&[u64], Vec<(u64, Part)>),
        at: u64,
    ) -> Result<(), Error> {
        let path = self.path.clone();
        let own = |cause| trouble::of_sqlite(&path, cause);
        let theirs = |cause| trouble::of_sqlite(&from.path, cause);
        self.header.settings.clone_from(&from.header.settings);
        let group: Vec<Write> = lines.iter().copied().map(Write::Line).collect();
        let parts: Vec<News> = parts.into_iter().map(|(seq, part)| (seq, Some(Box::new(part)))).collect();
        self.transact(&group, &parts).map_err(own)?;
        let query = format!("SELECT {COLUMNS} FROM fetches WHERE seq < ? ORDER BY seq");
        let mut query = from.connection().prepare(&query).map_err(theirs)?;
        let mut found = query.query([at.cast_signed()]).map_err(theirs)?;
        let mut group = Vec::new();
        while let Some(row) = found.next().map_err(theirs)? {
            let seq: i64 = row.get(0).map_err(theirs)?;
            let row = rows::read_fetch(row).map_err(theirs)?;
            let row = row.ok_or_else(|| wrong_row(&from.path, seq.cast_unsigned()))?;
            group.push(Write::Row(Box::new(row), None));
            if group.len() as u64 >= BLOCK {
                self.transact(&group, &[]).map_err(own)?;
                group.clear();
            }
        }
        self.transact(&group, &[]).map_err(own)
    }
}
