//! A GET over tokio's own sockets, shared by the usual versions of this folder: HTTP/1.0, one connection a request.
//! No TLS, no redirects, no limits, no second try. Nothing of gannet belongs in here.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A reply whose head has come and whose status was accepted.
pub(crate) struct Reply {
    promised: Option<usize>,
    body: BufReader<TcpStream>,
}

/// Gets a URL's body as text; a status other than 200 to 299 is an error. Dropping it closes its connection.
pub(crate) async fn get_text(url: &str) -> io::Result<String> {
    get(url).await?.text().await
}

/// Sends the request and reads the head of its reply.
pub(crate) async fn get(url: &str) -> io::Result<Reply> {
    let address = url.strip_prefix("http://").ok_or_else(|| io::Error::other("only http:// is fetched"))?;
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(format!("GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).await?;

    let mut body = BufReader::new(stream);
    let status = head_line(&mut body).await?;
    let mut promised = None;
    loop {
        let line = head_line(&mut body).await?;
        match line.split_once(':') {
            None => break,
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                promised = Some(value.trim().parse().map_err(io::Error::other)?);
            }
            Some(_) => {}
        }
    }
    match status.split(' ').nth(1) {
        Some(code) if code.starts_with('2') => Ok(Reply { promised, body }),
        _ => Err(io::Error::other(format!("the reply is {status}"))),
    }
}

impl Reply {
    /// Reads the body to its end; what is not UTF-8 is replaced.
    pub(crate) async fn text(mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        self.body.read_to_end(&mut bytes).await?;
        if self.promised.is_some_and(|promised| promised != bytes.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// A line of the head, without its end; empty after the last one.
async fn head_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    match stream.read_line(&mut line).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end().to_owned()),
    }
}
