//! Attempts as the JSON of a journal's row, and back. Times are in whole microseconds; what is absent or zero is left
//! out. What cannot be read is left out too: the row's checksum says whether it is what was written. The attempts of
//! earlier runs come first, each marked with the run that it belongs to.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;
use serde_json::{Map, Value};

use super::json::Json;
use super::{EarlierRun, micros};
use crate::error::{Error, ErrorKind, Phase};
use crate::outcome::{AttemptRecord, ConnectionUsed, Timings, Waited, WaitedFor, WhyStarted, WhyStopped};

/// As many attempts of earlier runs are kept of a line, the latest.
const EARLIER: usize = 64;
/// The longest text of a row's attempts, in bytes, unless the last one alone is longer: many rows are in memory at once.
/// The oldest attempts are left out of what is longer.
const LONGEST: usize = 64 << 10;
/// As many bytes are kept of a URL or a message; what is cut ends with an ellipsis.
const WORDS: usize = 2 << 10;
/// As many bytes are kept of all the hops of an attempt; each has its share.
const HOPS: usize = 16 << 10;
/// As many hops are kept, the first ones; an ellipsis stands for the others.
const MOST_HOPS: usize = 1024;
/// Room for the number of those that are not kept, in bytes.
const NOTE: usize = 40;
/// On an attempt of an earlier run: when that began, in milliseconds since 1970.
const RUN: &str = "run";
/// On the first one that is kept, of an earlier run or of the last: how many came before it.
const NOT_KEPT: &str = "not_kept";

/// What there is to be known of a row's attempts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tries {
    /// Of the run that settled it, all that are kept.
    pub(super) own: Vec<AttemptRecord>,
    pub(super) earlier: Vec<EarlierRun>,
    /// Attempts before these.
    pub(super) not_kept: u64,
}

