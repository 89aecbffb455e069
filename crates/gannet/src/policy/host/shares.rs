//! How many of some requests a host took and how many it pushed back, and when a share is more than chance.

/// A host that refuses more than this share does not fail at random.
const RANDOM_MAX: f64 = 0.9;

/// How many were taken and pushed back.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shares {
    pub(super) taken: u32,
    pub(super) pushed: u32,
}

impl Shares {
    pub(super) fn add(&mut self, window: Self) {
        self.taken = self.taken.saturating_add(window.taken);
        self.pushed = self.pushed.saturating_add(window.pushed);
    }

    pub(super) fn all(self) -> u32 {
        self.taken.saturating_add(self.pushed)
    }

    /// The share pushed back.
    pub(super) fn pushed_back(self) -> f64 {
        f64::from(self.pushed) / f64::from(self.all().max(1))
    }

    /// A share that few requests don't make large by chance.
    pub(super) fn at_least(self) -> f64 {
        f64::from(self.pushed) / f64::from(self.all().saturating_add(10))
    }
}

/// A share so much above another that chance does not explain it.
pub(super) fn far_above(share: f64) -> f64 {
    (1.5 * share + 0.1).min(RANDOM_MAX)
}
