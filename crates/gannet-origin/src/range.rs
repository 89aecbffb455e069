//! Ranges of bytes (RFC 9110, section 14): answered as they should be, and in every way that is wrong.
//! Pure. Only GET comes here.

use bytes::Bytes;

use crate::body::Body;
use crate::entity::{Selected, Validators, changed_tag};
use crate::fields::Fields;

/// The most ranges of one request that are looked at; with more, the field is not heeded.
const MAX_RANGES: usize = 64;

/// The longest body of many parts, in bytes; where it would be longer, the field is not heeded.
const MAX_MULTIPART: u64 = 16 << 20;

const BOUNDARY: &str = "gannet-origin-part";

/// What is wrong with the answer to a range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RangeFault {
    /// Nothing.
    #[default]
    Honest,
    /// The whole, with 200.
    Ignore,
    /// Another range than was asked for, and the head says so.
    WrongStart,
    /// The head says one byte more of the whole than there is.
    WrongTotal,
    /// One byte less than the head's range, framed as that.
    WrongLength,
    NoContentRange,
    /// One range, in a body of many parts.
    Multipart,
    /// The first half of what was asked for, and the head says so.
    Short,
    /// 416 without a word, though the range could be had.
    Unsatisfiable,
    /// 416 that says that the whole ends where the range would begin.
    UnsatisfiableHere,
    Status(u16),
    /// Another tag than the whole has.
    ChangedEtag,
    /// The same tag, weak.
    WeakEtag,
    /// The range whatever If-Range says.
    IgnoreIfRange,
}

impl RangeFault {
    pub(crate) fn read(text: &str) -> Option<Self> {
        Some(match text {
            "ok" => Self::Honest,
            "ignore" => Self::Ignore,
            "wrong-start" => Self::WrongStart,
            "wrong-total" => Self::WrongTotal,
            "wrong-length" => Self::WrongLength,
            "no-content-range" => Self::NoContentRange,
            "multipart" => Self::Multipart,
            "short" => Self::Short,
            "416" => Self::Unsatisfiable,
            "416-here" => Self::UnsatisfiableHere,
            "404" => Self::Status(404),
            "503" => Self::Status(503),
            "changed-etag" => Self::ChangedEtag,
            "weak-etag" => Self::WeakEtag,
            "ignore-if-range" => Self::IgnoreIfRange,
            _ => return None,
        })
    }
}

/// A range that can be had: its first and its last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    first: u64,
    last: u64,
}

impl Span {
    fn len(self) -> u64 {
        self.last + 1 - self.first
    }

    fn of(self, total: u64) -> String {
        format!("bytes {}-{}/{total}", self.first, self.last)
    }
}

/// Answers a request for this content.
pub(crate) fn select(body: Body, validators: &Validators, fault: RangeFault, fields: &Fields) -> Selected {
    let is_held = fault == RangeFault::IgnoreIfRange || validators.fits_if_range(fields);
    let asked = fields.range.as_deref().filter(|_| is_held && fault != RangeFault::Ignore);
    let total = body.len();
    let Some(spans) = asked.and_then(|text| spans(text, total)) else {
        let mut headers = validators.headers();
        headers.push(header("accept-ranges", "bytes"));
        return Selected { status: 200, headers, body };
    };
    match spans[..] {
        [] => refused(validators, 416, Some(total)),
        [span] => partial(&body, span, validators, fault),
        _ if spans.iter().map(|span| span.len()).fold(0, u64::saturating_add) > MAX_MULTIPART => {
            Selected { status: 200, headers: validators.headers(), body }
        }
        _ => multipart(&body, &spans, validators),
    }
}

fn partial(body: &Body, asked: Span, validators: &Validators, fault: RangeFault) -> Selected {
    let total = body.len();
    let (mut span, mut said_total, mut validators) = (asked, total, validators.clone());
    let mut sent = asked.len();
    match fault {
        RangeFault::Status(status) => return page(status),
        RangeFault::Unsatisfiable => return refused(&validators, 416, None),
        RangeFault::UnsatisfiableHere => return refused(&validators, 416, Some(asked.first)),
        RangeFault::Multipart if asked.len() <= MAX_MULTIPART => {
            return multipart(body, &[asked], &validators);
        }
        RangeFault::WrongStart => {
            span.first = asked.first.checked_sub(1).unwrap_or_else(|| asked.last.min(1));
            sent = span.len();
        }
        RangeFault::Short => {
            span.last = asked.first + (asked.len() - 1) / 2;
            sent = span.len();
        }
        RangeFault::WrongTotal => said_total += 1,
        RangeFault::WrongLength => sent -= 1,
        RangeFault::ChangedEtag => validators.etag = validators.etag.as_deref().map(changed_tag),
        RangeFault::WeakEtag => validators.etag = validators.etag.map(weak),
        _ => {}
    }
    let mut headers = validators.headers();
    if fault != RangeFault::NoContentRange {
        headers.push(header("content-range", &span.of(said_total)));
    }
    Selected { status: 206, headers, body: body.slice(span.first, sent) }
}

