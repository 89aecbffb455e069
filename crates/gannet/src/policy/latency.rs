//! How long a host usually takes to its first body byte: an estimate from compact log buckets. Pure: no clock.

use std::time::Duration;

use crate::Moment;

/// Samples until which a host costs no table.
const TABLE_AT: u8 = 20;
/// Samples before which nothing is said of a host.
const KNOWN_AT: u16 = 100;
/// Samples after which a window is full and the older one is forgotten.
const WINDOW_SAMPLES: u16 = 1_024;
/// A window that is older than this, in seconds, and knows enough is full too.
const WINDOW_SECONDS: u32 = 30;
/// Buckets in which a length of time doubles.
const STEPS: u32 = 8;
/// Doublings from the floor to the longest time that is told apart, 32.8 s.
const OCTAVES: u32 = 15;
const BUCKETS: usize = (STEPS * OCTAVES) as usize;
/// Nothing shorter is told apart, and no hedge starts after a shorter silence: 1 ms, in microseconds.
const FLOOR: u64 = 1_000;

/// The shortest silence after which an adaptive hedge may start.
#[cfg(test)]
pub(crate) const HEDGE_FLOOR: Duration = Duration::from_micros(FLOOR);

/// The estimator of one host: under 512 bytes, and two words before its 20th sample.
#[derive(Debug)]
pub(crate) struct Latency(Knows);

#[derive(Debug)]
enum Knows {
    /// So many samples, not looked at.
    Few(u8),
    Table(Box<Table>),
}

/// Two windows: the younger one is being filled, the older one is whole.
#[derive(Debug)]
struct Table {
    young: [u16; BUCKETS],
    old: [u16; BUCKETS],
    young_samples: u16,
    old_samples: u16,
    /// When the younger window was opened, in seconds of the client's time line.
    opened: u32,
}

/// How an attempt ended, as far as its host's speed is told by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Its first body byte came.
    Led,
    /// It was given up as too slow.
    TimedOut,
    /// Another attempt led. Without these, at their elapsed time, the estimate would drift down.
    Superseded,
    /// It failed by itself: a fast failure is no latency.
    Failed,
}

impl Default for Latency {
    fn default() -> Self {
        Self(Knows::Few(0))
    }
}

impl Latency {
    /// An attempt ended its silence after `elapsed`. What this was must say something of the host's speed.
    pub(crate) fn record(&mut self, heard: Heard, elapsed: Duration, now: Moment) -> Became {
        if heard == Heard::Failed {
            return Became::Same;
        }
        match &mut self.0 {
            Knows::Few(samples) if *samples + 1 < TABLE_AT => {
                *samples += 1;
                Became::Same
            }
            Knows::Few(_) => {
                let mut table = Box::new(Table::new(seconds(now)));
                table.record(elapsed, now);
                self.0 = Knows::Table(table);
                Became::Same
            }
            Knows::Table(table) => {
                let knew = table.knows();
                table.record(elapsed, now);
                if table.knows() && !knew { Became::Known } else { Became::Same }
            }
        }
    }

    /// The time within which this share of first bytes came, at least 1 ms; `None` before 100 samples.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        match &self.0 {
            Knows::Table(table) if table.knows() => Some(table.quantile(share)),
            Knows::Table(_) | Knows::Few(_) => None,
        }
    }

    /// The host's usual time, for judging whether a further attempt fits before a deadline.
    pub(crate) fn usual(&self) -> Option<Duration> {
        self.quantile(0.5)
    }
}

/// Whether a sample was the one that made a host known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Became {
    /// From now on there is a quantile: those that wait for it have to be told.
    Known,
    Same,
}

impl Table {
    fn new(opened: u32) -> Self {
        Self { young: [0; BUCKETS], old: [0; BUCKETS], young_samples: 0, old_samples: 0, opened }
    }

    fn knows(&self) -> bool {
        self.young_samples + self.old_samples > KNOWN_AT - u16::from(TABLE_AT)
    }

    fn record(&mut self, elapsed: Duration, now: Moment) {
        let aged = seconds(now).saturating_sub(self.opened) >= WINDOW_SECONDS;
        if self.young_samples >= WINDOW_SAMPLES || (aged && self.young_samples >= KNOWN_AT) {
            (self.old, self.old_samples) = (self.young, self.young_samples);
            (self.young, self.young_samples) = ([0; BUCKETS], 0);
            self.opened = seconds(now);
        }
        self.young[bucket(elapsed)] += 1;
        self.young_samples += 1;
    }

    /// Spreads the samples of a bucket evenly over it.
    fn quantile(&self, share: f64) -> Duration {
        let samples = f64::from(self.young_samples + self.old_samples);
        let mut wanted = share.clamp(0.0, 1.0) * samples;
        let counts = self.young.iter().zip(&self.old).map(|(young, old)| f64::from(young + old));
        for (number, count) in counts.enumerate().filter(|(_, count)| *count > 0.0) {
            if wanted <= count {
                let (low, high) = edges(number as u32);
                return Duration::from_micros(low + ((high - low) as f64 * wanted / count) as u64);
            }
            wanted -= count;
        }
        Duration::from_micros(edges(BUCKETS as u32 - 1).1)
    }
}

fn seconds(now: Moment) -> u32 {
    u32::try_from(now.since(Moment::ZERO).as_secs()).unwrap_or(u32::MAX)
}

/// The number of the bucket, by the octave above the floor and the eighth of it.
fn bucket(elapsed: Duration) -> usize {
    let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).max(FLOOR);
    let octave = (micros / FLOOR).ilog2();
    let start = FLOOR << octave.min(OCTAVES);
    let step = (micros - start).saturating_mul(u64::from(STEPS)) / start;
    ((u64::from(octave * STEPS) + step) as usize).min(BUCKETS - 1)
}

