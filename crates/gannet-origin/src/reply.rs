//! Decides what one request gets: from the rules of the origin, the query, the number of the request
//! and a seed. Pure: the same arguments give the same answer, and nothing is written here.

use std::collections::HashMap;
use std::f64::consts::TAU;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fastrand::Rng;
use http::Method;
use percent_encoding::percent_decode_str;

use crate::behave::{
    Afterwards, BadQuery, Behaviour, Cut, CutAt, Drip, Ending, Framing, LogNormal, Redirect, RetryAfter,
    ScriptStep,
};
use crate::body::{self, Body, EVENT_LEN};
use crate::coding::{Coded, Coding};
use crate::entity::Selected;
use crate::fields::Fields;
use crate::limits::{Entry, Limit, Scope};
use crate::raw::{RawReply, Step};

/// The longest wait that is drawn; what is asked for in `delay` may be longer.
const MAX_DRAWN_WAIT: Duration = Duration::from_secs(3600);

/// Events that are sent unless told otherwise.
const DEFAULT_EVENTS: u64 = 10;

/// Seconds from 1970 to the year 10000.
const FIVE_DIGIT_YEARS: u64 = 253_402_300_800;

/// What an origin was told about its paths before it started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rulebook {
    /// Path prefix and one query for each request of a path; the last one stays.
    pub(crate) scripts: Vec<(String, Vec<String>)>,
    /// Exact path and its raw reply.
    pub(crate) raws: Vec<(String, RawReply)>,
    /// What a test gave to be served, by the path with its escapes resolved.
    pub(crate) files: HashMap<Vec<u8>, File>,
    /// Path prefix and the limit that its paths share.
    pub(crate) limits: Vec<(String, Limit)>,
    /// What the draws grow from.
    pub(crate) seed: u64,
}

/// A body that a test gave.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) content_type: Bytes,
    pub(crate) bytes: Bytes,
}

/// A request, as far as the answer depends on it.
pub(crate) struct Question<'a> {
    pub(crate) path_and_query: &'a str,
    pub(crate) method: &'a Method,
    pub(crate) fields: &'a Fields,
    /// What dates are told by.
    pub(crate) now: SystemTime,
    /// The number of the request at this origin.
    pub(crate) seq: u64,
    /// How many requests of the same path came before.
    pub(crate) nth: u64,
    /// How many different paths were asked for so far, this one included.
    pub(crate) paths: u64,
    /// What was sent, as JSON, where the path asks to hear it.
    pub(crate) echo: Option<Bytes>,
}

/// What a request gets.
#[derive(Debug)]
pub(crate) enum Answer {
    Reply(Reply),
    Raw(RawReply),
    Never,
}

/// A reply, decided in full.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(Bytes, Bytes)>,
    pub(crate) body: Body,
    /// Codings that the body goes through as it is sent; then its length is not known before.
    pub(crate) stream_through: Vec<Coding>,
    pub(crate) content: Content,
    /// What Content-Length says, where one is sent.
    pub(crate) declared: Option<u64>,
    pub(crate) framing: Framing,
    pub(crate) delay: Duration,
    pub(crate) body_delay: Duration,
    pub(crate) drip: Option<Drip>,
    pub(crate) cut: Option<Cut>,
    pub(crate) afterwards: Afterwards,
}

/// Whether the body is what the head promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// The head tells the truth, or says less than there is.
    AsPromised,
    /// The head promises more than there is.
    Short,
    /// The method or the status has no body, whatever the head says (RFC 9112, section 6.3).
    Absent,
}

impl Reply {
    /// A reply with this status and this text, and nothing odd about it.
    pub(crate) fn plain(status: u16, text: impl Into<Bytes>) -> Self {
        let body = Body::Given(text.into());
        Self {
            status,
            headers: Vec::new(),
            stream_through: Vec::new(),
            content: Content::AsPromised,
            declared: Some(body.len()),
            body,
            framing: Framing::Length,
            delay: Duration::ZERO,
            body_delay: Duration::ZERO,
            drip: None,
            cut: None,
            afterwards: Afterwards::KeepAlive,
        }
    }

    /// How many bytes of the body are sent, if nothing but a cut within the body stops it.
    pub(crate) fn body_limit(&self) -> u64 {
        match self.cut {
            Some(Cut { at: CutAt::Body(limit), .. }) => limit.min(self.body.len()),
            _ => self.body.len(),
        }
    }
}

