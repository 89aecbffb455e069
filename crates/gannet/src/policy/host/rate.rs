//! So many a second, evenly spread: a token bucket in the form of one moment (the generic cell rate algorithm).

use std::time::Duration;

use crate::Moment;

/// What may be made up for by going faster, when whoever waited came late: timers are about a millisecond late.
const CATCH_UP: Duration = Duration::from_millis(5);
/// The slowest and the fastest rate, in requests a second.
const SLOWEST: f64 = 1e-4;
const FASTEST: f64 = 1e9;

/// A rate in requests a second. Of the whole client (`--rate`) or of one host (`--host-rate`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    per_second: f64,
    next: Moment,
}

impl Rate {
    /// `per_second` requests a second; nonsense is taken for the nearest rate that makes sense.
    pub(crate) fn new(per_second: f64) -> Self {
        Self { per_second: per_second.clamp(SLOWEST, FASTEST), next: Moment::ZERO }
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.per_second
    }

    /// From now on another rate; who has gone has gone at the old one.
    pub(crate) fn set(&mut self, per_second: f64) {
        self.per_second = per_second.clamp(SLOWEST, FASTEST);
    }

    /// The moment before which nobody may go; it may have passed.
    pub(crate) fn next(&self) -> Moment {
        self.next
    }

    /// One goes at `now`. The bucket does not ask whether it may: one who goes beyond it delays those after.
    pub(crate) fn take(&mut self, now: Moment) {
        let late = now.since(self.next);
        let forgotten = late.saturating_sub(CATCH_UP);
        self.next = self.next + forgotten + Duration::from_secs_f64(1.0 / self.per_second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many go within ten seconds, when each comes `late` after its moment.
    fn gone_in_ten_seconds(per_second: f64, late: Duration) -> u32 {
        let (mut rate, mut now, mut gone) = (Rate::new(per_second), Moment::ZERO, 0);
        while now < Moment::ZERO + Duration::from_secs(10) {
            rate.take(now);
            gone += 1;
            now = (rate.next() + late).max(now);
        }
        gone
    }

    #[test]
    fn late_timers_cost_no_throughput() {
        for late in [0, 1, 3].map(Duration::from_millis) {
            let gone = gone_in_ten_seconds(100.0, late);
            assert!((999..=1002).contains(&gone), "{gone} at {late:?}");
        }
    }

    #[test]
    fn an_idle_hour_is_not_made_up_for() {
        let mut rate = Rate::new(10.0);
        let hour = Moment::ZERO + Duration::from_secs(3600);
        rate.take(hour);
        assert!(rate.next() >= hour + Duration::from_millis(95));
    }

    #[test]
    fn nonsense_is_a_rate_all_the_same() {
        for nonsense in [0.0, -1.0, f64::INFINITY] {
            let mut rate = Rate::new(nonsense);
            rate.take(Moment::ZERO);
            assert!(rate.per_second().is_finite() && rate.next() > Moment::ZERO);
        }
    }
}
