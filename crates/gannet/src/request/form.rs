//! A form of several parts (`multipart/form-data`, RFC 7578): texts, bytes, files and streams under names. Nothing
//! here sends; the form becomes the body of a request.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_core::Stream;
use http::HeaderValue;

use super::body::{Body, BoxError, Source};
use crate::error::{Error, ErrorKind, Phase};

/// A form of several parts, sent as `multipart/form-data` (RFC 7578).
///
/// A form of texts and bytes is bytes itself, and may be sent again by retries; so may one with files, which are opened
/// for each exchange ([`Body::file`]). One with a stream in it is a stream, which goes out once ([`Body::stream`]),
/// with a Content-Length if every part's length is known.
///
/// # Examples
/// ```no_run
/// # async fn example() -> Result<(), gannet::Error> {
/// use gannet::{Client, Form, Part};
///
/// let form = Form::new()
///     .text("title", "A gannet, diving")
///     .file("photo", "gannet.jpeg")?
///     .part("notes", Part::new("seen today").file_name("notes.txt").content_type("text/plain")?);
/// let answer = Client::new().post("http://localhost/upload").multipart(form).text().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Form {
    boundary: String,
    parts: Vec<(String, Part)>,
}

/// One part of a [`Form`]: a body, and what is said of it.
#[derive(Debug)]
#[must_use]
pub struct Part {
    body: Body,
    file_name: Option<String>,
    content_type: Option<HeaderValue>,
}

impl Form {
    /// A form without parts.
    pub fn new() -> Self {
        Self { boundary: boundary(), parts: Vec::new() }
    }

    /// Adds a text.
    pub fn text(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.part(name, Part::new(value.into()))
    }

    /// Adds the file at `path` under its own file name, as `application/octet-stream`.
    ///
    /// # Errors
    /// As [`Body::file`].
    pub fn file(self, name: impl Into<String>, path: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(self.part(name, Part::file(path)?))
    }

    /// Adds a part.
    pub fn part(mut self, name: impl Into<String>, part: Part) -> Self {
        self.parts.push((name.into(), part));
        self
    }

    /// The Content-Type of the whole, with the boundary between the parts.
    pub fn content_type(&self) -> HeaderValue {
        let text = format!("multipart/form-data; boundary={}", self.boundary);
        HeaderValue::from_str(&text).expect("a boundary is of letters and digits")
    }

    /// The whole, written as RFC 7578 wants it; [`content_type`](Self::content_type) has to go with it.
    pub fn into_body(self) -> Body {
        let mut pieces = VecDeque::new();
        let mut text = BytesMut::new();
        for (name, part) in self.parts {
            let Part { body, file_name, content_type } = part;
            text.put_slice(format!("--{}\r\n", self.boundary).as_bytes());
            text.put_slice(format!("Content-Disposition: form-data; name=\"{}\"", quoted(&name)).as_bytes());
            if let Some(file_name) = file_name {
                text.put_slice(format!("; filename=\"{}\"", quoted(&file_name)).as_bytes());
            }
            if let Some(content_type) = content_type {
                text.put_slice(b"\r\nContent-Type: ");
                text.put_slice(content_type.as_bytes());
            }
            text.put_slice(b"\r\n\r\n");
            match body.as_bytes() {
                Some(bytes) => text.put_slice(bytes),
                None => {
                    pieces.push_back(Body::from(text.split().freeze()));
                    pieces.push_back(body);
                }
            }
            text.put_slice(b"\r\n");
        }
        text.put_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        if pieces.is_empty() {
            return Body::from(text.freeze());
        }
        pieces.push_back(Body::from(text.freeze()));
        let length = pieces.iter().map(Body::length).sum();
        if !pieces.iter().any(Body::goes_out_once) {
            return Body::again(move || Box::pin(Pieces { pieces: pieces.clone(), current: None }), length);
        }
        Body::stream(Pieces { pieces, current: None }, length)
    }
}

impl Part {
    /// A part without a file name: bytes, a text, or a [`Body::stream`].
    pub fn new(body: impl Into<Body>) -> Self {
        Self { body: body.into(), file_name: None, content_type: None }
    }

