//! How long to wait before a retry: exponential with full jitter, or a fixed pause. Pure: the dice are an argument.

use std::time::Duration;

/// Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", 2015).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Backoff {
    /// The upper edge of the first delay.
    pub(crate) base: Duration,
    /// No delay is longer.
    pub(crate) cap: Duration,
    /// All delays of one fetch together, where no deadline bounds them; `None` is no bound.
    pub(crate) total: Option<Duration>,
    /// Every delay is this one, without jitter, in the place of the exponential ones.
    pub(crate) pause: Option<Duration>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(250),
            cap: Duration::from_secs(30),
            total: Some(Duration::from_secs(120)),
            pause: None,
        }
    }
}

impl Backoff {
    /// From now on every delay is `pause`. The caller has bounded their sum with it, so ours is lifted.
    pub(crate) fn fix(&mut self, pause: Duration) {
        self.pause = Some(pause);
        self.total = None;
    }

    /// The delay before retry number `retry` (from 0): the fixed pause, or one drawn evenly from zero to its edge;
    /// `dice` is any u32.
    pub(crate) fn delay(&self, retry: u32, dice: u32) -> Duration {
        if let Some(pause) = self.pause {
            return pause;
        }
        let edge = self.base.saturating_mul(1u32.checked_shl(retry).unwrap_or(u32::MAX)).min(self.cap);
        edge.mul_f64(f64::from(dice) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_doubles_up_to_the_cap_and_the_dice_spread_it() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay(0, u32::MAX), Duration::from_millis(250));
        assert_eq!(backoff.delay(2, u32::MAX), Duration::from_secs(1));
        assert_eq!(backoff.delay(60, u32::MAX), Duration::from_secs(30));
        assert_eq!(backoff.delay(3, 0), Duration::ZERO);
    }

    #[test]
    fn a_fixed_pause_neither_grows_nor_is_diced() {
        let pause = Duration::from_secs(7);
        let backoff = Backoff { pause: Some(pause), ..Backoff::default() };
        for (retry, dice) in [(0, 0), (0, u32::MAX), (9, 1), (60, u32::MAX / 2)] {
            assert_eq!(backoff.delay(retry, dice), pause);
        }
    }
}
