//! Reads a query into a [`Behaviour`]: what the client asks the origin to do to it.
//! Pure: no clock, no randomness, no socket. Keys that nobody knows are left alone, for a test may
//! send any query; a known key with a value that makes no sense is an error.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::percent_decode_str;

use crate::coding::CodingAsked;
use crate::entity::EntityAsked;
use crate::limits::Limit;

/// What the client asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Behaviour {
    pub(crate) status: Option<u16>,
    pub(crate) size: Option<u64>,
    pub(crate) seed: u64,
    pub(crate) text: Option<Bytes>,
    pub(crate) content_type: Option<Bytes>,
    pub(crate) headers: Vec<(Bytes, Bytes)>,
    pub(crate) delay: Duration,
    pub(crate) body_delay: Duration,
    pub(crate) latency: Option<LogNormal>,
    pub(crate) stragglers: Option<Stragglers>,
    pub(crate) slow: Option<Slow>,
    pub(crate) drip: Option<Drip>,
    pub(crate) never: bool,
    pub(crate) cut: Option<Cut>,
    pub(crate) lie: i64,
    pub(crate) framing: Framing,
    pub(crate) afterwards: Afterwards,
    pub(crate) redirect: Option<Redirect>,
    pub(crate) fail: f64,
    pub(crate) script: Vec<ScriptStep>,
    pub(crate) raw: Option<Bytes>,
    pub(crate) coding: CodingAsked,
    pub(crate) entity: EntityAsked,
    pub(crate) limit: Limit,
    pub(crate) retry_after: Option<RetryAfter>,
    /// So many requests of a path come before it is up.
    pub(crate) up_after: u64,
    pub(crate) events: Option<u64>,
    pub(crate) every: Duration,
}

/// What Retry-After says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RetryAfter {
    Text(Bytes),
    /// A date so many seconds from now, or back.
    DateIn(i64),
}

/// A wait whose logarithm is normal: most are near the median, some are far beyond.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LogNormal {
    pub(crate) median: Duration,
    pub(crate) sigma: f64,
}

/// A share of the requests that waits longer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stragglers {
    pub(crate) share: f64,
    pub(crate) factor: f64,
}

/// When all requests wait longer: by how many different paths were asked for, so that extras do not move it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Slow {
    pub(crate) from: u64,
    /// From so many on they wait no longer.
    pub(crate) until: u64,
    pub(crate) factor: f64,
}

/// A body that comes in small pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drip {
    pub(crate) bytes: u64,
    pub(crate) interval: Duration,
}

/// Where a reply is cut, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) at: CutAt,
    pub(crate) how: Ending,
}

/// The place of a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutAt {
    /// After that many bytes of the body, whatever frames it.
    Body(u64),
    /// After that many bytes of the reply, head and framing included.
    Wire(u64),
}

/// How a reply that is cut ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing more comes until the client goes.
    Silence,
    /// The connection is closed in good order, under TLS with close_notify.
    Close,
    /// The TCP connection is half-closed below whatever lies above.
    Fin,
    /// The TCP connection, or the stream, is reset.
    Reset,
}

/// How the end of the body is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By Content-Length.
    #[default]
    Length,
    /// By the chunked coding.
    Chunked,
    /// By the end of the connection.
    ByClose,
}

/// What becomes of the connection after a whole reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Afterwards {
    #[default]
    KeepAlive,
    Close,
    CloseOnNext,
}

/// Where a redirect leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Redirect {
    To(Bytes),
    Hops(u32),
    Itself,
}

/// What one request of a scripted path gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScriptStep {
    Status(u16),
    Never,
    Reset,
    Fin,
}

/// A known key with a value that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadQuery {
    key: String,
    value: String,
}

impl fmt::Display for BadQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the query key {:?} has the value {:?}, which makes no sense", self.key, self.value)
    }
}

