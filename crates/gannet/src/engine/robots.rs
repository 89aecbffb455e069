//! robots.txt (RFC 9309), obeyed on request: what one origin allows, fetched once by the engine itself, and what a
//! reply's X-Robots-Tag forbids. The rules of an origin live with its host, and are forgotten with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http::{HeaderMap, Method};
use smallvec::smallvec;
use texting_robots::Robot;
use tokio::sync::OnceCell;
use url::Url;

use super::attempt::Led;
use super::errand::{Errand, Keep, Limits, Purpose};
use super::fetch::{Prize, drive};
use super::hosts::Host;
use super::plan::{Plan, Redirects, RefusedBody, StatusSet};
use crate::Moment;
use crate::error::{Error, ErrorKind, ErrorReply, Phase, shown};
use crate::permit::Permit;
use crate::policy::fetch::Opening;
use crate::request::Request;

/// What is done about robots.txt and X-Robots-Tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Robots {
    /// Nothing.
    #[default]
    Ignore,
    /// What they forbid is not fetched, or not kept (RFC 9309).
    Obey,
}

/// The name that groups of rules are chosen by (RFC 9309, section 2.2.1).
const TOKEN: &str = "gannet";
/// Where an origin's rules lie.
const PATH: &str = "/robots.txt";
/// What is read of the rules, in bytes; what comes after does not count (RFC 9309, section 2.5, asks for at least this).
const MAX_RULES: usize = 500 << 10;
/// The most rules that end in `$` or hold one: each of them is a compiled pattern in memory.
const MAX_PATTERNS: usize = 1_000;
/// How many redirects are followed to them (RFC 9309, section 2.3.1.2).
const MAX_REDIRECTS: u32 = 5;
/// How long they may take to be had, retries included.
const TIME: Duration = Duration::from_secs(60);
/// How often a body that breaks off is begun anew.
const BODIES: u32 = 3;
/// How long they count (RFC 9309, section 2.4).
const VALID: Duration = Duration::from_secs(24 * 3600);
/// How long it counts that they could not be had.
const MISSED: Duration = Duration::from_secs(60);
/// The longest Crawl-delay; a longer one counts as this.
const MAX_CRAWL_DELAY: Duration = Duration::from_secs(300);
/// What X-Robots-Tag may say, of all robots or of ours, so that a body is not kept.
const FORBIDDING: [&str; 4] = ["noindex", "none", "noai", "noimageai"];
/// Directives of X-Robots-Tag that have a colon themselves; any other word before a colon names a robot.
const WITH_VALUE: [&str; 4] = ["unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"];

/// What one host's robots.txt says, as far as known.
#[derive(Debug, Default)]
pub(crate) struct Slot(Mutex<Option<Arc<OnceCell<Known>>>>);

/// A robots.txt as it was had at a moment.
#[derive(Debug)]
struct Known {
    rules: Rules,
    had_at: Moment,
}

#[derive(Debug)]
enum Rules {
    /// Everything is allowed: there are none.
    None,
    Some(Box<Robot>),
    /// They could not be had, so nothing is allowed (RFC 9309, section 2.3.1.4).
    Missed(Box<str>),
}

impl Slot {
    /// What is known at `now`, or the place where it is to be put. Whoever asks meanwhile waits for that.
    fn current(&self, now: Moment) -> Arc<OnceCell<Known>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = slot.get_or_insert_default();
        if cell.get().is_some_and(|known| known.is_stale(now)) {
            *cell = Arc::default();
        }
        Arc::clone(cell)
    }
}

impl Known {
    fn is_stale(&self, now: Moment) -> bool {
        let valid = if matches!(self.rules, Rules::Missed(_)) { MISSED } else { VALID };
        now.since(self.had_at) >= valid
    }

    fn judge(&self, url: &Url) -> Result<(), Error> {
        let (kind, message) = match &self.rules {
            Rules::None => return Ok(()),
            Rules::Some(robot) if robot.allowed(url.as_str()) => return Ok(()),
            Rules::Some(_) => (ErrorKind::RobotsDisallowed, "robots.txt disallows it (--robots)".into()),
            Rules::Missed(why) => {
                let message = format!("robots.txt could not be had, so nothing is allowed (--robots): {why}");
                (ErrorKind::RobotsUnavailable, message)
            }
        };
        Err(Error::new(kind, Phase::Queue, message).of_url(shown(url)))
    }
}

