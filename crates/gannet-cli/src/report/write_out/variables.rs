//! The names that `-w` knows, each with what it stands for: one table, for the format, for messages and for the docs.

/// What stands between `%{` and `}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Value(Variable),
    Stdout,
    Stderr,
    OnError,
}

/// A value that an outcome has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variable {
    Attempts,
    ConnId,
    ContentType,
    Error,
    ErrorMessage,
    ExitCode,
    Filename,
    HeaderJson,
    Hedged,
    HttpCode,
    HttpVersion,
    Json,
    Line,
    Method,
    Connects,
    Redirects,
    Retries,
    Outcome,
    RedirectUrl,
    Referer,
    RemoteIp,
    RemotePort,
    Scheme,
    Seq,
    SizeDownload,
    SizeHeader,
    SpeedDownload,
    TimeAppConnect,
    TimeConnect,
    TimeNameLookup,
    TimePreTransfer,
    TimeQueue,
    TimeRedirect,
    TimeStartTransfer,
    TimeTotal,
    Url,
    UrlEffective,
}

use Variable as V;

/// Each name, what it is, and what it stands for. Times are in seconds with six digits, from the first attempt's
/// start; those of parts are of the attempt that settled it.
pub(super) const TABLE: &[(&str, Name, &str)] = &[
    ("attempts", Name::Value(V::Attempts), "how many attempts were made"),
    ("conn_id", Name::Value(V::ConnId), "the number of the connection that was used last; empty if none was"),
    ("content_type", Name::Value(V::ContentType), "the reply's Content-Type"),
    (
        "error",
        Name::Value(V::Error),
        "the error's code in the report, such as connect.refused; empty if there is none",
    ),
    ("errormsg", Name::Value(V::ErrorMessage), "what went wrong; empty if nothing did"),
    ("exitcode", Name::Value(V::ExitCode), "curl's exit number for the error; 0 if there is none"),
    ("filename_effective", Name::Value(V::Filename), "the file that holds the body; empty if none does"),
    (
        "header_json",
        Name::Value(V::HeaderJson),
        "the reply's header fields as JSON: names in lower case, lists of values",
    ),
    ("hedged", Name::Value(V::Hedged), "true if an attempt was started against silence, else false"),
    ("http_code", Name::Value(V::HttpCode), "the reply's status, accepted or not; 000 if no reply came"),
    ("http_version", Name::Value(V::HttpVersion), "1.0, 1.1 or 2; 0 if no reply came"),
    ("json", Name::Value(V::Json), "the URL's row of --report"),
    (
        "line",
        Name::Value(V::Line),
        "the line of the list that the URL stands on, from 1; empty if there is no list",
    ),
    ("method", Name::Value(V::Method), "the method of the first request"),
    ("num_connects", Name::Value(V::Connects), "how many attempts made a new connection"),
    ("num_redirects", Name::Value(V::Redirects), "how many redirects were followed"),
    ("num_retries", Name::Value(V::Retries), "how many attempts came after a failure"),
    ("onerror", Name::OnError, "what follows is written about failures alone"),
    ("outcome", Name::Value(V::Outcome), "ok, failed, unfinished, cancelled or skipped"),
    (
        "redirect_url",
        Name::Value(V::RedirectUrl),
        "where the reply would have led, had it been followed; empty if nowhere",
    ),
    ("referer", Name::Value(V::Referer), "what -e said"),
    ("remote_ip", Name::Value(V::RemoteIp), "the address that was talked to last"),
    ("remote_port", Name::Value(V::RemotePort), "its port; 0 if there is none"),
    ("response_code", Name::Value(V::HttpCode), "http_code"),
    ("scheme", Name::Value(V::Scheme), "http or https, of the last URL"),
    ("seq", Name::Value(V::Seq), "the URL's place in the input, from 0"),
    ("size_download", Name::Value(V::SizeDownload), "how many bytes of the body came, as they came"),
    (
        "size_header",
        Name::Value(V::SizeHeader),
        "how long the last reply's head is in bytes, as -D writes it",
    ),
    ("speed_download", Name::Value(V::SpeedDownload), "bytes of the body a second, over the whole time"),
    ("stderr", Name::Stderr, "what follows goes to standard error"),
    ("stdout", Name::Stdout, "what follows goes to standard output, as at the beginning"),
    ("time_appconnect", Name::Value(V::TimeAppConnect), "until the TLS handshake was done; 0 without one"),
    ("time_connect", Name::Value(V::TimeConnect), "until the connection was made"),
    ("time_namelookup", Name::Value(V::TimeNameLookup), "until the address was known"),
    ("time_pretransfer", Name::Value(V::TimePreTransfer), "until the request could be sent"),
    (
        "time_queue",
        Name::Value(V::TimeQueue),
        "spent waiting for a turn, before the first attempt; part of no other",
    ),
    ("time_redirect", Name::Value(V::TimeRedirect), "0: the time of redirects is in the others"),
    (
        "time_starttransfer",
        Name::Value(V::TimeStartTransfer),
        "until the first byte of the body; 0 if no reply came",
    ),
    ("time_total", Name::Value(V::TimeTotal), "until the end, retries included"),
    ("url", Name::Value(V::Url), "the URL that was asked for"),
    ("url_effective", Name::Value(V::UrlEffective), "the URL that was asked last, after redirects"),
    ("urlnum", Name::Value(V::Seq), "seq"),
    ("xfer_id", Name::Value(V::Seq), "seq"),
];

impl Name {
    /// What this name stands for.
    pub(super) fn of(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.0 == name).map(|row| row.1)
    }
}
