//! Says what a run hangs on, for `-v`: when its deadline is near, or nothing has moved for a while. When it speaks is
//! decided here, and how its lines read; what is under way is the library's to tell.

use std::time::Duration;

use gannet::{HeldBack, Phase, Progress, Slow};
use tokio::time::Instant;

use super::amounts::{bytes, seconds};
use super::holding;

/// It speaks when nothing has moved for so long, and no oftener.
const STILL: Duration = Duration::from_secs(10);
/// The longest time before a deadline that is near it.
const NEAR: Duration = Duration::from_secs(5);

/// Watches over a run.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// When the deadline is near, and when it is; until it was said.
    near: Option<(Instant, Instant)>,
    moved_at: Instant,
    seen: Option<Progress>,
    spoke_at: Option<Instant>,
}

impl Watchdog {
    /// For a run that began at `begun` and has to be over by `deadline`.
    pub(crate) fn new(begun: Instant, deadline: Option<Instant>) -> Self {
        let near = |deadline: Instant| {
            let tenth = deadline.saturating_duration_since(begun) / 10;
            (deadline.checked_sub(tenth.min(NEAR)).unwrap_or(deadline), deadline)
        };
        Self { near: deadline.map(near), moved_at: begun, seen: None, spoke_at: None }
    }

    /// When it wants to look, whatever else happens.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.near.map(|(near, _)| near)
    }

    /// What it has to say now, if anything; the `lines` are asked for only then.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        progress: Progress,
        lines: impl FnOnce() -> Vec<String>,
    ) -> Option<String> {
        if self.seen.replace(progress) != Some(progress) {
            self.moved_at = now;
        }
        let is_near = self.near.filter(|(near, _)| *near <= now);
        if is_near.is_some() {
            self.near = None;
        }
        let has_spoken = self.spoke_at.is_some_and(|at| now.saturating_duration_since(at) < STILL);
        let still = now.saturating_duration_since(self.moved_at);
        let why = match is_near {
            Some((_, deadline)) => {
                let left = deadline.saturating_duration_since(now);
                format!("the deadline comes in {}", seconds(left))
            }
            None if has_spoken => return None,
            None if still >= STILL => format!("nothing has moved for {}", seconds(still)),
            None => return None,
        };
        let lines = lines();
        if lines.is_empty() {
            return None;
        }
        self.spoke_at = Some(now);
        Some(std::iter::once(format!("! {why}\n")).chain(lines).collect())
    }
}

/// One of those that are under way: what it waits for, since when, and how far it is.
pub(crate) fn stuck(slow: &Slow) -> String {
    let next = slow.attempts + 1;
    let doing = match (slow.phase, slow.pause) {
        (_, Some(left)) => {
            let why = slow.status.map_or_else(String::new, |status| format!(" after a {}", status.as_u16()));
            format!("waits {} more for attempt {next}{why}", seconds(left))
        }
        (Phase::Queue, None) => match &slow.held {
            Some(why) => format!("waits for its turn ({why})"),
            None => "waits for a place at its host".to_owned(),
        },
        (Phase::Dns, None) => "looks its host up".to_owned(),
        (Phase::Connect, None) => "connects".to_owned(),
        (Phase::Tls, None) => "waits for the TLS handshake".to_owned(),
        (Phase::Send, None) => "sends its request".to_owned(),
        (Phase::Wait, None) => "waits for the first byte".to_owned(),
        (Phase::Body, None) => format!("waits for more of its body, {} so far", bytes(slow.bytes)),
        (Phase::Sink | Phase::Verify, None) => format!("writes its body, {}", bytes(slow.bytes)),
    };
    let still = slow.still.filter(|_| slow.pause.is_none());
    let still = still.map_or_else(String::new, |still| format!(" for {}", seconds(still)));
    let (url, attempts, since) = (&slow.url, slow.attempts, seconds(slow.since));
    format!("    {url} {doing}{still}, attempt {attempts}, {since} in all\n")
}

/// Those that have not begun: how many, and what holds them back.
pub(crate) fn queued(count: usize, held: &HeldBack) -> Option<String> {
    let why = holding::told(held, 0.0).filter(|_| !matches!(held, HeldBack::Concurrency { .. }));
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    match count {
        0 => None,
        1 => Some(format!("    1 more has not begun{why}\n")),
        _ => Some(format!("    {count} more have not begun{why}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn moved(bytes: u64) -> Progress {
        let mut progress = Progress::default();
        progress.bytes = bytes;
        progress
    }

    fn slow() -> Vec<String> {
        vec!["    http://a/x connects\n".to_owned()]
    }

    #[test]
    fn it_speaks_when_nothing_has_moved_for_10_s_and_once_in_10_s() {
        let begun = Instant::now();
        let mut watchdog = Watchdog::new(begun, None);
        let mut said = Vec::new();
        for second in 0..35 {
            let progress = moved(second.min(3));
            let now = begun + second as u32 * SECOND;
            said.extend(watchdog.look(now, progress, slow).map(|text| (second, text)));
        }
        let when: Vec<u64> = said.iter().map(|(second, _)| *second).collect();
        assert_eq!(when, [13, 23, 33]);
        assert_eq!(said[0].1, "! nothing has moved for 10.0 s\n    http://a/x connects\n");
    }

    #[test]
    fn it_speaks_once_when_the_last_tenth_or_the_last_5_s_begin() {
        for (length, near) in [(20 * SECOND, 18 * SECOND), (600 * SECOND, 595 * SECOND)] {
            let begun = Instant::now();
            let mut watchdog = Watchdog::new(begun, Some(begun + length));
            assert_eq!(watchdog.wake(), Some(begun + near));
            assert_eq!(watchdog.look(begun + near - SECOND / 10, moved(1), slow), None);
            let said = watchdog.look(begun + near, moved(2), slow).expect("it is near");
            assert!(said.starts_with("! the deadline comes in "), "{said}");
            assert_eq!((watchdog.look(begun + near + SECOND, moved(3), slow), watchdog.wake()), (None, None));
        }
    }

    #[test]
    fn that_the_deadline_is_near_is_told_though_it_has_just_spoken_of_stillness() {
        let begun = Instant::now();
        let mut watchdog = Watchdog::new(begun, Some(begun + 20 * SECOND));
        watchdog.look(begun, moved(0), slow);
        let still = watchdog.look(begun + 12 * SECOND, moved(0), slow).expect("nothing moves");
        assert!(still.starts_with("! nothing has moved"), "{still}");
        let near = watchdog.look(begun + 18 * SECOND, moved(0), slow).expect("it is near");
        assert!(near.starts_with("! the deadline comes in "), "{near}");
    }

    #[test]
    fn what_has_not_begun_is_counted_with_what_holds_it_back() {
        let held = HeldBack::HostGate { host: "http://a".into(), why: "breaker open for 3 s".into() };
        assert_eq!(queued(0, &held), None);
        let said = queued(40, &held);
        assert_eq!(
            said.as_deref(),
            Some("    40 more have not begun: waiting for a: breaker open for 3 s\n")
        );
        let said = queued(1, &HeldBack::Concurrency { limit: 64 });
        assert_eq!(said.as_deref(), Some("    1 more has not begun\n"));
    }

    #[test]
    fn it_is_silent_when_nothing_is_under_way() {
        let begun = Instant::now();
        let mut watchdog = Watchdog::new(begun, None);
        watchdog.look(begun, moved(0), Vec::new);
        assert_eq!(watchdog.look(begun + 60 * SECOND, moved(0), Vec::new), None);
        assert!(watchdog.look(begun + 61 * SECOND, moved(0), slow).is_some());
    }
}
