//! The exit number that curl has for the same trouble, by our kind of error: one table, for those who know curl's.

use gannet::ErrorKind as Kind;

/// curl's exit number (its man page, EXIT CODES).
pub(super) fn exit_code(kind: Kind) -> u8 {
    match kind {
        Kind::BadScheme | Kind::RedirectRefused => 1,
        Kind::NoInput | Kind::NoRuntime | Kind::Settings => 2,
        Kind::BadUrl | Kind::BadEntry | Kind::LineTooLong | Kind::NotText | Kind::BadRedirect => 3,
        Kind::NameNotFound | Kind::LookupFailed => 6,
        Kind::Refused | Kind::Unreachable | Kind::NoDescriptors | Kind::ConnectFailed => 7,
        Kind::BadReply | Kind::ContentType => 8,
        Kind::RobotsDisallowed | Kind::RobotsUnavailable => 9,
        Kind::BodyTruncated | Kind::BodyNotResumable => 18,
        Kind::Status => 22,
        Kind::BadName
        | Kind::Exists
        | Kind::Forbidden
        | Kind::BadPlace
        | Kind::DiskFull
        | Kind::ReadOnly
        | Kind::DiskFailed
        | Kind::SinkFailed
        | Kind::SinkClosed
        | Kind::JournalLocked
        | Kind::JournalNewer
        | Kind::JournalDamaged
        | Kind::JournalOtherList
        | Kind::JournalFailed => 23,
        Kind::InputUnreadable | Kind::BadCookie => 26,
        Kind::MemoryFull => 27,
        Kind::LookupTimeout
        | Kind::ConnectTimeout
        | Kind::FirstByteTimeout
        | Kind::BodyStalled
        | Kind::BodyTooSlow
        | Kind::JobDeadline
        | Kind::ItemDeadline
        | Kind::HostAway
        | Kind::QueueTimeout => 28,
        Kind::TlsHandshake => 35,
        Kind::Cancelled | Kind::Unanswered => 42,
        Kind::BadRequest => 43,
        Kind::TooManyRedirects => 47,
        Kind::EmptyReply => 52,
        Kind::HostUnavailable => 7,
        Kind::Reset | Kind::StaleConnection | Kind::Transport | Kind::Digest => 56,
        Kind::CertExpired | Kind::CertName | Kind::CertUntrusted | Kind::CertInvalid => 60,
        Kind::BadBody | Kind::CodingBroken | Kind::CodingCut | Kind::CodingUnknown => 61,
        Kind::BodyTooLarge | Kind::Bomb => 63,
        Kind::TlsSettings => 77,
        Kind::StreamRefused => 92,
        Kind::HeadTooLarge => 100,
        // A kind that is newer than this table: curl's own word for what it has no word for.
        _ => 99,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_a_number_of_curls() {
        for kind in Kind::ALL {
            assert_ne!(exit_code(*kind), 99, "{}", kind.code());
        }
        assert_eq!([Kind::CertExpired, Kind::Status, Kind::Refused].map(exit_code), [60, 22, 7]);
    }
}