impl Rulebook {
    /// Says whether every script can be read.
    pub(crate) fn check(&self) -> Result<(), BadQuery> {
        let mut queries = self.scripts.iter().flat_map(|(_, queries)| queries);
        queries.try_for_each(|query| Behaviour::default().apply_query(query))
    }

    /// Decides what a request gets, once the gates have let it in; `admit` takes it to those that stand
    /// before its path.
    pub(crate) fn answer(
        &self,
        question: &Question<'_>,
        admit: impl FnOnce(Vec<(Scope, Limit)>) -> Entry,
    ) -> (Answer, Entry) {
        let (path, query) = question.path_and_query.split_once('?').unwrap_or((question.path_and_query, ""));
        if let Some((_, raw)) = self.raws.iter().find(|(raw_path, _)| raw_path == path) {
            return (Answer::Raw(raw.clone()), Entry::Free);
        }
        let behaviour = match self.behaviour(path, query, question.nth) {
            Ok(behaviour) => behaviour,
            Err(nonsense) => return (Answer::Reply(Reply::plain(400, nonsense.to_string())), Entry::Free),
        };
        match admit(self.limits_of(path, &behaviour)) {
            Entry::Free => (self.play(behaviour, question), Entry::Free),
            Entry::Refused => (self.play(behaviour.refused(), question), Entry::Refused),
            admitted @ Entry::Admitted(_) => {
                let behaviour = Behaviour { retry_after: None, ..behaviour };
                (self.play(behaviour, question), admitted)
            }
        }
    }

    fn limits_of(&self, path: &str, behaviour: &Behaviour) -> Vec<(Scope, Limit)> {
        let own = Some((Scope::Path(path.to_owned()), behaviour.limit)).filter(|(_, limit)| limit.is_asked());
        let shared = self.limits.iter().filter(|(prefix, _)| path.starts_with(prefix.as_str()));
        own.into_iter().chain(shared.map(|(prefix, limit)| (Scope::Prefix(prefix.clone()), *limit))).collect()
    }

    fn file(&self, path: &str) -> Option<&File> {
        if self.files.is_empty() {
            return None;
        }
        self.files.get(&percent_decode_str(path).collect::<Vec<_>>())
    }

    fn behaviour(&self, path: &str, query: &str, nth: u64) -> Result<Behaviour, BadQuery> {
        let mut behaviour = Behaviour::default();
        if let Some(file) = self.file(path) {
            behaviour.text = Some(file.bytes.clone());
            behaviour.content_type = Some(file.content_type.clone()).filter(|kind| !kind.is_empty());
        }
        for (_, queries) in self.scripts.iter().filter(|(prefix, _)| path.starts_with(prefix.as_str())) {
            if let Some(query) = nth_or_last(queries, nth) {
                behaviour.apply_query(query)?;
            }
        }
        behaviour.apply_query(query)?;
        Ok(behaviour)
    }

    fn play(&self, mut asked: Behaviour, question: &Question<'_>) -> Answer {
        let mut rng = Rng::with_seed(body::word(question.seq, self.seed));
        let drawn_wait = draw_wait(&asked, question.paths, &mut rng);
        match nth_or_last(&asked.script, question.nth) {
            Some(ScriptStep::Status(status)) => asked.answer_with_status(*status),
            Some(ScriptStep::Never) => asked.never = true,
            Some(ScriptStep::Reset) => asked.cut = Some(Cut { at: CutAt::Wire(0), how: Ending::Reset }),
            Some(ScriptStep::Fin) => asked.cut = Some(Cut { at: CutAt::Wire(0), how: Ending::Fin }),
            None => {}
        }
        if question.nth < asked.up_after {
            asked.answer_with_status(503);
        }
        if asked.fail > 0.0 && rng.f64() < asked.fail {
            asked.answer_with_status(*rng.choice(&[500, 503]).expect("the choice is not empty"));
        }
        if asked.never {
            return Answer::Never;
        }
        if let Some(bytes) = asked.raw {
            return Answer::Raw(raw_of_query(bytes, asked.cut, asked.afterwards));
        }
        let mut reply = asked.into_reply(question);
        reply.delay = drawn_wait;
        Answer::Reply(reply)
    }
}

impl Behaviour {
    /// Sets a status that was scripted or drawn; one that tells of a failure has no body.
    fn answer_with_status(&mut self, status: u16) {
        self.status = Some(status);
        if status >= 400 {
            (self.size, self.text, self.redirect) = (None, None, None);
            self.coding.forget_body();
        }
    }

