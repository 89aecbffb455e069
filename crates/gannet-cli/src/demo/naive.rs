//! The other side: what one writes over plain tokio in an afternoon. No gannet in it, and no malice either: it has a
//! window, as gannet has, and each of its fetches ends with its future.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// At most so many fetches at once.
pub(super) struct Window(Semaphore);

impl Window {
    pub(super) fn new(fetches: usize) -> Self {
        Self(Semaphore::new(fetches))
    }

    /// Fetches `url` when a place is free.
    pub(super) async fn fetch(&self, url: &str) -> io::Result<String> {
        let _place = self.0.acquire().await.map_err(io::Error::other)?;
        fetch(url).await
    }

    /// How long a fetch of `url` takes, the wait for its place apart.
    pub(super) async fn timed(&self, url: &str) -> io::Result<Duration> {
        let _place = self.0.acquire().await.map_err(io::Error::other)?;
        let began = Instant::now();
        fetch(url).await.map(|_| began.elapsed())
    }
}

/// GETs the text of an `http://` URL; a status other than 200 is an error.
pub(super) async fn fetch(url: &str) -> io::Result<String> {
    let bad = || io::Error::new(io::ErrorKind::InvalidInput, "not an http URL with a path");
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).ok_or_else(bad)?;
    let mut stream = TcpStream::connect(host).await?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    let (head, body) = reply.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.lines().next().unwrap_or_default();
    if status.starts_with("HTTP/1.1 200") { Ok(body.to_owned()) } else { Err(io::Error::other(status)) }
}
