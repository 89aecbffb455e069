//! How long to wait before a retry: exponential with full jitter. Pure: the dice are an argument.

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
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(250),
            cap: Duration::from_secs(30),
            total: Some(Duration::from_secs(120)),
        }
    }
}

impl Backoff {
    /// The delay before retry number `retry` (from 0), drawn evenly from zero to its edge; `dice` is any u32.
    pub(crate) fn delay(&self, retry: u32, dice: u32) -> Duration {
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
}