impl Behaviour {
    /// Takes in a query (what follows the `?`); of two settings for one thing, the later holds.
    pub(crate) fn apply_query(&mut self, query: &str) -> Result<(), BadQuery> {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded: Cow<'_, [u8]> = percent_decode_str(value).into();
            self.apply(key, &decoded)
                .ok_or_else(|| BadQuery { key: key.to_owned(), value: value.to_owned() })?;
        }
        Ok(())
    }

    /// Takes in one key; `None` means that the value makes no sense.
    fn apply(&mut self, key: &str, bytes: &[u8]) -> Option<()> {
        let text = || std::str::from_utf8(bytes).ok();
        match key {
            "status" => self.status = Some(status(text()?)?),
            "size" => self.size = Some(size(text()?)?),
            "seed" => self.seed = text()?.parse().ok()?,
            "text" => self.text = Some(Bytes::copy_from_slice(bytes)),
            "type" => self.content_type = Some(Bytes::copy_from_slice(bytes)),
            "header" => self.headers.push(header(bytes)?),
            "delay" => self.delay = duration(text()?)?,
            "body-delay" => self.body_delay = duration(text()?)?,
            "latency" => self.latency = Some(log_normal(text()?)?),
            "stragglers" => self.stragglers = Some(stragglers(text()?)?),
            "drip" => self.drip = Some(drip(text()?)?),
            "never" => self.never = true,
            "stall" => self.cut = Some(Cut { at: CutAt::Body(size(text()?)?), how: Ending::Silence }),
            "stall-at" => self.cut = Some(Cut { at: CutAt::Wire(size(text()?)?), how: Ending::Silence }),
            "truncate" => self.cut = Some(Cut { at: CutAt::Body(size(text()?)?), how: Ending::Close }),
            "fin" => self.cut = Some(Cut { at: CutAt::Wire(size(text()?)?), how: Ending::Fin }),
            "reset" => self.cut = Some(Cut { at: CutAt::Wire(size(text()?)?), how: Ending::Reset }),
            "lie" => self.lie = text()?.trim_start_matches([' ', '+']).parse().ok()?,
            "chunked" => self.framing = Framing::Chunked,
            "no-length" => self.framing = Framing::ByClose,
            "close" => self.afterwards = Afterwards::Close,
            "then-close" => self.afterwards = Afterwards::CloseOnNext,
            "redirect" => self.redirect = Some(Redirect::To(Bytes::copy_from_slice(bytes))),
            "hops" => self.redirect = Some(Redirect::Hops(text()?.parse().ok()?)),
            "loop" => self.redirect = Some(Redirect::Itself),
            "fail" => self.fail = share(text()?)?,
            "script" | "then" => self.script = text()?.split(',').map(script_step).collect::<Option<_>>()?,
            "raw" => self.raw = Some(Bytes::copy_from_slice(bytes)),
            _ => self.apply_further(key, bytes)?,
        }
        Some(())
    }

    fn apply_further(&mut self, key: &str, bytes: &[u8]) -> Option<()> {
        let text = || std::str::from_utf8(bytes).ok();
        match key {
            "retry-after" => self.retry_after = Some(retry_after(bytes)?),
            "up-after" => self.up_after = text()?.parse().ok()?,
            "count" => self.events = Some(text()?.parse().ok()?),
            "every" => self.every = duration(text()?)?,
            "slow" => self.slow = Some(slow(text()?)?),
            "set-cookie" => {
                self.headers.push((Bytes::from_static(b"set-cookie"), Bytes::copy_from_slice(bytes)));
            }
            _ => {
                self.coding.apply(key, bytes)?;
                self.entity.apply(key, bytes)?;
                self.limit.apply(key, bytes)?;
            }
        }
        Some(())
    }
}

fn status(text: &str) -> Option<u16> {
    text.parse().ok().filter(|status| (100..=999).contains(status))
}

/// Reads a number of bytes.
pub(crate) fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        "t" | "T" => 1 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// Reads a wait.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds_per_unit = match &text[digits.len()..] {
        "us" => 1e-6,
        "" | "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(digits.parse::<f64>().ok()? * seconds_per_unit).ok()
}

fn retry_after(bytes: &[u8]) -> Option<RetryAfter> {
    match std::str::from_utf8(bytes).ok().and_then(|text| text.strip_prefix("date")) {
        Some(offset) if offset.starts_with(['+', '-']) => {
            // Beyond some 30,000 years a date has no form.
            let seconds = offset.parse().ok().filter(|seconds: &i64| seconds.unsigned_abs() < 1 << 40)?;
            Some(RetryAfter::DateIn(seconds))
        }
        _ => Some(RetryAfter::Text(Bytes::copy_from_slice(bytes))),
    }
}

fn header(bytes: &[u8]) -> Option<(Bytes, Bytes)> {
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let value = bytes[colon + 1..].trim_ascii_start();
    Some((Bytes::copy_from_slice(&bytes[..colon]), Bytes::copy_from_slice(value)))
}

