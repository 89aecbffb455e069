//! Every host that a client has met, interned by its origin, with its gate. Idle hosts are forgotten.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::futures::OwnedNotified;
use url::Url;

use crate::Moment;
use crate::clock::Clock;
use crate::engine::gate::{Behind, Entering, Gate};
use crate::engine::tempo::Tempo;
use crate::policy::budget::{HostPurse, Ratio};
use crate::policy::fetch::{Advice, HedgeGate};
use crate::policy::hedge::{Game, HedgeAfter, Hedged};
use crate::policy::host::{HostRules, Settings, Speaks};
use crate::policy::latency::Heard;
use crate::transport::Origin;
use crate::transport::origin::{Protocol, key_of};

/// One host: scheme, name and port, its gate, its purse, and what is known of its speed.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) origin: Arc<Origin>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) purse: HostPurse,
    tempo: Tempo,
    #[cfg(feature = "robots")]
    pub(crate) robots: super::robots::Slot,
}

impl Host {
    /// An exchange went over a connection that speaks this.
    pub(crate) fn learned(&self, speaks: Speaks) {
        let before = self.origin.protocol();
        let now = if speaks == Speaks::Http1 { Protocol::Http1 } else { Protocol::Http2 };
        if before != now {
            self.origin.learn(now);
        }
        self.gate.learned(speaks);
    }

    /// An attempt here ended its silence.
    pub(crate) fn heard(&self, heard: Heard, silence: Duration, now: Moment) {
        self.tempo.heard(heard, silence, now);
    }

    /// A hedge here has ended.
    pub(crate) fn hedged(&self, hedged: Hedged, now: Moment) {
        self.tempo.hedged(hedged, now);
    }

    /// What is known now; `hedge` is given where the delay of a hedge is learned.
    pub(crate) fn advice(&self, hedge: Option<(HedgeAfter, Ratio, Game)>, now: Moment) -> Advice {
        let advice = self.tempo.advice(hedge, now);
        if self.gate.holds_hedges() { Advice { gate: HedgeGate::Held, ..advice } } else { advice }
    }

    /// Ready when the host's usual time has become known after this call.
    pub(crate) fn advised(&self) -> OwnedNotified {
        self.tempo.advised()
    }
}

/// The hosts of one client, shared by its lanes.
#[derive(Debug)]
pub(crate) struct Hosts {
    settings: Arc<Settings>,
    clock: Clock,
    /// Of the jitter at its gates.
    seed: u64,
    /// The line of those who wait for their turn under the rate of all hosts together.
    turns: Option<Arc<Gate>>,
    rate: Option<f64>,
    permits: Arc<AtomicUsize>,
    numbers: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    hosts: HashSet<ByKey>,
    /// The size at which those without a user are forgotten.
    sweep_at: usize,
}

/// A host, found by the key of its origin.
#[derive(Debug)]
struct ByKey(Arc<Host>);

impl Borrow<str> for ByKey {
    fn borrow(&self) -> &str {
        &self.0.origin.key
    }
}

impl Hash for ByKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.origin.key.hash(state);
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.origin.key == other.0.origin.key
    }
}

impl Eq for ByKey {}

/// The fewest hosts for which a sweep is worth its while.
const SWEEP_FROM: usize = 1024;

impl Hosts {
    pub(crate) fn new(settings: Settings, rate: Option<f64>, clock: Clock, seed: u64) -> Self {
        Self {
            settings: Arc::new(settings),
            clock,
            seed,
            rate,
            turns: rate.map(|per_second| {
                let rules = HostRules::sharing(Arc::new(Settings {
                    per_host: Some(u32::MAX),
                    host_rate: Some(per_second),
                    ..Settings::default()
                }));
                Arc::new(Gate::new(rules, Arc::default(), clock, seed))
            }),
            permits: Arc::default(),
            numbers: AtomicU64::new(0),
            known: Mutex::default(),
        }
    }

