//! Lists that are long, endless or dirty: they are read as a stream, and each bad line is told by its number while the
//! good ones go on.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gannet_origin::Origin;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fixture::{Folder, LONG, Speech, from_environment, peak_memory, wait};

/// What a run may hold, however long its list is, in bytes.
const MOST: u64 = 64 << 20;

/// A run that reads its list from a pipe and writes its report to one.
struct Stream {
    child: Child,
    feeder: JoinHandle<()>,
    rows: std::io::Lines<BufReader<std::process::ChildStdout>>,
    folder: Folder,
}

impl Stream {
    /// Feeds these pieces of a list; the pipe stays open until `hold` is dropped.
    fn feed<P: AsRef<[u8]>>(
        options: &str,
        pieces: impl IntoIterator<Item = P> + Send + 'static,
        hold: std::sync::mpsc::Receiver<()>,
    ) -> Self {
        let folder = Folder::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(["-i", "-", "--no-body", "--report", "-", "-s"]).args(options.split_whitespace());
        command.current_dir(folder.path("")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let stderr = std::fs::File::create(folder.path("stderr")).expect("a file can be made");
        let mut child = command.stderr(stderr).spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let rows = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let feeder = std::thread::spawn(move || {
            // The program stops reading when it ends.
            let _ = pieces.into_iter().try_for_each(|piece| stdin.write_all(piece.as_ref()));
            let _ = hold.recv();
        });
        Self { child, feeder, rows, folder }
    }

    /// The next rows, each as text.
    fn take(&mut self, count: usize) -> impl Iterator<Item = String> {
        self.rows.by_ref().take(count).map(|row| row.expect("a row"))
    }

    /// The summary, after which nothing comes; and the code.
    fn end(self) -> (i32, Value) {
        let Self { child, feeder, mut rows, folder } = self;
        let mut last = None;
        for row in rows.by_ref() {
            last = Some(row.expect("a row"));
        }
        let code = wait(child, LONG);
        feeder.join().expect("the feeder does not panic");
        let said = folder.text("stderr");
        assert!(!said.contains("panicked"), "{said}");
        (code, serde_json::from_str(&last.expect("a summary")).expect("it is JSON"))
    }
}

/// What comes around again and again in a long list: each line, and the code of its row; a comment has none.
fn around(origin: &Origin) -> Vec<(Vec<u8>, Option<&'static str>)> {
    let bad = |line: &[u8], code| (line.to_vec(), Some(code));
    let mut lines = vec![
        (origin.url("/same").into_bytes(), Some("ok")),
        bad(b"ftp://127.0.0.1/x", "input.bad_scheme"),
        bad(b"http://[::1", "input.bad_url"),
        (b"# a comment".to_vec(), None),
        bad(b"http://a/caf\xe9", "input.not_text"),
        bad(b"http://a/\0", "input.not_text"),
    ];
    // Most are bad, for a good one costs a request: 1 in 50 is.
    lines.extend((0..44).map(|n| bad(format!("ftp://127.0.0.1/{n}").as_bytes(), "input.bad_scheme")));
    lines
}

#[test]
fn row_78_a_list_of_millions_is_read_as_a_stream_and_costs_no_memory() {
    let count = from_environment("GANNET_TEST_LINES", 300_000);
    eprintln!("lines: GANNET_TEST_LINES={count}; all of them: GANNET_TEST_LINES=10000000");
    let server = Speech::Http1.server();
    let around = around(&server.origin);
    let rounds = count.div_ceil(around.len());
    let block: Vec<u8> = around.iter().flat_map(|(line, _)| [line, b"\n".as_slice()].concat()).collect();
    let (hold, held) = std::sync::mpsc::channel();
    let mut stream = Stream::feed("--retry 0", std::iter::repeat_n(block, rounds), held);
    let wanted: Vec<_> = around.iter().map(|(_, code)| *code).collect();
    let told = wanted.iter().flatten().count();
    let mut is_told = vec![false; rounds * around.len()];
    for row in stream.take(rounds * told) {
        let row: Value = serde_json::from_str(&row).expect("a row of JSON");
        let line = row["input"]["line"].as_u64().expect("a number") as usize - 1;
        assert_eq!(Some(crate::fixture::code_of(&row)), wanted[line % wanted.len()], "{row}");
        assert!(!std::mem::replace(&mut is_told[line], true), "told twice: {row}");
    }
    // The list has not ended: the program is still there.
    let peak = peak_memory(&stream.child);
    drop(hold);
    let (code, summary) = stream.end();
    assert_eq!((code, &summary["ok"], &summary["inputs"]), (1, &rounds.into(), &(rounds * told).into()));
    assert_eq!(server.origin.counts().requests, rounds as u64);
    assert!(peak < MOST, "{peak} bytes");
}

#[test]
fn row_78_input_without_an_end_is_left_at_the_deadline_and_costs_no_memory() {
    let server = Speech::Http1.server();
    let url = server.origin.url("/same\n");
    let megabyte = 1 << 20;
    let pieces: [Vec<u8>; 4] = [
        url.repeat(100).into(),
        b"# comment\n".repeat(megabyte / 10),
        b"\n".repeat(megabyte),
        vec![b'x'; megabyte],
    ];
    for piece in pieces {
        let (hold, held) = std::sync::mpsc::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let tell_at = move |n: usize| (n == 10).then(|| tell.send(()));
        let begun = Instant::now();
        let told_of = std::iter::repeat(piece).enumerate().inspect(move |(n, _)| {
            let _ = tell_at(*n);
        });
        let stream = Stream::feed("--deadline 1s -j 64 --per-host 64", told_of.map(|(_, piece)| piece), held);
        told.recv_timeout(LONG).expect("ten pieces are read before the deadline");
        let peak = peak_memory(&stream.child);
        drop(hold);
        let (code, summary) = stream.end();
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(1000 + 250 + 1500), "{took:?}: {summary}");
        let elapsed = summary["elapsed_ms"].as_f64().expect("a number");
        assert!((1000.0..1250.0).contains(&elapsed), "{summary}");
        assert_eq!((code, &summary["exit"]), (4, &4.into()), "{summary}");
        assert!(peak < MOST, "{peak} bytes");
    }
}

