//! What is handed over to be written down, in its order, until it is committed. Rows lie behind each other as they are
//! summed up: hardly anything is allocated for one, or freed by another thread. Nothing here waits.

use std::ops::Range;

use super::sum::Sum;
use crate::outcome::{Ending, Entry};

/// One thing to be written down.
#[derive(Debug)]
pub(super) enum Write {
    /// The next line of the list.
    Line(u64),
    Row(Settled),
    /// All of the list has settled.
    Finish,
    Settings(String),
    /// From this line on the list is another one: the job before is history.
    Fork(u64),
    /// Nobody goes on with any part.
    DropParts,
}

/// What is to be known of a row while it is written down.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) seq: u64,
    pub(super) ending: Ending,
    pub(super) bytes: u64,
    /// What the row in its place counted for.
    pub(super) before: Option<(Ending, u64)>,
    /// Where it is in its group: in which chunk, and there.
    place: (usize, Range<usize>),
}

/// Rows lie together in so many bytes: few allocations, and none that must find much memory in one piece.
const CHUNK: usize = 64 << 10;

/// So many chunks are kept for the next group.
const SPARE: usize = 32;

/// Things to be written down.
#[derive(Debug, Default)]
pub(super) struct Group {
    writes: Vec<Write>,
    /// The rows among them, one behind the other. No chunk grows; a row that is longer than one has its own.
    chunks: Vec<Vec<u8>>,
    /// Empty chunks.
    spare: Vec<Vec<u8>>,
}

impl Group {
    pub(super) fn push(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// Adds what is to be kept of one request; `row` is its row.
    pub(super) fn push_row(&mut self, entry: &Entry<'_>, row: &Sum, before: Option<(Ending, u64)>) {
        let row = row.row();
        let has_room = |chunk: &Vec<u8>| chunk.capacity() - chunk.len() >= row.len();
        if !self.chunks.last().is_some_and(has_room) {
            let spare = self.spare.pop().filter(|chunk| chunk.capacity() >= row.len());
            self.chunks.push(spare.unwrap_or_else(|| Vec::with_capacity(row.len().max(CHUNK))));
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let start = chunk.len();
        chunk.extend_from_slice(row);
        self.writes.push(Write::Row(Settled {
            seq: entry.seq,
            ending: entry.ending,
            bytes: entry.bytes,
            before,
            place: (number, start..chunk.len()),
        }));
    }

    /// Holds nothing any more but its room, so that one thread need not free what another one allocates.
    pub(super) fn clear(&mut self) {
        self.writes.clear();
        self.spare.extend(self.chunks.drain(..).filter(|chunk| chunk.capacity() == CHUNK));
        self.spare.truncate(SPARE);
        self.spare.iter_mut().for_each(Vec::clear);
    }

    pub(super) fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// A row of this group, as it is summed up.
    pub(super) fn row(&self, settled: &Settled) -> &[u8] {
        let (number, place) = &settled.place;
        &self.chunks[*number][place.clone()]
    }

    pub(super) fn len(&self) -> usize {
        self.writes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

impl FromIterator<Write> for Group {
    fn from_iter<I: IntoIterator<Item = Write>>(writes: I) -> Self {
        Self { writes: writes.into_iter().collect(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::outcome::{Outcome, Record, Verdict};

    #[test]
    fn rows_of_any_length_are_found_again() {
        let mut tries = String::new();
        let verdict = Verdict::Skipped("file".into());
        let outcome = Outcome::new(0, None, "http://h/".into(), verdict, Record::default());
        let entry = Entry::of_outcome(&outcome, &Method::GET, 0, &mut tries);
        let lengths = [0, 1, CHUNK - 100, 500, 3 * CHUNK, 7, CHUNK, 2];
        let row = |length: usize| {
            let mut row = Sum::default();
            row.begin("t").blob(Some(&vec![length as u8; length]));
            row
        };
        let mut group = Group::default();
        for _ in 0..3 {
            for length in lengths {
                group.push(Write::Line(0));
                group.push_row(&entry, &row(length), None);
            }
            let rows = group.writes().iter().filter_map(|write| match write {
                Write::Row(settled) => Some(group.row(settled)),
                _ => None,
            });
            assert!(rows.eq(lengths.map(row).iter().map(Sum::row)));
            group.clear();
            assert!(group.is_empty() && !group.spare.is_empty());
            assert!(group.spare.iter().all(|chunk| chunk.is_empty() && chunk.capacity() == CHUNK));
        }
    }
}