fn weak(tag: String) -> String {
    if tag.starts_with("W/") { tag } else { format!("W/{tag}") }
}

/// An error page, as one comes from what stands before a server.
fn page(status: u16) -> Selected {
    let body = Body::Given(Bytes::from(format!("<html><h1>{status}</h1></html>\n")));
    Selected { status, headers: vec![header("content-type", "text/html")], body }
}

fn refused(validators: &Validators, status: u16, total: Option<u64>) -> Selected {
    let mut headers = validators.headers();
    headers.extend(total.map(|total| header("content-range", &format!("bytes */{total}"))));
    Selected { status, headers, body: Body::EMPTY }
}

fn multipart(body: &Body, spans: &[Span], validators: &Validators) -> Selected {
    let mut bytes = Vec::new();
    for span in spans {
        let head = format!("\r\n--{BOUNDARY}\r\ncontent-range: {}\r\n\r\n", span.of(body.len()));
        bytes.extend_from_slice(head.as_bytes());
        body.append_to(&mut bytes, span.first, span.len() as usize);
    }
    bytes.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    let mut headers = validators.headers();
    headers.push(header("content-type", &format!("multipart/byteranges; boundary={BOUNDARY}")));
    Selected { status: 206, headers, body: Body::Given(Bytes::from(bytes)) }
}

fn header(name: &'static str, value: &str) -> (Bytes, Bytes) {
    (Bytes::from_static(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
}

/// Reads the field; `None` means that it is not heeded, no range that none can be had.
fn spans(text: &str, total: u64) -> Option<Vec<Span>> {
    let list = text.trim().strip_prefix("bytes=")?;
    if list.split(',').count() > MAX_RANGES {
        return None;
    }
    let spans: Vec<Option<Span>> =
        list.split(',').map(|spec| span(spec.trim(), total)).collect::<Option<_>>()?;
    Some(spans.into_iter().flatten().collect())
}

/// Reads one range; `None` means that it is none, `Some(None)` that it cannot be had.
fn span(spec: &str, total: u64) -> Option<Option<Span>> {
    let (first, last) = spec.split_once('-')?;
    let number = |digits: &str| -> Option<u64> {
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().unwrap_or(u64::MAX))
    };
    let end = total.checked_sub(1);
    Some(match (first, last) {
        ("", "") => return None,
        ("", suffix) => {
            let len = number(suffix)?;
            end.filter(|_| len > 0).map(|last| Span { first: total.saturating_sub(len), last })
        }
        (first, "") => {
            let first = number(first)?;
            end.filter(|last| first <= *last).map(|last| Span { first, last })
        }
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            end.filter(|end| first <= *end).map(|end| Span { first, last: last.min(end) })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let read = |text: &str| {
            let found = spans(text, 10)?;
            Some(found.into_iter().map(|span| (span.first, span.last)).collect::<Vec<_>>())
        };
        assert_eq!(read("bytes=0-4"), Some(vec![(0, 4)]));
        assert_eq!(read("bytes=8-"), Some(vec![(8, 9)]));
        assert_eq!(read("bytes=-3, 0-99"), Some(vec![(7, 9), (0, 9)]));
        assert_eq!(read("bytes=-99"), Some(vec![(0, 9)]));
        assert_eq!([read("bytes=10-"), read("bytes=-0")], [Some(vec![]), Some(vec![])]);
        let nonsense = ["bytes=5-4", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=", "bytes=+1-2"];
        assert!(nonsense.iter().all(|text| read(text).is_none()));
    }

    #[test]
    fn an_empty_content_has_no_range() {
        assert_eq!(spans("bytes=0-", 0), Some(vec![]));
        assert_eq!(spans("bytes=-5", 0), Some(vec![]));
    }
}
