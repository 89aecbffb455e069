//! Which errors may pass by themselves, which never do. One table; nothing here waits or counts.

use crate::error::{Error, ErrorKind};
use crate::policy::fetch::{Class, Failure, Sent};

/// Statuses that another attempt may cure.
pub(crate) const PASSING_STATUSES: [u16; 7] = [408, 425, 429, 500, 502, 503, 504];

/// What the machine has to know of an error.
pub(crate) fn failure(error: &Error) -> Failure {
    let sent = if error.was_unsent() { Sent::Nothing } else { Sent::Perhaps };
    Failure { class: class(error), retry_after: error.retry_after(), sent }
}

/// Whether a further attempt can help against this error.
pub(crate) fn class(error: &Error) -> Class {
    use ErrorKind as Kind;
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
        | Kind::BodyTruncated
        | Kind::Transport => Class::Passing,
        Kind::NameNotFound
        | Kind::CertExpired
        | Kind::CertName
        | Kind::CertUntrusted
        | Kind::CertInvalid
        | Kind::BadReply
        | Kind::HeadTooLarge
        | Kind::BodyTooLarge
        | Kind::BadBody
        | Kind::TooManyRedirects
        | Kind::BadRedirect
        | Kind::RedirectRefused => Class::LastingHere,
        _ => Class::LastingEverywhere,
    }
}

impl Error {
    /// Whether a further attempt can help: the trouble may pass by itself, or was ours (a deadline, a stop).
    pub fn is_retryable(&self) -> bool {
        use ErrorKind as Kind;
        let ours = matches!(
            self.kind(),
            Kind::JobDeadline | Kind::ItemDeadline | Kind::Cancelled | Kind::QueueTimeout
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
}
