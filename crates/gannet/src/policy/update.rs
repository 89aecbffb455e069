//! Whether a file that is there is asked for under a condition, and under which; and whether a 304 is an answer to it
//! (RFC 9110, sections 13.1.2, 13.1.3 and 15.4.5). Nothing here sends, reads or waits.

use std::time::{Duration, SystemTime};

use crate::version::{Kept, There, Unless, Version, Written};

/// A file that was written to so much later than its row was is another one. File systems keep times by the second, or by
/// two; and they are those of the machine that has the disk.
const LATER: Duration = Duration::from_secs(2);

/// What is asked under a condition; `None` if the body is asked for plainly.
pub(crate) fn kept(there: There, written: Written, now: SystemTime) -> Option<Kept> {
    match written {
        Written::Version(version) => by_validators(there, *version),
        Written::NoRow => by_its_time(there, now),
        Written::NoVersion | Written::OfAnother(_) | Written::Unreadable | Written::Beside(_) => None,
    }
}

/// By what the server said of the version, if the file is as it was written.
fn by_validators(there: There, version: Version) -> Option<Kept> {
    let Version { url, etag, last_modified, length, by } = version;
    if there.length != length || !is_as_written(&there, last_modified.as_deref(), by) {
        return None;
    }
    let unless = match (&etag, &last_modified) {
        (Some(etag), _) if is_etag(etag) => Unless::Etag(etag.clone()),
        (_, Some(date)) if httpdate::parse_http_date(date).is_ok() => Unless::NotSince(date.clone()),
        _ => return None,
    };
    Some(Kept { there, url: Some(url), unless, etag, last_modified })
}

/// Whether nobody has written to the file since. Its time may be the one that the server gave.
fn is_as_written(there: &There, last_modified: Option<&str>, by: Option<SystemTime>) -> bool {
    let (Some(modified), Some(by)) = (there.modified, by) else { return true };
    let given = last_modified.and_then(|date| httpdate::parse_http_date(date).ok());
    modified <= by + LATER || given == Some(modified)
}

/// By the file's own time, as `curl -z` and `wget -N` do. An empty file may be somebody's mark, and a time to come is no
/// date for a server.
fn by_its_time(there: There, now: SystemTime) -> Option<Kept> {
    let modified = there.modified.filter(|modified| *modified <= now && there.length > 0)?;
    let has_date = modified.duration_since(SystemTime::UNIX_EPOCH).is_ok();
    let unless = Unless::NotSince(httpdate::fmt_http_date(has_date.then_some(modified)?).into());
    Some(Kept { there, url: None, unless, etag: None, last_modified: None })
}

/// Whether it is an entity-tag (RFC 9110, section 8.8.3): anything else, a list or `*`, would mean something else where it
/// is sent.
fn is_etag(text: &str) -> bool {
    let inner = opaque(text).strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.is_some_and(|inner| inner.bytes().all(|byte| byte == 0x21 || (0x23..=0x7e).contains(&byte)))
}

/// Without what says that it is weak.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// Whether a 304 with these fields may be about the version that was asked by. Most servers repeat the validator; one that
/// names another has not understood.
pub(crate) fn is_about(unless: &Unless, etag: Option<&str>, last_modified: Option<&str>) -> bool {
    match unless {
        Unless::Etag(asked) => etag.is_none_or(|etag| opaque(etag.trim()) == opaque(asked)),
        Unless::NotSince(asked) => {
            let date = |text: &str| httpdate::parse_http_date(text).ok();
            last_modified.and_then(date).is_none_or(|told| date(asked).is_none_or(|asked| told <= asked))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn there(length: u64, seconds: u64) -> There {
        There { path: "x".into(), length, modified: Some(at(seconds)) }
    }

    fn version(etag: Option<&str>, last_modified: Option<&str>) -> Written {
        Written::Version(Box::new(Version {
            url: "http://h/x".into(),
            etag: etag.map(Box::from),
            last_modified: last_modified.map(Box::from),
            length: 10,
            by: Some(at(2_000_000_000)),
        }))
    }

    fn asked(there: There, written: Written) -> Option<Unless> {
        kept(there, written, at(2_100_000_000)).map(|kept| kept.unless)
    }

    #[test]
    fn a_version_is_asked_for_by_its_etag_strong_or_weak_else_by_its_last_modified_else_plainly() {
        let file = || there(10, 1_900_000_000);
        for tag in ["\"a\"", "W/\"a\"", "\"\"", "\"a,b*W/\""] {
            assert_eq!(asked(file(), version(Some(tag), Some(DATE))), Some(Unless::Etag(tag.into())));
        }
        let by_date = Some(Unless::NotSince(DATE.into()));
        for no_tag in [None, Some("*"), Some("a"), Some("\"a\", \"b\""), Some("\"a"), Some("\"a\u{e9}\"")] {
            assert_eq!(asked(file(), version(no_tag, Some(DATE))), by_date, "{no_tag:?}");
            assert_eq!(asked(file(), version(no_tag, None)), None, "{no_tag:?}");
        }
        assert_eq!(asked(file(), version(None, Some("yesterday"))), None);
        assert_eq!(asked(file(), Written::NoVersion), None);
    }

    #[test]
    fn a_file_that_somebody_wrote_to_is_asked_for_plainly() {
        let by_tag = || version(Some("\"a\""), Some(DATE));
        assert!(asked(there(10, 2_000_000_002), by_tag()).is_some());
        for edited in [there(9, 1_900_000_000), there(11, 1_900_000_000), there(10, 2_000_000_003)] {
            assert_eq!(asked(edited.clone(), by_tag()), None, "{edited:?}");
        }
        let ahead = "Wed, 18 May 2033 03:40:00 GMT";
        assert!(asked(there(10, 2_000_000_400), version(Some("\"a\""), Some(ahead))).is_some(), "-R");
        let timeless = There { modified: None, ..there(10, 0) };
        assert!(asked(timeless, by_tag()).is_some());
    }

    #[test]
    fn a_file_that_nothing_is_known_of_is_asked_for_by_its_own_time() {
        let by_time = |there| asked(there, Written::NoRow);
        assert_eq!(by_time(there(1, 1_700_000_000)), Some(Unless::NotSince(DATE.into())));
        let timeless = There { modified: None, ..there(10, 0) };
        let long_ago = There { modified: Some(SystemTime::UNIX_EPOCH - LATER), ..there(10, 0) };
        for plain in [there(0, 1_700_000_000), there(1, 2_100_000_001), timeless, long_ago] {
            assert_eq!(by_time(plain.clone()), None, "{plain:?}");
        }
    }

    #[test]
    fn a_304_about_another_version_is_no_answer() {
        let tag = Unless::Etag("W/\"a\"".into());
        assert!(is_about(&tag, None, None) && is_about(&tag, Some("\"a\""), None));
        assert!(!is_about(&tag, Some("\"b\""), None));
        let date = Unless::NotSince(DATE.into());
        assert!(is_about(&date, Some("\"b\""), Some(DATE)) && is_about(&date, None, Some("nonsense")));
        assert!(!is_about(&date, None, Some("Tue, 14 Nov 2023 22:13:21 GMT")));
    }
}
