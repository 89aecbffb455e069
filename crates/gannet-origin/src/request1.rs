//! Reads HTTP/1 requests (RFC 9112): the head, then the body by length or by chunks.
//! It takes exactly the bytes of one request, so that the next one may already lie behind it.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, Version};

use crate::fields::Fields;
use crate::link::{ClientLeft, Link, Wire};

/// The longest head that is read.
const MAX_HEAD: usize = 64 << 10;

/// The most header lines that are read.
const MAX_HEADERS: usize = 256;

/// The longest line between chunks that is read.
const MAX_CHUNK_LINE: usize = 8 << 10;

/// Bytes of a request's body that are kept for an echo; the rest is read and forgotten.
pub(crate) const MAX_KEPT_BODY: usize = 1 << 20;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A request's head.
#[derive(Debug)]
pub(crate) struct RequestHead {
    bytes: Bytes,
    target: Range<usize>,
    pub(crate) method: Method,
    pub(crate) version: Version,
    body: Framed,
    pub(crate) keeps_alive: bool,
    expects_continue: bool,
    pub(crate) fields: Fields,
}

/// How the body of a request is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framed {
    Length(u64),
    Chunked,
}

/// Why no request can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRequest {
    ClientLeft,
    Malformed,
}

impl From<ClientLeft> for NoRequest {
    fn from(ClientLeft: ClientLeft) -> Self {
        Self::ClientLeft
    }
}

impl RequestHead {
    /// Reads the next head.
    ///
    /// # Cancel safety
    ///
    /// What was read stays in the inbox of the link.
    pub(crate) async fn read<W: Wire>(link: &mut Link<W>) -> Result<Self, NoRequest> {
        loop {
            if !link.inbox.is_empty()
                && let Some(head) = Self::parse(&mut link.inbox)?
            {
                return Ok(head);
            }
            if link.inbox.len() > MAX_HEAD {
                return Err(NoRequest::Malformed);
            }
            link.fill().await?;
        }
    }

    fn parse(inbox: &mut BytesMut) -> Result<Option<Self>, NoRequest> {
        let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(inbox, &mut lines);
        let httparse::Status::Complete(len) = parsed.map_err(|_| NoRequest::Malformed)? else {
            return Ok(None);
        };
        let (Some(method), Some(target)) = (request.method, request.path) else {
            return Err(NoRequest::Malformed);
        };
        let is_http11 = request.version == Some(1);
        let start = target.as_ptr() as usize - inbox.as_ptr() as usize;
        let mut head = Self {
            bytes: Bytes::new(),
            target: start + origin_form(target)..start + target.len(),
            method: Method::from_bytes(method.as_bytes()).map_err(|_| NoRequest::Malformed)?,
            version: if is_http11 { Version::HTTP_11 } else { Version::HTTP_10 },
            body: Framed::Length(0),
            keeps_alive: is_http11,
            expects_continue: false,
            fields: Fields::default(),
        };
        for line in request.headers.iter() {
            head.heed(line).ok_or(NoRequest::Malformed)?;
        }
        head.bytes = inbox.split_to(len).freeze();
        Ok(Some(head))
    }

    /// Takes in one header line; `None` means that the body's length makes no sense.
    fn heed(&mut self, line: &httparse::Header<'_>) -> Option<()> {
        let says = |word: &[u8]| line.value.trim_ascii().eq_ignore_ascii_case(word);
        if line.name.eq_ignore_ascii_case("content-length") {
            self.body = Framed::Length(std::str::from_utf8(line.value).ok()?.trim().parse().ok()?);
        } else if line.name.eq_ignore_ascii_case("transfer-encoding") {
            self.body = says(b"chunked").then_some(Framed::Chunked)?;
        } else if line.name.eq_ignore_ascii_case("connection") {
            self.keeps_alive = (self.keeps_alive || says(b"keep-alive")) && !says(b"close");
        } else if line.name.eq_ignore_ascii_case("expect") {
            self.expects_continue = says(b"100-continue");
        } else {
            self.fields.heed(line.name, line.value);
        }
        Some(())
    }

