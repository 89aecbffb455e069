//! What is new of parts and not yet committed: the last word on each, and when it is due. A part that grows is written
//! down at intervals; what lies between is fetched again after a crash. Nothing here reads time or a file.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Durability;
use crate::Moment;
use crate::number::ByNumber;
use crate::part::Part;

/// A part that has grown by so much is written down, in bytes.
const STEP: u64 = 8 << 20;
/// So long after it was written down it is again, if it has grown: cheap without a sync.
const INTERVAL: Duration = Duration::from_millis(250);
/// The same where its file is synced each time.
const SYNCED_INTERVAL: Duration = Duration::from_secs(1);

/// What is new of parts, by the numbers of their lines.
#[derive(Debug)]
pub(super) struct Shelf {
    interval: Duration,
    /// `None` if it is gone.
    news: BTreeMap<u64, Option<Box<Part>>>,
    /// Those that have a row, or news on the way to one.
    rows: ByNumber<Noted>,
}

/// What was handed out last to be written down.
#[derive(Debug, Clone, Copy)]
enum Noted {
    Nothing,
    /// There is the row of an earlier run.
    Earlier,
    Good(u64, Moment),
}

/// What is to be written down of the part of a line; `None` if it is gone.
pub(super) type News = (u64, Option<Box<Part>>);

/// Which news are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Due,
    All,
}

/// Whether whoever waits has to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    Yes,
    No,
}

impl Shelf {
    /// With the rows that there are, of these lines.
    pub(super) fn new(durability: Durability, rows: &[u64]) -> Self {
        let interval = match durability {
            Durability::Process => INTERVAL,
            Durability::Power => SYNCED_INTERVAL,
        };
        let rows = rows.iter().map(|seq| (*seq, Noted::Earlier)).collect();
        Self { interval, news: BTreeMap::new(), rows }
    }

    /// So much of it is there now.
    pub(super) fn note(&mut self, seq: u64, part: Box<Part>, now: Moment) -> Changed {
        let noted = *self.rows.entry(seq).or_insert(Noted::Nothing);
        let is_due = match noted {
            Noted::Nothing | Noted::Earlier => true,
            Noted::Good(good, at) => part.good >= good + STEP || at + self.interval <= now,
        };
        let is_first = self.news.is_empty();
        self.news.insert(seq, Some(part));
        if is_due || is_first { Changed::Yes } else { Changed::No }
    }

    /// It is not gone on with, or has become a body.
    pub(super) fn gone(&mut self, seq: u64) -> Changed {
        match self.rows.get(&seq) {
            None => Changed::No,
            // Short bodies of unknown length come and go between two commits.
            Some(Noted::Nothing) => {
                self.rows.remove(&seq);
                self.news.remove(&seq);
                Changed::No
            }
            Some(Noted::Earlier | Noted::Good(..)) => {
                self.news.insert(seq, None);
                Changed::Yes
            }
        }
    }

    /// From this line on they are those of another list.
    pub(super) fn cut(&mut self, at: u64) {
        self.rows.retain(|seq, _| *seq < at);
        self.news.retain(|seq, _| *seq < at);
    }

    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Whether there are any of this line's.
    pub(super) fn has_news_of(&self, seq: u64) -> bool {
        self.news.contains_key(&seq)
    }

    /// When there is something to be written down; `None` if that is not foreseen.
    pub(super) fn due_at(&self) -> Option<Moment> {
        self.news.iter().map(|(seq, part)| self.due(*seq, part.as_deref())).min()
    }

    fn due(&self, seq: u64, part: Option<&Part>) -> Moment {
        match (part, self.rows.get(&seq)) {
            (Some(part), Some(Noted::Good(good, at))) if part.good < good + STEP => *at + self.interval,
            _ => Moment::ZERO,
        }
    }

    /// Hands out what is to be written down now.
    pub(super) fn take(&mut self, which: Which, now: Moment) -> Vec<News> {
        let all = self.news.iter().map(|(seq, part)| (*seq, self.due(*seq, part.as_deref())));
        let due: Vec<u64> =
            all.filter(|(_, due)| which == Which::All || *due <= now).map(|(seq, _)| seq).collect();
        let mut taken = Vec::with_capacity(due.len());
        for seq in due {
            let part = self.news.remove(&seq).flatten();
            match &part {
                Some(part) => drop(self.rows.insert(seq, Noted::Good(part.good, now))),
                None => drop(self.rows.remove(&seq)),
            }
            taken.push((seq, part));
        }
        taken
    }

    /// Nothing more is written down.
    pub(super) fn clear(&mut self) {
        self.news.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(good: u64) -> Box<Part> {
        Box::new(Part { good, ..Part::new("http://h/") })
    }

    fn goods(news: Vec<News>) -> Vec<(u64, Option<u64>)> {
        news.into_iter().map(|(seq, part)| (seq, part.map(|part| part.good))).collect()
    }

    fn at(millis: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn a_part_is_written_down_at_its_start_and_then_at_intervals_or_steps() {
        for (durability, interval) in [(Durability::Process, 250), (Durability::Power, 1000)] {
            let mut shelf = Shelf::new(durability, &[]);
            assert_eq!(shelf.note(7, part(0), at(0)), Changed::Yes);
            assert_eq!(goods(shelf.take(Which::Due, at(0))), [(7, Some(0))]);
            shelf.note(7, part(1), at(1));
            assert_eq!(
                shelf.note(7, part(2), at(interval - 1)),
                Changed::No,
                "nobody is woken for each block"
            );
            assert_eq!(goods(shelf.take(Which::Due, at(interval - 1))), []);
            assert_eq!(shelf.due_at(), Some(at(interval)));
            assert_eq!(goods(shelf.take(Which::Due, at(interval))), [(7, Some(2))]);
            assert_eq!(shelf.note(7, part(2 + STEP), at(interval)), Changed::Yes, "a step is due at once");
            assert_eq!(goods(shelf.take(Which::Due, at(interval))), [(7, Some(2 + STEP))]);
            shelf.note(7, part(3 + STEP), at(interval));
            assert_eq!(goods(shelf.take(Which::All, at(interval))), [(7, Some(3 + STEP))], "at an end");
            assert_eq!((shelf.has_news(), shelf.due_at()), (false, None));
            shelf.note(8, part(1), at(interval));
            let late = shelf.note(7, part(4 + STEP), at(2 * interval));
            assert_eq!(late, Changed::Yes, "what comes long after the last word is due at once");
        }
    }

    #[test]
    fn what_is_gone_is_said_once_of_what_has_a_row_and_never_of_anything_else() {
        let mut shelf = Shelf::new(Durability::Process, &[3]);
        assert_eq!(shelf.gone(4), Changed::No);
        assert_eq!(shelf.gone(3), Changed::Yes);
        assert_eq!(goods(shelf.take(Which::Due, at(0))), [(3, None)]);
        assert_eq!((shelf.gone(3), shelf.has_news()), (Changed::No, false));
        shelf.note(5, part(9), at(0));
        shelf.gone(5);
        assert_eq!((shelf.gone(5), shelf.has_news()), (Changed::No, false), "it came and went");
        shelf.note(5, part(9), at(0));
        shelf.take(Which::Due, at(0));
        shelf.note(5, part(10), at(0));
        shelf.gone(5);
        assert_eq!(goods(shelf.take(Which::Due, at(0))), [(5, None)], "the last word counts");
        shelf.note(6, part(9), at(0));
        shelf.note(9, part(9), at(0));
        shelf.cut(9);
        assert_eq!(goods(shelf.take(Which::Due, at(0))), [(6, Some(9))], "others' lines are another list's");
    }
}
