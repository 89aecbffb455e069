//! How often each length of time occurred, to three digits: every quantile of a job in little memory.

use std::time::Duration;

/// Up to twice this, each microsecond is told apart; beyond, this many steps between a time and its double.
const STEPS: u64 = 1_024;
/// The longest time that is told apart, in microseconds: a hundred days. What is longer counts as this.
const LONGEST: u64 = 100 * 86_400 * 1_000_000;

/// Counts by length. At most 35,000 of them; no more than the longest time seen needs.
#[derive(Debug, Clone, Default)]
pub(super) struct Times {
    counts: Vec<u64>,
    all: u64,
}

impl Times {
    pub(super) fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).map_or(LONGEST, |micros| micros.clamp(1, LONGEST));
        let place = place(micros);
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
        self.all += 1;
    }

    /// The time within which this share (0 to 1) lies, at most 1 in 1,024 too long; `None` without any.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = ((share.min(1.0) * self.all as f64).ceil() as u64).max(1);
        let mut within = 0;
        let found = self.counts.iter().position(|count| {
            within += count;
            within >= wanted
        });
        found.map(|place| Duration::from_micros(longest_at(place as u64)))
    }
}

/// Where a length is counted.
fn place(micros: u64) -> usize {
    let doublings = u64::from((micros | STEPS).ilog2() - STEPS.ilog2());
    usize::try_from(doublings * STEPS + (micros >> doublings)).expect("at most 35,000")
}

/// The longest time that is counted here.
fn longest_at(place: u64) -> u64 {
    let doublings = (place / STEPS).saturating_sub(1);
    ((place - doublings * STEPS + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: impl IntoIterator<Item = u64>) -> Times {
        let mut times = Times::default();
        micros.into_iter().for_each(|micros| times.record(Duration::from_micros(micros)));
        times
    }

    #[test]
    fn without_a_time_there_is_no_quantile() {
        assert_eq!(Times::default().quantile(0.5), None);
    }

    #[test]
    fn up_to_two_milliseconds_quantiles_are_exact() {
        let times = of(1..=2_000);
        for (share, micros) in [(0.0, 1), (0.5, 1_000), (0.99, 1_980), (1.0, 2_000), (7.0, 2_000)] {
            assert_eq!(times.quantile(share), Some(Duration::from_micros(micros)), "{share}");
        }
    }

    #[test]
    fn a_time_is_told_to_one_part_in_1024_and_never_too_short() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..20_000 {
            let micros = random.u64(1..=LONGEST) >> random.u32(0..40);
            let told = longest_at(place(micros) as u64);
            assert!(told >= micros && told - micros <= micros / STEPS, "{micros} is told as {told}");
        }
    }

    #[test]
    fn places_follow_one_another_without_gap_or_overlap() {
        for at in 1..=place(LONGEST) as u64 {
            assert_eq!(place(longest_at(at - 1) + 1) as u64, at);
            assert_eq!(place(longest_at(at)) as u64, at);
        }
        assert!(place(LONGEST) < 35_000, "{}", place(LONGEST));
    }

    #[test]
    fn what_is_longer_than_a_hundred_days_counts_as_that() {
        let mut times = Times::default();
        times.record(Duration::MAX);
        let told = times.quantile(1.0).expect("one is there");
        assert!(
            told >= Duration::from_micros(LONGEST) && told < Duration::from_micros(LONGEST / 1_000 * 1_001)
        );
    }
}
