//! After how long a silence a further attempt starts, and when hedging is held back. Pure: what is known of a
//! host, the purse's balance and `now` are arguments.

use std::time::Duration;

use crate::Moment;

use super::budget::Ratio;
use super::fetch::HedgeGate;
use super::latency::Latency;

/// How much of the budget an adaptive hedge plans to use. At all of it demand equals supply, and the purse runs
/// dry just when it is needed.
const PLANNED: f64 = 0.75;
/// The share of a job that has to be settled before its end game.
const END_GAME: f64 = 0.9;
/// Hedges that are looked back on.
const LOOKED_AT: u16 = 40;
/// Hedges before which nothing is held against a host.
const JUDGED_FROM: u16 = 10;
/// Hedges have to win at least one time in so many.
const ONE_IN: u16 = 5;
/// While hedging does not pay, one is let through each so often, to see whether it does again.
const SEEN_AGAIN: Duration = Duration::from_secs(30);

/// After how long a silence a further attempt starts beside the silent one (Dean and Barroso, "The Tail at Scale",
/// 2013).
///
/// The silence lasts from the moment at which the attempt got its place at its host's gate to the first byte of an
/// accepted body. What is learned of a host is told by its first 100 such times, and by newer ones after them; until
/// then nothing but a fixed time hedges there.
#[derive(Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum HedgeAfter {
    /// Always this long.
    Fixed(Duration),
    /// What this share of the host's first bytes took at most: p98 is 0.98. A share below 0 or over 1 is the nearest
    /// of these.
    Quantile(f64),
    /// The quantile that plans to spend three quarters of the hedge budget: p98.5 with the usual 2 %.
    Auto,
}

/// As it is written on a command line: `300ms`, `p98`, `auto`.
impl std::fmt::Debug for HedgeAfter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(after) => write!(f, "{after:?}"),
            Self::Quantile(share) => write!(f, "p{}", share * 100.0),
            Self::Auto => f.write_str("auto"),
        }
    }
}

impl From<Duration> for HedgeAfter {
    fn from(after: Duration) -> Self {
        Self::Fixed(after)
    }
}

impl HedgeAfter {
    /// Whether it has to be learned of each host.
    pub(crate) fn is_learned(self) -> bool {
        !matches!(self, Self::Fixed(_))
    }

    /// The silence after which a hedge is due at a host, `None` as long as it is not known.
    pub(crate) fn silence(self, budget: Ratio, latency: &Latency, game: Game) -> Option<Duration> {
        let share = match (self, budget) {
            (Self::Fixed(after), _) => return Some(after),
            (Self::Quantile(share), _) => share,
            (Self::Auto, Ratio::Share(budget)) => 1.0 - PLANNED * budget,
            // Without a bound there is nothing to spend evenly; the usual budget's quantile stands for it.
            (Self::Auto, Ratio::Off) => 1.0 - PLANNED * 0.02,
        };
        latency.quantile(match game {
            Game::Running => share,
            Game::Ending => share.min(0.5),
        })
    }
}

/// How far a job has come, for its hedges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Game {
    Running,
    /// What is still silent may be hedged at the median.
    Ending,
}

impl Game {
    /// The end game of a job: `settled` of `inputs` requests are settled, and the purse could pay a hedge for
    /// each of the others. (If it could not, hedges at the median would leave none for the real stragglers.)
    /// `balance` is `None` where hedges have no bound; `inputs` where the list has not been read to its end.
    pub(crate) fn of(settled: u64, inputs: Option<u64>, balance: Option<u64>) -> Self {
        let Some(inputs) = inputs else { return Self::Running };
        let near = settled as f64 >= END_GAME * inputs as f64;
        let open = inputs.saturating_sub(settled);
        let allows = balance.is_none_or(|balance| balance >= open);
        if near && allows && open > 0 { Self::Ending } else { Self::Running }
    }
}

/// Whether hedges at one host pay: suspended while fewer than one in five win.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pays {
    ended: u16,
    won: u16,
    /// When a hedge last ended.
    at: Moment,
}

/// How a hedge ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hedged {
    /// It led.
    Won,
    /// It did not, whatever else happened.
    Lost,
}