/// Where a bucket begins and ends, in microseconds.
fn edges(number: u32) -> (u64, u64) {
    let start = FLOOR << (number / STEPS);
    let edge = |step: u32| start + start * u64::from(step) / u64::from(STEPS);
    (edge(number % STEPS), edge(number % STEPS + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    use fastrand::Rng;

    /// A throw of the normal distribution (Box and Muller, 1958).
    fn normal(dice: &mut Rng) -> f64 {
        (-2.0 * (1.0 - dice.f64()).ln()).sqrt() * (std::f64::consts::TAU * dice.f64()).cos()
    }

    fn exact(samples: &[f64], share: f64) -> f64 {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[((share * samples.len() as f64).ceil() as usize - 1).min(samples.len() - 1)]
    }

    /// The estimate of what `draw` throws lies within one bucket of the exact quantile.
    fn assert_close(shares: &[f64], draw: impl Fn(&mut Rng) -> f64) {
        for seed in 0..20 {
            let mut dice = Rng::with_seed(seed);
            let mut latency = Latency::default();
            let samples: Vec<f64> = (0..1_000).map(|_| draw(&mut dice)).collect();
            for sample in &samples {
                latency.record(Heard::Led, Duration::from_secs_f64(*sample), Moment::ZERO);
            }
            for share in shares {
                let wanted = exact(&samples[usize::from(TABLE_AT) - 1..], *share);
                let found = latency.quantile(*share).expect("a thousand samples are enough").as_secs_f64();
                let apart = (found / wanted).ln().abs();
                assert!(apart < 0.126, "seed {seed}, {share}: {found} for {wanted}");
            }
        }
    }

    fn fed(count: u32, heard: Heard, millis: u64) -> Latency {
        let mut latency = Latency::default();
        for _ in 0..count {
            latency.record(heard, Duration::from_millis(millis), Moment::ZERO);
        }
        latency
    }

    #[test]
    fn quantiles_of_a_lognormal_are_within_a_bucket_of_the_exact_ones() {
        assert_close(&[0.01, 0.5, 0.9, 0.985, 0.99], |dice| 0.005 * (0.3 * normal(dice)).exp());
    }

    #[test]
    fn quantiles_of_two_humps_are_within_a_bucket_of_the_exact_ones() {
        assert_close(&[0.2, 0.5, 0.6, 0.9, 0.985], |dice| {
            let middle = if dice.f64() < 0.7 { 0.004 } else { 0.9 };
            middle * (0.2 * normal(dice)).exp()
        });
    }

    #[test]
    fn nothing_is_known_before_the_hundredth_sample() {
        let mut latency = fed(99, Heard::Led, 8);
        assert_eq!((latency.quantile(0.5), latency.usual()), (None, None));
        let became = latency.record(Heard::TimedOut, Duration::from_millis(8), Moment::ZERO);
        assert_eq!(became, Became::Known);
        assert!(latency.usual().is_some());
        assert_eq!(latency.record(Heard::Led, Duration::from_millis(8), Moment::ZERO), Became::Same);
    }

    #[test]
    fn a_host_is_small_and_has_no_table_before_its_twentieth_sample() {
        assert!(size_of::<Latency>() + size_of::<Table>() < 512);
        assert!(matches!(fed(19, Heard::Led, 5).0, Knows::Few(19)));
        assert!(matches!(fed(20, Heard::Led, 5).0, Knows::Table(_)));
    }

    #[test]
    fn fast_failures_are_no_latency_and_superseded_losers_are() {
        let mut latency = fed(500, Heard::Failed, 1);
        assert!(matches!(latency.0, Knows::Few(0)));
        for _ in 0..100 {
            latency.record(Heard::Superseded, Duration::from_millis(64), Moment::ZERO);
        }
        let usual = latency.usual().expect("a hundred samples are enough");
        assert!(usual >= Duration::from_millis(64) && usual <= Duration::from_millis(72), "{usual:?}");
    }

    #[test]
    fn the_quickest_and_the_slowest_stay_within_the_range() {
        assert!(fed(200, Heard::Led, 0).quantile(0.0) >= Some(HEDGE_FLOOR));
        let slowest = fed(200, Heard::TimedOut, 10_000_000).quantile(1.0);
        assert_eq!(slowest, Some(Duration::from_micros(FLOOR << OCTAVES)));
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
        for number in 0..BUCKETS as u32 {
            let (low, high) = edges(number);
            assert_eq!(bucket(Duration::from_micros(low)), number as usize);
            assert_eq!(bucket(Duration::from_micros(high - 1)), number as usize);
        }
    }

    #[test]
    fn what_is_long_past_is_forgotten_by_count_and_by_time() {
        let mut by_count = fed(2_000, Heard::Led, 2);
        for _ in 0..3 * u32::from(WINDOW_SAMPLES) {
            by_count.record(Heard::Led, Duration::from_millis(500), Moment::ZERO);
        }
        assert!(by_count.quantile(0.01) >= Some(Duration::from_millis(480)));
        let mut by_time = fed(200, Heard::Led, 2);
        for second in 0..300 {
            let now = Moment::ZERO + Duration::from_secs(second);
            by_time.record(Heard::Led, Duration::from_millis(500), now);
            assert!(by_time.usual().is_some(), "what is known stays known");
        }
        assert!(by_time.quantile(0.01) >= Some(Duration::from_millis(480)));
    }
}
