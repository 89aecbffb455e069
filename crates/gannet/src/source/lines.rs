//! The source over the lines of a file, of standard input or of any reader. A thread of its own reads and parses,
//! since such input can block for ever; what makes a line is in `split`. Nothing here fetches.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::mpsc;

mod split;

use self::split::{Line, Splitter};
use super::{Input, Source};
use crate::error::{Error, ErrorKind, Phase};
use crate::request::{Request, Template, without_userinfo};

/// Reads one URL from each line.
///
/// Whitespace around a URL is dropped, as is a byte order mark at the start of the input. Empty lines and lines that
/// start with `#` are skipped. Of fields that are separated by tabs, the first is the URL. One without a scheme gets
/// `http://`, as [`with_scheme`] says. A line that is no URL, is longer than 64 KiB, holds a NUL or is not UTF-8 is
/// an [`Input`] with an error; the lines after it go on.
///
/// Reading starts with the first poll, on a thread of its own, and is at most three batches ahead of what was asked
/// for (a batch is what one read of up to 64 KiB gives, at most 512 lines), so endless input is read in constant
/// memory. After a drop the thread ends as soon as its read returns.
pub struct Lines {
    template: Arc<Template>,
    bad_lines: BadLines,
    end: End,
    state: State,
}

/// Whether the input is sure to end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// A regular file.
    Sure,
    /// Standard input, a FIFO, anybody's reader.
    Open,
}

/// What a bad line does to the lines after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BadLines {
    /// It is reported, and the lines after it go on.
    #[default]
    Report,
    /// It is reported and ends the input. To refuse a file before anything of it is sent, see
    /// [`Lines::check_path`].
    Refuse,
}

type Open = Box<dyn FnOnce() -> io::Result<Box<dyn Read>> + Send>;

enum State {
    Waiting(Open),
    Reading { batches: mpsc::Receiver<Vec<Input>>, batch: std::vec::IntoIter<Input> },
    Ended,
}

/// Batches that may lie between the reading thread and the caller.
const BATCHES: usize = 1;

/// The most lines in a batch.
const BATCH: usize = 512;

impl Lines {
    /// Reads the file at `path`. A FIFO is opened with the first poll, since that can block for ever.
    ///
    /// # Errors
    /// The file cannot be opened: [`InputUnreadable`](ErrorKind::InputUnreadable).
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let blame = |cause| unreadable(path, cause);
        if is_regular(path).map_err(blame)? {
            let file = File::open(path).map_err(blame)?;
            return Ok(Self { end: End::Sure, ..Self::from_reader(file) });
        }
        let path = path.to_owned();
        Ok(Self::new(Box::new(move || Ok(Box::new(File::open(path)?)))))
    }

    /// Reads standard input.
    pub fn from_stdin() -> Self {
        Self::new(Box::new(|| Ok(Box::new(io::stdin()))))
    }

    /// Reads `reader`, on a thread of its own.
    pub fn from_reader(reader: impl Read + Send + 'static) -> Self {
        Self::new(Box::new(|| Ok(Box::new(reader))))
    }

    fn new(open: Open) -> Self {
        Self {
            template: Arc::default(),
            bad_lines: BadLines::Report,
            end: End::Open,
            state: State::Waiting(open),
        }
    }

    /// The lines share everything but the URL with this request: method, headers, body.
    #[must_use]
    pub fn like(mut self, request: &Request) -> Self {
        self.template = Arc::clone(&request.template);
        self
    }

    /// What a bad line does to the lines after it; [`BadLines::Report`] by default.
    #[must_use]
    pub fn bad_lines(mut self, rule: BadLines) -> Self {
        self.bad_lines = rule;
        self
    }

    /// Reads the whole file at `path` once, without keeping it, and says how many good lines it has. Blocks.
    ///
    /// # Errors
    /// The first bad line's error, whose message names the line; or the file cannot be read, as a FIFO cannot, which
    /// gives its lines only once.
    pub fn check_path(path: impl AsRef<Path>) -> Result<u64, Error> {
        let path = path.as_ref();
        if !is_regular(path).map_err(|cause| unreadable(path, cause))? {
            let cause = io::Error::new(io::ErrorKind::InvalidInput, "it is no file that could be read twice");
            return Err(unreadable(path, cause));
        }
        let file = File::open(path).map_err(|cause| unreadable(path, cause))?;
        let mut splitter = Splitter::new(file);
        let mut maker = Maker::default();
        let mut count = 0;
        while splitter.read().map_err(|cause| unreadable(path, cause))? {
            while let Some(input) = next_input(&mut splitter, &mut maker) {
                match input.request {
                    Ok(_) => count += 1,
                    Err(error) => return Err(in_line(&error, input.line.unwrap_or_default())),
                }
            }
        }
        Ok(count)
    }
}