    /// The file at `path` under its own file name, as `application/octet-stream`.
    ///
    /// # Errors
    /// As [`Body::file`].
    pub fn file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file_name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let content_type = Some(HeaderValue::from_static("application/octet-stream"));
        Ok(Self { body: Body::file(path)?, file_name, content_type })
    }

    /// Names the file that the receiver is told of.
    pub fn file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = Some(name.into());
        self
    }

    /// Says what it is, such as `image/jpeg`.
    ///
    /// # Errors
    /// [`BadRequest`](ErrorKind::BadRequest): the text cannot stand in a header field.
    pub fn content_type(mut self, media_type: &str) -> Result<Self, Error> {
        let value = HeaderValue::from_str(media_type).map_err(|cause| {
            let message = format!("the content type {media_type:?} cannot stand in a header field");
            Error::new(ErrorKind::BadRequest, Phase::Queue, message).caused_by(cause)
        })?;
        self.content_type = Some(value);
        Ok(self)
    }
}

impl Default for Form {
    fn default() -> Self {
        Self::new()
    }
}

/// A name between quotes, so that it cannot end its line or its field (WHATWG, HTML, "multipart form data").
fn quoted(name: &str) -> Cow<'_, str> {
    if !name.contains(['"', '\r', '\n']) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A"))
}

/// A text of 128 bits that nobody can foresee, so that no part can hold it on purpose: the standard library keys its
/// hashers from the system's randomness.
fn boundary() -> String {
    let half = || RandomState::new().build_hasher().finish();
    format!("gannet{:016x}{:016x}", half(), half())
}

/// Bodies one after the other.
struct Pieces {
    pieces: VecDeque<Body>,
    current: Option<Source>,
}

impl Stream for Pieces {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(current) = &mut self.current {
                match std::task::ready!(current.as_mut().poll_next(cx)) {
                    Some(piece) => return Poll::Ready(Some(piece)),
                    None => self.current = None,
                }
            }
            let Some(next) = self.pieces.pop_front() else { return Poll::Ready(None) };
            match (next.as_bytes(), next.as_stream()) {
                (Some(bytes), _) => return Poll::Ready(Some(Ok(bytes.clone()))),
                (None, Some(once)) => match once.take(|| false) {
                    Some(source) => self.current = Some(checked(source, once.length())),
                    None => return Poll::Ready(Some(Err(Body::SPENT.into()))),
                },
                (None, None) => {}
            }
        }
    }
}

/// A part that does not keep its length is an error of its own, or the next part would be blamed.
fn checked(source: Source, length: Option<u64>) -> Source {
    match length {
        Some(owed) => Box::pin(Checked { source, owed }),
        None => source,
    }
}

struct Checked {
    source: Source,
    owed: u64,
}

impl Stream for Checked {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = std::task::ready!(self.source.as_mut().poll_next(cx));
        Poll::Ready(match piece {
            Some(Ok(piece)) => Some(match self.owed.checked_sub(piece.len() as u64) {
                Some(owed) => {
                    self.owed = owed;
                    Ok(piece)
                }
                None => Err("a part of the form gave more bytes than its length".into()),
            }),
            None if self.owed > 0 => {
                let message = format!("a part of the form ended {} bytes before its length", self.owed);
                self.owed = 0;
                Some(Err(message.into()))
            }
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: Form) -> String {
        let boundary = form.boundary.clone();
        let body = form.into_body();
        let bytes = body.as_bytes().expect("texts alone are bytes");
        String::from_utf8_lossy(bytes).replace(&boundary, "B")
    }

    #[test]
    fn a_form_is_written_as_rfc_7578_wants_it() {
        let part = Part::new("{}").file_name("a.json").content_type("application/json").expect("a type");
        assert_eq!(
            written(Form::new().text("one", "1\r\n2").part("two", part)),
            "--B\r\nContent-Disposition: form-data; name=\"one\"\r\n\r\n1\r\n2\r\n--B\r\n\
             Content-Disposition: form-data; name=\"two\"; filename=\"a.json\"\r\n\
             Content-Type: application/json\r\n\r\n{}\r\n--B--\r\n"
        );
        assert_eq!(written(Form::new()), "--B--\r\n");
    }

    #[test]
    fn names_cannot_end_their_line_or_their_field() {
        let part = Part::new("").file_name("x\"\r\nX-Evil: 1\r\n\r\n");
        let text = written(Form::new().part("a\"; filename=\"b\r\n", part));
        assert!(
            text.contains("name=\"a%22; filename=%22b%0D%0A\"; filename=\"x%22%0D%0AX-Evil: 1%0D%0A%0D%0A\"")
        );
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(Part::new("").content_type("text/plain\r\nX-Evil: 1").is_err());
    }

    #[test]
    fn boundaries_differ() {
        assert_ne!(Form::new().content_type(), Form::new().content_type());
    }
}