    /// What a request gets that a gate did not let in: nothing but the refusal.
    fn refused(self) -> Self {
        Self { status: Some(429), headers: self.headers, retry_after: self.retry_after, ..Self::default() }
    }

    fn into_reply(mut self, question: &Question<'_>) -> Reply {
        if matches!(self.redirect, Some(Redirect::Hops(1..) | Redirect::Itself)) {
            (self.size, self.text) = (None, None);
            self.coding.forget_body();
        }
        let location = self.location(question.path_and_query);
        let status = self.status.unwrap_or(if location.is_some() { 302 } else { 200 });
        if status == 200 && is_events(question.path_and_query) && !self.asks_for_body() {
            self.become_events();
        }
        let asks_for_body = self.asks_for_body();
        let mut headers = self.headers(question, location);
        let Coded { body, stream_through, headers: of_coding } = self.coded(status, question);
        headers.extend(of_coding);
        let is_streamed = !stream_through.is_empty();
        let Selected { status, headers: of_entity, body: whole } = match is_streamed {
            true => Selected { status, headers: Vec::new(), body },
            false => self.select(status, body, question),
        };
        // A part that is of many parts has a type of its own.
        let retypes = of_entity.iter().any(|(name, _)| name == "content-type");
        headers.retain(|(name, _)| !(retypes && name == "content-type"));
        headers.extend(of_entity);
        if is_streamed && self.framing == Framing::Length {
            self.framing = Framing::Chunked;
        }
        let has_no_body = question.method == Method::HEAD || status == 204 || status == 304 || status < 200;
        let declares = self.framing == Framing::Length
            && (question.method == Method::HEAD || !has_no_body || asks_for_body);
        Reply {
            status,
            headers,
            content: match has_no_body {
                true => Content::Absent,
                false if declares && self.lie > 0 => Content::Short,
                false => Content::AsPromised,
            },
            declared: declares.then(|| whole.len().saturating_add_signed(self.lie)),
            body: if has_no_body { Body::EMPTY } else { whole },
            stream_through: if has_no_body { Vec::new() } else { stream_through },
            framing: self.framing,
            delay: Duration::ZERO,
            body_delay: self.body_delay,
            drip: self.drip,
            cut: self.cut,
            afterwards: self.afterwards,
        }
    }

    fn asks_for_body(&self) -> bool {
        self.size.is_some() || self.text.is_some() || self.coding.body().is_some()
    }

    /// Sends events one by one, each a chunk of its own.
    fn become_events(&mut self) {
        self.events.get_or_insert(DEFAULT_EVENTS);
        self.drip.get_or_insert(Drip { bytes: EVENT_LEN, interval: self.every });
        self.content_type.get_or_insert(Bytes::from_static(b"text/event-stream"));
        if self.framing == Framing::Length {
            self.framing = Framing::Chunked;
        }
    }

    fn headers(&mut self, question: &Question<'_>, location: Option<Bytes>) -> Vec<(Bytes, Bytes)> {
        if question.echo.is_some() && self.content_type.is_none() {
            self.content_type = Some(Bytes::from_static(b"application/json"));
        }
        let mut headers = std::mem::take(&mut self.headers);
        headers.extend(self.content_type.take().map(|kind| (Bytes::from_static(b"content-type"), kind)));
        headers.extend(location.map(|url| (Bytes::from_static(b"location"), url)));
        let retry_after = self.retry_after.take().and_then(|when| when.told(question.now));
        headers.extend(retry_after.map(|when| (Bytes::from_static(b"retry-after"), when)));
        headers
    }

    fn coded(&self, status: u16, question: &Question<'_>) -> Coded {
        let is_events = status == 200 && is_events(question.path_and_query) && !self.asks_for_body();
        let body = match self.events.filter(|_| is_events) {
            Some(count) => Body::Events { count },
            None => self.body(status, question.echo.clone()),
        };
        let body = if self.entity.has_changed(question.nth) { body.changed() } else { body };
        self.coding.code(body, question.fields)
    }

    /// Heeds conditions and ranges, where validators were asked for and the answer is a plain 200.
    fn select(&self, status: u16, body: Body, question: &Question<'_>) -> Selected {
        if status != 200 || !self.entity.is_asked() {
            return Selected { status, headers: Vec::new(), body };
        }
        match *question.method {
            Method::GET => self.entity.select(body, question.fields, question.nth),
            Method::HEAD => {
                let without_range = Fields { range: None, ..question.fields.clone() };
                self.entity.select(body, &without_range, question.nth)
            }
            _ => Selected { status, headers: Vec::new(), body },
        }
    }

