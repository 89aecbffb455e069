//! A client that sends bytes and reads bytes; it knows just enough of HTTP/1 to find the end of a reply.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use gannet_origin::Origin;

/// No test waits longer than this for a byte.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the bytes from the origin ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Fin,
    Reset,
    Silence,
}

pub(crate) fn origin() -> Origin {
    Origin::start_in_thread(Origin::builder()).unwrap()
}

pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    pub(crate) fn of(origin: &Origin) -> Self {
        let stream = TcpStream::connect(origin.addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"));
    }

    /// Asks with these header lines, each ended by CRLF.
    pub(crate) fn ask(&mut self, path: &str, lines: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n{lines}\r\n"));
    }

    /// Reads one chunk; an empty one is the last.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.take(1));
        }
        let len = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
        let mut chunk = self.take(len + 2);
        chunk.truncate(len);
        chunk
    }

    /// Reads exactly that many bytes.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads a head, up to and with its empty line.
    pub(crate) fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.take(1));
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads a reply with a Content-Length: head and body.
    pub(crate) fn reply(&mut self) -> (String, Vec<u8>) {
        let head = self.head();
        let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let body = self.take(len.parse().unwrap());
        (head, body)
    }

    /// Reads until nothing comes for that long, or the end.
    pub(crate) fn rest(&mut self, patience: Duration) -> (Vec<u8>, End) {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return (bytes, End::Fin),
                Ok(n) => bytes.extend_from_slice(&piece[..n]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return (bytes, End::Reset),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return (bytes, End::Silence),
                Err(error) => panic!("reading ended with {error}"),
            }
        }
    }

    /// Reads to the end of the connection.
    pub(crate) fn until_end(&mut self) -> (Vec<u8>, End) {
        self.rest(PATIENCE)
    }
}

/// Asks for one path on a connection of its own and reads to the end of the connection.
pub(crate) fn fetch(origin: &Origin, path: &str) -> (Vec<u8>, End) {
    let mut client = Client::of(origin);
    client.get(path);
    client.until_end()
}

/// Asks for one path and reads a reply with a Content-Length.
pub(crate) fn reply(origin: &Origin, path: &str) -> (String, Vec<u8>) {
    let mut client = Client::of(origin);
    client.get(path);
    client.reply()
}

/// Asks for one path with header lines, each ended by CRLF, and reads a reply with a Content-Length.
pub(crate) fn reply_to(origin: &Origin, path: &str, lines: &str) -> (String, Vec<u8>) {
    let mut client = Client::of(origin);
    client.ask(path, lines);
    client.reply()
}

/// The value of a header line of a head.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
