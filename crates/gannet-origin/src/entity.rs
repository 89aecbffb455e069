//! What a reply says of its content: ETag, Last-Modified and Accept-Ranges, and the conditions that go by
//! them (RFC 9110, sections 8.8 and 13.1). Ranges are cut, and gotten wrong, next door.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::body::Body;
use crate::fields::Fields;
use crate::range::{self, RangeFault};

/// How much later the changed content was modified.
const CHANGE: Duration = Duration::from_secs(3600);

/// What ETag says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum EtagAsked {
    Strong,
    Weak,
    None,
    Given(String),
}

/// What a query asks of validators and ranges. Without any of its keys, neither is heard of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EntityAsked {
    etag: Option<EtagAsked>,
    last_modified: Option<String>,
    range: Option<RangeFault>,
    change_after: Option<u64>,
}

/// The validators of one reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

/// The part of a reply that validators and ranges decide.
pub(crate) struct Selected {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(Bytes, Bytes)>,
    pub(crate) body: Body,
}

impl EntityAsked {
    /// Takes in one key, if it is one of this room; `None` means that the value makes no sense.
    pub(crate) fn apply(&mut self, key: &str, bytes: &[u8]) -> Option<()> {
        let text = || std::str::from_utf8(bytes).ok();
        match key {
            "etag" => self.etag = Some(etag(text()?)),
            "last-modified" => self.last_modified = Some(date(text()?)?),
            "range" => self.range = Some(RangeFault::read(text()?)?),
            "change-after" => self.change_after = Some(text()?.parse().ok()?),
            _ => {}
        }
        Some(())
    }

    /// Whether validators and ranges are heard of at all.
    pub(crate) fn is_asked(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some() || self.range.is_some()
    }

    /// Whether the content is another one by now.
    pub(crate) fn has_changed(&self, nth: u64) -> bool {
        self.change_after.is_some_and(|requests| nth >= requests)
    }

    /// Answers the conditions and the range of a request for this content.
    pub(crate) fn select(&self, body: Body, fields: &Fields, nth: u64) -> Selected {
        let validators = self.validators(&body, nth);
        if validators.is_unmodified(fields) {
            let headers = validators.headers();
            return Selected { status: 304, headers, body: Body::EMPTY };
        }
        range::select(body, &validators, self.range.unwrap_or_default(), fields)
    }

    fn validators(&self, body: &Body, nth: u64) -> Validators {
        let has_changed = self.has_changed(nth);
        let etag = match &self.etag {
            None | Some(EtagAsked::None) => None,
            Some(EtagAsked::Strong) => Some(format!("\"{:016x}\"", body.print())),
            Some(EtagAsked::Weak) => Some(format!("W/\"{:016x}\"", body.print())),
            Some(EtagAsked::Given(tag)) if has_changed => Some(changed_tag(tag)),
            Some(EtagAsked::Given(tag)) => Some(tag.clone()),
        };
        let last_modified = self.last_modified.as_ref().map(|date| match httpdate::parse_http_date(date) {
            Ok(instant) if has_changed => httpdate::fmt_http_date(instant + CHANGE),
            _ => date.clone(),
        });
        Validators { etag, last_modified }
    }
}

fn etag(text: &str) -> EtagAsked {
    match text {
        "strong" => EtagAsked::Strong,
        "weak" => EtagAsked::Weak,
        "none" => EtagAsked::None,
        tag if tag.starts_with('"') || tag.starts_with("W/") => EtagAsked::Given(tag.to_owned()),
        opaque => EtagAsked::Given(format!("\"{opaque}\"")),
    }
}

/// The same tag with one more sign in its end.
pub(crate) fn changed_tag(tag: &str) -> String {
    match tag.strip_suffix('"') {
        Some(open) => format!("{open}-changed\""),
        None => format!("{tag}-changed"),
    }
}

/// Reads seconds since 1970, or takes any other text as it is.
fn date(text: &str) -> Option<String> {
    let Ok(seconds) = text.parse::<u64>() else { return Some(text.to_owned()) };
    // The form of a date has four digits for the year.
    let is_sayable = seconds < 253_402_300_800;
    is_sayable.then(|| httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)))
}

impl Validators {
    pub(crate) fn headers(&self) -> Vec<(Bytes, Bytes)> {
        let header = |name: &'static str, value: &String| {
            (Bytes::from_static(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
        };
        let etag = self.etag.as_ref().map(|tag| header("etag", tag));
        let date = self.last_modified.as_ref().map(|date| header("last-modified", date));
        etag.into_iter().chain(date).collect()
    }

    /// Whether If-None-Match, or in its absence If-Modified-Since, says that the client has it already
    /// (RFC 9110, sections 13.1.2 and 13.1.3).
    fn is_unmodified(&self, fields: &Fields) -> bool {
        if let Some(tags) = &fields.if_none_match {
            let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
            return tags.trim() == "*"
                || self
                    .etag
                    .as_ref()
                    .is_some_and(|own| tags.split(',').any(|tag| opaque(tag) == opaque(own)));
        }
        let own = self.last_modified.as_deref().and_then(|date| httpdate::parse_http_date(date).ok());
        let theirs =
            fields.if_modified_since.as_deref().and_then(|date| httpdate::parse_http_date(date).ok());
        matches!((own, theirs), (Some(own), Some(theirs)) if own <= theirs)
    }

    /// Whether If-Range holds, or is not there (RFC 9110, section 13.1.5): tags compare strongly, dates to
    /// the letter.
    pub(crate) fn fits_if_range(&self, fields: &Fields) -> bool {
        match fields.if_range.as_deref() {
            None => true,
            Some(tag) if tag.starts_with("W/") => false,
            Some(tag) if tag.starts_with('"') => self.etag.as_deref() == Some(tag),
            Some(date) => self.last_modified.as_deref() == Some(date),
        }
    }
}