    fn body(&self, status: u16, echo: Option<Bytes>) -> Body {
        if let Some(bomb) = self.coding.body() {
            return bomb;
        }
        match (self.size, self.text.clone().or(echo)) {
            (Some(len), _) => Body::Pattern { start: 0, len, seed: self.seed },
            (None, Some(text)) => Body::Given(text),
            (None, None) if status == 200 => Body::Given(Bytes::from_static(b"ok\n")),
            (None, None) => Body::EMPTY,
        }
    }

    fn location(&self, path_and_query: &str) -> Option<Bytes> {
        match self.redirect.as_ref()? {
            Redirect::To(url) => Some(url.clone()),
            Redirect::Itself => Some(Bytes::copy_from_slice(path_and_query.as_bytes())),
            Redirect::Hops(0) => None,
            Redirect::Hops(hops) => {
                let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
                let others: String = query
                    .split('&')
                    .filter(|pair| !pair.is_empty() && !pair.starts_with("hops="))
                    .map(|pair| format!("&{pair}"))
                    .collect();
                Some(Bytes::from(format!("{path}?hops={}{others}", hops - 1)))
            }
        }
    }
}

impl RetryAfter {
    /// Writes it; `None` where the date has no form.
    fn told(self, now: SystemTime) -> Option<Bytes> {
        let seconds = match self {
            Self::Text(text) => return Some(text),
            Self::DateIn(seconds) => seconds,
        };
        let offset = Duration::from_secs(seconds.unsigned_abs());
        let date = if seconds < 0 { now.checked_sub(offset) } else { now.checked_add(offset) };
        // The form of a date begins in 1970 and has four digits for the year.
        date.filter(|date| is_sayable(*date)).map(|date| Bytes::from(httpdate::fmt_http_date(date)))
    }
}

fn is_sayable(date: SystemTime) -> bool {
    let since = date.duration_since(SystemTime::UNIX_EPOCH);
    since.is_ok_and(|since| since.as_secs() < FIVE_DIGIT_YEARS)
}

/// Says whether a path asks for events.
fn is_events(path_and_query: &str) -> bool {
    path_and_query.split('?').next() == Some("/events")
}

fn nth_or_last<T>(entries: &[T], nth: u64) -> Option<&T> {
    let last = entries.len().checked_sub(1)?;
    entries.get(usize::try_from(nth).unwrap_or(last).min(last))
}

fn raw_of_query(bytes: Bytes, cut: Option<Cut>, afterwards: Afterwards) -> RawReply {
    let (at, last) = match cut {
        Some(Cut { at: CutAt::Body(at) | CutAt::Wire(at), how: Ending::Silence }) => (at, Step::KeepOpen),
        Some(Cut { at: CutAt::Body(at) | CutAt::Wire(at), how: Ending::Reset }) => (at, Step::Reset),
        Some(Cut { at: CutAt::Body(at) | CutAt::Wire(at), .. }) => (at, Step::Fin),
        None => (u64::MAX, Step::Fin),
    };
    let len = bytes.len().min(usize::try_from(at).unwrap_or(usize::MAX));
    let whole = RawReply::new().send(bytes.slice(..len));
    if afterwards == Afterwards::CloseOnNext { whole } else { whole.step(last) }
}

/// Draws how long a request waits before its head.
fn draw_wait(asked: &Behaviour, paths: u64, rng: &mut Rng) -> Duration {
    let drawn = asked.latency.map_or(Duration::ZERO, |latency| draw_log_normal(latency, rng));
    let mut wait = asked.delay.saturating_add(drawn);
    if let Some(stragglers) = asked.stragglers.filter(|stragglers| rng.f64() < stragglers.share) {
        wait = times(wait, stragglers.factor);
    }
    match asked.slow {
        Some(slow) if (slow.from..slow.until).contains(&paths) => times(wait, slow.factor),
        _ => wait,
    }
}

fn times(wait: Duration, factor: f64) -> Duration {
    let longer = Duration::try_from_secs_f64(wait.as_secs_f64() * factor);
    longer.map_or(MAX_DRAWN_WAIT, |longer| longer.min(MAX_DRAWN_WAIT))
}

