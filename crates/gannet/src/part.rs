//! What is known of a body of which the first bytes are there: which URL they came from, what tells its version apart,
//! how long it is, and how many bytes are good. Plain data, read out of replies; what follows from it is decided in
//! `policy::resume`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName,
    LAST_MODIFIED,
};

/// What is known of a body of which the first bytes are there.
///
/// It is what a journal has to keep for a later run to go on: `gannet` tells it with
/// [`Event::Part`](crate::Event::Part), and takes it back with [`Request::part`](crate::Request::part).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// The URL that answered, after redirects, without credentials. Its query may hold secrets.
    pub url: Box<str>,
    /// The ETag as it came, strong or weak. One that could not be read is kept as a weak one.
    pub etag: Option<Box<str>>,
    /// Last-Modified as it came.
    pub last_modified: Option<Box<str>>,
    /// Date as it came.
    pub date: Option<Box<str>>,
    /// The length of the whole body in bytes, if it is known.
    pub total: Option<u64>,
    /// The content coding that the bytes are in; `None` is identity.
    pub coding: Option<Box<str>>,
    /// How many bytes from its start are good.
    pub good: u64,
    /// Where these bytes lie, if they lie in a file that outlives its fetch.
    pub on_disk: Option<OnDisk>,
}

/// A file with the first bytes of a body, under its temporary name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OnDisk {
    /// The file.
    pub path: PathBuf,
    /// When it was modified last, as its file system says, if it has been written to.
    pub modified: Option<SystemTime>,
    /// The last good bytes, by which an edited file is told.
    pub tail: Tail,
    /// When it was in the hands of a fetch last that was about to write more, if that is later: what a process wrote that
    /// died then is younger than what was told before.
    pub held: Option<SystemTime>,
}

/// A print of the last good bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Tail {
    /// How many bytes it was taken of, at most [`Tail::LONGEST`].
    pub length: u32,
    /// Their FNV-1a hash (64 bits), which is the same on every machine.
    pub print: u64,
}

impl Tail {
    /// The most bytes that a print is taken of.
    pub const LONGEST: usize = 4 << 10;

    /// The print of the end of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let tail = &bytes[bytes.len().saturating_sub(Self::LONGEST)..];
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self { length: tail.len() as u32, print: tail.iter().fold(0xcbf2_9ce4_8422_2325, step) }
    }
}

impl OnDisk {
    /// A file at `path` of which the last good bytes have this print.
    pub fn new(path: impl Into<PathBuf>, modified: Option<SystemTime>, tail: Tail) -> Self {
        Self { path: path.into(), modified, tail, held: None }
    }
}

/// What tells two versions of a body apart, to the last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validator<'a> {
    /// A strong ETag (RFC 9110, section 8.8.3).
    Etag(&'a str),
    /// A Last-Modified that is strong by the rule of RFC 9110, section 8.8.2.2.
    Modified(&'a str),
}

/// A Last-Modified is strong if the reply's Date is so much later: the standard wants a second, and clocks that agree
/// or a distance that makes up for it.
const SURELY_LATER: Duration = Duration::from_secs(60);

impl Part {
    /// A body from `url` of which nothing is known, and nothing is there.
    pub fn new(url: impl Into<Box<str>>) -> Self {
        Self {
            url: url.into(),
            etag: None,
            last_modified: None,
            date: None,
            total: None,
            coding: None,
            good: 0,
            on_disk: None,
        }
    }

    /// What a reply with the whole body says of it.
    pub(crate) fn of_reply(url: &str, headers: &HeaderMap, total: Option<u64>) -> Self {
        Self {
            etag: etag(headers),
            last_modified: only(headers, &LAST_MODIFIED),
            date: only(headers, &DATE),
            total,
            coding: coding(headers),
            ..Self::new(url)
        }
    }

    /// What tells its version apart: a strong ETag, or, without any ETag, a Last-Modified that is strong by the rule of
    /// RFC 9110, section 8.8.2.2; `None` if nothing does.
    pub fn validator(&self) -> Option<Validator<'_>> {
        match (self.etag.as_deref(), self.last_modified.as_deref()) {
            (Some(tag), _) => is_strong(tag).then_some(Validator::Etag(tag)),
            (None, Some(modified)) => {
                let date = httpdate::parse_http_date(self.date.as_deref()?).ok()?;
                let changed = httpdate::parse_http_date(modified).ok()?;
                (date >= changed + SURELY_LATER).then_some(Validator::Modified(modified))
            }
            (None, None) => None,
        }
    }
}

/// Whether this is an entity tag in quotes, without the mark of a weak one.
fn is_strong(tag: &str) -> bool {
    let inner = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.is_some_and(|inner| inner.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e)))
}

/// What stands for an ETag that nobody can compare.
const UNREADABLE: &str = "W/\"\"";

fn etag(headers: &HeaderMap) -> Option<Box<str>> {
    headers.contains_key(ETAG).then(|| only(headers, &ETAG).unwrap_or_else(|| UNREADABLE.into()))
}

