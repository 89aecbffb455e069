//! Seeded lives of one body: a source that changes, lies and breaks off, a mirror with other bytes, and attempts that
//! go on by the rules. Each byte bears the version that it is of; no file may hold bytes of two, or miss one.
//! `GANNET_TEST_RESUME_COUNT` and `GANNET_TEST_RESUME_SEED` say how many lives and from where.

use std::collections::HashMap;

use fastrand::Rng;

use super::mutated::{Mutant, with};
use super::*;

/// Lives in an ordinary test run.
const COUNT: u64 = 20_000;
/// Lives within which each mutant has to be caught.
const MUTANT_COUNT: u64 = 20_000;
const ATTEMPTS: u32 = 8;
/// What the versions of the mirror's bytes are told by.
const OF_MIRROR: u32 = 500;

/// One byte: the version that it is of, and its place there. Pages of errors are of version 0.
type Byte = (u32, u64);

/// What a server tells of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    StrongEtag,
    WeakEtag,
    Modified,
    /// A Last-Modified that is as young as the reply.
    ModifiedNow,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Honest,
    IgnoresRange,
    IgnoresIfRange,
    WrongStart,
    WrongTotal,
    WrongLength,
    Short,
    NoContentRange,
    Multipart,
    OtherCoding,
    /// The same ETag for another body, of another length.
    SameTagOtherLength,
    NotSatisfiable,
    NotSatisfiableHere,
    Page(u16),
}

const MANNERS: [Manner; 15] = [
    Manner::Honest,
    Manner::IgnoresRange,
    Manner::IgnoresIfRange,
    Manner::WrongStart,
    Manner::WrongTotal,
    Manner::WrongLength,
    Manner::Short,
    Manner::NoContentRange,
    Manner::Multipart,
    Manner::OtherCoding,
    Manner::SameTagOtherLength,
    Manner::NotSatisfiable,
    Manner::NotSatisfiableHere,
    Manner::Page(404),
    Manner::Page(503),
];

/// One source: what it has now.
#[derive(Debug, Clone, Copy)]
struct Source {
    version: u32,
    length: u64,
    tells: Tells,
    is_mirror: bool,
}

struct Reply {
    answer: Answer,
    body: Vec<Byte>,
}

impl Source {
    fn tag(&self) -> Option<Box<str>> {
        match self.tells {
            Tells::StrongEtag => Some(format!("\"{}\"", self.version).into()),
            // Two versions may share it: that is what weak means.
            Tells::WeakEtag => Some("W/\"same\"".into()),
            _ => None,
        }
    }

    fn date(&self) -> Option<Box<str>> {
        match self.tells {
            Tells::Modified => Some(format!("Sun, 06 Nov 1994 08:00:{:02} GMT", self.version % 60).into()),
            // Two versions within one second share it.
            Tells::ModifiedNow => Some("Sun, 06 Nov 1994 09:00:00 GMT".into()),
            _ => None,
        }
    }