fn log_normal(text: &str) -> Option<LogNormal> {
    let (median, sigma) = text.strip_prefix("lognormal:")?.split_once(',')?;
    let sigma = sigma.parse().ok().filter(|sigma: &f64| (0.0..=10.0).contains(sigma))?;
    Some(LogNormal { median: duration(median)?, sigma })
}

fn stragglers(text: &str) -> Option<Stragglers> {
    let (part, times) = text.split_once('x')?;
    Some(Stragglers { share: share(part)?, factor: factor(times)? })
}

fn slow(text: &str) -> Option<Slow> {
    let (range, times) = text.split_once('x')?;
    let (from, until) = range.split_once("..")?;
    let until = if until.is_empty() { u64::MAX } else { until.parse().ok()? };
    let from = from.parse().ok().filter(|from| *from < until)?;
    Some(Slow { from, until, factor: factor(times)? })
}

fn factor(text: &str) -> Option<f64> {
    text.parse().ok().filter(|factor| (0.0..=1e6).contains(factor))
}

fn share(text: &str) -> Option<f64> {
    let percent: f64 = text.strip_suffix('%')?.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

fn drip(text: &str) -> Option<Drip> {
    let (bytes, interval) = text.split_once('/')?;
    Some(Drip { bytes: size(bytes).filter(|bytes| *bytes > 0)?, interval: duration(interval)? })
}

fn script_step(text: &str) -> Option<ScriptStep> {
    match text {
        "never" => Some(ScriptStep::Never),
        "reset" => Some(ScriptStep::Reset),
        "fin" => Some(ScriptStep::Fin),
        number => status(number).map(ScriptStep::Status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::QUERY_KEYS;

    fn parsed(query: &str) -> Behaviour {
        let mut behaviour = Behaviour::default();
        behaviour.apply_query(query).unwrap();
        behaviour
    }

    fn is_refused(query: &str) -> bool {
        Behaviour::default().apply_query(query).is_err()
    }

    #[test]
    fn an_empty_query_asks_for_nothing() {
        assert_eq!(parsed(""), Behaviour::default());
    }

    #[test]
    fn keys_combine_and_unknown_ones_are_left_alone() {
        let asked = parsed("size=4k&delay=200ms&body-delay=2s&token=abc&status=503&chunked");
        assert_eq!((asked.size, asked.status, asked.framing), (Some(4096), Some(503), Framing::Chunked));
        assert_eq!((asked.delay, asked.body_delay), (Duration::from_millis(200), Duration::from_secs(2)));
    }

    #[test]
    fn a_bare_number_is_milliseconds() {
        assert_eq!(parsed("delay=15").delay, Duration::from_millis(15));
    }

    #[test]
    fn values_are_percent_decoded() {
        assert_eq!(parsed("text=a%20b%26").text.unwrap(), "a b&");
        assert_eq!(parsed("header=X-A:%20b").headers, [("X-A".into(), "b".into())]);
    }

    #[test]
    fn the_later_of_two_cuts_holds() {
        let cut = Cut { at: CutAt::Wire(9), how: Ending::Reset };
        assert_eq!(parsed("stall=5&reset=9").cut, Some(cut));
    }

    #[test]
    fn compound_values_are_read_whole() {
        let asked = parsed("latency=lognormal:5ms,0.3&stragglers=1%x50&drip=1/100ms&lie=-10&fail=30%");
        assert_eq!(asked.latency, Some(LogNormal { median: Duration::from_millis(5), sigma: 0.3 }));
        assert_eq!(asked.stragglers, Some(Stragglers { share: 0.01, factor: 50.0 }));
        assert_eq!(asked.drip, Some(Drip { bytes: 1, interval: Duration::from_millis(100) }));
        assert_eq!((asked.lie, asked.fail, parsed("lie=+10").lie), (-10, 0.3, 10));
    }

    #[test]
    fn a_known_key_with_nonsense_is_refused() {
        for query in [
            "status=99",
            "size=x",
            "delay=1h",
            "drip=0/1s",
            "fail=101%",
            "script=2x",
            "header=a",
            "coding=lzw",
            "range=x",
            "slow=9..9x2",
            "workers=0",
        ] {
            assert!(is_refused(query), "{query} was taken");
        }
    }

    #[test]
    fn every_documented_key_is_known() {
        for (key, example, _) in QUERY_KEYS {
            let example = if *example == "N" { "1" } else { example };
            assert!(
                parsed(&format!("{key}={example}")) != Behaviour::default() || *key == "seed",
                "{key} does nothing"
            );
        }
    }
}