/// Whether a hop to `url` is allowed. Rules that are not known yet are fetched first, by one for all who wait; a
/// place at the gate is given back for that, or those who wait could hold every place.
///
/// # Cancel safety
/// If it is dropped while it fetches, the next of those who wait fetches.
pub(super) async fn check(
    errand: &Errand,
    host: &Host,
    url: &Url,
    permit: &mut Option<Permit>,
) -> Result<(), Error> {
    if errand.plan.robots == Robots::Ignore || url.path() == PATH {
        return Ok(());
    }
    let known = host.robots.current(errand.core.clock.now());
    if let Some(known) = known.get() {
        return known.judge(url);
    }
    *permit = None;
    Box::pin(known.get_or_init(|| had(errand, host, url))).await.judge(url)
}

/// Fetches the rules of an origin. There is always an answer.
async fn had(errand: &Errand, host: &Host, url: &Url) -> Known {
    let mut rules = Rules::Missed("it took too long".into());
    let fetching = async {
        for _ in 0..BODIES {
            rules = match fetched(errand, url).await {
                Ok(text) => read(&text),
                Err(Missed::Lasting(lasting)) => lasting,
                Err(Missed::Broken(why)) => {
                    rules = Rules::Missed(why);
                    continue;
                }
            };
            return;
        }
    };
    // If the time runs out, what was found out until then counts.
    let _ = tokio::time::timeout(TIME, fetching).await;
    let delay = if let Rules::Some(robot) = &rules { robot.delay } else { None };
    let delay =
        delay.and_then(|delay| Duration::try_from_secs_f32(delay).ok()).filter(|delay| !delay.is_zero());
    if let Some(delay) = delay {
        host.gate.crawl_delay(delay.min(MAX_CRAWL_DELAY));
    }
    Known { rules, had_at: errand.core.clock.now() }
}

/// Why there is no text.
enum Missed {
    /// And what follows from that.
    Lasting(Rules),
    /// The body broke off.
    Broken(Box<str>),
}

/// The text of an origin's rules, by a fetch like any other, of which robots.txt is not asked.
async fn fetched(errand: &Errand, url: &Url) -> Result<Bytes, Missed> {
    let mut target = url.clone();
    target.set_path(PATH);
    target.set_query(None);
    target.set_fragment(None);
    let lasting = |error: Error| Missed::Lasting(follows_from(&error));
    let request = Request::new(target.as_str()).map_err(lasting)?;
    let own = Errand {
        core: Arc::clone(&errand.core),
        lane: Arc::clone(&errand.lane),
        plan: Arc::new(plan(&errand.plan)),
        seq: errand.seq,
        requests: smallvec![request],
        opening: Opening::One,
        keep: Keep::Head,
        purpose: Purpose::Read,
        limits: Limits::default(),
        tallies: None,
        late: None,
        part_log: None,
    };
    match drive(own, None, errand.core.clock.now()).await.end {
        Ok(Prize::Head(led, ..)) => text(*led).await.map_err(|error| Missed::Broken(error.message().into())),
        Ok(Prize::Kept(_)) => unreachable!("only a head was asked for"),
        Err(error) => Err(lasting(error)),
    }
}

/// As the caller's own fetches, but for what is said of replies.
fn plan(callers: &Plan) -> Plan {
    Plan {
        hedge: None,
        queue: None,
        ok_status: StatusSet::default(),
        accept_types: None,
        refused_body: RefusedBody::InError,
        max_body: None,
        redirects: Redirects::Follow(MAX_REDIRECTS),
        robots: Robots::Ignore,
        ..callers.clone()
    }
}

/// What follows from a failure to get them (RFC 9309, section 2.3.1).
fn follows_from(error: &Error) -> Rules {
    let is_absent = error.status().is_some_and(|status| status.is_client_error());
    match error.kind() {
        ErrorKind::Status if is_absent => Rules::None,
        ErrorKind::TooManyRedirects => Rules::None,
        _ => Rules::Missed(error.message().into()),
    }
}

/// The body, up to its limit, there cut at the end of a line.
async fn text(led: Led) -> Result<Bytes, Error> {
    let Led { mut body, first, .. } = led;
    let mut text = BytesMut::from(first.as_deref().unwrap_or_default());
    while text.len() <= MAX_RULES && !body.is_over() {
        match std::future::poll_fn(|cx| body.poll_chunk(cx)).await {
            Some(chunk) => text.extend_from_slice(&chunk?),
            None => break,
        }
    }
    if text.len() > MAX_RULES {
        let end = text[..MAX_RULES].iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        text.truncate(end);
    }
    Ok(text.freeze())
}

fn read(text: &[u8]) -> Rules {
    let patterns = text.split(|byte| *byte == b'\n').filter(|line| line.contains(&b'$')).count();
    if patterns > MAX_PATTERNS {
        return Rules::Missed(format!("it has more than {MAX_PATTERNS} patterns with $").into());
    }
    match Robot::new(TOKEN, text) {
        Ok(robot) => Rules::Some(Box::new(robot)),
        Err(cause) => Rules::Missed(format!("it cannot be read: {cause}").into()),
    }
}

