//! What holds a run back, in words that name the setting. Words only.

use std::time::Duration;

use gannet::{Concurrency, HeldBack, HeldBackBy};

use super::amounts::seconds;

/// What holds the run back; `None` if nothing of ours does. `busy` is this process's share of one CPU's time.
pub(super) fn told(held: &HeldBack, busy: f64) -> Option<String> {
    Some(match held {
        HeldBack::Concurrency { limit } => format!("limited by -j {limit}, CPU {:.0} %", busy * 100.0),
        HeldBack::AutoConcurrency { limit } => {
            format!("limited by -j auto ({limit}), CPU {:.0} %", busy * 100.0)
        }
        HeldBack::PerHost { limit, host } => format!("held back by --per-host {limit} ({})", name(host)),
        HeldBack::HostGate { host, why } => format!("waiting for {}: {why}", name(host)),
        HeldBack::Rate { limit, host: None } => format!("held back by --rate {limit}/s"),
        HeldBack::Rate { limit, host: Some(host) } => {
            format!("held back by --host-rate {limit}/s ({})", name(host))
        }
        HeldBack::Waiting { host, status, left } => {
            let why = status.map_or_else(|| "next try".to_owned(), |status| status.as_u16().to_string());
            format!("waiting for {}: {why}, again in {}", name(host), seconds(*left))
        }
        HeldBack::Connections { limit } => format!("held back by {limit} open connections (ulimit -n)"),
        HeldBack::Budget { waiting } => format!("{waiting} wait for the retry budget"),
        HeldBack::Input => "waiting for the input".to_owned(),
        HeldBack::Output => "held back by the reader of standard output".to_owned(),
        _ => return None,
    })
}

/// What held a whole run back, in the syntax of its flag.
pub(crate) fn held_back_by(cause: HeldBackBy, at_once: Concurrency, per_host: Option<u32>) -> String {
    match cause {
        HeldBackBy::Concurrency => crowding(at_once),
        HeldBackBy::PerHost => {
            per_host.map_or_else(|| "--per-host".to_owned(), |most| format!("--per-host {most}"))
        }
        HeldBackBy::HostGate => "hosts that refuse, rest or only fail".to_owned(),
        HeldBackBy::Rate => "--rate or --host-rate".to_owned(),
        HeldBackBy::Waiting => "waiting between attempts".to_owned(),
        HeldBackBy::Connections => "open files (ulimit -n)".to_owned(),
        HeldBackBy::Budget => "the retry budget".to_owned(),
        HeldBackBy::Input => "the input".to_owned(),
        HeldBackBy::Output => "the reader of standard output".to_owned(),
        other => other.as_str().to_owned(),
    }
}

/// How many at once, in the syntax of its flag.
pub(crate) fn crowding(at_once: Concurrency) -> String {
    match at_once {
        Concurrency::Fixed(most) => format!("-j {most}"),
        _ => "-j auto".to_owned(),
    }
}

/// The host without its scheme.
fn name(host: &str) -> &str {
    host.split_once("://").map_or(host, |(_, name)| name)
}

/// This process's use of CPU time between two looks.
#[derive(Debug)]
pub(super) struct Busy {
    cpu: Duration,
    wall: tokio::time::Instant,
    share: f64,
}

/// The share is measured over at least so long.
const MEASURED_OVER: Duration = Duration::from_secs(1);

impl Busy {
    pub(super) fn since(now: tokio::time::Instant) -> Self {
        Self { cpu: cpu_time(), wall: now, share: 0.0 }
    }

    /// The share of one CPU, lately.
    pub(super) fn share(&mut self, now: tokio::time::Instant) -> f64 {
        let passed = now.saturating_duration_since(self.wall);
        if passed >= MEASURED_OVER {
            let cpu = cpu_time();
            self.share = cpu.saturating_sub(self.cpu).as_secs_f64() / passed.as_secs_f64();
            (self.cpu, self.wall) = (cpu, now);
        }
        self.share
    }
}

/// What this process has used so far, user and system together, to a hundredth of a second; zero where the system
/// does not tell.
fn cpu_time() -> Duration {
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may hold anything, and ends with the last parenthesis (proc_pid_stat(5)).
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    TICK * ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spent_is_noticed() {
        let before = cpu_time();
        while cpu_time() == before {
            std::hint::black_box((0..100_000_u64).sum::<u64>());
        }
        assert!(cpu_time() > before);
    }

    #[test]
    fn what_holds_back_is_told_by_the_name_of_its_setting() {
        let host = || Box::<str>::from("http://a.example:81");
        let told = |held: HeldBack| told(&held, 0.061).unwrap_or_default();
        assert_eq!(told(HeldBack::Concurrency { limit: 64 }), "limited by -j 64, CPU 6 %");
        assert_eq!(told(HeldBack::AutoConcurrency { limit: 40 }), "limited by -j auto (40), CPU 6 %");
        assert_eq!(
            told(HeldBack::PerHost { limit: 6, host: host() }),
            "held back by --per-host 6 (a.example:81)"
        );
        let status = Some(http::StatusCode::TOO_MANY_REQUESTS);
        let left = Duration::from_secs(75);
        let waiting = HeldBack::Waiting { host: host(), status, left };
        assert_eq!(told(waiting), "waiting for a.example:81: 429, again in 75.0 s");
        assert_eq!(told(HeldBack::Nothing), "");
        assert_eq!(held_back_by(HeldBackBy::PerHost, 64.into(), Some(2)), "--per-host 2");
        assert_eq!(held_back_by(HeldBackBy::Concurrency, Concurrency::AUTO, None), "-j auto");
    }
}