#[test]
fn row_78_input_without_an_end_is_left_at_a_signal() {
    let server = Speech::Http1.server();
    let (hold, held) = std::sync::mpsc::channel();
    let url = server.origin.url("/same\n");
    let stream = Stream::feed("-j 8", std::iter::repeat(url), held);
    assert!(server.origin.wait_until_blocking(|counts| counts.requests > 500, LONG));
    let sent = Instant::now();
    kill_process(Pid::from_child(&stream.child), Signal::INT).expect("it runs");
    drop(hold);
    let (code, summary) = stream.end();
    assert_eq!(code, 130, "{summary}");
    assert!(sent.elapsed() < Duration::from_secs(1), "{:?}", sent.elapsed());
}

#[test]
fn row_78_a_line_of_a_megabyte_is_told_by_its_number_and_the_others_go_on() {
    let server = Speech::Http1.server();
    let long = |length: usize| server.origin.url(&format!("/{}\n", "y".repeat(length)));
    let lines = [long(1), long(1 << 20), long(2), long(100 << 20), long(3)];
    let (hold, held) = std::sync::mpsc::channel();
    let mut stream = Stream::feed("--retry 0", lines, held);
    let mut rows: Vec<Value> =
        stream.take(5).map(|row| serde_json::from_str(&row).expect("a row of JSON")).collect();
    rows.sort_by_key(|row| row["input"]["line"].as_u64());
    let codes: Vec<_> = rows.iter().map(crate::fixture::code_of).collect();
    assert_eq!(codes, ["ok", "input.line_too_long", "ok", "input.line_too_long", "ok"]);
    assert!(rows.iter().zip(1..).all(|(row, line)| row["input"]["line"] == line), "{rows:?}");
    let peak = peak_memory(&stream.child);
    drop(hold);
    assert_eq!((stream.end().0, server.origin.counts().requests), (1, 3));
    assert!(peak < MOST, "{peak} bytes");
}

/// Lines as they may stand in a list, and what is to come of each: a path that is asked for, or a code.
fn dirty(origin: &Origin) -> Vec<(Vec<u8>, Result<&'static str, &'static str>)> {
    let url = |path: &str| origin.url(path).into_bytes();
    let with = |before: &[u8], path: &str, after: &[u8]| [before, &url(path), after].concat();
    let at = origin.addr();
    vec![
        (with(b"\xef\xbb\xbf", "/mark", b""), Ok("/mark")),
        (with(b"", "/crlf", b"\r"), Ok("/crlf")),
        (with(b"", "/nul\0", b""), Err("input.not_text")),
        (with(b"\0", "/nul", b""), Err("input.not_text")),
        (with(b"", "/latin", b"\xe9"), Err("input.not_text")),
        (with(b"", "/cut", b"\xe2\x82"), Err("input.not_text")),
        (with(b"", "/overlong", b"\xc0\xaf"), Err("input.not_text")),
        (with(b"", "/surrogate", b"\xed\xa0\x80"), Err("input.not_text")),
        (with(b"", "/utf8-\u{e9}", b""), Ok("/utf8-%C3%A9")),
        (url("/twice"), Ok("/twice")),
        (url("/twice"), Ok("/twice")),
        (format!("http://me:s3cret@{at}/echo").into_bytes(), Ok("/echo")),
        (with(b" \t ", "/tabs", b"\tmore\tfields"), Ok("/tabs")),
        (with(b"", "/first", b"\t\xc3\xa9"), Ok("/first")),
        (b"\xff\xfeh\0t\0t\0p\0:\0/\0/\0a\0".to_vec(), Err("input.not_text")),
        (b"http://a b/".to_vec(), Err("input.bad_url")),
        (b"http://".to_vec(), Err("input.bad_url")),
        (b"http://a:99999/".to_vec(), Err("input.bad_url")),
        (b"file:///etc/passwd".to_vec(), Err("input.bad_scheme")),
        (format!("{at}/bare").into_bytes(), Ok("/bare")),
        (url("/last"), Ok("/last")),
    ]
}

