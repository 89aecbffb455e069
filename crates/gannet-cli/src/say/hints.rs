//! What to do about an error, by its kind: one table. Words only.

use std::borrow::Cow;

use gannet::{Error, ErrorKind as Kind};

use super::amounts::seconds;

/// Why it failed: the message, and for a deadline and for a host that lets nobody in what had failed before.
pub(crate) fn reason(error: &Error) -> Cow<'_, str> {
    let cut_short = matches!(
        error.kind(),
        Kind::JobDeadline | Kind::ItemDeadline | Kind::HostAway | Kind::HostUnavailable
    );
    let cause = std::error::Error::source(error).filter(|_| cut_short);
    match cause.and_then(|cause| cause.downcast_ref::<Error>()) {
        Some(before) => Cow::Owned(format!("{}; before that: {}", error.message(), before.message())),
        None => Cow::Borrowed(error.message()),
    }
}

/// What to do about it.
pub(crate) fn hint(error: &Error) -> Cow<'static, str> {
    // Of another kind of trouble, an accepted status says nothing.
    if error.is_out_of_budget() {
        return Cow::Borrowed(
            "so many fail that no more is tried: lower -j and --per-host, or try again later",
        );
    }
    if error.is_out_of_time() {
        let longer = "give it longer with --deadline or --max-time";
        return Cow::Owned(match error.retry_after().filter(|wait| !wait.is_zero()) {
            Some(wait) => {
                format!(
                    "the server wants us back in {}, after the deadline: try again then, or {longer}",
                    seconds(wait)
                )
            }
            None => format!("the deadline comes before the next try: {longer}, or try again later"),
        });
    }
    if error.kind() == Kind::BadScheme && is_http(error.url()) {
        return Cow::Borrowed(
            "--proto excludes it: write the other of http:// and https://, or leave --proto out",
        );
    }
    if error.kind() == Kind::BadRequest && error.message().starts_with("--checksum-file") {
        return Cow::Borrowed("give the file of sums a line for it, or fetch it by a command of its own");
    }
    if error.kind() == Kind::BadPlace {
        return Cow::Borrowed(for_place(error.message()));
    }
    let status = error.status().filter(|_| error.kind() == Kind::Status).map(|status| status.as_u16());
    match (error.retry_after().filter(|wait| !wait.is_zero()), status) {
        (Some(wait), _) if error.kind() == Kind::HostAway => Cow::Owned(format!(
            "the server wants us back in {}; try again then, or wait for longer with --retry-after-max",
            seconds(wait)
        )),
        (Some(wait), _) => {
            Cow::Owned(format!("the server wants us back in {}; try again then", seconds(wait)))
        }
        (None, Some(status)) => Cow::Borrowed(for_status(status)),
        (None, None) => Cow::Borrowed(for_kind(error.kind())),
    }
}

/// What is not fetched though it is of http or https is excluded by `--proto`.
fn is_http(url: Option<&str>) -> bool {
    let scheme = url.and_then(|url| url.split_once("://")).map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
}

/// What to do about a place, by what is wrong with it: the journal keeps no more of an error than its words.
fn for_place(message: &str) -> &'static str {
    let says = |ends: &[&str]| ends.iter().any(|end| message.ends_with(end));
    if says(&["does not exist", "no such file or directory"]) {
        "make that folder, or let --create-dirs make it, or choose another place with -o or -P"
    } else if says(&["is a folder", "is a directory", "names a folder, not a file"]) {
        "move that folder away, or name the file otherwise, with -o FILE or --name"
    } else if says(&["is no folder", "not a directory"]) {
        "move the file away that is in the place of the folder, or choose another place with -o or -P"
    } else if says(&["which is not followed", "symbolic links"]) {
        "below -P no link is followed: move it away, or give -P the folder that it leads to"
    } else if says(&["is a device, socket or FIFO"]) {
        "below -P only files are written: move it away, or name it with -o"
    } else {
        for_kind(Kind::BadPlace)
    }
}

fn for_status(status: u16) -> &'static str {
    match status {
        300..=399 => "--no-location takes a redirect for the reply, --ok-status names what counts as success",
        401 => "give credentials with -u USER:PASSWORD or -H 'Authorization: ...'",
        403 => "this URL is not for you as you are: try -u USER:PASSWORD, or another -A NAME",
        404 | 410 => "check the URL's path; there is nothing at it",
        405 => "try another method with -X METHOD",
        407 => "the proxy wants credentials",
        413 => "send less with -d",
        429 => "ask more slowly, with --host-rate 10/s or so, or try again later",
        400..=499 => "check the request: -v tells each attempt, --ok-status takes such a reply for a success",
        _ => "the trouble is the server's: try again later, or with more --retry",
    }
}

