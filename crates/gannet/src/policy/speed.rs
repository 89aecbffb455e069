//! Whether a body comes too slowly: what came of it lately against the lowest speed that is put up with. Pure: `now`
//! is an argument, and nothing is allocated.

use std::time::Duration;

use crate::Moment;

/// The lowest speed that is put up with: curl's `--speed-limit` and `--speed-time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LowestSpeed {
    /// On the average.
    pub(crate) bytes_per_second: u64,
    /// Over so long.
    pub(crate) over: Duration,
}

/// Whether we wait for more bytes from now on, or somebody waits for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    /// All that came is taken, and more is asked for.
    Yes,
    /// Our sink, or our caller, is the slow one: the time does not count.
    No,
}

/// What a look has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Over the whole time less came than had to.
    TooSlow,
    /// Look again then; `None` if no time passes before we ask for more.
    Fine { look_at: Option<Moment> },
}

/// The time is counted in so many slices; the speed is judged at the end of each.
const SLICES: usize = 8;

/// What came of one body lately, in the time in which more was asked for.
#[derive(Debug, Default)]
pub(crate) struct Lately {
    /// Bytes in each of the last slices, and in the one that is under way.
    came: [u64; SLICES + 1],
    /// For how long more was asked for, in all.
    asked: Duration,
    /// Since when it is asked for without a look.
    since: Option<Moment>,
    /// All bytes that came until the last look.
    bytes: u64,
}

impl LowestSpeed {
    fn slice(&self) -> Duration {
        (self.over / SLICES as u32).max(Duration::from_nanos(1))
    }

    /// What has to come over the whole time.
    fn least(&self) -> u64 {
        let least = u128::from(self.bytes_per_second) * self.over.as_nanos() / 1_000_000_000;
        u64::try_from(least).unwrap_or(u64::MAX).max(1)
    }
}

impl Lately {
    /// `bytes` came in all until `now`, from when on we are `asking` for more or not.
    pub(crate) fn look(&mut self, lowest: &LowestSpeed, bytes: u64, now: Moment, asking: Asking) -> Found {
        let slice = lowest.slice();
        let number = |asked: Duration| (asked.as_nanos() / slice.as_nanos()) as usize;
        let before = number(self.asked);
        if let Some(since) = self.since {
            self.asked += now.since(since);
        }
        self.since = (asking == Asking::Yes).then_some(now);
        let after = number(self.asked);
        let came = bytes.saturating_sub(std::mem::replace(&mut self.bytes, bytes));
        // The slices that have begun since hold nothing of what was there before them.
        for begun in (before + 1..=after).rev().take(SLICES + 1) {
            self.came[begun % (SLICES + 1)] = 0;
        }
        // What came by the end of a slice counts for it, though it is seen only now.
        let newest = if after > before { after - 1 } else { after };
        self.came[newest % (SLICES + 1)] += came;
        if after > before && after >= SLICES {
            let all: u64 = self.came.iter().sum();
            if all - self.came[after % (SLICES + 1)] < lowest.least() {
                return Found::TooSlow;
            }
        }
        let end = slice.saturating_mul(u32::try_from(after + 1).unwrap_or(u32::MAX));
        Found::Fine { look_at: self.since.map(|now| now + end.saturating_sub(self.asked)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LOWEST: LowestSpeed = LowestSpeed { bytes_per_second: 100, over: Duration::from_secs(8) };

    /// One body, looked at whenever it asks for that and whenever bytes come.
    #[derive(Default)]
    struct Body {
        lately: Lately,
        now: Moment,
        bytes: u64,
        looks: u32,
    }

    impl Body {
        /// Bytes come at this speed for so long; when it was found too slow, if it was.
        fn comes(&mut self, bytes_per_second: u64, length: Duration) -> Option<Duration> {
            let (begun, end) = (self.now, self.now + length);
            let step = SECOND / 4;
            let mut due = self.now;
            while self.now < end {
                due = due.max(self.now);
                self.looks += 1;
                match self.lately.look(&LOWEST, self.bytes, self.now, Asking::Yes) {
                    Found::TooSlow => return Some(self.now.since(begun)),
                    Found::Fine { look_at } => assert!(look_at.is_some_and(|at| at > self.now)),
                }
                self.now = self.now + step;
                self.bytes += bytes_per_second / 4;
            }
            None
        }

        /// Nobody takes anything for so long.
        fn rests(&mut self, length: Duration) {
            assert_eq!(
                self.lately.look(&LOWEST, self.bytes, self.now, Asking::No),
                Found::Fine { look_at: None }
            );
            self.now = self.now + length;
        }
    }

    #[test]
    fn a_body_that_is_fast_enough_is_never_too_slow() {
        assert_eq!(Body::default().comes(100, 1_000 * SECOND), None);
        assert_eq!(Body::default().comes(1 << 40, 100 * SECOND), None);
    }

    #[test]
    fn a_body_that_is_too_slow_from_its_beginning_is_found_after_the_whole_time() {
        for speed in [0, 40, 96] {
            assert_eq!(Body::default().comes(speed, 1_000 * SECOND), Some(8 * SECOND), "{speed} B/s");
        }
    }

    #[test]
    fn a_body_that_turns_slow_is_found_when_the_average_is_too_low() {
        let mut body = Body::default();
        assert_eq!(body.comes(200, 20 * SECOND), None);
        // 200 B/s over 4 s and nothing over 4 s is just enough; a slice more is not.
        let found = body.comes(0, 1_000 * SECOND).expect("it stands still");
        assert!(found > 4 * SECOND && found <= 6 * SECOND, "{found:?}");
    }

    #[test]
    fn a_burst_before_the_time_does_not_help_for_ever() {
        let mut body = Body { bytes: 1 << 30, ..Body::default() };
        let found = body.comes(10, 1_000 * SECOND).expect("10 B/s is too slow");
        assert!(found <= 17 * SECOND, "{found:?}");
    }

    #[test]
    fn the_time_in_which_nobody_asks_for_more_does_not_count() {
        let mut body = Body::default();
        assert_eq!(body.comes(0, 4 * SECOND), None);
        body.rests(3_600 * SECOND);
        let found = body.comes(0, 1_000 * SECOND).expect("it stands still");
        assert!(found >= 4 * SECOND && found <= 5 * SECOND, "{found:?}");
    }

    #[test]
    fn without_a_byte_it_is_looked_at_once_a_slice() {
        let (mut lately, mut now, mut looks) = (Lately::default(), Moment::ZERO, 0);
        while let Found::Fine { look_at } = lately.look(&LOWEST, 0, now, Asking::Yes) {
            now = look_at.expect("more is asked for");
            looks += 1;
        }
        assert_eq!((now.since(Moment::ZERO), looks), (8 * SECOND, SLICES));
    }

    #[test]
    fn what_came_while_the_process_slept_counts() {
        let mut lately = Lately::default();
        lately.look(&LOWEST, 0, Moment::ZERO, Asking::Yes);
        let later = Moment::ZERO + 3_600 * SECOND;
        assert!(matches!(lately.look(&LOWEST, 800, later, Asking::Yes), Found::Fine { .. }));
        let next = later + 3_600 * SECOND;
        assert_eq!(lately.look(&LOWEST, 801, next, Asking::Yes), Found::TooSlow);
    }
}