impl Source for Lines {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Input>> {
        loop {
            match &mut self.state {
                State::Ended => return Poll::Ready(None),
                State::Waiting(_) => {
                    let State::Waiting(open) = std::mem::replace(&mut self.state, State::Ended) else {
                        continue;
                    };
                    self.state = start(open, self.template.clone());
                }
                State::Reading { batches, batch } => match batch.next() {
                    Some(input) => {
                        if input.request.is_err() && self.bad_lines == BadLines::Refuse {
                            self.state = State::Ended;
                        }
                        return Poll::Ready(Some(input));
                    }
                    None => match ready!(batches.poll_recv(context)) {
                        Some(next) => *batch = next.into_iter(),
                        None => self.state = State::Ended,
                    },
                },
            }
        }
    }

    fn is_at_hand(&self) -> bool {
        self.end == End::Sure
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("bad_lines", &self.bad_lines).finish_non_exhaustive()
    }
}

/// Starts the reading thread. It owns nothing but its reader, and ends at the end of that, or at its next batch
/// once nobody takes batches any more.
fn start(open: Open, template: Arc<Template>) -> State {
    let (sender, batches) = mpsc::channel(BATCHES);
    let job = move || {
        let mut number = 0;
        let result = open().and_then(|reader| read_all(reader, &mut number, template, &sender));
        if let Err(cause) = result {
            let _ = sender.blocking_send(vec![broken(number, cause)]);
        }
    };
    let first = match std::thread::Builder::new().name("gannet-lines".to_owned()).spawn(job) {
        Ok(_) => Vec::new(),
        Err(cause) => vec![broken(0, cause)],
    };
    State::Reading { batches, batch: first.into_iter() }
}

/// Sends all lines in batches until the end, or until nobody takes them any more.
fn read_all(
    reader: impl Read,
    number: &mut u64,
    template: Arc<Template>,
    sender: &mpsc::Sender<Vec<Input>>,
) -> io::Result<()> {
    let mut splitter = Splitter::new(reader);
    let mut maker = Maker { template, last: None };
    while !sender.is_closed() && splitter.read()? {
        loop {
            let batch: Vec<Input> =
                std::iter::from_fn(|| next_input(&mut splitter, &mut maker)).take(BATCH).collect();
            *number = splitter.number();
            let is_last = batch.len() < BATCH;
            if !batch.is_empty() && sender.blocking_send(batch).is_err() {
                return Ok(());
            }
            if is_last {
                break;
            }
        }
    }
    Ok(())
}

/// The next line that is not empty and no comment, of what was read.
fn next_input<R: Read>(splitter: &mut Splitter<R>, maker: &mut Maker) -> Option<Input> {
    loop {
        let (number, line) = splitter.next_line()?;
        let request = match line {
            Line::TooLong => Some(Err(too_long())),
            Line::Bytes(bytes) => parse(bytes, maker),
        };
        if let Some(request) = request {
            return Some(Input { line: Some(number), request });
        }
    }
}

/// `None` for an empty line and for a comment.
fn parse(line: &[u8], maker: &mut Maker) -> Option<Result<Request, Error>> {
    let line = line.trim_ascii();
    if line.is_empty() || line[0] == b'#' {
        return None;
    }
    let Ok(text) = std::str::from_utf8(line) else {
        return Some(Err(not_text("the line is not UTF-8", &String::from_utf8_lossy(line))));
    };
    if line.contains(&0) {
        return Some(Err(not_text("the line holds a NUL (a list in UTF-16 does)", text)));
    }
    let text = text.split('\t').next().unwrap_or(text).trim();
    Some(maker.request(&with_scheme(text)))
}

