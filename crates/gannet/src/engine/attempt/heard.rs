//! What a reply or an error says of its host: whether it answered, refused or broke, and for how long it wants to be
//! left alone. Only read here; what follows is decided in `policy::host`.

use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderName, RETRY_AFTER};
use http::response::Parts;

use crate::clock::Clock;
use crate::engine::errand::Errand;
use crate::engine::plan::Redirects;
use crate::error::{Error, ErrorKind};
use crate::permit::Left;

/// What a reply's head says of its host. A status that the caller accepts is what was asked for, whatever it means.
pub(super) fn of_head(errand: &Errand, head: &Parts) -> Left {
    let status = head.status;
    if errand.plan.ok_status.contains(status) {
        return Left::Success;
    }
    match status.as_u16() {
        // It answers a condition.
        304 => Left::Success,
        300..=399 if errand.plan.redirects == Redirects::Return => Left::Success,
        code @ (429 | 503) => {
            Left::Refused { status: code, retry_after: retry_after(&head.headers, Clock::wall()) }
        }
        500..=599 => Left::Broken,
        _ => Left::Answered,
    }
}

/// Whether the host is to blame: what counts against it at its gate.
pub(crate) fn is_of_host(error: &Error) -> bool {
    let refused = |status: http::StatusCode| status.is_server_error() || status.as_u16() == 429;
    of_error(error) == Left::Unreached
        || (error.kind() == ErrorKind::Status && error.status().is_some_and(refused))
}

/// What a failed exchange says of its host.
pub(crate) fn of_error(error: &Error) -> Left {
    use ErrorKind as Kind;
    match error.kind() {
        Kind::LookupFailed
        | Kind::LookupTimeout
        | Kind::Refused
        | Kind::ConnectTimeout
        | Kind::Unreachable
        | Kind::ConnectFailed
        | Kind::TlsHandshake
        | Kind::Reset
        | Kind::EmptyReply
        | Kind::FirstByteTimeout
        | Kind::BodyStalled
        | Kind::BodyTruncated
        | Kind::Transport => Left::Unreached,
        // What broke after bytes had left our hands is wrapped; its cause tells.
        Kind::BodyNotResumable => Left::Unreached,
        Kind::BadReply
        | Kind::HeadTooLarge
        | Kind::ContentType
        | Kind::BodyTooLarge
        | Kind::BadBody
        | Kind::CodingBroken
        | Kind::CodingCut
        | Kind::CodingUnknown
        | Kind::Bomb
        | Kind::Digest
        | Kind::TooManyRedirects
        | Kind::BadRedirect
        | Kind::RedirectRefused
        | Kind::Status => Left::Answered,
        _ => Left::Cut,
    }
}

/// Retry-After, in seconds or as a date (RFC 9110, section 10.2.3); a past date or nonsense counts as absent.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    httpdate::parse_http_date(text).ok()?.duration_since(now).ok().filter(|wait| !wait.is_zero())
}

/// Numbers above this are moments, as seconds since 1970, and no lengths.
const EPOCH_FROM: f64 = 1e9;

/// For how long nothing is left, if the reply's fields say that nothing is: `RateLimit` (the IETF's draft
/// draft-ietf-httpapi-ratelimit-headers, in its present form and the earlier ones) or `X-RateLimit-*`.
pub(super) fn nothing_left(headers: &HeaderMap, now: impl FnOnce() -> SystemTime) -> Option<Duration> {
    // Few servers send any; this is asked of each reply.
    let tells =
        |name: &HeaderName| ["ratelimit", "x-rate"].iter().any(|start| name.as_str().starts_with(start));
    if !headers.keys().any(tells) {
        return None;
    }
    let now = now();
    for prefix in ["ratelimit", "x-ratelimit", "x-rate-limit"] {
        let number = |what: &str| {
            let field = headers.get(format!("{prefix}-{what}"))?.to_str().ok()?;
            field.split([',', ';']).next()?.trim().parse::<f64>().ok()
        };
        if number("remaining").is_some_and(|left| left <= 0.0)
            && let Some(wait) = number("reset").and_then(|reset| length(reset, now))
        {
            return Some(wait);
        }
    }
    let policies = headers.get_all("ratelimit").iter().filter_map(|field| field.to_str().ok());
    policies.filter_map(|policies| longest(policies, now)).max()
}

/// `"burst";r=0;t=30, "day";r=900;t=4000`, or `limit=100, remaining=0, reset=30`.
fn longest(policies: &str, now: SystemTime) -> Option<Duration> {
    let one = |policy: &str| {
        let value = |names: [&str; 2]| {
            policy.split([';', ',']).find_map(|part| {
                let (name, value) = part.trim().split_once('=')?;
                names.contains(&name.trim()).then(|| value.trim().parse::<f64>().ok()).flatten()
            })
        };
        let left = value(["r", "remaining"])?;
        (left <= 0.0).then(|| length(value(["t", "reset"])?, now)).flatten()
    };
    // In the earlier form the commas stand within one policy.
    if policies.contains("remaining") { one(policies) } else { policies.split(',').filter_map(one).max() }
}

fn length(reset: f64, now: SystemTime) -> Option<Duration> {
    let seconds = if reset > EPOCH_FROM {
        reset - now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs_f64()
    } else {
        reset
    };
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_784_111_777)
    }

    fn left(fields: &[(&'static str, &'static str)]) -> Option<u64> {
        let field = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        nothing_left(&fields.iter().map(field).collect(), now).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_nonsense_is_absent() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let wait = |text: &'static str| {
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]), now)
        };
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_secs(60)));
        assert!(wait("1000000000000000000000").is_some_and(|long| long > Duration::from_secs(1 << 31)));
        for absent in
            ["-1", "soon", "", "1.5", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1993 08:49:37 GMT"]
        {
            assert_eq!(wait(absent), None, "{absent}");
        }
    }

    #[test]
    fn fields_that_say_nothing_is_left_are_read_in_all_their_forms() {
        assert_eq!(left(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1784111807")]), Some(30));
        assert_eq!(left(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "12")]), Some(12));
        assert_eq!(left(&[("ratelimit", "limit=100, remaining=0, reset=7")]), Some(7));
        assert_eq!(left(&[("ratelimit", "\"burst\";r=0;t=9, \"day\";r=900;t=4000")]), Some(9));
    }

    #[test]
    fn fields_that_leave_something_or_make_no_sense_hold_nobody() {
        for fields in [
            &[("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", "30")][..],
            &[("x-ratelimit-remaining", "0")],
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "soon")],
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "-4")],
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1684111807")],
            &[("ratelimit", "\"burst\";r=1;t=9")],
            &[("ratelimit", "\"burst\";r=0")],
        ] {
            assert_eq!(left(fields), None, "{fields:?}");
        }
    }
}
