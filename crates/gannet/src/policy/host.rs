//! How many requests a host may have in flight. Pure: the gate around it keeps the waiters.

/// Requests in flight to a host of HTTP/1, where nothing else is set; browsers use the same number.
pub(crate) const HTTP1_IN_FLIGHT: u32 = 6;
/// Requests in flight to a host of HTTP/2, where nothing else is set.
pub(crate) const HTTP2_IN_FLIGHT: u32 = 100;

/// The state of one host's concurrency.
#[derive(Debug, Clone)]
pub(crate) struct HostRules {
    cap: Option<u32>,
    limit: u32,
    in_flight: u32,
}

/// Which version a host turned out to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    /// And allows so many streams at once.
    Http2 {
        streams: u32,
    },
}

impl HostRules {
    /// A host of which nothing is known; `cap` is the caller's own limit under either version.
    pub(crate) fn new(cap: Option<u32>) -> Self {
        Self { cap, limit: cap.unwrap_or(HTTP1_IN_FLIGHT), in_flight: 0 }
    }

    /// Takes a place if one is free.
    #[must_use]
    pub(crate) fn enter(&mut self) -> Entry {
        if self.in_flight < self.limit {
            self.in_flight += 1;
            Entry::Granted
        } else {
            Entry::Full
        }
    }

    /// Takes a place beyond the limit: the others are held by ourselves, until this one has gone through.
    pub(crate) fn enter_beyond(&mut self) {
        self.in_flight += 1;
    }

    /// A place is given back.
    pub(crate) fn leave(&mut self) {
        debug_assert!(self.in_flight > 0, "a place is given back once");
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// The host answered in this version.
    pub(crate) fn learned(&mut self, speaks: Speaks) {
        let usual = match speaks {
            Speaks::Http1 => HTTP1_IN_FLIGHT,
            Speaks::Http2 { streams } => HTTP2_IN_FLIGHT.min(streams),
        };
        self.limit = self.cap.unwrap_or(usual);
    }

    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// How many requests may be in flight now.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }
}

/// Whether there was a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Granted,
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http2_widens_a_host_unless_the_caller_capped_it() {
        let mut open = HostRules::new(None);
        let mut capped = HostRules::new(Some(2));
        for rules in [&mut open, &mut capped] {
            rules.learned(Speaks::Http2 { streams: 250 });
        }
        assert_eq!((open.limit(), capped.limit()), (100, 2));
        open.learned(Speaks::Http2 { streams: 10 });
        assert_eq!(open.limit(), 10);
    }

    #[test]
    fn no_more_than_the_limit_are_in_flight() {
        let mut rules = HostRules::new(Some(2));
        let entries: Vec<Entry> = (0..3).map(|_| rules.enter()).collect();
        assert_eq!(entries, [Entry::Granted, Entry::Granted, Entry::Full]);
        rules.leave();
        assert_eq!(rules.enter(), Entry::Granted);
        assert_eq!(rules.in_flight(), 2);
    }
}
