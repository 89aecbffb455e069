//! How far a run is: as a bar, or as a line now and then. What is shown when is decided here; `bar` draws.

use std::time::Duration;

use gannet::{HeldBack, Phase, Progress, Slow};
use serde_json::json;
use tokio::time::Instant;

use super::amounts::{bytes, seconds};
use super::holding::{self, Busy};
use super::{Level, Voice, bar};
use crate::args::ProgressStyle;
use crate::plan::Crowd;

/// A plain line comes so often.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// A single URL gets a bar if it takes longer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The rate is measured over at least so long.
const MEASURED_OVER: Duration = Duration::from_millis(500);
/// A line of JSON comes so often.
const JSON_EVERY: Duration = Duration::from_secs(1);
/// A URL is shown as slow when it has been under way for so long.
const SLOW: Duration = Duration::from_secs(2);

/// Shows how far a run is.
pub(crate) struct Meter {
    how: How,
    crowd: Crowd,
    voice: Voice,
    begun: Instant,
    due: Instant,
    rate: Rate,
    busy: Busy,
    bar: Option<bar::Bar>,
}

/// A run as it stands, for those who look on.
pub(crate) struct Sight {
    pub(crate) progress: Progress,
    pub(crate) held_back: HeldBack,
    pub(crate) slowest: Vec<Slow>,
}

/// What decides how progress is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watched {
    pub(crate) style: ProgressStyle,
    pub(crate) crowd: Crowd,
    pub(crate) by: Eyes,
}

/// Who looks at standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eyes {
    /// A terminal that shows nothing else.
    Terminal,
    /// A file, or a terminal that shows the bodies too.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Nothing,
    Lines,
    Json,
    Bar { after: Duration },
}

/// Bytes a second, lately.
#[derive(Debug)]
struct Rate {
    at: Instant,
    bytes: u64,
    now: f64,
}

impl Meter {
    /// A meter for a run that began at `begun`.
    pub(crate) fn new(watched: Watched, voice: &Voice, begun: Instant) -> Self {
        let how = how(watched, voice.level());
        let first = match how {
            How::Bar { after } => after,
            How::Json => JSON_EVERY,
            How::Lines | How::Nothing => LINE_EVERY,
        };
        let rate = Rate { at: begun, bytes: 0, now: 0.0 };
        let (crowd, voice, busy) = (watched.crowd, voice.clone(), Busy::since(begun));
        Self { how, crowd, voice, begun, due: begun + first, rate, busy, bar: None }
    }

    /// How often it wants to be told.
    pub(crate) fn period(&self) -> Duration {
        match self.how {
            How::Bar { .. } => Duration::from_millis(100),
            How::Lines | How::Json | How::Nothing => Duration::from_secs(1),
        }
    }

