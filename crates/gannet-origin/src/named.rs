//! The faults that a command line names. Only read here.

use gannet_origin::{AfterGoAway, BadFrame, Certificate, Flood, Http2Fault, ResetAt, TlsFault, TlsVersions};

const CERTIFICATES: [(&str, Certificate); 8] = [
    ("good", Certificate::Good),
    ("expired", Certificate::Expired),
    ("not-yet-valid", Certificate::NotYetValid),
    ("wrong-host", Certificate::WrongHost),
    ("common-name-only", Certificate::CommonNameOnly),
    ("unknown-root", Certificate::UnknownRoot),
    ("self-signed", Certificate::SelfSigned),
    ("self-signed-ca", Certificate::SelfSignedCa),
];

const TLS_VERSIONS: [(&str, TlsVersions); 3] =
    [("both", TlsVersions::Both), ("1.2", TlsVersions::Only12), ("1.3", TlsVersions::Only13)];

const TLS_FAULTS: [(&str, TlsFault); 3] = [
    ("alert", TlsFault::Alert),
    ("silence", TlsFault::Silence),
    ("no-close-notify", TlsFault::NoCloseNotify),
];

const PLACES: [(&str, ResetAt); 4] = [
    ("start", ResetAt::Start),
    ("after-headers", ResetAt::AfterHeaders),
    ("during-data", ResetAt::DuringData),
    ("after-data", ResetAt::AfterData),
];

const FLOODS: [(&str, Flood); 5] = [
    ("settings", Flood::Settings),
    ("ping", Flood::Ping),
    ("empty-data", Flood::EmptyData),
    ("continuation", Flood::Continuation),
    ("reset", Flood::Reset),
];

const BAD_FRAMES: [(&str, BadFrame); 10] = [
    ("data-on-stream-zero", BadFrame::DataOnStreamZero),
    ("unopened-stream", BadFrame::UnopenedStream),
    ("too-large", BadFrame::TooLarge),
    ("short-ping", BadFrame::ShortPing),
    ("window-update-by-zero", BadFrame::WindowUpdateByZero),
    ("data-first", BadFrame::DataFirst),
    ("padding", BadFrame::BadPadding),
    ("hpack", BadFrame::BadHpack),
    ("lone-continuation", BadFrame::LoneContinuation),
    ("push-promise", BadFrame::PushPromise),
];

fn named<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

fn names<T>(table: &[(&str, T)]) -> String {
    table.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

pub(crate) fn certificate(name: &str) -> Option<Certificate> {
    named(&CERTIFICATES, name)
}

pub(crate) fn tls_versions(name: &str) -> Option<TlsVersions> {
    named(&TLS_VERSIONS, name)
}

pub(crate) fn tls_fault(name: &str) -> Option<TlsFault> {
    match name.strip_prefix("cut:") {
        Some(bytes) => bytes.parse().ok().map(TlsFault::CutAfter),
        None => named(&TLS_FAULTS, name),
    }
}

pub(crate) fn http2_fault(text: &str) -> Option<Http2Fault> {
    let (name, values) = text.split_once(':').unwrap_or((text, ""));
    let (first, second) = values.split_once(',').unwrap_or((values, ""));
    Some(match name {
        "goaway" => {
            let (last_stream, then) = match second.split_once(',') {
                Some((last_stream, "close")) => (last_stream, AfterGoAway::Close),
                Some(_) => return None,
                None => (second, AfterGoAway::Answer),
            };
            Http2Fault::GoAway {
                after_requests: first.parse().ok()?,
                last_stream: last_stream.parse().ok()?,
                then,
            }
        }
        "goaway-storm" => Http2Fault::GoAwayStorm,
        "reset" => Http2Fault::Reset { at: named(&PLACES, first)?, code: second.parse().ok()? },
        "refuse" if values.is_empty() => Http2Fault::RefuseStream { times: u64::MAX },
        "refuse" => Http2Fault::RefuseStream { times: values.parse().ok()? },
        "http11-required" => Http2Fault::Http11Required,
        "flood" => Http2Fault::Flood(named(&FLOODS, values)?),
        "max-streams" => {
            let then = if second.is_empty() { None } else { Some(second.parse().ok()?) };
            Http2Fault::MaxStreams { first: first.parse().ok()?, then }
        }
        "zero-window" => Http2Fault::ZeroWindow,
        "bad" => Http2Fault::Bad(named(&BAD_FRAMES, values)?),
        _ => return None,
    })
}

/// What the help says of the names.
pub(crate) fn help() -> String {
    format!(
        "
Certificates: {}.
TLS faults: cut:N (the origin's N-th byte is its last), {}.
HTTP/2 faults:
  goaway:N,LAST        after N requests, naming that last stream, and answering up to it
  goaway:N,LAST,close  the same, answering none
  goaway-storm         GOAWAY without end
  reset:PLACE,CODE     PLACE: {}
  refuse, refuse:N     REFUSED_STREAM for all requests, or the first N
  http11-required      HTTP_1_1_REQUIRED for all requests
  flood:KIND           KIND: {}
  max-streams:N        SETTINGS_MAX_CONCURRENT_STREAMS; N,M: M after the first answer
  zero-window          no byte of a request's body may come
  bad:FRAME            FRAME: {}
",
        names(&CERTIFICATES),
        names(&TLS_FAULTS),
        names(&PLACES),
        names(&FLOODS),
        names(&BAD_FRAMES),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_with_their_values() {
        assert_eq!(tls_fault("cut:77"), Some(TlsFault::CutAfter(77)));
        assert_eq!(
            http2_fault("reset:after-data,8"),
            Some(Http2Fault::Reset { at: ResetAt::AfterData, code: 8 })
        );
        let close = Http2Fault::GoAway { after_requests: 3, last_stream: 1, then: AfterGoAway::Close };
        assert_eq!(http2_fault("goaway:3,1,close"), Some(close));
        assert_eq!(http2_fault("max-streams:1,0"), Some(Http2Fault::MaxStreams { first: 1, then: Some(0) }));
        assert_eq!(http2_fault("bad:hpack"), Some(Http2Fault::Bad(BadFrame::BadHpack)));
    }

    #[test]
    fn a_fault_that_nobody_knows_is_none() {
        let nonsense =
            ["goaway", "goaway:1", "goaway:1,2,open", "reset:x,1", "flood:x", "bad", "refuse:x", ""];
        assert!(nonsense.iter().all(|text| http2_fault(text).is_none()));
        assert!(
            tls_fault("cut:x").is_none() && certificate("fine").is_none() && tls_versions("1.1").is_none()
        );
    }
}
