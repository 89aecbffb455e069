//! A server that answers over HTTP/2 without TLS with frames as they are given, for what no library would send
//! (RFC 9113). It knows no more of the protocol than its tests need.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::fixture::{Speech, Trial};

/// No frames of this stream follow.
pub(crate) const END_STREAM: u8 = 1;
/// The header block is whole.
const END_HEADERS: u8 = 4;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;

/// The length of what a client says first.
const PREFACE: usize = 24;

/// One frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A whole header block on the first stream.
pub(crate) fn headers(block: &[u8], flags: u8) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, 1, block)
}

/// Data on the first stream.
pub(crate) fn data(bytes: &[u8], flags: u8) -> Vec<u8> {
    frame(DATA, flags, 1, bytes)
}

/// One field, spelled out: a literal that is never indexed (RFC 7541, section 6.2.3), of less than 127 bytes each.
pub(crate) fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).ok().filter(|length| *length < 127);
    let text = |bytes: &[u8]| [&[length(bytes).expect("it is short")], bytes].concat();
    [vec![0x10], text(name), text(value)].concat()
}

/// What a server does with each connection.
#[derive(Clone, Default)]
struct Script {
    /// Sent one after the other once a request has come.
    frames: Vec<Vec<u8>>,
    /// The last of them is sent again and again.
    is_endless: bool,
}

/// The server; it ends when it is dropped.
pub(crate) struct FrameServer {
    addr: SocketAddr,
    script: Arc<Mutex<Script>>,
    /// Bytes that the client's kernel took.
    written: Arc<(Mutex<u64>, Condvar)>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    thread: Option<JoinHandle<()>>,
}

impl FrameServer {
    /// Answers every connection's first request with these frames, then is silent.
    pub(crate) fn start(frames: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let script = Arc::new(Mutex::new(Script { frames, is_endless: false }));
        let written = Arc::new((Mutex::new(0), Condvar::new()));
        let open = Arc::new(Mutex::new(Vec::new()));
        let (script_of, written_of, open_of) = (script.clone(), written.clone(), open.clone());
        let thread = std::thread::spawn(move || {
            let mut talks = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                // The server's own drop connects last, and sends nothing.
                let Ok(copy) = stream.try_clone() else { break };
                open_of.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
                let script = script_of.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if script.frames.is_empty() {
                    break;
                }
                let written = written_of.clone();
                talks.push(std::thread::spawn(move || {
                    // The client goes away when it has had enough.
                    let _ = talk(stream, &script, &written);
                }));
            }
            talks.into_iter().for_each(|talk| talk.join().expect("a talk does not panic"));
        });
        Self { addr, script, written, open, thread: Some(thread) }
    }

    /// Sends the last frames again and again, on connections to come.
    pub(crate) fn repeat_last(&mut self) {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).is_endless = true;
    }

    /// A run that fetches these paths over HTTP/2.
    pub(crate) fn trial<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> Trial {
        let urls = paths.into_iter().map(|path| format!("http://{}{path}", self.addr));
        Trial::of(urls).trusting("", Speech::Http2).with("--http2")
    }

    /// Waits until so many bytes were written; `false` if the time ran out before.
    pub(crate) fn wait_until_written(&self, bytes: u64, limit: Duration) -> bool {
        let (count, changed) = &*self.written;
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(count, limit, |count| *count < bytes);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Drop for FrameServer {
    fn drop(&mut self) {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).frames.clear();
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(self.addr);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Waits for the first request, plays the script, and reads on until the client goes.
fn talk(mut stream: TcpStream, script: &Script, written: &(Mutex<u64>, Condvar)) -> std::io::Result<()> {
    stream.read_exact(&mut [0; PREFACE])?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
    while read_kind(&mut stream)? != HEADERS {}
    let mut next = script.frames.iter();
    let mut last = next.next();
    while let Some(frames) = last {
        stream.write_all(frames)?;
        *written.0.lock().unwrap_or_else(PoisonError::into_inner) += frames.len() as u64;
        written.1.notify_all();
        last = next.next().or(if script.is_endless { last } else { None });
    }
    loop {
        read_kind(&mut stream)?;
    }
}

/// Reads one frame and says of what kind it is.
fn read_kind(stream: &mut TcpStream) -> std::io::Result<u8> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    stream.read_exact(&mut vec![0; length])?;
    Ok(head[3])
}