/// Makes requests of lines. Lists come sorted by host more often than not, and an origin need not be parsed twice.
#[derive(Default)]
struct Maker {
    template: Arc<Template>,
    last: Option<Request>,
}

impl Maker {
    fn request(&mut self, text: &str) -> Result<Request, Error> {
        if let Some(last) = &self.last
            && let Some(path) = text.strip_prefix(last.origin())
            && let Some(request) = last.at_same_origin(path)
        {
            return Ok(request);
        }
        let request = Request::from_template(text, self.template.clone())?;
        self.last = Some(request.clone()).filter(|request| request.authorization.is_none());
        Ok(request)
    }
}

fn not_text(message: &str, text: &str) -> Error {
    let url = without_userinfo(&with_scheme(text.trim())).replace('\0', "\u{fffd}");
    Error::new(ErrorKind::NotText, Phase::Queue, message).of_url(url)
}

/// Without the text: a piece of it could show half a password.
fn too_long() -> Error {
    let message = format!("the line is over its limit of {} bytes", split::LONGEST);
    Error::new(ErrorKind::LineTooLong, Phase::Queue, message)
}

/// The last input of a source that cannot be read on, behind the line of this number.
fn broken(number: u64, cause: io::Error) -> Input {
    let message = format!("cannot read the input: {cause}");
    let error = Error::new(ErrorKind::InputUnreadable, Phase::Queue, message).caused_by(cause);
    Input { line: Some(number + 1), request: Err(error) }
}

fn unreadable(path: &Path, cause: io::Error) -> Error {
    let message = format!("cannot read {}: {cause}", path.display());
    Error::new(ErrorKind::InputUnreadable, Phase::Queue, message).caused_by(cause)
}

/// The same error, whose message names the line.
fn in_line(error: &Error, number: u64) -> Error {
    let named = Error::new(error.kind(), error.phase(), format!("line {number}: {}", error.message()));
    match error.url() {
        Some(url) => named.of_url(url),
        None => named,
    }
}

/// Whether it can be opened at once and read twice.
fn is_regular(path: &Path) -> io::Result<bool> {
    let found = std::fs::metadata(path)?;
    if found.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(found.is_file())
}

/// Puts `http://` in front of a URL that was written without a scheme, as in a browser's address bar.
///
/// `host:8080/x` and `user:password@host` get it; `mailto:x@y` and the like keep the scheme that they have, and so
/// are refused later. What starts with a slash, a dot, `?`, `#` or a
/// byte order mark is no URL and stays as it is.
///
/// # Examples
/// ```
/// use gannet::source::with_scheme;
///
/// assert_eq!(with_scheme("example.org/a"), "http://example.org/a");
/// assert_eq!(with_scheme("https://example.org"), "https://example.org");
/// ```
pub fn with_scheme(text: &str) -> Cow<'_, str> {
    if text.starts_with("//") {
        return Cow::Owned(format!("http:{text}"));
    }
    if text.is_empty() || text.starts_with(NOT_OF_A_HOST) || has_scheme(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("http://{text}"))
}

/// The last is the byte order mark, as files that were joined have it within: a URL's parser would pass over it, and
/// take the scheme behind it for the host.
const NOT_OF_A_HOST: [char; 5] = ['/', '.', '?', '#', '\u{feff}'];

/// Schemes without `//` in which an `@` follows the colon, so that it does not mean a password.
const WITH_AT: [&str; 9] = ["mailto", "sip", "sips", "xmpp", "acct", "im", "pres", "mid", "cid"];