/// Refuses a reply whose body is not to be kept, by its X-Robots-Tag. A reply to HEAD has none.
pub(super) fn tagged(errand: &Errand, head: &Parts) -> Result<(), Error> {
    if errand.plan.robots == Robots::Ignore || errand.requests[0].template.method == Method::HEAD {
        return Ok(());
    }
    let Some(word) = forbidding(&head.headers) else { return Ok(()) };
    let (status, version, headers) = (head.status, head.version, head.headers.clone());
    let reply = ErrorReply { status, version, headers, body: Bytes::new(), kept: None };
    let message = format!("the reply's X-Robots-Tag says {word}: its body is not kept (--robots)");
    Err(Error::new(ErrorKind::RobotsDisallowed, Phase::Wait, message).of_reply(reply))
}

/// The word that forbids, said of all robots or of ours. A name before a colon holds for the words behind it, up to
/// the next name or the end of the field.
fn forbidding(headers: &HeaderMap) -> Option<&'static str> {
    let fields = headers.get_all("x-robots-tag").iter().filter_map(|value| value.to_str().ok());
    fields
        .flat_map(|field| {
            let mut is_meant = true;
            field.split(',').filter_map(move |piece| {
                let mut word = piece.trim();
                if let Some((name, rest)) = word.split_once(':')
                    && !WITH_VALUE.iter().any(|known| name.trim().eq_ignore_ascii_case(known))
                {
                    is_meant = name.trim().eq_ignore_ascii_case(TOKEN) || name.trim() == "*";
                    word = rest.trim();
                }
                FORBIDDING.into_iter().find(|forbids| is_meant && word.eq_ignore_ascii_case(forbids))
            })
        })
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn forbids(fields: &[&'static str]) -> Option<&'static str> {
        let fields = fields.iter().map(|text| HeaderValue::from_static(text));
        forbidding(&fields.map(|value| (http::HeaderName::from_static("x-robots-tag"), value)).collect())
    }

    #[test]
    fn a_tag_forbids_if_it_is_said_of_all_or_of_us() {
        for (fields, word) in [
            (&["noindex"][..], Some("noindex")),
            (&["nofollow, NoAI"], Some("noai")),
            (&["nofollow", "none"], Some("none")),
            (&["Gannet: noimageai"], Some("noimageai")),
            (&["otherbot: noindex, nofollow"], None),
            (&["otherbot: nofollow, gannet: nofollow, noindex"], Some("noindex")),
            (&["*: noindex"], Some("noindex")),
            (&["unavailable_after: 25 Jun 2010 15:00:00 PST, noindex"], Some("noindex")),
            (&["max-snippet: 10"], None),
            (&["noindexing", "", "all"], None),
        ] {
            assert_eq!(forbids(fields), word, "{fields:?}");
        }
    }

    #[test]
    fn rules_are_chosen_by_our_name_and_the_longest_match_holds() {
        let text =
            b"User-agent: *\nDisallow: /\n\nUser-Agent: GANNET\nDisallow: /a\nAllow: /a/b\nCrawl-delay: 2";
        let Rules::Some(robot) = read(text) else { panic!("they can be read") };
        let allowed = |path: &str| robot.allowed(&format!("http://h{path}"));
        assert!(allowed("/") && allowed("/a/b/c") && !allowed("/a") && !allowed("/a?x") && !allowed("/a/c"));
        assert_eq!(robot.delay, Some(2.0));
    }

    #[test]
    fn too_many_patterns_are_as_good_as_no_rules_to_be_had() {
        let lines = |count| [&b"User-agent: *\n"[..], &b"Disallow: /x$\n".repeat(count)].concat();
        assert!(matches!(read(&lines(MAX_PATTERNS)), Rules::Some(_)));
        assert!(matches!(read(&lines(MAX_PATTERNS + 1)), Rules::Missed(_)));
    }

    #[test]
    fn rules_count_for_a_day_and_their_absence_for_a_minute() {
        let had_at = Moment::ZERO + Duration::from_secs(10);
        let stale_after = |rules, length| Known { rules, had_at }.is_stale(had_at + length);
        let second = Duration::from_secs(1);
        assert!(!stale_after(Rules::None, VALID - second) && stale_after(Rules::None, VALID));
        assert!(!stale_after(Rules::Missed("".into()), MISSED - second));
        assert!(stale_after(Rules::Missed("".into()), MISSED));
    }
}
