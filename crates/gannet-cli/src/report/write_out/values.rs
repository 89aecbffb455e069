//! The values of one outcome, as `-w` writes them. What is not known is empty, or 0 where curl has 0.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use gannet::{AttemptRecord, Outcome, WhyStarted};
use http::HeaderName;
use http::header::{CONTENT_TYPE, LOCATION};
use url::Url;

use super::variables::Variable;
use crate::report::heads::Head;
use crate::report::row::{Row, speaker, status, version};
use crate::report::rows::name_of_job;
use crate::report::{Asked, Attempts, curl};
use crate::say::reason;

/// All that is known of one outcome.
pub(super) struct Values<'a> {
    outcome: &'a Outcome,
    asked: &'a Asked,
    attempts: Attempts,
    /// The attempt that speaks for the fetch.
    shown: Option<&'a AttemptRecord>,
    head: Option<Head<'a>>,
}

impl<'a> Values<'a> {
    pub(super) fn of(outcome: &'a Outcome, asked: &'a Asked, attempts: Attempts) -> Self {
        Self { outcome, asked, attempts, shown: speaker(outcome), head: Head::of(outcome) }
    }

    /// The first value of a field; empty if there is none.
    pub(super) fn header(&self, name: &HeaderName) -> &'a [u8] {
        self.head.and_then(|head| head.headers.get(name)).map_or(&[], |value| value.as_bytes())
    }

    /// Adds a value to a text.
    pub(super) fn write(&self, variable: Variable, text: &mut Vec<u8>) {
        match variable {
            Variable::ContentType => text.extend_from_slice(self.header(&CONTENT_TYPE)),
            Variable::Json => {
                let slip = self.asked.slips.of(self.outcome.seq());
                let row = Row::of(self.outcome, name_of_job(), self.attempts, slip.as_deref());
                serde_json::to_writer(text, &row).expect("rows are plain data with text keys");
            }
            Variable::HeaderJson => {
                serde_json::to_writer(text, &self.headers()).expect("it is plain data with text keys");
            }
            other => {
                let value = self.time(other).map(seconds).or_else(|| self.count(other));
                let value = value.unwrap_or_else(|| self.word(other));
                text.write_all(value.as_bytes()).expect("a vector takes all");
            }
        }
    }

    fn headers(&self) -> BTreeMap<&'a str, Vec<String>> {
        let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, value) in self.head.into_iter().flat_map(|head| head.headers) {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            all.entry(name.as_str()).or_default().push(value);
        }
        all
    }

    /// When something was done, from the first attempt's start; 0 for what was not.
    fn time(&self, variable: Variable) -> Option<Duration> {
        let timings = self.shown.map(|attempt| attempt.timings).unwrap_or_default();
        let start = self.shown.map_or(Duration::ZERO, |attempt| attempt.began + timings.queue);
        let answered = self.shown.is_some_and(|attempt| attempt.status.is_some());
        let sent = answered || timings.wait > Duration::ZERO;
        let shaken = sent || timings.tls > Duration::ZERO;
        let connected = shaken || timings.connect > Duration::ZERO;
        let (looked_up, joined) = (start + timings.dns, start + timings.dns + timings.connect);
        let ready = joined + timings.tls;
        let when = |done: bool, at: Duration| if done { at } else { Duration::ZERO };
        Some(match variable {
            Variable::TimeNameLookup => when(connected, looked_up),
            Variable::TimeConnect => when(shaken, joined),
            Variable::TimeAppConnect => when(sent && timings.tls > Duration::ZERO, ready),
            Variable::TimePreTransfer => when(sent, ready),
            Variable::TimeStartTransfer => when(answered, ready + timings.wait),
            Variable::TimeTotal => self.outcome.total(),
            Variable::TimeQueue => self.outcome.queued(),
            Variable::TimeRedirect => Duration::ZERO,
            _ => return None,
        })
    }

    /// A number.
    fn count(&self, variable: Variable) -> Option<String> {
        let attempts = self.outcome.attempts();
        let how_many =
            |is_so: &dyn Fn(&AttemptRecord) -> bool| attempts.iter().filter(|one| is_so(one)).count();
        let number = match variable {
            Variable::Attempts => (self.outcome.attempts_not_kept() + attempts.len()) as u64,
            Variable::Connects => how_many(&|one| !one.timings.connect.is_zero()) as u64,
            Variable::Retries => {
                how_many(&|one| matches!(one.why_started, WhyStarted::Retry | WhyStarted::Redo)) as u64
            }
            Variable::Redirects => self.shown.map_or(0, |attempt| attempt.hops.len() as u64),
            Variable::Seq => self.outcome.seq(),
            Variable::SizeDownload => self.downloaded(),
            Variable::SizeHeader => self.head.map_or(0, |head| head.text().len() as u64),
            Variable::SpeedDownload => self.speed(),
            Variable::RemotePort => {
                self.shown.and_then(|attempt| attempt.address).map_or(0, |address| address.port().into())
            }
            Variable::ExitCode => {
                self.outcome.error().map_or(0, |error| curl::exit_code(error.kind()).into())
            }
            _ => return None,
        };
        Some(number.to_string())
    }

    fn downloaded(&self) -> u64 {
        self.shown.map_or(0, |attempt| attempt.bytes)
    }

    fn speed(&self) -> u64 {
        let seconds = self.outcome.total().as_secs_f64();
        if seconds > 0.0 { (self.downloaded() as f64 / seconds) as u64 } else { 0 }
    }

    /// A word; empty if it is not known.
    fn word(&self, variable: Variable) -> String {
        let error = self.outcome.error();
        match variable {
            Variable::HttpCode => {
                let status = status(self.outcome).map_or(0, |status| status.as_u16());
                format!("{status:03}")
            }
            Variable::HttpVersion => self.head.map_or("0", |head| version(head.version)).to_owned(),
            Variable::ConnId => {
                let connection = self.shown.and_then(|attempt| attempt.connection);
                connection.map_or_else(String::new, |connection| connection.id.to_string())
            }
            Variable::Error => error.map_or("", |error| error.kind().code()).to_owned(),
            Variable::ErrorMessage => error.map_or_else(String::new, |error| reason(error).into_owned()),
            Variable::Filename => {
                self.outcome.path().map_or_else(String::new, |path| path.to_string_lossy().into_owned())
            }
            Variable::Hedged => {
                let attempts = self.outcome.attempts();
                attempts.iter().any(|one| one.why_started == WhyStarted::Hedge).to_string()
            }
            Variable::Line => self.outcome.line().map_or_else(String::new, |line| line.to_string()),
            Variable::Method => self.asked.method.to_string(),
            Variable::Outcome => self.outcome.ending().as_str().to_owned(),
            Variable::RedirectUrl => self.redirect_url(),
            Variable::Referer => self.asked.referer.clone().unwrap_or_default(),
            Variable::RemoteIp => {
                let address = self.shown.and_then(|attempt| attempt.address);
                address.map_or_else(String::new, |address| address.ip().to_string())
            }
            Variable::Scheme => {
                self.last_url().split_once(':').map_or_else(String::new, |(scheme, _)| scheme.to_owned())
            }
            Variable::Url => self.outcome.url().to_owned(),
            Variable::UrlEffective => self.last_url().to_owned(),
            _ => unreachable!("times, numbers and texts were written before"),
        }
    }

    fn last_url(&self) -> &'a str {
        let hop = self.shown.and_then(|attempt| attempt.hops.last());
        let answered = self.outcome.reply().map(|reply| &*reply.url);
        answered.or(hop.map(|hop| &**hop)).unwrap_or(self.outcome.url())
    }

    /// Where a redirect leads that was not followed.
    fn redirect_url(&self) -> String {
        let is_redirect = self.head.is_some_and(|head| head.status.is_redirection());
        let place =
            std::str::from_utf8(self.header(&LOCATION)).ok().filter(|place| is_redirect && !place.is_empty());
        let base = Url::parse(self.last_url()).ok();
        let target = place.and_then(|place| base?.join(place).ok());
        target.map_or_else(String::new, |target| target.to_string())
    }
}

/// Seconds with six digits behind the point.
fn seconds(length: Duration) -> String {
    format!("{}.{:06}", length.as_secs(), length.subsec_micros())
}