#[test]
fn row_79_bad_lines_are_told_one_by_one_and_the_good_ones_go_on() {
    for ending in ["\n", "\r\n", "\n\n", "\n# a comment \u{e9}\n", "\r\n\t \r\n"] {
        let server = Speech::Http1.server();
        let dirty = dirty(&server.origin);
        let folder = Folder::new();
        let list: Vec<_> = dirty.iter().flat_map(|(line, _)| [line, ending.as_bytes()].concat()).collect();
        folder.write("list", &list);
        let (code, rows, said) = run(&folder, "-P out -j 1");
        assert_eq!((code, rows.len()), (1, dirty.len() + 1), "{said}");
        let lines_each = ending.matches('\n').count();
        for (seq, ((line, wanted), row)) in dirty.iter().zip(&rows).enumerate() {
            let told = crate::fixture::code_of(row);
            assert_eq!(told, wanted.err().unwrap_or("ok"), "{}: {row}", line.escape_ascii());
            assert_eq!(row["input"]["line"], seq * lines_each + 1, "{row}");
        }
        let wanted: Vec<_> = dirty.iter().filter_map(|(_, wanted)| wanted.ok()).collect();
        let asked: Vec<_> = server.origin.requests().into_iter().map(|asked| asked.path_and_query).collect();
        assert_eq!(asked, wanted, "{ending:?}");
        assert_eq!(folder.files_below("out").len(), wanted.len(), "the same line twice gives two files");
    }
}

#[test]
fn row_79_userinfo_of_a_line_is_sent_and_never_shown() {
    let server = Speech::Http1.server();
    let at = server.origin.addr();
    let folder = Folder::new();
    let lines = [format!("http://me:s3cret@{at}/echo"), format!("http://me:s3cret@{at}/gone?status=404")];
    let bad = ["http://me:s3cret@a b/", "ftp://me:s3cret@a/", "me:s3cret@[::1", "http://me:s3cret@a/\0"];
    let all = lines.iter().map(String::as_str).chain(bad).collect::<Vec<_>>().join("\n");
    folder.write("list", all.as_bytes());
    let (code, rows, said) = run(&folder, "-P out -v");
    assert_eq!((code, rows.len()), (1, 7), "{said}");
    assert!(folder.text("out/echo").contains("Basic bWU6czNjcmV0"), "{}", folder.text("out/echo"));
    let told = rows.iter().map(Value::to_string).collect::<String>() + &said;
    assert!(!told.contains("s3cret"), "{told}");
    assert!(folder.files_below("out").iter().all(|name| !name.contains("s3cret")));
}

#[test]
fn row_79_under_strict_a_dirty_list_sends_nothing_and_names_the_line() {
    let server = Speech::Http1.server();
    for (line, wanted) in dirty(&server.origin) {
        let folder = Folder::new();
        let good = server.origin.url("/good");
        let list = [good.as_bytes(), b"\n", &line, b"\n", good.as_bytes()].concat();
        folder.write("list", &list);
        let before = server.origin.counts().requests;
        let sent = if wanted.is_ok() { 3 } else { 0 };
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(["-i", "list", "--strict", "--no-body"]).current_dir(folder.path(""));
        let output = command.output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        // A mark is one at the very beginning of a list only.
        let is_mark = line.starts_with(b"\xef\xbb\xbf");
        let (code, sent) = if is_mark || sent == 0 { (2, 0) } else { (0, sent) };
        assert_eq!(output.status.code(), Some(code), "{}: {said}", line.escape_ascii());
        assert_eq!(server.origin.counts().requests - before, sent, "{}: {said}", line.escape_ascii());
        assert!(code == 0 || said.contains("line 2"), "{}: {said}", line.escape_ascii());
    }
}

/// Runs the program on the folder's list: its code, its rows by number with the summary last, and what it said.
fn run(folder: &Folder, options: &str) -> (i32, Vec<Value>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    command.args(["-i", "list", "--report", "report", "--retry", "0"]).args(options.split_whitespace());
    let output = command.current_dir(folder.path("")).output().expect("the program starts");
    let mut rows: Vec<Value> =
        folder.text("report").lines().map(|line| serde_json::from_str(line).expect("a row")).collect();
    rows.sort_by_key(|row| row["seq"].as_u64().unwrap_or(u64::MAX));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("it ends by a code"), rows, said)
}
