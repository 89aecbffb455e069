//! Which errors may pass by themselves, which never do. One table; nothing here waits or counts.

use crate::error::{Error, ErrorKind};
use crate::policy::fetch::{Class, Failure, Sent};

/// Statuses that another attempt may cure.
pub(crate) const PASSING_STATUSES: [u16; 7] = [408, 425, 429, 500, 502, 503, 504];

/// Which errors are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RetryErrors {
    /// Those that may pass by themselves: failed look-ups and connections, resets, stalls, truncated bodies, and the
    /// statuses 408, 425, 429, 500, 502, 503 and 504.
    #[default]
    Transient,
    /// Beside these, all that another reply of the server might cure: any refused status, names that do not exist,
    /// certificates, malformed replies, bad redirects. What no server can change is never retried: a bad URL,
    /// settings, an output that cannot be written, a deadline, a stop.
    All,
}

/// Where the body came from that an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Brought {
    /// From one attempt.
    AtOnce,
    /// From several, or from an earlier run.
    InPieces,
}

/// What the machine has to know of an error.
pub(crate) fn failure(error: &Error, errors: RetryErrors, brought: Brought) -> Failure {
    let sent = if error.was_unsent() { Sent::Nothing } else { Sent::Perhaps };
    let class = match (class(error), errors) {
        // What was put together wrongly may be right in one piece.
        (Class::LastingHere, _) if error.kind() == ErrorKind::Digest && brought == Brought::InPieces => {
            Class::Passing
        }
        (Class::LastingHere, RetryErrors::All) if !is_forbidden(error) => Class::Passing,
        (class, _) => class,
    };
    Failure { class, retry_after: error.retry_after(), sent }
}

/// Nobody asks again for what an origin has asked not to be fetched; a mirror may allow it.
fn is_forbidden(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::RobotsDisallowed | ErrorKind::RobotsUnavailable)
}

/// Whether a further attempt can help against this error.
pub(crate) fn class(error: &Error) -> Class {
    use ErrorKind as Kind;
    if error.was_handed_on() {
        return Class::LastingEverywhere;
    }
    match error.kind() {
        Kind::Status => match error.status() {
            Some(status) if PASSING_STATUSES.contains(&status.as_u16()) => Class::Passing,
            _ => Class::LastingHere,
        },
        Kind::StaleConnection | Kind::StreamRefused => Class::Unprocessed,
        Kind::LookupFailed
        | Kind::LookupTimeout
        | Kind::Refused
        | Kind::ConnectTimeout
        | Kind::Unreachable
        | Kind::NoDescriptors
        | Kind::ConnectFailed
        | Kind::TlsHandshake
        | Kind::Reset
        | Kind::EmptyReply
        | Kind::FirstByteTimeout
        | Kind::BodyStalled
        | Kind::BodyTooSlow
        | Kind::BodyTruncated
        | Kind::CodingCut
        | Kind::Transport => Class::Passing,
        Kind::NameNotFound
        | Kind::CertExpired
        | Kind::CertName
        | Kind::CertUntrusted
        | Kind::CertInvalid
        | Kind::BadReply
        | Kind::ContentType
        | Kind::HeadTooLarge
        | Kind::BodyTooLarge
        | Kind::BadBody
        | Kind::CodingBroken
        | Kind::CodingUnknown
        | Kind::Bomb
        | Kind::Digest
        | Kind::TooManyRedirects
        | Kind::BadRedirect
        | Kind::RedirectRefused
        | Kind::HostAway
        | Kind::HostUnavailable
        | Kind::RobotsDisallowed
        | Kind::RobotsUnavailable => Class::LastingHere,
        _ => Class::LastingEverywhere,
    }
}

impl Error {
    /// Whether a further attempt can help: the trouble may pass by itself, or was ours (a deadline, a stop).
    pub fn is_retryable(&self) -> bool {
        use ErrorKind as Kind;
        let ours = matches!(
            self.kind(),
            Kind::JobDeadline
                | Kind::ItemDeadline
                | Kind::Cancelled
                | Kind::QueueTimeout
                | Kind::HostAway
                | Kind::HostUnavailable
        );
        ours || matches!(class(self), Class::Passing | Class::Unprocessed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Phase;

    #[test]
    fn certificates_last_while_resets_pass() {
        let class_of = |kind| class(&Error::new(kind, Phase::Tls, ""));
        assert_eq!(class_of(ErrorKind::CertExpired), Class::LastingHere);
        assert_eq!(class_of(ErrorKind::Reset), Class::Passing);
        assert_eq!(class_of(ErrorKind::StreamRefused), Class::Unprocessed);
        assert_eq!(class_of(ErrorKind::DiskFull), Class::LastingEverywhere);
    }

    #[test]
    fn all_errors_are_those_that_a_server_can_cure() {
        let all: Vec<ErrorKind> = ErrorKind::ALL
            .iter()
            .copied()
            .filter(|kind| {
                let error = Error::new(*kind, Phase::Wait, "");
                let class = failure(&error, RetryErrors::All, Brought::AtOnce).class;
                class != Class::LastingEverywhere
                    && class != failure(&error, RetryErrors::Transient, Brought::AtOnce).class
            })
            .collect();
        for cured in [ErrorKind::Status, ErrorKind::NameNotFound, ErrorKind::CertExpired, ErrorKind::BadReply]
        {
            assert!(all.contains(&cured), "{cured:?} is retried only when all errors are");
        }
        for never in [
            ErrorKind::BadUrl,
            ErrorKind::BadScheme,
            ErrorKind::BadRequest,
            ErrorKind::Settings,
            ErrorKind::TlsSettings,
            ErrorKind::SinkFailed,
            ErrorKind::SinkClosed,
            ErrorKind::Exists,
            ErrorKind::MemoryFull,
            ErrorKind::Cancelled,
            ErrorKind::JobDeadline,
            ErrorKind::ItemDeadline,
            ErrorKind::BodyNotResumable,
            ErrorKind::RobotsDisallowed,
            ErrorKind::RobotsUnavailable,
        ] {
            assert!(!all.contains(&never), "{never:?} is never retried");
        }
    }

    #[test]
    fn a_digest_that_is_wrong_lasts_unless_the_body_came_in_pieces() {
        let of = |kind, brought| {
            failure(&Error::new(kind, Phase::Verify, "wrong"), RetryErrors::Transient, brought).class
        };
        assert_eq!(of(ErrorKind::Digest, Brought::AtOnce), Class::LastingHere);
        assert_eq!(of(ErrorKind::Digest, Brought::InPieces), Class::Passing);
        assert_eq!(of(ErrorKind::BodyTooLarge, Brought::InPieces), Class::LastingHere);
    }
}
