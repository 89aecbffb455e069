//! Kinds of errors that the program cannot have, since no option leads to them. The library's own tests make them
//! occur; the program's, all others.

use gannet::ErrorKind;

/// What the library alone can meet.
pub(crate) const OF_THE_LIBRARY: [ErrorKind; 15] = [
    ErrorKind::BadCookie,
    ErrorKind::NoInput,
    ErrorKind::NoRuntime,
    ErrorKind::TlsSettings,
    ErrorKind::BadBody,
    ErrorKind::QueueTimeout,
    ErrorKind::SinkClosed,
    ErrorKind::MemoryFull,
    ErrorKind::JournalLocked,
    ErrorKind::JournalNewer,
    ErrorKind::JournalDamaged,
    ErrorKind::JournalOtherList,
    ErrorKind::JournalFailed,
    ErrorKind::Transport,
    ErrorKind::Settings,
];