fn has_scheme(text: &str) -> bool {
    let Some(end) = text.find([':', '/', '?', '#']) else { return false };
    let (scheme, rest) = text.split_at(end);
    let is_token = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let Some(rest) = rest.strip_prefix(':').filter(|_| is_token) else { return false };
    let is = |known: &str| scheme.eq_ignore_ascii_case(known);
    if rest.starts_with("//") || is("http") || is("https") {
        return true;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    if authority.contains('@') {
        return WITH_AT.into_iter().any(is);
    }
    let is_port = !authority.is_empty() && authority.bytes().all(|byte| byte.is_ascii_digit());
    !is_port
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures::executor::block_on;
    use futures::future::poll_fn;

    use super::*;
    use crate::sink::scratch::Scratch;

    fn next(lines: &mut Lines) -> Option<Input> {
        block_on(poll_fn(|context| lines.poll_next(context)))
    }

    /// Line numbers with URLs, or with the code of the error.
    fn read(mut lines: Lines) -> Vec<(u64, String)> {
        let each = std::iter::from_fn(|| next(&mut lines));
        let shown = |request: Result<Request, Error>| match request {
            Ok(request) => request.url().to_owned(),
            Err(error) => error.kind().code().to_owned(),
        };
        each.map(|input| (input.line.unwrap_or_default(), shown(input.request))).collect()
    }

    fn pairs(wanted: &[(u64, &str)]) -> Vec<(u64, String)> {
        wanted.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
    }

    #[test]
    fn good_lines_go_on_after_bad_ones() {
        let list: &[u8] = b"\xef\xbb\xbfhttp://a/1\r\n\
            \n\
            # a comment \xe9\n\
              b.org/2 \t\tmore\n\
            http://a/caf\xe9\n\
            http://a/\x00\n\
            ftp://a/\n\
            http://a b/\n\
            http://a/1\n\
            http://me:secret@a/3\n\
            mailto:x@y\n\
            http://last/";
        let wanted = pairs(&[
            (1, "http://a/1"),
            (4, "http://b.org/2"),
            (5, "input.not_text"),
            (6, "input.not_text"),
            (7, "input.bad_scheme"),
            (8, "input.bad_url"),
            (9, "http://a/1"),
            (10, "http://a/3"),
            (11, "input.bad_scheme"),
            (12, "http://last/"),
        ]);
        assert_eq!(read(Lines::from_reader(list)), wanted);
        let refused = read(Lines::from_reader(list).bad_lines(BadLines::Refuse));
        assert_eq!(refused, wanted[..3]);
    }

    #[test]
    fn a_url_without_a_scheme_gets_one() {
        for (given, wanted) in [
            ("example.org", "http://example.org"),
            ("localhost:8080/x", "http://localhost:8080/x"),
            ("host:1", "http://host:1"),
            ("host:1?u=http://x", "http://host:1?u=http://x"),
            ("host/x?u=http://y", "http://host/x?u=http://y"),
            ("[::1]:80/", "http://[::1]:80/"),
            ("user:pass@host/x", "http://user:pass@host/x"),
            ("user:1@host", "http://user:1@host"),
            ("//host/x", "http://host/x"),
            ("HTTPS://x", "HTTPS://x"),
            ("ftp://x", "ftp://x"),
            ("http:x", "http:x"),
            ("mailto:x@y", "mailto:x@y"),
            ("\u{feff}http://x", "\u{feff}http://x"),
            ("javascript:alert(1)", "javascript:alert(1)"),
            ("data:text/html,x@y", "data:text/html,x@y"),
            ("/etc/passwd", "/etc/passwd"),
            ("./x", "./x"),
            ("?x", "?x"),
            ("", ""),
        ] {
            assert_eq!(with_scheme(given), wanted);
        }
    }

    #[test]
    fn an_error_of_a_line_never_shows_a_password() {
        for line in [
            b"http://me:secret@a/\xe9".as_slice(),
            b"me:secret@a/\xe9",
            b"me:secret@a/\x00",
            b"ftp://me:secret@a/",
            b"me:secret@a:port/",
        ] {
            let input = next(&mut Lines::from_reader(line)).expect("a line");
            let error = input.request.expect_err("a bad line");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
            assert!(error.url().is_some_and(|url| url.contains("a")), "{error:?}");
        }
    }

    #[test]
    fn a_list_of_many_batches_comes_whole_and_in_order() {
        let list: String = (1..=50_000).map(|number| format!("http://h/{number}\n")).collect();
        let inputs = read(Lines::from_reader(io::Cursor::new(list)));
        assert!(inputs.into_iter().eq((1..=50_000).map(|number| (number, format!("http://h/{number}")))));
        assert_eq!(read(Lines::from_reader(io::empty())), []);
    }

    /// Counts what is read of it, and says when it is dropped.
    struct Endless(
        Arc<AtomicU64>,
        #[expect(dead_code, reason = "its drop is what tells")] std::sync::mpsc::Sender<()>,
    );

    impl Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let lines = b"http://h/\n".iter().copied().cycle();
            into.iter_mut().zip(lines).for_each(|(to, from)| *to = from);
            let length = into.len() / 10 * 10;
            self.0.fetch_add(length as u64, Ordering::SeqCst);
            Ok(length)
        }
    }

    #[test]
    fn an_endless_reader_is_read_a_little_ahead_and_dropped_with_the_lines() {
        let (told, tell) = std::sync::mpsc::channel();
        let count = Arc::new(AtomicU64::new(0));
        let mut lines = Lines::from_reader(Endless(count.clone(), told));
        assert_eq!(count.load(Ordering::SeqCst), 0);
        for number in 1..=20_000 {
            assert_eq!(next(&mut lines).and_then(|input| input.line), Some(number));
        }
        assert!(count.load(Ordering::SeqCst) <= 200_000 + 3 * 65_536);
        drop(lines);
        assert!(tell.recv().is_err(), "the reader is dropped by its thread");
    }

    #[test]
    fn a_line_is_given_out_before_the_next_is_read() {
        let (give, take) = std::sync::mpsc::channel::<&[u8]>();
        struct Piecewise(std::sync::mpsc::Receiver<&'static [u8]>);
        impl Read for Piecewise {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let piece = self.0.recv().unwrap_or_default();
                into[..piece.len()].copy_from_slice(piece);
                Ok(piece.len())
            }
        }
        let mut lines = Lines::from_reader(Piecewise(take));
        give.send(b"http://h/1\nhttp://h").expect("it is read");
        assert_eq!(next(&mut lines).and_then(|input| input.line), Some(1));
        give.send(b"/2\n").expect("it is read");
        let second = next(&mut lines).expect("a line").request.expect("a good line");
        assert_eq!(second.url(), "http://h/2");
        drop(give);
        assert!(next(&mut lines).is_none());
    }

    #[test]
    fn a_reader_that_breaks_gives_what_was_whole_and_then_an_error() {
        struct Breaks;
        impl Read for Breaks {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the cable was pulled"))
            }
        }
        let reader = b"http://h/1\nhttp://h/cut".chain(Breaks);
        let wanted = pairs(&[(1, "http://h/1"), (2, "input.unreadable")]);
        assert_eq!(read(Lines::from_reader(reader)), wanted);
    }

    #[test]
    fn a_file_is_read_by_its_path_and_checked_as_a_whole() {
        let scratch = Scratch::new();
        let path = scratch.join("list");
        std::fs::write(&path, "http://h/1\n\nh/2\n").expect("a file can be written");
        let lines = Lines::from_path(&path).expect("it is there");
        assert_eq!(read(lines), pairs(&[(1, "http://h/1"), (3, "http://h/2")]));
        assert_eq!(Lines::check_path(&path).expect("all are good"), 2);
        std::fs::write(&path, "http://h/1\n\nftp://me:secret@h/2\n").expect("a file can be written");
        let error = Lines::check_path(&path).expect_err("a bad line");
        assert_eq!(error.kind(), ErrorKind::BadScheme);
        assert!(error.message().starts_with("line 3: ") && !error.to_string().contains("secret"), "{error}");
        for path in [scratch.path().to_owned(), scratch.join("none")] {
            let error = Lines::from_path(&path).expect_err("it is no file");
            assert_eq!(error.kind(), ErrorKind::InputUnreadable);
            assert!(error.message().contains(&*path.to_string_lossy()), "{error}");
        }
    }

    #[test]
    fn requests_of_a_list_share_what_they_have_in_common() {
        let like = Request::new("http://other/").expect("a URL").method(http::Method::HEAD);
        let mut lines = Lines::from_reader(b"http://h/".as_slice()).like(&like);
        let request = next(&mut lines).expect("a line").request.expect("a good line");
        assert!(Arc::ptr_eq(&request.template, &like.template));
    }
}
