//! Errors of the operating system, hyper, h2 and rustls in our own words: one table for each layer.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;

use crate::error::{Error, ErrorKind, Phase};

/// How far an exchange had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Whether the connection had served an exchange before.
    pub(crate) connection: Age,
    /// Whether a byte of this request was written.
    pub(crate) wrote: Progress,
    /// Whether a byte of this reply was read.
    pub(crate) read: Progress,
}

/// Whether a connection is fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    New,
    Reused,
}

/// Whether any byte went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    None,
    Some,
}

/// A connect that failed.
pub(crate) fn connect(cause: io::Error, address: Option<SocketAddr>) -> Error {
    let at = address.map_or_else(String::new, |address| format!(" ({address})"));
    // EMFILE and ENFILE have no kind of their own in the standard library.
    let (kind, what) = match cause.kind() {
        _ if matches!(cause.raw_os_error(), Some(23 | 24)) => {
            (ErrorKind::NoDescriptors, "no file descriptor is free (ulimit -n)".to_owned())
        }
        io::ErrorKind::ConnectionRefused => (ErrorKind::Refused, "connection refused".to_owned()),
        io::ErrorKind::TimedOut => (ErrorKind::ConnectTimeout, "the connection timed out".to_owned()),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            (ErrorKind::Unreachable, "the network has no way there".to_owned())
        }
        _ => (ErrorKind::ConnectFailed, format!("connecting failed: {cause}")),
    };
    Error::new(kind, Phase::Connect, what + &at).caused_by(cause)
}

/// An exchange that failed before its reply's head.
pub(crate) fn exchange(cause: hyper::Error, standing: Standing) -> Error {
    let (kind, message) = exchange_kind(&cause, standing);
    let unsent = standing.wrote == Progress::None || cause.is_canceled() || kind == ErrorKind::StreamRefused;
    let error = Error::new(kind, Phase::Wait, message).caused_by(cause);
    if unsent { error.unsent() } else { error }
}

fn exchange_kind(cause: &hyper::Error, standing: Standing) -> (ErrorKind, String) {
    if let Some(found) = http2(cause) {
        return found;
    }
    // hyper has a kind for this, and no question for it.
    if cause.is_parse() && cause.to_string().contains("too large") {
        return (
            ErrorKind::HeadTooLarge,
            "the reply's head is over its limit of 256 KiB or 256 fields".into(),
        );
    }
    if cause.is_parse() || cause.is_parse_status() {
        return (ErrorKind::BadReply, format!("the reply is not HTTP: {}", innermost(cause)));
    }
    // Never handed to the connection's driver, which had ended.
    if cause.is_canceled() {
        return (ErrorKind::StaleConnection, "the connection closed before the request was sent".into());
    }
    let unexpected_end = io_kind(cause) == Some(io::ErrorKind::UnexpectedEof);
    let ended = cause.is_incomplete_message() || unexpected_end;
    let stale = standing.connection == Age::Reused && standing.read == Progress::None;
    if stale && (ended || cause.is_closed() || is_cut(cause)) {
        return (ErrorKind::StaleConnection, "the reused connection had been closed by the server".into());
    }
    if ended {
        return match standing.read {
            Progress::None => {
                (ErrorKind::EmptyReply, "the server closed the connection without a reply".into())
            }
            Progress::Some => {
                (ErrorKind::Reset, "the server closed the connection amid the reply's head".into())
            }
        };
    }
    if is_cut(cause) {
        return (ErrorKind::Reset, "the server reset the connection".into());
    }
    (ErrorKind::Reset, format!("the exchange failed: {}", innermost(cause)))
}

/// A body that broke off.
pub(crate) fn body(cause: hyper::Error) -> Error {
    let (kind, message) = if is_short_http2(&cause) {
        (ErrorKind::BodyTruncated, "the body's length is not the announced one".into())
    } else if let Some(found) = http2(&cause) {
        found
    } else if cause.is_incomplete_message() || io_kind(&cause) == Some(io::ErrorKind::UnexpectedEof) {
        (ErrorKind::BodyTruncated, "the body ended before its announced end".into())
    } else if is_cut(&cause) {
        (ErrorKind::Reset, "the server reset the connection amid the body".into())
    } else if cause.is_parse() || is_framing(&cause) {
        (ErrorKind::BadReply, format!("the body's framing is broken: {}", innermost(&cause)))
    } else {
        (ErrorKind::BodyTruncated, format!("the body broke off: {}", innermost(&cause)))
    };
    Error::new(kind, Phase::Body, message).caused_by(cause)
}