    /// Path and query as they were sent, without scheme and host.
    pub(crate) fn path_and_query(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.target.clone()])
            .expect("the parser hands out targets as text, and this is the same range of bytes")
    }

    /// Every header line, in the order of arrival.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut lines);
        // These bytes were parsed once already.
        let _ = request.parse(&self.bytes);
        request
            .headers
            .iter()
            .map(|line| (line.name.to_owned(), String::from_utf8_lossy(line.value).into_owned()))
            .collect()
    }

    /// Reads the body, asking for it first where the client waits to be asked, and yields what of it
    /// is kept: at most [`MAX_KEPT_BODY`] bytes.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a part of the body may be read and forgotten.
    pub(crate) async fn read_body<W: Wire>(&self, link: &mut Link<W>) -> Result<Vec<u8>, NoRequest> {
        let mut kept = Vec::new();
        if self.body == Framed::Length(0) {
            return Ok(kept);
        }
        if self.expects_continue {
            link.write(CONTINUE).await?;
        }
        match self.body {
            Framed::Length(len) => take(link, len, &mut kept).await?,
            Framed::Chunked => take_chunks(link, &mut kept).await?,
        }
        Ok(kept)
    }
}

/// Where the path begins in a target that may be in absolute form (RFC 9112, section 3.2.2).
fn origin_form(target: &str) -> usize {
    match target.find("://") {
        Some(colon) if !target.starts_with('/') => {
            let authority = colon + 3;
            target[authority..].find('/').map_or(target.len(), |slash| authority + slash)
        }
        _ => 0,
    }
}

async fn take<W: Wire>(link: &mut Link<W>, len: u64, kept: &mut Vec<u8>) -> Result<(), NoRequest> {
    let mut rest = len;
    while rest > 0 {
        if link.inbox.is_empty() {
            link.fill().await?;
        }
        let n = usize::try_from(rest).unwrap_or(usize::MAX).min(link.inbox.len());
        let room = MAX_KEPT_BODY - kept.len();
        kept.extend_from_slice(&link.inbox[..n.min(room)]);
        link.inbox.advance(n);
        rest -= n as u64;
    }
    Ok(())
}

async fn take_chunks<W: Wire>(link: &mut Link<W>, kept: &mut Vec<u8>) -> Result<(), NoRequest> {
    loop {
        let line = take_line(link).await?;
        let digits = line.as_ref().split(|byte: &u8| *byte == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(digits).ok().and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
        match size.ok_or(NoRequest::Malformed)? {
            0 => break,
            size => take(link, size, kept).await?,
        }
        if !take_line(link).await?.is_empty() {
            return Err(NoRequest::Malformed);
        }
    }
    while !take_line(link).await?.is_empty() {}
    Ok(())
}

async fn take_line<W: Wire>(link: &mut Link<W>) -> Result<BytesMut, NoRequest> {
    loop {
        if let Some(at) = link.inbox.iter().position(|byte| *byte == b'\n') {
            let mut line = link.inbox.split_to(at + 1);
            line.truncate(line.trim_ascii_end().len());
            return Ok(line);
        }
        if link.inbox.len() > MAX_CHUNK_LINE {
            return Err(NoRequest::Malformed);
        }
        link.fill().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(head: &str) -> Result<Option<RequestHead>, NoRequest> {
        RequestHead::parse(&mut BytesMut::from(head))
    }

    #[test]
    fn a_head_is_taken_and_what_follows_stays() {
        let mut inbox = BytesMut::from("GET /a?b HTTP/1.1\r\nhost: x\r\n\r\nGET /");
        let head = RequestHead::parse(&mut inbox).unwrap().unwrap();
        assert_eq!((head.path_and_query(), head.keeps_alive, inbox.as_ref()), ("/a?b", true, &b"GET /"[..]));
        assert_eq!(head.headers(), [("host".to_owned(), "x".to_owned())]);
    }

    #[test]
    fn half_a_head_is_no_error() {
        assert!(parsed("GET / HTTP/1.1\r\nho").unwrap().is_none());
    }

    #[test]
    fn an_absolute_target_loses_scheme_and_host() {
        let head = parsed("GET http://a.example/b?u=http://c/ HTTP/1.0\r\n\r\n").unwrap().unwrap();
        assert_eq!((head.path_and_query(), head.keeps_alive), ("/b?u=http://c/", false));
    }

    #[test]
    fn nonsense_is_malformed() {
        for head in ["\0\0\0\0\r\n\r\n", "GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n"] {
            assert_eq!(parsed(head).unwrap_err(), NoRequest::Malformed, "{head:?} was taken");
        }
    }
}
