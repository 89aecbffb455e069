//! The heads of replies as text, as they stand on the wire: for `-D`, `--include` and `-I`. Of a refused status too;
//! what carries no reply has none. Nothing here is hidden: it is what the server sent.

use gannet::{Outcome, ReplyHead};
use http::{HeaderMap, StatusCode, Version};

use super::{Closing, Record, Sheet};

/// The head of a reply, accepted or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) version: Version,
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> Head<'a> {
    /// The head of the reply that settled it.
    pub(crate) fn of(outcome: &'a Outcome) -> Option<Self> {
        let refused = || {
            let reply = outcome.error()?.reply()?;
            Some(Self { version: reply.version, status: reply.status, headers: &reply.headers })
        };
        outcome.reply().map(Self::from).or_else(refused)
    }

    /// Its status line, its fields and the empty line, each ended by CR LF (RFC 9112, sections 3 to 5). Names are in
    /// lower case, values as they were sent. HTTP/2 has no reason phrase, and its status line is as curl writes it.
    pub(crate) fn text(&self) -> Vec<u8> {
        let (code, reason) = (self.status.as_str(), self.status.canonical_reason().unwrap_or_default());
        let line = match self.version {
            Version::HTTP_2 => format!("HTTP/2 {code} \r\n"),
            Version::HTTP_3 => format!("HTTP/3 {code} \r\n"),
            version => format!("{version:?} {code} {reason}\r\n"),
        };
        let mut text = line.into_bytes();
        for (name, value) in self.headers {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"\r\n");
        text
    }
}

impl<'a> From<&'a ReplyHead> for Head<'a> {
    fn from(reply: &'a ReplyHead) -> Self {
        Self { version: reply.version, status: reply.status, headers: &reply.headers }
    }
}

/// The heads of all replies, one behind the other, as they settle.
pub(crate) struct Heads {
    sheet: [Sheet; 1],
}

impl Heads {
    /// Writes them there.
    pub(crate) fn on(sheet: Sheet) -> Self {
        Self { sheet: [sheet] }
    }
}

impl Record for Heads {
    fn settled(&mut self, outcome: &Outcome) {
        if let Some(head) = Head::of(outcome) {
            self.sheet[0].pen.write(&head.text());
        }
    }

    fn close(&mut self, _: &Closing<'_>) {}

    fn sheets(&self) -> &[Sheet] {
        &self.sheet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{Sample, outcome};

    #[test]
    fn a_head_is_written_as_it_stands_on_the_wire() {
        let mut headers = HeaderMap::new();
        headers.append("set-cookie", "a=1".parse().expect("a value"));
        headers.append("set-cookie", "b=2".parse().expect("a value"));
        headers.insert("x", http::HeaderValue::from_bytes(b"\xe9\t.").expect("a value"));
        let head = |version| Head { version, status: StatusCode::OK, headers: &headers };
        let fields = b"set-cookie: a=1\r\nset-cookie: b=2\r\nx: \xe9\t.\r\n\r\n";
        assert_eq!(head(Version::HTTP_11).text(), [&b"HTTP/1.1 200 OK\r\n"[..], fields].concat());
        assert_eq!(head(Version::HTTP_10).text(), [&b"HTTP/1.0 200 OK\r\n"[..], fields].concat());
        assert_eq!(head(Version::HTTP_2).text(), [&b"HTTP/2 200 \r\n"[..], fields].concat());
    }

    #[test]
    fn a_refused_status_has_a_head_and_a_refused_connection_has_none() {
        let refused = outcome(Sample::Answered("/?status=404&header=X:y"));
        let text = String::from_utf8(Head::of(&refused).expect("a reply came").text()).expect("text");
        assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n") && text.contains("\r\nx: y\r\n"), "{text}");
        assert!(Head::of(&outcome(Sample::Refused)).is_none());
    }
}