/// The value of a field that stands there once and is text.
fn only(headers: &HeaderMap, name: &HeaderName) -> Option<Box<str>> {
    let mut all = headers.get_all(name).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    Some(value.to_str().ok()?.trim().into())
}

fn coding(headers: &HeaderMap) -> Option<Box<str>> {
    let all: Vec<String> = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase())
        .filter(|coding| !coding.is_empty() && coding != "identity")
        .collect();
    (!all.is_empty()).then(|| all.join(", ").into())
}

/// What the head of a reply says that a part may be gone on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The URL that answered.
    pub(crate) url: Box<str>,
    pub(crate) etag: Option<Box<str>>,
    pub(crate) last_modified: Option<Box<str>>,
    pub(crate) coding: Option<Box<str>>,
    pub(crate) range: Option<ContentRange>,
    pub(crate) length: Option<u64>,
    pub(crate) shape: Shape,
}

/// How a reply's body holds its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Plain,
    /// In several parts with heads of their own (multipart/byteranges).
    Multipart,
}

/// Content-Range (RFC 9110, section 14.4), in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentRange {
    /// From `first` up to `end`, which is not in it, of `total`.
    Bytes { first: u64, end: u64, total: Option<u64> },
    /// None could be had of `total`.
    Unsatisfied { total: u64 },
}

impl ContentRange {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (unit, rest) = text.trim().split_once(' ')?;
        let (range, total) = rest.trim().split_once('/')?;
        let number = |digits: &str| -> Option<u64> {
            let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            all_digits.then(|| digits.parse().ok()).flatten()
        };
        let total = if total == "*" { None } else { Some(number(total)?) };
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        if range == "*" {
            return total.map(|total| Self::Unsatisfied { total });
        }
        let (first, last) = range.split_once('-')?;
        let (first, end) = (number(first)?, number(last)?.checked_add(1)?);
        let fits = first < end && total.is_none_or(|total| end <= total);
        fits.then_some(Self::Bytes { first, end, total })
    }
}

impl Answer {
    pub(crate) fn of(status: u16, url: &str, headers: &HeaderMap) -> Self {
        let is_multipart = headers.get_all(CONTENT_TYPE).iter().any(|value| {
            value.as_bytes().get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/"))
        });
        Self {
            status,
            url: url.into(),
            etag: etag(headers),
            last_modified: only(headers, &LAST_MODIFIED),
            coding: coding(headers),
            range: only(headers, &CONTENT_RANGE).and_then(|text| ContentRange::read(&text)),
            length: only(headers, &CONTENT_LENGTH).and_then(|text| text.parse().ok()),
            shape: if is_multipart { Shape::Multipart } else { Shape::Plain },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn part(fields: &[(&'static str, &'static str)]) -> Part {
        let field = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        Part::of_reply("http://h/", &fields.iter().map(field).collect(), Some(10))
    }

    #[test]
    fn only_a_strong_etag_or_without_any_a_last_modified_long_before_the_date_is_a_validator() {
        let modified = ("last-modified", "Sun, 06 Nov 1994 08:48:37 GMT");
        let minute_later = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let sooner = ("date", "Sun, 06 Nov 1994 08:49:36 GMT");
        assert_eq!(part(&[("etag", "\"a\"")]).validator(), Some(Validator::Etag("\"a\"")));
        assert_eq!(part(&[modified, minute_later]).validator(), Some(Validator::Modified(modified.1)));
        for fields in [
            &[][..],
            &[modified],
            &[modified, sooner],
            &[("etag", "W/\"a\""), modified, minute_later],
            &[("etag", "a"), modified, minute_later],
            &[("etag", "\"a\""), ("etag", "\"b\""), modified, minute_later],
            &[("last-modified", "yesterday"), minute_later],
        ] {
            let headers = fields.iter().fold(HeaderMap::new(), |mut headers, &(name, value)| {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
                headers
            });
            let part = Part::of_reply("http://h/", &headers, None);
            assert_eq!(part.validator(), None, "{fields:?}");
        }
    }

    #[test]
    fn a_content_range_is_read_or_refused_as_a_whole() {
        use ContentRange::{Bytes, Unsatisfied};
        let read = ContentRange::read;
        assert_eq!(read("bytes 2-4/9"), Some(Bytes { first: 2, end: 5, total: Some(9) }));
        assert_eq!(read("bytes 2-4/*"), Some(Bytes { first: 2, end: 5, total: None }));
        assert_eq!(read("bytes */9"), Some(Unsatisfied { total: 9 }));
        for nonsense in [
            "bytes 4-2/9",
            "bytes 2-9/9",
            "bytes */*",
            "lines 1-2/3",
            "bytes 2-4",
            "bytes -4/9",
            "bytes +2-4/9",
        ] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_tail_tells_the_end_of_a_file_and_nothing_before_it() {
        let long = vec![7; Tail::LONGEST + 10];
        let mut edited = long.clone();
        edited[0] = 8;
        assert_eq!(Tail::of(&long), Tail::of(&edited));
        *edited.last_mut().expect("it is long") = 8;
        assert_ne!(Tail::of(&long), Tail::of(&edited));
        assert_eq!(Tail::of(b"").length, 0);
    }
}
