//! Whether a body of which the first bytes are there is gone on with: what is asked for, and what is done with the
//! reply (RFC 9110, sections 13.1.5, 14 and 15.3.7). Bytes of two versions of a body are never put together. Nothing
//! here sends, reads or waits.

use crate::error::ErrorKind;
use crate::part::{Answer, ContentRange, Part, Shape, Validator};

use mutated::mutated;

mod mutated;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

/// Which bodies are gone on with where they broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ResumeParts {
    /// Those that a strong validator vouches for: a strong ETag, or, without any ETag, a Last-Modified that is strong by
    /// the rule of RFC 9110, section 8.8.2.2. All others are begun anew.
    #[default]
    Safe,
    /// Beside these, bodies without such a validator, if the server says the same total length again. This is unsafe:
    /// a body that has changed and kept its length is put together from both versions.
    Always,
    /// None: each attempt begins anew.
    Never,
}

/// What is asked for, of a body of which the first bytes are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    /// All from this byte on: `Range`.
    pub(crate) from: u64,
    /// But only of this version: `If-Range`. `None` under [`ResumeParts::Always`] alone.
    pub(crate) version: Option<Box<str>>,
}

/// Where an attempt goes, as against where the part came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toward {
    Same,
    /// Another URL of the same content.
    Mirror,
}

/// What is done with a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Its bytes follow those that are there, up to `end`, which is not among them.
    GoOn { end: u64, total: Option<u64> },
    /// It has the whole body: what is there is thrown away.
    TakeWhole,
    /// What is there is the whole body.
    Complete,
    /// It is of no use, and neither are the bytes: the whole is to be asked for.
    StartAgain,
    /// It is classed as the reply to any attempt, and the bytes stay.
    AsAny,
}

/// Whether a body is worth keeping when it breaks off.
pub(crate) fn may_go_on(part: &Part, rule: ResumeParts) -> bool {
    match rule {
        ResumeParts::Never => false,
        ResumeParts::Safe => part.validator().is_some(),
        ResumeParts::Always => part.validator().is_some() || part.total.is_some(),
    }
}

/// Whether the bytes before this error are as good as any.
pub(crate) fn leaves_good_bytes(kind: ErrorKind) -> bool {
    use ErrorKind as Kind;
    matches!(
        kind,
        Kind::Reset | Kind::BodyTruncated | Kind::BodyStalled | Kind::BodyTooSlow | Kind::Transport
    )
}

/// What to ask for; `None` asks for the whole.
pub(crate) fn ask(part: &Part, toward: Toward, rule: ResumeParts) -> Option<Ask> {
    if part.good == 0 || !may_go_on(part, rule) {
        return None;
    }
    let version = match part.validator() {
        Some(Validator::Etag(tag)) => {
            let knows_length = toward == Toward::Same || part.total.is_some();
            knows_length.then(|| tag.into())?
        }
        // Two servers do not share the clock that makes it strong.
        Some(Validator::Modified(date)) => (toward == Toward::Same).then(|| date.into())?,
        None if toward == Toward::Same => return Some(Ask { from: part.good, version: None }),
        None => return None,
    };
    let version = if mutated!(NoIfRange) { None } else { Some(version) };
    Some(Ask { from: part.good, version })
}

/// What to do with the reply to what was asked.
pub(crate) fn judge(part: &Part, asked: &Ask, toward: Toward, answer: &Answer) -> Judged {
    match answer.status {
        200 => Judged::TakeWhole,
        206 => of_range(part, asked, toward, answer),
        201..=299 => Judged::StartAgain,
        416 if is_complete(part, asked, answer) => Judged::Complete,
        416 => Judged::StartAgain,
        _ if mutated!(ErrorPageTaken) => Judged::GoOn { end: u64::MAX, total: None },
        _ => Judged::AsAny,
    }
}

fn of_range(part: &Part, asked: &Ask, toward: Toward, answer: &Answer) -> Judged {
    let Some(ContentRange::Bytes { first, end, total }) = answer.range else {
        return match answer.shape {
            _ if mutated!(RangeNotNeeded) => Judged::GoOn { end: u64::MAX, total: None },
            Shape::Plain | Shape::Multipart => Judged::StartAgain,
        };
    };
    let starts_there = (first == asked.from && first == part.good) || mutated!(AnyStart);
    let has_length =
        answer.length.is_none_or(|length| length == end.saturating_sub(first)) || mutated!(AnyLength);
    let total_fits = match (part.total, total) {
        (Some(known), Some(total)) => known == total || mutated!(AnyTotal),
        (Some(known), None) => end <= known,
        (None, _) => true,
    };
    let is_plain = answer.shape == Shape::Plain && (answer.coding == part.coding || mutated!(AnyCoding));
    let fits = starts_there && has_length && total_fits && is_plain;
    if fits && is_same_version(part, toward, answer, total) {
        Judged::GoOn { end, total: total.or(part.total) }
    } else {
        Judged::StartAgain
    }
}

/// Whether the bytes of this answer are of the version that the part is of.
fn is_same_version(part: &Part, toward: Toward, answer: &Answer, total: Option<u64>) -> bool {
    let moved = toward == Toward::Mirror || answer.url != part.url;
    match part.validator() {
        Some(Validator::Etag(tag)) => {
            // Elsewhere the same tag may stand for something else.
            let long_as_known = total.is_some() && total == part.total;
            (answer.etag.as_deref() == Some(tag) || mutated!(AnyEtag)) && (!moved || long_as_known)
        }
        Some(Validator::Modified(date)) => {
            let same_date = answer.last_modified.as_deref() == Some(date) || mutated!(AnyDate);
            same_date && answer.etag.is_none() && !moved
        }
        None => {
            let unlike = |one: &Option<Box<str>>, other: &Option<Box<str>>| matches!((one, other), (Some(one), Some(other)) if opaque(one) != opaque(other));
            let differs =
                unlike(&part.etag, &answer.etag) || unlike(&part.last_modified, &answer.last_modified);
            total.is_some() && total == part.total && !differs && !moved
        }
    }
}

/// An entity tag without the mark of a weak one.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// Whether a reply that no range can be had says that nothing is missing.
fn is_complete(part: &Part, asked: &Ask, answer: &Answer) -> bool {
    let Some(ContentRange::Unsatisfied { total }) = answer.range else { return mutated!(Any416) };
    let unlike = |own: Option<&str>, other: &Option<Box<str>>| matches!((own, other), (Some(own), Some(other)) if own != &**other);
    let (tag, date) = match part.validator() {
        Some(Validator::Etag(tag)) => (Some(tag), None),
        Some(Validator::Modified(date)) => (None, Some(date)),
        None => (None, None),
    };
    let vouched = asked.version.is_some() || part.total.is_some();
    total == part.good
        && part.total.is_none_or(|known| known == total)
        && vouched
        && !unlike(tag, &answer.etag)
        && !unlike(date, &answer.last_modified)
}