impl Pays {
    /// A hedge at this host has ended.
    pub(crate) fn ended(&mut self, hedged: Hedged, now: Moment) {
        if self.ended >= LOOKED_AT {
            (self.ended, self.won) = (self.ended / 2, self.won / 2);
        }
        self.ended += 1;
        self.won += u16::from(hedged == Hedged::Won);
        self.at = now;
    }

    /// Whether a hedge may start here as far as winning goes.
    pub(crate) fn gate(&self, now: Moment) -> HedgeGate {
        let pays = self.ended < JUDGED_FROM || self.won * ONE_IN >= self.ended;
        if pays || now.since(self.at) >= SEEN_AGAIN { HedgeGate::Open } else { HedgeGate::Held }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::latency::Heard;

    fn latency() -> Latency {
        let mut latency = Latency::default();
        for millis in (1..=100).chain(1..=100) {
            latency.record(Heard::Led, Duration::from_millis(millis), Moment::ZERO);
        }
        latency
    }

    fn silence(after: HedgeAfter, budget: Ratio, game: Game) -> u128 {
        after.silence(budget, &latency(), game).expect("two hundred samples are enough").as_millis()
    }

    #[test]
    fn auto_plans_to_spend_three_quarters_of_the_budget() {
        let (two, twenty) = (Ratio::Share(0.02), Ratio::Share(0.2));
        assert_eq!(
            silence(HedgeAfter::Auto, two, Game::Running),
            silence(HedgeAfter::Quantile(0.985), two, Game::Running)
        );
        assert_eq!(
            silence(HedgeAfter::Auto, twenty, Game::Running),
            silence(HedgeAfter::Quantile(0.85), two, Game::Running)
        );
        assert_eq!(
            silence(HedgeAfter::Auto, Ratio::Off, Game::Running),
            silence(HedgeAfter::Auto, two, Game::Running)
        );
        assert_eq!(HedgeAfter::Auto.silence(two, &Latency::default(), Game::Running), None);
    }

    #[test]
    fn the_end_game_hedges_at_the_median_and_never_later_than_before() {
        let two = Ratio::Share(0.02);
        let median = silence(HedgeAfter::Quantile(0.5), two, Game::Running);
        assert_eq!(silence(HedgeAfter::Auto, two, Game::Ending), median);
        assert!(silence(HedgeAfter::Quantile(0.1), two, Game::Ending) < median);
        assert_eq!(silence(HedgeAfter::Fixed(Duration::from_millis(7)), two, Game::Ending), 7);
    }

    #[test]
    fn the_end_game_begins_at_nine_tenths_if_the_purse_can_pay_for_the_rest() {
        assert_eq!(Game::of(899, Some(1_000), None), Game::Running);
        assert_eq!(Game::of(900, Some(1_000), Some(100)), Game::Ending);
        assert_eq!(Game::of(900, Some(1_000), Some(99)), Game::Running);
        assert_eq!(Game::of(1_000, Some(1_000), None), Game::Running);
        assert_eq!(Game::of(5_000, None, None), Game::Running);
    }

    #[test]
    fn hedges_that_win_less_than_one_in_five_are_held_and_one_looks_again_later() {
        let mut pays = Pays::default();
        let now = Moment::ZERO + SEEN_AGAIN;
        (0..9).for_each(|_| pays.ended(Hedged::Lost, now));
        assert_eq!(pays.gate(now), HedgeGate::Open);
        pays.ended(Hedged::Won, now);
        assert_eq!(pays.gate(now), HedgeGate::Held);
        let later = now + SEEN_AGAIN;
        assert_eq!(pays.gate(later), HedgeGate::Open);
        pays.ended(Hedged::Won, later);
        assert_eq!(pays.gate(later), HedgeGate::Held);
        pays.ended(Hedged::Won, later);
        assert_eq!(pays.gate(later), HedgeGate::Open);
    }

    #[test]
    fn an_origin_that_changes_is_judged_anew() {
        let mut pays = Pays::default();
        (0..500).for_each(|_| pays.ended(Hedged::Won, Moment::ZERO));
        (0..200).for_each(|_| pays.ended(Hedged::Lost, Moment::ZERO));
        assert_eq!(pays.gate(Moment::ZERO), HedgeGate::Held);
    }
}