    /// Shows what is due; `look` is called only if something is.
    pub(crate) fn tell(&mut self, now: Instant, look: impl FnOnce() -> Sight) {
        if self.how == How::Nothing || now < self.due {
            return;
        }
        let sight = look();
        self.rate.measure(sight.progress.bytes, now);
        let elapsed = now - self.begun;
        let text = || status(&sight, self.crowd, self.rate.now, elapsed);
        let busy = self.busy.share(now);
        match self.how {
            How::Nothing => {}
            How::Lines => {
                self.due = now + LINE_EVERY;
                let held = holding::told(&sight.held_back, busy).map(|held| format!("; {held}"));
                self.voice.show_progress(&format!("{}{}", text(), held.unwrap_or_default()));
            }
            How::Json => {
                self.due = now + JSON_EVERY;
                self.voice.show_progress(&as_json(&sight, self.rate.now, elapsed, busy));
            }
            How::Bar { .. } => {
                let below = below(&sight, self.crowd, busy);
                let text = text();
                let bar = self.bar.get_or_insert_with(|| bar::Bar::draw(&self.voice, self.crowd));
                bar.tell(&sight.progress, text, &below);
            }
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(&mut self) {
        self.how = How::Nothing;
        if let Some(bar) = self.bar.take() {
            bar.clear();
        }
    }
}

fn how(watched: Watched, level: Level) -> How {
    match (watched.style, watched.by, watched.crowd) {
        _ if level == Level::Nothing => How::Nothing,
        (ProgressStyle::None, ..) => How::Nothing,
        (ProgressStyle::Bar, ..) => How::Bar { after: Duration::ZERO },
        (ProgressStyle::Plain, ..) => How::Lines,
        (ProgressStyle::Json, ..) => How::Json,
        (ProgressStyle::Auto, ..) if level == Level::Errors => How::Nothing,
        (ProgressStyle::Auto, Eyes::Terminal, Crowd::One) => How::Bar { after: PATIENCE },
        (ProgressStyle::Auto, Eyes::Terminal, _) => How::Bar { after: Duration::ZERO },
        (ProgressStyle::Auto, Eyes::Other, Crowd::One) => How::Nothing,
        (ProgressStyle::Auto, Eyes::Other, _) => How::Lines,
    }
}

/// The lines below the bar: what holds the run back, and its slowest URLs.
fn below(sight: &Sight, crowd: Crowd, busy: f64) -> Vec<String> {
    let held = holding::told(&sight.held_back, busy).filter(|_| crowd != Crowd::One);
    let slow = |slow: &Slow| {
        let doing = match slow.phase {
            Phase::Body | Phase::Sink | Phase::Verify => format!("body {}", bytes(slow.bytes)),
            phase => phase.as_str().to_owned(),
        };
        let tries = if slow.attempts > 1 { format!(", attempt {}", slow.attempts) } else { String::new() };
        format!("{:>7}  {doing}{tries}  {}", seconds(slow.since), slow.url)
    };
    let slowest = sight.slowest.iter().filter(|slow| slow.since >= SLOW && crowd != Crowd::One).map(slow);
    held.into_iter().chain(slowest).map(|line| format!("  {line}")).collect()
}

/// How far it is, for programs.
fn as_json(sight: &Sight, rate: f64, elapsed: Duration, busy: f64) -> String {
    let Sight { progress, held_back, .. } = sight;
    json!({
        "type": "progress",
        "inputs": progress.inputs,
        "input_ended": progress.input_ended,
        "settled": progress.settled,
        "failed": progress.failed,
        "retries": progress.retries,
        "hedges": progress.hedges,
        "bytes": progress.bytes,
        "bytes_per_second": rate.round(),
        "elapsed_ms": (elapsed.as_secs_f64() * 1e3).round(),
        "held_back_by": holding::told(held_back, busy),
    })
    .to_string()
}

/// How far it is, in words.
fn status(sight: &Sight, crowd: Crowd, rate: f64, elapsed: Duration) -> String {
    let progress = &sight.progress;
    let mut parts = Vec::new();
    if crowd != Crowd::One {
        let more = if progress.input_ended { "" } else { "+" };
        parts.push(format!("{} of {}{more}", progress.settled, progress.inputs));
    }
    if progress.failed > 0 {
        parts.push(format!("{} failed", progress.failed));
    }
    parts.push(format!("{} at {}/s", bytes(progress.bytes), bytes(rate as u64)));
    for (count, word) in [(progress.retries, "retried"), (progress.hedges, "hedged")] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    match left(progress, elapsed).filter(|_| crowd != Crowd::One && goes_on(&sight.held_back)) {
        Some(left) => parts.push(format!("{} left", seconds(left))),
        None => parts.push(seconds(elapsed)),
    }
    parts.join(", ")
}

/// Whether it can be expected to go on as it went: not while all that is left waits for a host that lets nobody in, for
/// its next attempt, or for the retry budget.
fn goes_on(held: &HeldBack) -> bool {
    !matches!(held, HeldBack::HostGate { .. } | HeldBack::Waiting { .. } | HeldBack::Budget { .. })
}

/// What is left if it goes on like this; known when the input has ended.
fn left(progress: &Progress, elapsed: Duration) -> Option<Duration> {
    if !progress.input_ended || progress.settled == 0 {
        return None;
    }
    let share = progress.inputs.saturating_sub(progress.settled) as f64 / progress.settled as f64;
    Duration::try_from_secs_f64(elapsed.as_secs_f64() * share).ok()
}

impl Rate {
    fn measure(&mut self, bytes: u64, now: Instant) {
        let passed = now - self.at;
        if passed < MEASURED_OVER {
            return;
        }
        let lately = bytes.saturating_sub(self.bytes) as f64 / passed.as_secs_f64();
        self.now = if self.bytes == 0 { lately } else { 0.7 * self.now + 0.3 * lately };
        (self.at, self.bytes) = (now, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(settled: u64, inputs: u64) -> Progress {
        let mut progress = Progress::default();
        (progress.settled, progress.inputs, progress.bytes) = (settled, inputs, 3 << 20);
        progress
    }

    fn sight(progress: Progress) -> Sight {
        Sight { progress, held_back: HeldBack::Nothing, slowest: Vec::new() }
    }

    #[test]
    fn nobody_says_how_long_it_takes_while_nothing_can_go_on() {
        let mut halfway = progress(50, 100);
        halfway.input_ended = true;
        let elapsed = Duration::from_secs(10);
        let said = |held_back| status(&Sight { held_back, ..sight(halfway) }, Crowd::Listed, 0.0, elapsed);
        assert!(said(HeldBack::Nothing).ends_with(", 10.0 s left"));
        let (host, why): (Box<str>, _) = ("http://a".into(), "breaker open for 5 s".into());
        let waiting = HeldBack::Waiting { host: host.clone(), status: None, left: elapsed };
        for held in [HeldBack::HostGate { host, why }, waiting, HeldBack::Budget { waiting: 1 }] {
            assert!(said(held).ends_with(", 10.0 s"));
        }
    }

    #[test]
    fn the_status_has_counts_rate_and_what_is_left() {
        let mut halfway = progress(50, 100);
        let elapsed = Duration::from_secs(10);
        assert_eq!(
            status(&sight(halfway), Crowd::Listed, 1024.0, elapsed),
            "50 of 100+, 3.0 MiB at 1.0 KiB/s, 10.0 s"
        );
        halfway.input_ended = true;
        (halfway.failed, halfway.retries, halfway.hedges) = (3, 11, 2);
        let text = "50 of 100, 3 failed, 3.0 MiB at 1.0 KiB/s, 11 retried, 2 hedged, 10.0 s left";
        assert_eq!(status(&sight(halfway), Crowd::Listed, 1024.0, elapsed), text);
        assert_eq!(status(&sight(progress(0, 1)), Crowd::One, 0.0, elapsed), "3.0 MiB at 0 B/s, 10.0 s");
    }

    #[test]
    fn a_single_url_is_silent_off_a_terminal_and_for_a_second_on_one() {
        let shown = |style, by, crowd, level| how(Watched { style, crowd, by }, level);
        assert_eq!(shown(ProgressStyle::Auto, Eyes::Other, Crowd::One, Level::Normal), How::Nothing);
        let bar = How::Bar { after: PATIENCE };
        assert_eq!(shown(ProgressStyle::Auto, Eyes::Terminal, Crowd::One, Level::Normal), bar);
        assert_eq!(shown(ProgressStyle::Auto, Eyes::Other, Crowd::Listed, Level::Normal), How::Lines);
        assert_eq!(shown(ProgressStyle::Auto, Eyes::Terminal, Crowd::Listed, Level::Errors), How::Nothing);
        assert_eq!(shown(ProgressStyle::Plain, Eyes::Terminal, Crowd::One, Level::Errors), How::Lines);
        assert_eq!(shown(ProgressStyle::Bar, Eyes::Terminal, Crowd::One, Level::Nothing), How::Nothing);
    }
}