    fn url(&self) -> &'static str {
        if self.is_mirror { "http://mirror/" } else { "http://h/" }
    }

    fn bytes(&self, from: u64, end: u64) -> Vec<Byte> {
        (from..end.min(self.length)).map(|at| (self.version, at)).collect()
    }

    fn reply(&self, asked: Option<&Ask>, manner: Manner) -> Reply {
        let mut answer = Answer {
            status: 200,
            url: self.url().into(),
            etag: self.tag(),
            last_modified: self.date(),
            coding: None,
            range: None,
            length: Some(self.length),
            shape: Shape::Plain,
        };
        if let Manner::Page(status) = manner {
            (answer.status, answer.etag, answer.last_modified) = (status, None, None);
            return Reply { answer, body: vec![(0, 0); 5] };
        }
        let holds = |ask: &&Ask| match &ask.version {
            _ if manner == Manner::IgnoresIfRange || manner == Manner::SameTagOtherLength => true,
            None => true,
            Some(version) if version.starts_with('"') => answer.etag.as_ref() == Some(version),
            Some(version) => answer.last_modified.as_ref() == Some(version),
        };
        let Some(ask) = asked.filter(holds).filter(|_| manner != Manner::IgnoresRange) else {
            return Reply { answer, body: self.bytes(0, self.length) };
        };
        self.ranged(ask, manner, answer)
    }

    fn ranged(&self, ask: &Ask, manner: Manner, mut answer: Answer) -> Reply {
        let (mut source, mut first, mut end) = (*self, ask.from, self.length);
        answer.status = 206;
        match manner {
            Manner::SameTagOtherLength => {
                (source.version, source.length, end) = (self.version + 1_000, end + 7, end + 7)
            }
            Manner::OtherCoding => {
                (source.version, answer.coding) = (self.version + 2_000, Some("gzip".into()))
            }
            Manner::WrongStart => first = first.saturating_sub(1),
            Manner::Short => end = first + (end.saturating_sub(first)).div_ceil(2),
            _ => {}
        }
        if manner == Manner::NotSatisfiable || manner == Manner::NotSatisfiableHere || first >= end {
            let total = if manner == Manner::NotSatisfiableHere { ask.from } else { source.length };
            let told = manner != Manner::NotSatisfiable;
            answer.range = told.then_some(ContentRange::Unsatisfied { total });
            answer.status = 416;
            return Reply { answer, body: vec![] };
        }
        let total = source.length + u64::from(manner == Manner::WrongTotal);
        answer.range = Some(ContentRange::Bytes { first, end, total: Some(total) });
        answer.length = Some(end - first);
        let mut body = source.bytes(first, end);
        match manner {
            Manner::WrongLength => {
                body.pop();
                answer.length = Some(body.len() as u64);
            }
            Manner::NoContentRange => (answer.range, body) = (None, source.bytes(0, end)),
            Manner::Multipart => {
                (answer.range, answer.shape) = (None, Shape::Multipart);
                body.insert(0, (0, 0));
            }
            _ => {}
        }
        Reply { answer, body }
    }
}

/// A file on its way, and what is known of it.
struct Body {
    part: Part,
    bytes: Vec<Byte>,
    from_mirror: bool,
}

/// Lives one life; `Err` says what was broken.
fn live(seed: u64) -> Result<&'static str, String> {
    let mut dice = Rng::with_seed(seed);
    let tells = [Tells::StrongEtag, Tells::WeakEtag, Tells::Modified, Tells::ModifiedNow, Tells::Nothing];
    let tells = tells[dice.usize(0..tells.len())];
    let chunked = dice.bool();
    let mut source = Source { version: 1, length: dice.u64(2..30), tells, is_mirror: false };
    // A mirror's tags are its own: the same one may stand for another body, then of another length.
    let mirror = Source { length: source.length + dice.u64(1..3), is_mirror: true, ..source };
    let mut lengths = HashMap::from([(1, source.length), (1 + OF_MIRROR, mirror.length)]);
    let mut body: Option<Body> = None;
    for _ in 0..ATTEMPTS {
        if dice.u8(0..3) == 0 {
            source.version += 1;
            source.length = if dice.bool() { source.length } else { dice.u64(2..30) };
            lengths.insert(source.version, source.length);
        }
        let to_mirror = dice.u8(0..4) == 0;
        let at = if to_mirror { mirror } else { source };
        let toward = match &body {
            Some(body) if body.from_mirror != to_mirror => Toward::Mirror,
            _ => Toward::Same,
        };
        let asked = body.as_ref().and_then(|body| ask(&body.part, toward, ResumeParts::Safe));
        if asked.as_ref().is_some_and(|ask| ask.version.as_deref().is_none_or(|text| text.starts_with("W/")))
        {
            return Err(format!("a range is asked for without a strong validator: {asked:?}"));
        }
        let manner = MANNERS[dice.usize(0..MANNERS.len())];
        // Who lies of what nobody else has told cannot be found out.
        let is_hidden = matches!(manner, Manner::SameTagOtherLength | Manner::NotSatisfiableHere);
        // Nor two who lie alike: of the tag that both use, and of the length.
        let is_alike = manner == Manner::WrongTotal && toward == Toward::Mirror;
        let manner = if (is_hidden && chunked) || is_alike { Manner::Honest } else { manner };
        let mut reply = at.reply(asked.as_ref(), manner);
        if to_mirror {
            reply.body.iter_mut().filter(|byte| byte.0 > 0).for_each(|byte| byte.0 += OF_MIRROR);
        }
        let judged = match (&asked, &body) {
            (Some(asked), Some(body)) => judge(&body.part, asked, toward, &reply.answer),
            _ if reply.answer.status == 200 => Judged::TakeWhole,
            _ => Judged::AsAny,
        };
        let cut = if dice.bool() { reply.body.len() } else { dice.usize(0..reply.body.len() + 1) };
        let whole = cut == reply.body.len();
        reply.body.truncate(cut);
        if matches!(judged, Judged::AsAny | Judged::StartAgain) {
            body = body.filter(|_| judged == Judged::AsAny);
            continue;
        }
        let framing = if chunked { Framing::Chunks } else { Framing::Length };
        let (mut kept, done) = taken(judged, reply, body.take(), (whole, framing, to_mirror));
        is_of_one_version(&kept.bytes).map_err(|what| format!("{manner:?}, {tells:?}: {what}"))?;
        if done {
            let version = kept.bytes.first().map_or(0, |byte| byte.0);
            let length = kept.bytes.len() as u64;
            return match lengths.get(&version) {
                Some(whole) if *whole == length => Ok("whole"),
                other => Err(format!("{manner:?}: {length} bytes of {other:?} were taken for the whole")),
            };
        }
        kept.part.good = kept.bytes.len() as u64;
        body = Some(kept);
    }
    Ok("given up")
}

