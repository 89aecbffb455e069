//! A sink that writes each reply's head before its body, for `--include` and `-I`. The head counts neither for the
//! body's length nor for its receipt.

use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use gannet::sink::{Admission, Part, Room, Sink};
use gannet::{Error, Receipt, ReplyHead, Request};

use super::heads::Head;

/// Writes each reply's head as the first bytes of its part of another sink.
pub(crate) struct Headed(Arc<dyn Sink>);

impl Headed {
    /// Heads and bodies go to `sink`.
    pub(crate) fn over(sink: Arc<dyn Sink>) -> Self {
        Self(sink)
    }
}

impl Sink for Headed {
    fn admit(&self, seq: u64, request: &mut Request) -> Result<Admission, Error> {
        self.0.admit(seq, request)
    }

    fn admit_beside(&self, seq: u64, request: &mut Request, again: u32) -> Option<Result<Admission, Error>> {
        self.0.admit_beside(seq, request, again)
    }

    fn known(&self, seq: u64, request: &mut Request, file: Option<&Path>) {
        self.0.known(seq, request, file);
    }

    fn reserve(&self, file: &Path) {
        self.0.reserve(file);
    }

    fn room(&self, context: &mut Context<'_>) -> Room {
        self.0.room(context)
    }

    fn keeps_order(&self) -> bool {
        self.0.keeps_order()
    }

    fn begin(&self, seq: u64, request: &Request, head: &ReplyHead) -> Result<Box<dyn Part>, Error> {
        let text = Head::from(head).text();
        let part = self.0.begin(seq, request, head)?;
        Ok(Box::new(HeadFirst { part, length: text.len() as u64, head: Some(text.into()) }))
    }

    fn settled(&self, seq: u64) {
        self.0.settled(seq);
    }
}

/// A part whose first bytes are the reply's head.
struct HeadFirst {
    part: Box<dyn Part>,
    /// The head, until it is written.
    head: Option<Bytes>,
    /// The head's length in bytes.
    length: u64,
}

impl HeadFirst {
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.head.is_some() {
            ready!(self.part.poll_ready(context))?;
            let head = self.head.take().expect("it was there a moment ago");
            self.part.write(head)?;
        }
        Poll::Ready(Ok(()))
    }

    /// What is not the body's.
    fn surplus(&self) -> u64 {
        if self.head.is_some() { 0 } else { self.length }
    }
}

impl Part for HeadFirst {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_head(context))?;
        self.part.poll_ready(context)
    }

    fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        self.part.write(chunk)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_head(context))?;
        self.part.poll_flush(context)
    }

    fn length(&self) -> u64 {
        self.part.length() - self.surplus()
    }

    fn restartable(&self) -> bool {
        self.part.restartable()
    }

    fn commit(self: Box<Self>) -> Result<Receipt, Error> {
        let surplus = self.surplus();
        let mut receipt = self.part.commit()?;
        receipt.length -= surplus;
        Ok(receipt)
    }
}

#[cfg(test)]
mod tests {
    use gannet::sink::{Files, Memory};
    use gannet::{Client, Ending, Outcome};
    use gannet_origin::Origin;
    use http::Method;

    use super::*;

    fn fetch(method: Method, path: &str, sink: Arc<dyn Sink>) -> Outcome {
        let origin = Origin::start_in_thread(Origin::builder()).expect("an origin starts on the loopback");
        let request = Request::new(&origin.url(path)).expect("a URL").method(method);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let client = Client::builder().retries(0).build().expect("it fits together");
            let mut job = client.fetch_each([request]).save_with(Arc::new(Headed::over(sink)));
            job.next().await.expect("one request has one outcome")
        })
    }

    #[test]
    fn a_body_follows_its_head_and_has_its_own_length() {
        let got = fetch(Method::GET, "/?text=hello", Arc::new(Memory::default()));
        let text = String::from_utf8_lossy(got.body().expect("it is kept in memory")).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").expect("an empty line");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-length: 5"), "{head}");
        assert_eq!((body, got.length()), ("hello", 5));
    }

    #[test]
    fn the_head_of_a_reply_without_a_body_is_all_that_is_written() {
        let got = fetch(Method::HEAD, "/?size=1000", Arc::new(Memory::default()));
        let body = got.body().expect("it is kept in memory");
        assert!(body.ends_with(b"\r\n\r\n") && body.starts_with(b"HTTP/1.1 200"), "{got:?}");
        assert_eq!((got.ending(), got.length()), (Ending::Ok, 0));
    }

    #[test]
    fn a_body_that_breaks_off_leaves_nothing_though_its_head_was_longer() {
        let folder = std::env::temp_dir().join(format!("gannet-headed-{}", std::process::id()));
        let got = fetch(Method::POST, "/a?size=1000&truncate=900", Arc::new(Files::in_directory(&folder)));
        assert_eq!(got.error().map(|error| error.kind()), Some(gannet::ErrorKind::BodyTruncated), "{got:?}");
        let left = std::fs::read_dir(&folder).map_or(0, Iterator::count);
        let _ = std::fs::remove_dir_all(&folder);
        assert_eq!(left, 0);
    }
}