/// Draws by the method of Box and Muller (1958).
fn draw_log_normal(latency: LogNormal, rng: &mut Rng) -> Duration {
    let normal = (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (TAU * rng.f64()).cos();
    let seconds = latency.median.as_secs_f64() * (latency.sigma * normal).exp();
    Duration::try_from_secs_f64(seconds).map_or(MAX_DRAWN_WAIT, |wait| wait.min(MAX_DRAWN_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(path_and_query: &str, nth: u64) -> Question<'_> {
        let fields = Box::leak(Box::default());
        let now = SystemTime::UNIX_EPOCH;
        Question { path_and_query, method: &Method::GET, fields, now, seq: nth, nth, paths: nth, echo: None }
    }

    fn reply(rules: &Rulebook, path_and_query: &str, nth: u64) -> Reply {
        match rules.answer(&question(path_and_query, nth), |_| Entry::Free).0 {
            Answer::Reply(reply) => reply,
            other => panic!("{path_and_query} got {other:?}"),
        }
    }

    fn location(reply: &Reply) -> Option<&Bytes> {
        reply.headers.iter().find(|(name, _)| name == "location").map(|(_, url)| url)
    }

    #[test]
    fn hops_count_down_to_the_body_and_keep_the_rest_of_the_query() {
        let rules = Rulebook::default();
        let first = reply(&rules, "/a?size=9&hops=1", 0);
        assert_eq!((first.status, location(&first).unwrap().as_ref()), (302, &b"/a?hops=0&size=9"[..]));
        assert_eq!(reply(&rules, "/a?hops=0&size=9", 0).body.len(), 9);
    }

    #[test]
    fn a_script_gives_each_request_its_own_and_the_last_one_stays() {
        let rules = Rulebook::default();
        let statuses = [0, 1, 2, 9].map(|nth| reply(&rules, "/a?script=503,500,200", nth).status);
        assert_eq!(statuses, [503, 500, 200, 200]);
    }

    #[test]
    fn a_script_of_a_prefix_holds_for_its_paths_only_and_the_query_goes_above_it() {
        let scripts = vec![("/s".to_owned(), vec!["status=503".to_owned(), "size=5".to_owned()])];
        let rules = Rulebook { scripts, ..Rulebook::default() };
        assert_eq!((reply(&rules, "/s/1", 0).status, reply(&rules, "/s/1", 1).body.len()), (503, 5));
        assert_eq!((reply(&rules, "/t", 0).status, reply(&rules, "/s?status=404", 0).status), (200, 404));
    }

    #[test]
    fn a_third_of_the_requests_fails_when_asked_and_the_draws_repeat() {
        let rules = Rulebook { seed: 4, ..Rulebook::default() };
        let failed = |_| (0..3000).filter(|n| reply(&rules, "/?fail=33%", *n).status >= 500).count();
        assert!((900..1100).contains(&failed(())), "{} of 3000 failed", failed(()));
        assert_eq!(failed(()), failed(()));
    }

    #[test]
    fn drawn_waits_lie_around_the_median_and_stragglers_far_beyond() {
        let rules = Rulebook::default();
        let query = "/?latency=lognormal:5ms,0.3&stragglers=1%x50";
        let mut waits: Vec<_> = (0..2001).map(|n| reply(&rules, query, n).delay).collect();
        waits.sort();
        assert!((Duration::from_micros(4800)..Duration::from_micros(5200)).contains(&waits[1000]));
        assert!(waits[2000] > Duration::from_millis(100) && waits[1900] < Duration::from_millis(15));
    }

    #[test]
    fn an_origin_turns_slow_for_everybody_and_recovers() {
        let rules = Rulebook::default();
        let waits = [4, 5, 9, 10].map(|n| reply(&rules, "/?delay=10ms&slow=5..10x20", n).delay.as_millis());
        assert_eq!(waits, [10, 200, 200, 10]);
    }

    #[test]
    fn statuses_without_a_body_declare_one_only_when_asked() {
        let rules = Rulebook::default();
        let (bare, framed) = (reply(&rules, "/?status=204", 0), reply(&rules, "/?status=304&size=7", 0));
        assert_eq!((bare.declared, framed.declared, framed.body.len()), (None, Some(7), 0));
    }

    #[test]
    fn nonsense_is_answered_with_400() {
        assert_eq!(reply(&Rulebook::default(), "/?size=many", 0).status, 400);
    }
}