/// Makes `text` a JSON array, with one object for each attempt; gives how many of the first are left out.
pub(super) fn write(text: &mut String, attempts: &[AttemptRecord]) -> usize {
    write_all(text, attempts);
    if text.len() <= LONGEST {
        return 0;
    }
    let (mut one, mut room) = (String::new(), LONGEST - NOTE);
    let fits = |attempt: &&AttemptRecord| {
        one.clear();
        write_one(&mut one, attempt);
        take(&mut room, one.len() + 1)
    };
    let kept = attempts.iter().rev().take_while(fits).count();
    let left_out = attempts.len() - kept.max(1);
    if left_out > 0 {
        write_all(text, &attempts[left_out..]);
        text.insert_str("[{".len(), &format!(r#""{NOT_KEPT}":{left_out},"#));
    }
    left_out
}

/// Takes so much of the room, if there is as much.
fn take(room: &mut usize, length: usize) -> bool {
    let left = room.checked_sub(length);
    *room = left.unwrap_or(*room);
    left.is_some()
}

fn write_all(text: &mut String, attempts: &[AttemptRecord]) {
    text.clear();
    text.push('[');
    for (place, attempt) in attempts.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        write_one(text, attempt);
    }
    text.push(']');
}

fn write_one(text: &mut String, attempt: &AttemptRecord) {
    let Timings { queue, dns, connect, tls, wait, body } = attempt.timings;
    text.push_str(r#"{"why_started":""#);
    text.push_str(attempt.why_started.as_str());
    text.push_str(r#"","why_stopped":""#);
    text.push_str(attempt.why_stopped.as_str());
    for (place, length) in [queue, dns, connect, tls, wait, body].into_iter().enumerate() {
        number(text, if place == 0 { r#"","us":["# } else { "," }, micros(length));
    }
    text.push(']');
    if attempt.mirror > 0 {
        number(text, r#","mirror":"#, attempt.mirror as u64);
    }
    if let Some(url) = &attempt.mirror_url {
        text.push_str(r#","url":"#);
        quote(text, url, WORDS);
    }
    if let Some(error) = attempt.why_stopped.error() {
        word(text, r#","code":""#, error.kind().code());
        word(text, r#","phase":""#, error.phase().as_str());
        text.push_str(r#","message":"#);
        quote(text, error.message(), WORDS);
    }
    if !attempt.began.is_zero() {
        number(text, r#","began_us":"#, micros(attempt.began));
    }
    if let Some(waited) = attempt.waited {
        word(text, r#","waited_for":""#, waited.what.as_str());
        number(text, r#","waited_us":"#, micros(waited.length));
    }
    if let Some(queued_for) = attempt.queued_for {
        word(text, r#","queued_for":""#, queued_for.as_str());
    }
    if let Some(status) = attempt.status {
        number(text, r#","status":"#, status.as_u16().into());
    }
    if attempt.bytes > 0 {
        number(text, r#","bytes":"#, attempt.bytes);
    }
    if let Some(address) = attempt.address {
        endpoint(text, r#","address":""#, address);
    }
    if let Some(used) = attempt.connection {
        number(text, r#","conn":"#, used.id);
        text.push_str(if used.reused { r#","reused":true"# } else { r#","reused":false"# });
    }
    write_hops(text, &attempt.hops);
    text.push('}');
}

fn write_hops(text: &mut String, hops: &[Box<str>]) {
    if hops.is_empty() {
        return;
    }
    let share = (HOPS / hops.len().min(MOST_HOPS)).min(WORDS);
    let rest = (hops.len() > MOST_HOPS).then_some(ELLIPSIS);
    for (place, hop) in hops.iter().take(MOST_HOPS).map(|hop| &**hop).chain(rest).enumerate() {
        text.push_str(if place == 0 { r#","hops":["# } else { "," });
        quote(text, hop, share);
    }
    text.push(']');
}

/// A number behind its name.
#[inline]
fn number(text: &mut String, name: &str, value: u64) {
    text.push_str(name);
    match u8::try_from(value) {
        // Most are.
        Ok(digit @ 0..=9) => text.push(char::from(b'0' + digit)),
        _ => text.push_str(itoa::Buffer::new().format(value)),
    }
}

/// An address and its port behind its name and its first quotation mark, as they are displayed.
fn endpoint(text: &mut String, name: &str, address: SocketAddr) {
    text.push_str(name);
    match address {
        // A formatter takes as long as all the rest.
        SocketAddr::V4(address) => {
            for (place, octet) in address.ip().octets().into_iter().enumerate() {
                number(text, if place == 0 { "" } else { "." }, octet.into());
            }
            number(text, ":", address.port().into());
        }
        SocketAddr::V6(_) => {
            write!(text, "{address}").expect("a string takes all that is written to it");
        }
    }
    text.push('"');
}

/// A word that needs no escapes behind its name and its first quotation mark.
fn word(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push_str(value);
    text.push('"');
}

/// What stands for the end of a text that is cut.
const ELLIPSIS: &str = "\u{2026}";

/// As much of it as is allowed, in quotation marks.
fn quote(text: &mut String, given: &str, most: usize) {
    if given.len() > most {
        let mut end = most - ELLIPSIS.len();
        while !given.is_char_boundary(end) {
            end -= 1;
        }
        return quote(text, &format!("{}{ELLIPSIS}", &given[..end]), most);
    }
    let is_plain = |byte: u8| byte != b'"' && byte != b'\\' && byte >= b' ';
    if given.bytes().all(is_plain) {
        text.push('"');
        text.push_str(given);
        text.push('"');
    } else {
        text.push_str(&Value::from(given).to_string());
    }
}

/// The attempts of a row that is opened again, marked as those of the run that began at `began` if they bear no mark
/// yet, and those of the run that settles it now. The text of both is that of rows.
pub(super) fn join(before: &str, began: u64, own: Option<&str>) -> Option<String> {
    let mut all: Vec<Map<String, Value>> = serde_json::from_str(before).unwrap_or_default();
    let number = |attempt: &Map<String, Value>, name: &str| attempt.get(name).and_then(Value::as_u64);
    // Two runs can begin in one millisecond.
    let last = all.iter().rev().find_map(|attempt| number(attempt, RUN));
    let began = began.saturating_add(u64::from(last == Some(began)));
    for attempt in &mut all {
        attempt.entry(RUN).or_insert_with(|| began.into());
    }
    if all.is_empty() {
        return own.map(str::to_owned);
    }
    let mut room = LONGEST.saturating_sub(NOTE + own.map_or(0, str::len));
    let fits = |attempt: &&Map<String, Value>| {
        take(&mut room, serde_json::to_string(attempt).map_or(0, |text| text.len() + 1))
    };
    let kept = all.iter().rev().take(EARLIER).take_while(fits).count();
    let over = all.len() - kept.max(usize::from(own.is_none()));
    if over > 0 {
        let before = number(&all[0], NOT_KEPT).unwrap_or_default().saturating_add(over as u64);
        all.drain(..over);
        if all.is_empty() {
            return own.map(|own| noted(own, before));
        }
        all[0].insert(NOT_KEPT.to_owned(), before.into());
    }
    let mut text = Value::from(all).to_string();
    if let Some(own) = own.and_then(|own| own.strip_prefix('[')) {
        text.pop();
        text.push(',');
        text.push_str(own);
    }
    Some(text)
}

/// The attempts of a run, with so many more before them that are not kept.
fn noted(own: &str, before: u64) -> String {
    let mut all: Vec<Map<String, Value>> = serde_json::from_str(own).unwrap_or_default();
    let Some(first) = all.first_mut() else { return own.to_owned() };
    let own = first.get(NOT_KEPT).and_then(Value::as_u64).unwrap_or_default();
    first.insert(NOT_KEPT.to_owned(), before.saturating_add(own).into());
    Value::from(all).to_string()
}

/// What [`write()`] and [`join()`] wrote.
pub(super) fn read(text: &str) -> Tries {
    let all = Json::read(text);
    let mut tries = Tries::default();
    for value in all.as_ref().and_then(Json::as_array).into_iter().flatten() {
        let number = |name: &str| value.get(name).and_then(Json::as_u64);
        tries.not_kept = tries.not_kept.saturating_add(number(NOT_KEPT).unwrap_or_default());
        let Some(attempt) = read_one(value) else { continue };
        let Some(run) = number(RUN) else {
            tries.own.push(attempt);
            continue;
        };
        let began = UNIX_EPOCH.checked_add(Duration::from_millis(run)).unwrap_or(UNIX_EPOCH);
        match tries.earlier.last_mut() {
            Some(last) if last.began == began => last.attempts.push(attempt),
            _ => tries.earlier.push(EarlierRun { began, attempts: vec![attempt] }),
        }
    }
    tries
}

fn read_one(value: &Json<'_>) -> Option<AttemptRecord> {
    let text = |name: &str| value.get(name).and_then(Json::as_str);
    let number = |name: &str| value.get(name).and_then(Json::as_u64);
    let micros = |name: &str| number(name).map(Duration::from_micros);
    let phases = value.get("us")?.as_array()?;
    let phase =
        |place: usize| Duration::from_micros(phases.get(place).and_then(Json::as_u64).unwrap_or_default());
    let connection =
        |id| ConnectionUsed { id, reused: value.get("reused").and_then(Json::as_bool).unwrap_or_default() };
    let hops = value.get("hops").and_then(Json::as_array).into_iter().flatten();
    Some(AttemptRecord {
        mirror: usize::try_from(number("mirror").unwrap_or_default()).ok()?,
        mirror_url: text("url").map(Box::from),
        why_started: why_started(text("why_started")?)?,
        why_stopped: why_stopped(text("why_stopped")?, &text)?,
        began: micros("began_us").unwrap_or_default(),
        waited: text("waited_for")
            .and_then(waited_for)
            .map(|what| Waited { what, length: micros("waited_us").unwrap_or_default() }),
        queued_for: text("queued_for").and_then(waited_for),
        timings: Timings {
            queue: phase(0),
            dns: phase(1),
            connect: phase(2),
            tls: phase(3),
            wait: phase(4),
            body: phase(5),
        },
        hops: hops.filter_map(Json::as_str).map(Box::from).collect(),
        status: number("status")
            .and_then(|code| u16::try_from(code).ok())
            .and_then(|code| StatusCode::from_u16(code).ok()),
        bytes: number("bytes").unwrap_or_default(),
        address: text("address").and_then(|address| address.parse().ok()),
        connection: number("conn").map(connection),
    })
}

fn why_started(name: &str) -> Option<WhyStarted> {
    use WhyStarted::{First, Hedge, Redo, Retry};
    [First, Retry, Redo, Hedge].into_iter().find(|why| why.as_str() == name)
}

fn why_stopped<'a>(name: &str, text: &impl Fn(&str) -> Option<&'a str>) -> Option<WhyStopped> {
    use WhyStopped::{Cancelled, Deadline, Superseded, Won};
    if name == "failed" {
        let kind = ErrorKind::of_code(text("code")?)?;
        let phase = Phase::of_name(text("phase")?)?;
        return Some(WhyStopped::Failed(Error::new(kind, phase, text("message")?)));
    }
    [Won, Superseded, Deadline, Cancelled].into_iter().find(|why| why.as_str() == name)
}

fn waited_for(name: &str) -> Option<WaitedFor> {
    use WaitedFor::{Backoff, Breaker, Budget, CoolDown, Gate, Rate, RetryAfter};
    let all = [Backoff, RetryAfter, Budget, Gate, Breaker, CoolDown, Rate];
    all.into_iter().find(|what| what.as_str() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_read_as_they_were_written() {
        let micros = Duration::from_micros;
        let plain = AttemptRecord {
            mirror: 0,
            mirror_url: None,
            why_started: WhyStarted::First,
            why_stopped: WhyStopped::Failed(Error::new(
                ErrorKind::Reset,
                Phase::Body,
                "the \"peer\" went\naway",
            )),
            began: Duration::ZERO,
            waited: None,
            queued_for: None,
            timings: Timings::default(),
            hops: Vec::new(),
            status: None,
            bytes: 0,
            address: "203.0.113.90:65535".parse().ok(),
            connection: None,
        };
        let full = AttemptRecord {
            mirror: 2,
            mirror_url: Some("http://m/\u{e9}".into()),
            why_started: WhyStarted::Retry,
            why_stopped: WhyStopped::Won,
            began: micros(7),
            waited: Some(Waited { what: WaitedFor::RetryAfter, length: micros(9) }),
            queued_for: Some(WaitedFor::CoolDown),
            timings: Timings {
                queue: micros(1),
                dns: micros(2),
                connect: micros(3),
                tls: micros(4),
                wait: micros(5),
                body: micros(6),
            },
            hops: vec!["http://a/".into(), "http://b/\"".into()],
            status: Some(StatusCode::PARTIAL_CONTENT),
            bytes: u64::MAX,
            address: "[::1]:80".parse().ok(),
            connection: Some(ConnectionUsed { id: 3, reused: true }),
        };
        let all = vec![plain, full];
        let mut text = "what was written before".to_owned();
        write(&mut text, &all);
        let tries = read(&text);
        assert_eq!(format!("{:?}", tries.own), format!("{all:?}"));
        assert!(tries.earlier.is_empty() && tries.not_kept == 0);
        assert!(read("[{}]").own.is_empty() && read("nonsense").own.is_empty());
    }

    /// One attempt of a run, told from others by its bytes.
    fn attempt(bytes: u64) -> String {
        format!(r#"{{"why_started":"retry","why_stopped":"won","us":[0,0,0,0,0,0],"bytes":{bytes}}}"#)
    }

    /// When each run began, in milliseconds, and the bytes of its attempts; those of the last run, under 0.
    fn runs(text: &str) -> Vec<(u64, Vec<u64>)> {
        let tries = read(text);
        let millis =
            |run: &EarlierRun| run.began.duration_since(UNIX_EPOCH).expect("later").as_millis() as u64;
        let bytes = |all: &[AttemptRecord]| all.iter().map(|attempt| attempt.bytes).collect();
        let earlier = tries.earlier.iter().map(|run| (millis(run), bytes(&run.attempts)));
        earlier.chain([(0, bytes(&tries.own))]).collect()
    }

    #[test]
    fn attempts_of_earlier_runs_come_first_each_with_its_run() {
        let one = format!("[{},{}]", attempt(1), attempt(2));
        let two = join(&one, 500, Some(&format!("[{}]", attempt(3)))).expect("three attempts");
        assert_eq!(runs(&two), [(500, vec![1, 2]), (0, vec![3])]);
        // The second began in the same millisecond; the third had no attempt, and neither had the fourth.
        let three = join(&two, 500, None).expect("three attempts");
        let four = join(&three, 700, None).expect("three attempts");
        assert_eq!(four, three);
        let five = join(&four, 700, Some(&one)).expect("five attempts");
        assert_eq!(runs(&five), [(500, vec![1, 2]), (501, vec![3]), (0, vec![1, 2])]);
        assert_eq!(join("nonsense", 500, Some(&one)), Some(one));
        assert_eq!(join("[]", 500, None), None);
    }

    #[test]
    fn of_earlier_runs_the_latest_attempts_are_kept_and_the_others_counted() {
        let mut text = format!("[{}]", attempt(0));
        for run in 1..=300 {
            text = join(&text, run, Some(&format!("[{}]", attempt(run)))).expect("attempts");
        }
        let (kept, tries) = (runs(&text), read(&text));
        assert_eq!((kept.len(), tries.not_kept), (EARLIER + 1, 300 - EARLIER as u64));
        assert_eq!((&kept[0], &kept[EARLIER]), (&(237, vec![236]), &(0, vec![300])));
        let many: Vec<String> = (0..1000).map(attempt).collect();
        let cut = join(&format!("[{}]", many.join(",")), 9, None).expect("attempts");
        assert_eq!(runs(&cut), [(9, (936..1000).collect()), (0, vec![])]);
        assert_eq!((read(&cut).not_kept, cut.matches(NOT_KEPT).count()), (936, 1));
        assert_eq!(join(&cut, 10, None), Some(cut));
    }

    fn long(hops: usize, length: usize, bytes: u64) -> AttemptRecord {
        AttemptRecord {
            mirror: 0,
            mirror_url: None,
            why_started: WhyStarted::Retry,
            why_stopped: WhyStopped::Won,
            began: Duration::ZERO,
            waited: None,
            queued_for: None,
            timings: Timings::default(),
            hops: vec!["\u{e9}".repeat(length / 2).into(); hops],
            status: None,
            bytes,
            address: None,
            connection: None,
        }
    }

    #[test]
    fn long_urls_are_cut_and_then_the_oldest_attempts_left_out() {
        let mut text = String::new();
        for (hops, length, is_cut) in
            [(1, 2048, false), (1, 2050, true), (9, 60_000, true), (2000, 900, true)]
        {
            assert_eq!(write(&mut text, &[long(hops, length, 1)]), 0);
            assert!(text.len() < 2 * HOPS, "{}", text.len());
            let tries = read(&text);
            let kept = &tries.own[0].hops;
            assert_eq!((kept.len(), tries.not_kept), (hops.min(MOST_HOPS + 1), 0));
            assert_eq!(kept[0].ends_with(ELLIPSIS), is_cut, "{}", kept[0]);
            assert!(kept[0].starts_with("\u{e9}\u{e9}"));
        }
        assert_eq!(&*read(&text).own[0].hops[MOST_HOPS], ELLIPSIS);
        let many: Vec<AttemptRecord> = (0..100).map(|number| long(9, 7900, number)).collect();
        let left_out = write(&mut text, &many);
        let tries = read(&text);
        assert!(text.len() <= LONGEST && tries.own.len() == 3, "{} in {}", tries.own.len(), text.len());
        assert_eq!((left_out, tries.not_kept, tries.own[0].bytes), (97, 97, 97));
    }

    #[test]
    fn attempts_of_earlier_runs_have_the_room_that_is_left_and_all_are_counted() {
        let (mut text, mut one) = (String::new(), String::new());
        for run in 0..9 {
            write(&mut one, &[long(9, 7900, run)]);
            text = if run == 0 { one.clone() } else { join(&text, run, Some(&one)).expect("attempts") };
            assert!(text.len() <= LONGEST, "{}", text.len());
            let (tries, all) = (read(&text), runs(&text));
            assert_eq!(all.iter().map(|(_, run)| run.len() as u64).sum::<u64>() + tries.not_kept, run + 1);
            assert_eq!(all.last(), Some(&(0, vec![run])));
        }
        assert_eq!(runs(&text).len(), 3);
        // A run that needs all the room leaves none, and what it left out itself counts too.
        let many: Vec<AttemptRecord> = (0..100).map(|number| long(9, 7900, number)).collect();
        let left_out = write(&mut one, &many) as u64;
        let full = join(&text, 9, Some(&one)).expect("attempts");
        assert_eq!((runs(&full), read(&full).not_kept), (vec![(0, vec![97, 98, 99])], 9 + left_out));
        let after = join(&full, 10, None).expect("attempts");
        assert_eq!((runs(&after)[0].1.len(), read(&after).not_kept), (3, 9 + left_out));
        assert_eq!(join(&after, 11, None), Some(after));
    }
}