fn for_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::BadUrl => "write it as http://host/path",
        Kind::BadScheme => "gannet fetches http and https; use curl for this",
        Kind::BadEntry => "mend this entry of the list; --input-format says what kind of list it is",
        Kind::LineTooLong | Kind::NotText => "check that the list is text with one URL a line",
        Kind::InputUnreadable | Kind::NoInput => "check the file that -i names",
        Kind::BadRequest => "check -H, -d and -X",
        Kind::NameNotFound => "check the host's spelling",
        Kind::LookupFailed | Kind::LookupTimeout => "check this machine's network and name servers",
        Kind::Refused => "check host and port; is the server running?",
        Kind::ConnectTimeout => "check host, port and firewalls, or give it longer with --connect-timeout",
        Kind::Unreachable | Kind::ConnectFailed => "check this machine's network",
        Kind::NoDescriptors => "lower -j, or raise the limit of open files with ulimit -n",
        Kind::CertExpired => "check this machine's clock, or trust another CA with --cacert FILE",
        Kind::CertName => "use a name that the certificate is for",
        Kind::CertUntrusted => "trust its CA with --cacert FILE, or anybody with -k",
        Kind::CertInvalid => "the certificate is the server's to mend; -k trusts it all the same",
        Kind::TlsHandshake => "check that the port speaks TLS; is it https that is meant?",
        Kind::TlsSettings => "check the file that --cacert names",
        Kind::Reset | Kind::EmptyReply | Kind::StaleConnection | Kind::StreamRefused => {
            "the server broke off: try again later, or with more --retry"
        }
        Kind::BadReply | Kind::HeadTooLarge => "check that this port speaks HTTP",
        Kind::FirstByteTimeout | Kind::BodyStalled => {
            "give it longer with --read-timeout, or hedge with --hedge 300ms"
        }
        Kind::BodyTooSlow => "try again later, or put up with less: --speed-limit",
        Kind::BodyTruncated => "the server sent less than it promised: try again later, or with more --retry",
        Kind::BodyTooLarge => "take more with --max-size",
        Kind::BodyNotResumable => "save it with -o FILE or -P DIR, then it can be begun anew",
        Kind::TooManyRedirects => "follow more with --max-redirs, or see the first with --no-location",
        Kind::BadRedirect | Kind::RedirectRefused => "see where it leads with --no-location, and fetch that",
        Kind::RobotsDisallowed => "run without --robots, if you may",
        Kind::RobotsUnavailable => "try again later, or run without --robots, if you may",
        Kind::JobDeadline => "give it longer with --deadline, or run the same command again",
        Kind::ItemDeadline => "give it longer with --max-time",
        Kind::Cancelled => "run the same command again to go on",
        Kind::Unanswered => "see at the server whether it was done; gannet retry sends it again",
        Kind::QueueTimeout => "lower -j",
        Kind::HostAway => "run the same command again then, or wait for longer with --retry-after-max",
        Kind::HostUnavailable => "try again when it is up, or wait for longer with --host-give-up",
        Kind::BadName => "name the file with -o FILE",
        Kind::Exists => "--if-exists overwrite, skip or rename",
        Kind::Forbidden => "choose a place that you may write to, with -o or -P",
        Kind::BadPlace => "choose another place with -o or -P",
        Kind::DiskFull => "free some space, and run the same command again",
        Kind::ReadOnly => "choose another disk with -o or -P",
        Kind::DiskFailed => "check the disk, or choose another with -o or -P, and run the same command again",
        Kind::SinkFailed | Kind::SinkClosed => "write to a file with -o FILE or -P DIR",
        Kind::BadCookie => "check the file that -b names: it has Netscape's and curl's format",
        Kind::CodingBroken | Kind::CodingCut => "fetch it without --compressed, and look at what comes",
        Kind::CodingUnknown => "fetch it without --compressed: it is written as it is sent",
        Kind::Bomb => "fetch it without --compressed, and unpack it with care",
        Kind::Digest => {
            "the body is another one than was meant: check the digest, or ask another source with --mirror; a digest \
             that the server sent wrong is passed over with --ignore-sent-digests"
        }
        Kind::ContentType => "take more types with --accept, or any without it",
        Kind::MemoryFull => "write to files with -P DIR",
        Kind::Settings => "give settings that go together",
        kind => for_journal(kind).unwrap_or("run it with -v, and tell us what it says"),
    }
}

/// What to do where an unfinished job is in the way.
pub(crate) const OTHER_LIST: &str = "give the list that it was begun with; choose another folder, or --journal none, to \
    keep that job; or begin anew with --new-job, which removes what that job has of bodies that are not whole";

fn for_journal(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::JournalLocked => {
            "wait until the other gannet is done, or end it; in another folder, or with --journal none, one works beside it"
        }
        Kind::JournalNewer => "run the newer gannet that wrote it",
        Kind::JournalDamaged => {
            "move the journal away and run the same command: with -P, files that are there are kept"
        }
        Kind::JournalOtherList => OTHER_LIST,
        Kind::JournalFailed => "check the folder of the journal and its disk, and run the same command again",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_place_says_what_to_do_about_it() {
        for (message, hint) in [
            ("the folder d does not exist", "make that folder"),
            ("d/x is a folder", "move that folder away"),
            ("cannot write d/x: is a directory", "move that folder away"),
            ("d is no folder", "move the file away"),
            ("d/x is a symbolic link, which is not followed", "below -P no link"),
            ("cannot write d/x: too many levels of symbolic links", "below -P no link"),
            ("cannot write d/x: stale", "choose another place"),
        ] {
            assert!(for_place(message).starts_with(hint), "{message}: {}", for_place(message));
        }
    }

    #[test]
    fn every_kind_of_error_has_a_hint_of_its_own() {
        let ours_alone = [Kind::NoRuntime, Kind::Transport, Kind::BadBody, Kind::Status];
        for kind in Kind::ALL.iter().filter(|kind| !ours_alone.contains(kind)) {
            assert!(!for_kind(*kind).starts_with("run it with -v"), "{}", kind.code());
        }
    }
}