/// How a reply tells where its body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length,
    Chunks,
}

/// What a reply leaves that is taken, and whether nothing is missing.
fn taken(
    judged: Judged,
    mut reply: Reply,
    had: Option<Body>,
    (whole, framing, from_mirror): (bool, Framing, bool),
) -> (Body, bool) {
    match (judged, had) {
        (Judged::GoOn { end, total }, Some(mut had)) => {
            had.bytes.append(&mut reply.body);
            had.part.total = total;
            (had, whole && total.is_none_or(|total| end >= total))
        }
        (Judged::Complete, Some(had)) => (had, true),
        _ => {
            let answer = reply.answer;
            let total = answer.length.filter(|_| framing == Framing::Length);
            let date = Some("Sun, 06 Nov 1994 09:00:00 GMT".into());
            let (etag, last_modified) = (answer.etag, answer.last_modified);
            let part = Part { etag, last_modified, date, total, ..Part::new(answer.url) };
            (Body { part, bytes: reply.body, from_mirror }, whole)
        }
    }
}

/// Whether these bytes begin one version, and hold no other.
fn is_of_one_version(bytes: &[Byte]) -> Result<(), String> {
    let version = bytes.first().map_or(0, |byte| byte.0);
    let follows = |(at, byte): (usize, &Byte)| *byte == (version, at as u64) && version > 0;
    match bytes.iter().enumerate().all(follows) {
        true => Ok(()),
        false => Err(format!("bytes that do not belong together: {bytes:?}")),
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn no_life_of_a_body_puts_two_versions_together_or_loses_a_byte() {
    let first = setting("GANNET_TEST_RESUME_SEED", 0);
    let mut ends = HashMap::new();
    for seed in first..first + setting("GANNET_TEST_RESUME_COUNT", COUNT) {
        match live(seed) {
            Ok(end) => *ends.entry(end).or_insert(0) += 1,
            Err(what) => panic!(
                "broken: {what}\nseed {seed}; again with:\nGANNET_TEST_RESUME_SEED={seed} \
                 GANNET_TEST_RESUME_COUNT=1 cargo test -p gannet --lib resume::simulation"
            ),
        }
    }
    eprintln!("first seed {first}: {ends:?}");
}

#[test]
fn the_lives_catch_every_mutant() {
    for mutant in Mutant::ALL {
        let caught =
            with(*mutant, || (0..MUTANT_COUNT).find_map(|seed| live(seed).err().map(|what| (seed, what))));
        let (seed, what) = caught.unwrap_or_else(|| panic!("{mutant:?} is not caught"));
        eprintln!("{mutant:?}: first caught by seed {seed}: {what}");
    }
}