fn is_framing(cause: &hyper::Error) -> bool {
    matches!(io_kind(cause), Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput))
}

fn is_cut(cause: &hyper::Error) -> bool {
    matches!(
        io_kind(cause),
        Some(
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::NotConnected
        )
    )
}

fn io_kind(cause: &hyper::Error) -> Option<io::ErrorKind> {
    causes(cause).find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}

#[cfg(feature = "http2")]
fn http2(cause: &hyper::Error) -> Option<(ErrorKind, String)> {
    let found = causes(cause).find_map(|cause| cause.downcast_ref::<h2::Error>())?;
    let reason = found.reason();
    let unprocessed = reason == Some(h2::Reason::REFUSED_STREAM)
        || (found.is_go_away() && found.is_remote() && reason == Some(h2::Reason::NO_ERROR));
    Some(match reason {
        _ if unprocessed => (ErrorKind::StreamRefused, "the server declined the stream unprocessed".into()),
        _ if found.is_io() => (ErrorKind::Reset, "the HTTP/2 connection broke".into()),
        Some(reason) if found.is_remote() => {
            (ErrorKind::Reset, format!("the server ended the stream: {reason}"))
        }
        _ => (ErrorKind::BadReply, format!("the reply breaks HTTP/2: {found}")),
    })
}

/// A stream that ends with more or fewer bytes than announced breaks HTTP/2 (RFC 9113, section 8.1.1): our own side
/// resets it.
#[cfg(feature = "http2")]
fn is_short_http2(cause: &hyper::Error) -> bool {
    let found = causes(cause).find_map(|cause| cause.downcast_ref::<h2::Error>());
    found.is_some_and(|found| {
        found.is_library() && found.is_reset() && found.reason() == Some(h2::Reason::PROTOCOL_ERROR)
    })
}

#[cfg(not(feature = "http2"))]
fn is_short_http2(_: &hyper::Error) -> bool {
    false
}

#[cfg(not(feature = "http2"))]
fn http2(_: &hyper::Error) -> Option<(ErrorKind, String)> {
    None
}

fn causes(error: &hyper::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

fn innermost(error: &hyper::Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// A TLS handshake that failed.
#[cfg(feature = "_tls")]
pub(crate) fn handshake(cause: io::Error, host: &str, address: Option<SocketAddr>) -> Error {
    let at = address.map_or_else(String::new, |address| format!(" ({address})"));
    let inner = cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (kind, what) = match inner {
        Some(rustls::Error::InvalidCertificate(fault)) => certificate(fault, host),
        Some(other) => (ErrorKind::TlsHandshake, other.to_string()),
        None => (ErrorKind::TlsHandshake, format!("the connection broke: {cause}")),
    };
    Error::new(kind, Phase::Tls, format!("TLS handshake: {what}{at}")).caused_by(cause)
}

#[cfg(feature = "_tls")]
fn certificate(fault: &rustls::CertificateError, host: &str) -> (ErrorKind, String) {
    use rustls::CertificateError as Fault;
    match fault {
        Fault::Expired => (ErrorKind::CertExpired, "the certificate has expired".into()),
        Fault::ExpiredContext { not_after, .. } => {
            (ErrorKind::CertExpired, format!("the certificate expired {}", day(not_after.as_secs())))
        }
        Fault::NotValidYet => (ErrorKind::CertExpired, "the certificate is not valid yet".into()),
        Fault::NotValidYetContext { not_before, .. } => (
            ErrorKind::CertExpired,
            format!("the certificate is not valid before {}", day(not_before.as_secs())),
        ),
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => {
            (ErrorKind::CertName, format!("the certificate is not for {host}"))
        }
        Fault::UnknownIssuer => (ErrorKind::CertUntrusted, "the certificate's issuer is not trusted".into()),
        other => (ErrorKind::CertInvalid, format!("the certificate is not accepted: {other}")),
    }
}

/// A day of the civil calendar (Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2021).
#[cfg(feature = "_tls")]
fn day(seconds: u64) -> String {
    let days = i64::try_from(seconds / 86_400).unwrap_or(0) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_of_year = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_of_year + 2) / 5 + 1;
    let month = if month_of_year < 10 { month_of_year + 3 } else { month_of_year - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(all(test, feature = "_tls"))]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_civil_calendar() {
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(951_782_400), "2000-02-29");
        assert_eq!(day(1_793_577_600), "2026-11-02");
    }
}