    /// Whether there is a rate of all hosts together.
    pub(crate) fn have_a_rate(&self) -> bool {
        self.turns.is_some()
    }

    /// A wait for a turn under the rate of all hosts together; `None` if it may go at once.
    pub(crate) fn ask_for_turn(&self) -> Option<Entering> {
        let turns = self.turns.as_ref()?;
        turns.try_enter().is_none().then(|| turns.enter(Behind::All, None))
    }

    /// The rate of all hosts together, in requests a second.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// Waits for a turn under the rate of all hosts together, in the order of asking; whether it had to wait.
    ///
    /// # Cancel safety
    /// Dropping it leaves the line; its turn goes to the next.
    pub(crate) async fn turn(&self) -> bool {
        let Some(turns) = &self.turns else { return false };
        if turns.try_enter().is_some() {
            return false;
        }
        // A place there is a turn: nobody stays, and nothing is ever refused.
        drop(turns.enter(Behind::All, None).await);
        true
    }

    /// The host of `url`, new or known.
    pub(crate) fn of(&self, url: &Url) -> Arc<Host> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ByKey(host)) = known.hosts.get(key_of(url)) {
            return Arc::clone(host);
        }
        if known.hosts.len() >= known.sweep_at.max(SWEEP_FROM) {
            // Whoever uses a host holds it; what nobody holds has nothing in flight and nobody waiting. What a host
            // has refused is remembered for as long as it matters.
            known.hosts.retain(|ByKey(host)| {
                Arc::strong_count(host) > 1 || Arc::strong_count(&host.gate) > 1 || !host.gate.is_idle()
            });
            known.sweep_at = known.hosts.len() * 2;
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let origin = Arc::new(Origin::new(number, url));
        let rules = HostRules::sharing(Arc::clone(&self.settings));
        let gate = Arc::new(Gate::new(rules, Arc::clone(&self.permits), self.clock, self.seed ^ number));
        let host = Arc::new(Host {
            origin,
            gate,
            purse: HostPurse::default(),
            tempo: Tempo::default(),
            #[cfg(feature = "robots")]
            robots: super::robots::Slot::default(),
        });
        known.hosts.insert(ByKey(Arc::clone(&host)));
        host
    }

    /// How long a host is waited for that wants to be left alone.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Permits given out and not yet back.
    pub(crate) fn permits(&self) -> usize {
        self.permits.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permit::Left;
    use crate::policy::queue::Queue;

    #[test]
    fn a_host_has_a_purse_and_a_tempo_in_a_hundred_bytes() {
        let size = size_of::<HostPurse>() + size_of::<Tempo>();
        assert!(size <= 104, "{size} bytes");
    }

    #[tokio::test]
    async fn idle_hosts_are_forgotten_unless_they_hold_something_back() {
        let hosts = Hosts::new(Settings::default(), None, Clock::new(), 1);
        let of = |number: u32| hosts.of(&format!("http://h{number}/").parse().expect("a URL"));
        let mut permit = of(0).gate.try_enter().expect("it is new");
        let retry_after = Some(std::time::Duration::from_secs(60));
        permit.mark(Left::Refused { status: 503, retry_after });
        drop(permit);
        let used = of(1);
        (2..5_000).for_each(|number| drop(of(number)));
        let known = hosts.known.lock().expect("nobody panics here");
        assert!(known.hosts.len() < 2_100, "{}", known.hosts.len());
        let is_known = |host: &str| known.hosts.contains(host);
        assert!(is_known(&used.origin.key) && known.hosts.iter().any(|ByKey(host)| !host.gate.is_idle()));
    }

    fn url(number: u64) -> Url {
        format!("http://host-{number}.example/").parse().expect("a URL")
    }

    fn hosts() -> Hosts {
        Hosts::new(Settings::default(), None, Clock::new(), 1)
    }

    /// One request goes through its host's gate, and is answered.
    #[inline(never)]
    fn one_step<'a>(queue: &mut Queue<&'a Url>, hosts: &Hosts, request: &'a Url) {
        let host = hosts.of(request);
        queue.push(host.origin.number, request, 100);
        let number = queue.next_host().expect("one is queued");
        let Some(request) = queue.start(number) else { panic!("its host has a line") };
        let mut permit = hosts.of(request).gate.try_enter().expect("nothing is in flight");
        permit.mark(Left::Success);
        drop(permit);
        host.heard(Heard::Led, Duration::from_millis(5), hosts.clock.now());
    }

    /// `benches/scheduler.sh` counts the instructions of the steps, which are marked by their name.
    #[test]
    fn a_step_gives_back_what_it_took_however_many_hosts_are_known() {
        let number = |name: &str, usual: u64| {
            std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
        };
        let (known, steps) = (number("GANNET_BENCH_HOSTS", 1_000), number("GANNET_BENCH_STEPS", 1_000));
        let (hosts, mut queue) = (hosts(), Queue::default());
        let urls: Vec<Url> = (0..known).map(url).collect();
        let held: Vec<_> = urls.iter().map(|url| hosts.of(url)).collect();
        // A generator that visits the hosts in no order, each about as often.
        for step in 0..steps {
            one_step(&mut queue, &hosts, &urls[(step.wrapping_mul(7_919_333) % known) as usize]);
        }
        assert_eq!((held.len() as u64, hosts.permits(), queue.is_empty()), (known, 0, true));
    }

    /// Bytes that this process holds, of proc(5).
    fn resident() -> u64 {
        let pages = std::fs::read_to_string("/proc/self/statm").expect("proc(5)");
        pages.split(' ').nth(1).expect("the second field").parse::<u64>().expect("a number") * 4096
    }

    #[test]
    fn a_known_host_costs_less_than_512_bytes() {
        const CHILD: &str = "GANNET_TEST_HOSTS_CHILD";
        if std::env::var_os(CHILD).is_none() {
            // Alone in a process, where nobody else takes memory.
            let name = "engine::hosts::tests::a_known_host_costs_less_than_512_bytes";
            let this = std::env::current_exe().expect("a running program has a file");
            let mut run = std::process::Command::new(this);
            let output = run.args([name, "--exact", "--nocapture"]).env(CHILD, "1").output();
            let output = output.expect("a test can be run");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("a known host: "), "{said}");
            return;
        }
        let (hosts, mut held) = (hosts(), Vec::with_capacity(1 << 18));
        let mut know = |until: u64| {
            while (held.len() as u64) < until {
                let url = url(held.len() as u64);
                held.push(hosts.of(&url));
                // Two requests to each, which were answered.
                let mut queue = Queue::default();
                one_step(&mut queue, &hosts, &url);
                one_step(&mut queue, &hosts, &url);
            }
            resident()
        };
        let (before, after) = (know(100_000), know(200_000));
        let each = (after - before) as f64 / 100_000.0;
        let mut said = std::io::stdout();
        std::io::Write::write_fmt(&mut said, format_args!("a known host: {each:.0} bytes\n"))
            .expect("it is read");
        assert!(each < 512.0, "{each} bytes");
    }

    #[tokio::test]
    async fn hosts_whose_last_reply_was_a_refusal_are_forgotten_too() {
        let hosts = Hosts::new(Settings::default(), None, Clock::new(), 1);
        for number in 0..5_000 {
            let host = hosts.of(&format!("http://h{number}/").parse().expect("a URL"));
            let mut permit = host.gate.try_enter().expect("it is new");
            permit.mark(Left::Unreached);
            drop(permit);
            if number % 1_000 == 999 {
                std::thread::sleep(Duration::from_millis(150));
            }
        }
        let known = hosts.known.lock().expect("nobody panics here");
        assert!(known.hosts.len() < 2_100, "{}", known.hosts.len());
    }
}
