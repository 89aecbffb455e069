//! Long runs: many bodies to one slow reader, and lists of many lines. What comes out is in order and framed as asked
//! for, and memory follows neither the list nor the reader. `GANNET_TEST_LONG_LINES`, `GANNET_TEST_LONG_URLS` and
//! `GANNET_TEST_LONG_SEED` set the sizes and the bodies; docs/BENCHMARKS.md has the figures of large ones.

#[path = "faults/fixture.rs"]
#[expect(dead_code, reason = "the fault table uses the rest of it")]
mod fixture;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use gannet_origin::{Origin, body};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fixture::{Folder, LONG, Speech, from_environment, peak_so_far, wait};

/// What a slow reader takes at once, in bytes.
const PIECE: usize = 64 << 10;

/// Bodies of one run.
const BODIES: u64 = 200;

/// The longest of them, in bytes.
const LONGEST: u64 = 4 << 20;

/// What the program may hold in memory for later turns, in bytes.
const HOLD: u64 = 64 << 20;

/// What it may take beside that, in bytes: 5 MiB on their way to the writer and to the disk, a chunk for each body in
/// progress, the program itself, and what its allocator has not given back.
const BESIDE: u64 = 64 << 20;

/// What a run that holds no bodies may take, in bytes.
const SMALL: u64 = 64 << 20;

/// By how much the peak at the end of a list may be above the peak at a tenth of it, in bytes.
const FLAT: u64 = 3 << 20;

/// What is to come of a URL on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Whole,
    /// It is refused, or breaks before a byte of its body.
    Nothing,
    /// It breaks amid its body: what was written at its turn stays.
    Broken,
}

/// A URL and what it gives.
#[derive(Debug)]
struct Asked {
    number: u64,
    target: String,
    length: usize,
    fate: Fate,
}

impl Asked {
    fn draw(number: u64, longest: u64, dice: &mut Dice) -> Self {
        let length = match dice.below(8) {
            0 => 0,
            1 | 2 => dice.below(5 << 10),
            3 | 4 => dice.below(longest / 16),
            _ => dice.below(longest + 1),
        };
        let middle = length / 2;
        let delay = dice.below(150);
        let (how, fate) = match dice.below(24) {
            0 => ("&status=404".to_owned(), Fate::Nothing),
            1 => (format!("&fin=0&delay={delay}"), Fate::Nothing),
            // What breaks in the middle has a middle.
            2 if length > 1 => (format!("&truncate={middle}"), Fate::Broken),
            3 if length > 1 => (format!("&chunked&truncate={middle}&delay={delay}"), Fate::Broken),
            4 => ("&script=503,200".to_owned(), Fate::Whole),
            5..=7 => ("&chunked".to_owned(), Fate::Whole),
            8 => ("&no-length".to_owned(), Fate::Whole),
            9..=11 => (format!("&delay={delay}"), Fate::Whole),
            12 | 13 => (format!("&chunked&body-delay={delay}"), Fate::Whole),
            14 => ("&drip=32k/1ms".to_owned(), Fate::Whole),
            _ => (String::new(), Fate::Whole),
        };
        let target = format!("/{number}?size={length}&seed={number}&header=X-Number:{number}{how}");
        Self { number, target, length: length as usize, fate }
    }

    fn body(&self) -> Bytes {
        body(self.length, self.number)
    }
}

/// Numbers that follow from a seed.
struct Dice {
    seed: u64,
    drawn: u64,
}

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.drawn += 1;
        let word = body(8, self.seed.wrapping_mul(1_000_003) + self.drawn);
        u64::from_le_bytes(word[..].try_into().expect("eight bytes")) % bound
    }
}

/// The bodies of one run; prints their seed.
fn draw(longest: u64) -> Vec<Asked> {
    let seed = from_environment("GANNET_TEST_LONG_SEED", 0) as u64;
    eprintln!("bodies: GANNET_TEST_LONG_SEED={seed}");
    let mut dice = Dice { seed, drawn: 0 };
    (0..BODIES).map(|number| Asked::draw(number, longest, &mut dice)).collect()
}

/// What stands around each body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Bare,
    /// `--whole`: nothing of a body that breaks is written.
    Whole,
    /// `--include`: its head stands before it.
    Headed,
    /// `-w`: the number of its URL stands behind it, or in its place.
    Numbered,
}

impl Frame {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Bare => &[],
            Self::Whole => &["--whole"],
            Self::Headed => &["--include"],
            Self::Numbered => &["-w", "\\n%{urlnum}\\n"],
        }
    }
}

/// Holds what came to what was asked for: each body once, in order, in its frame, and nothing else.
fn read_in_order(out: &[u8], asked: &[Asked], frame: Frame) -> Result<(), String> {
    let mut out = out;
    for (index, one) in asked.iter().enumerate() {
        let wrong = |what: &str| Err(format!("{one:?}: {what}, {} bytes before the end", out.len()));
        let is_there = one.fate == Fate::Whole || (one.fate == Fate::Broken && has_head(out, one));
        if frame == Frame::Headed && is_there {
            match head(out, one) {
                Some(length) => out = &out[length..],
                None => return wrong("its head is not there"),
            }
        }
        let body = one.body();
        let begun = body.iter().zip(out).take_while(|(is, was)| is == was).count();
        match one.fate {
            Fate::Whole if begun < body.len() => return wrong(&format!("it differs at byte {begun}")),
            Fate::Whole => out = &out[begun..],
            Fate::Broken if frame != Frame::Whole && (frame != Frame::Headed || is_there) => {
                // What comes next may by chance go on like the body that broke.
                let rests = (begun.saturating_sub(2)..=begun).rev().map(|length| &out[length..]);
                let read_rest = |rest| {
                    let rest = behind(rest, one, frame).ok_or(format!("{one:?}: no number is behind it"))?;
                    read_in_order(rest, &asked[index + 1..], frame)
                };
                return rests.map(read_rest).reduce(Result::or).unwrap_or(Ok(()));
            }
            Fate::Broken | Fate::Nothing => {}
        }
        match behind(out, one, frame) {
            Some(rest) => out = rest,
            None => return wrong("its number is not behind it"),
        }
    }
    if out.is_empty() { Ok(()) } else { Err(format!("{} bytes too many", out.len())) }
}

fn has_head(out: &[u8], asked: &Asked) -> bool {
    head(out, asked).is_some()
}

/// The length of the head of that body's reply, if it is what comes first.
fn head(out: &[u8], asked: &Asked) -> Option<usize> {
    let near = &out[..out.len().min(4096)];
    let length = near.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&out[..length]).ok()?.to_ascii_lowercase();
    let number = format!("\r\nx-number: {}\r\n", asked.number);
    (text.starts_with("http/1.1 200 ") && text.contains(&number)).then_some(length)
}

/// What comes behind the text that stands behind a body.
fn behind<'a>(out: &'a [u8], asked: &Asked, frame: Frame) -> Option<&'a [u8]> {
    match frame {
        Frame::Numbered => out.strip_prefix(format!("\n{}\n", asked.number).as_bytes()),
        Frame::Bare | Frame::Whole | Frame::Headed => Some(out),
    }
}

/// What a slow reader has seen.
struct Seen {
    out: Vec<u8>,
    /// The most memory that the program held, in bytes.
    peak: u64,
    /// The most that it held on the disk, in bytes.
    on_disk: u64,
    code: i32,
    said: String,
}

/// How slowly standard output is read.
#[derive(Debug, Clone, Copy)]
enum Reader {
    /// The first piece; the others when all bodies have been sent.
    WaitsForAll,
    /// The first 64 pieces with a long pause behind each, the others with a short one.
    Slow,
}

/// A program that is fed and read by a test.
struct Run {
    child: Child,
    folder: Folder,
}

impl Run {
    fn start(folder: Folder, args: &[&str]) -> Self {
        let stderr = File::create(folder.path("stderr")).expect("a file can be made");
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(args).current_dir(folder.path("")).env("XDG_CONFIG_HOME", "/dev/null");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        Self { child: command.spawn().expect("the program starts"), folder }
    }

    /// A run over a list in a file.
    fn of_list(lines: impl Iterator<Item = String>, args: &[&str]) -> Self {
        let folder = Folder::new();
        let mut list =
            std::io::BufWriter::new(File::create(folder.path("list")).expect("a file can be made"));
        for line in lines {
            writeln!(list, "{line}").expect("a file can be written");
        }
        list.into_inner().expect("a file can be written");
        Self::start(folder, &[&["-i", "list"], args].concat())
    }

    fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("a pipe")
    }

    /// Its peak so far; of one that has ended, none.
    fn peak(&self) -> u64 {
        peak_so_far(&self.child).unwrap_or(0)
    }

    /// What it holds in files without a name, in bytes.
    fn on_disk(&self) -> u64 {
        let Ok(open) = fs::read_dir(format!("/proc/{}/fd", self.child.id())) else { return 0 };
        // It may close them meanwhile.
        let files = open.filter_map(|entry| fs::metadata(entry.ok()?.path()).ok());
        files.filter(|file| file.is_file() && file.nlink() == 0).map(|file| file.len()).sum()
    }

    /// The code, and what was said.
    fn end(self) -> (i32, String) {
        let code = wait(self.child, LONG);
        (code, self.folder.text("stderr"))
    }

    /// Reads all that it writes.
    fn read(mut self, origin: &Origin, reader: Reader) -> Seen {
        let mut stdout = self.stdout();
        let (mut out, mut peak, mut on_disk) = (Vec::new(), 0, 0);
        for count in 0.. {
            let before = out.len();
            (&mut stdout).take(PIECE as u64).read_to_end(&mut out).expect("a pipe can be read");
            if out.len() == before {
                break;
            }
            peak = peak.max(self.peak());
            on_disk = on_disk.max(self.on_disk());
            match (reader, count) {
                (Reader::WaitsForAll, 0) => wait_until_all_is_sent(origin),
                (Reader::Slow, 0..64) => std::thread::sleep(Duration::from_millis(10)),
                _ => std::thread::sleep(Duration::from_micros(200)),
            }
        }
        let (code, said) = self.end();
        Seen { out, peak, on_disk, code, said }
    }
}

/// Waits until the last URL was asked for, and nothing is on its way any more but the body whose turn it is.
fn wait_until_all_is_sent(origin: &Origin) {
    let is_sent = |counts: &gannet_origin::Counts| counts.in_flight <= 1;
    let is_asked = origin.wait_until_blocking(|counts| counts.requests >= BODIES, LONG);
    assert!(is_asked && origin.wait_until_blocking(is_sent, LONG), "{:?}", origin.counts());
}

/// Fetches bodies of up to this length to a reader, and holds what comes to what was asked for.
fn in_order(longest: u64, frame: Frame, options: &str, reader: Reader) -> Seen {
    let (server, asked) = (Speech::Http1.server(), draw(longest));
    let args = [&["-s", "--retry", "1"], frame.options(), &options.split_whitespace().collect::<Vec<_>>()];
    let urls = asked.iter().map(|one| server.origin.url(&one.target));
    let seen = Run::of_list(urls, &args.concat()).read(&server.origin, reader);
    let Seen { out, peak, on_disk, code, said } = &seen;
    eprintln!("{frame:?} {options}: {} bytes, memory {peak}, disk {on_disk}", out.len());
    assert_eq!(read_in_order(out, &asked, frame), Ok(()));
    assert!(*code == 1 && !said.contains("panicked"), "exit {code}: {said}");
    assert!(*peak < HOLD + BESIDE, "{peak} bytes");
    seen
}

#[test]
fn two_hundred_bodies_reach_a_slow_reader_in_order_and_within_memory() {
    let seen = in_order(LONGEST, Frame::Bare, "-j 64 --per-host 64", Reader::WaitsForAll);
    // What the bound is for has happened.
    assert!(seen.peak > HOLD && seen.on_disk > HOLD, "{} and {} bytes", seen.peak, seen.on_disk);
}

#[test]
fn with_little_room_on_the_disk_a_slow_reader_holds_the_rest_back() {
    let seen = in_order(LONGEST, Frame::Bare, "--max-buffer 8M", Reader::Slow);
    assert!(seen.on_disk < 10 << 20, "{} bytes", seen.on_disk);
}

#[test]
fn bodies_that_are_held_until_whole_leave_nothing_of_broken_ones() {
    in_order(LONGEST, Frame::Whole, "--max-buffer 32M", Reader::Slow);
}

#[test]
fn each_body_has_its_own_head_before_it() {
    in_order(LONGEST / 16, Frame::Headed, "-j 64 --per-host 64", Reader::Slow);
}

#[test]
fn each_body_has_its_own_number_behind_it() {
    in_order(LONGEST / 16, Frame::Numbered, "-j 64 --per-host 64", Reader::Slow);
}

#[test]
fn urls_without_an_end_reach_a_slow_reader_in_order_until_it_leaves() {
    const READ: usize = 48 << 20;
    let server = Speech::Http1.server();
    let length = |number: u64| (body(8, number)[0] as usize) << 12;
    let mut run = Run::start(Folder::new(), &["-i", "-", "--max-buffer", "16M"]);
    let mut stdin = run.child.stdin.take().expect("a pipe");
    let to = server.origin.url("");
    let feeder = std::thread::spawn(move || {
        // The pipe breaks when the program ends.
        let feed = |number| writeln!(stdin, "{to}/{number}?size={}&seed={number}", length(number));
        (0u64..).try_for_each(feed).expect_err("it never ends");
    });
    let (mut stdout, mut piece) = (run.stdout(), vec![0; PIECE]);
    let mut expected = (0u64..).flat_map(|number| body(length(number), number));
    let (mut read, mut peak) = (0, 0);
    while read < READ {
        stdout.read_exact(&mut piece).expect("there is always more");
        assert!(
            expected.by_ref().take(PIECE).eq(piece.iter().copied()),
            "it differs in the {PIECE} from {read}"
        );
        read += PIECE;
        peak = peak.max(run.peak());
        std::thread::sleep(Duration::from_micros(500));
    }
    drop(stdout);
    assert_eq!(run.end(), (141, String::new()));
    feeder.join().expect("the feeder does not panic");
    eprintln!("an endless list: memory {peak}");
    assert!(peak < HOLD + BESIDE, "{peak} bytes");
}

#[test]
fn a_list_of_millions_is_shown_in_flat_memory() {
    let count = from_environment("GANNET_TEST_LONG_LINES", 300_000);
    let line = |number| format!("http://127.0.0.1:1/{number}");
    let mut run = Run::of_list((0..count).map(line), &["--dry-run", "-s"]);
    let mut shown = BufReader::with_capacity(PIECE, run.stdout()).lines();
    let (mut early, mut late) = (0, 0);
    for number in 0..count {
        let text = shown.next().expect("a line for each").expect("a pipe can be read");
        assert!(text.split_whitespace().any(|word| word == line(number)), "{text}");
        if number == count / 10 {
            early = run.peak();
        }
        // The last look is at one that still writes.
        if number % 1000 == 0 {
            late = late.max(run.peak());
        }
    }
    assert!(shown.next().is_none() && run.end().0 == 0);
    eprintln!("{count} lines: memory {early} at a tenth, {late} at the end");
    assert!(early > 0 && late < SMALL && late <= early + FLAT, "{early} and {late} bytes");
}

#[test]
fn a_list_of_urls_is_fetched_in_flat_memory() {
    let count = from_environment("GANNET_TEST_LONG_URLS", 20_000) as u64;
    for options in [&["--no-body", "-j", "64", "--per-host", "64"][..], &["--no-body"]] {
        let server = Speech::Http1.serve(Origin::builder().log_limit(0));
        let url = |number| server.origin.url(&format!("/{number}?size=80"));
        let lines = (0..count).map(url).chain([server.origin.url("/last?never")]);
        let run = Run::of_list(lines, options);
        let reached = |wanted| {
            // A million of them take a while.
            assert!(server.origin.wait_until_blocking(|counts| counts.requests >= wanted, LONG * 30));
            run.peak()
        };
        let (early, late) = (reached(count / 10), reached(count + 1));
        kill_process(Pid::from_child(&run.child), Signal::INT).expect("it waits for the last one");
        assert_eq!(run.end().0, 130);
        eprintln!("{count} URLs {options:?}: memory {early} at a tenth, {late} at the end");
        assert!(early > 0 && late < SMALL && late <= early + FLAT, "{early} and {late} bytes");
    }
}

#[test]
fn three_urls_come_to_the_same_from_words_a_file_and_an_endless_pipe() {
    let server = Speech::Http1.server();
    let urls = ["/a?text=one", "/b?status=404", "/c?text=three"].map(|path| server.origin.url(path));
    let options = ["--report", "report", "-w", "%{urlnum} %{http_code}\\n", "--retry", "0"];
    let words: Vec<&str> = urls.iter().map(String::as_str).chain(options).collect();
    let from_words = Run::start(Folder::new(), &words);
    let from_file = Run::of_list(urls.iter().cloned(), &options);
    let mut from_pipe = Run::start(Folder::new(), &[&["-i", "-"], &options[..]].concat());
    let mut stdin = from_pipe.child.stdin.take().expect("a pipe");
    writeln!(stdin, "{}", urls.join("\n")).expect("it reads");
    // They come though the list has not ended.
    assert!(server.origin.wait_until_blocking(|counts| counts.requests == 9, LONG));
    let told = [from_words, from_file].map(told);
    let mut early = from_pipe.stdout();
    let mut out = vec![0; told[0].0.len()];
    early.read_exact(&mut out).expect("all of it comes");
    drop(stdin);
    from_pipe.child.stdout = Some(early);
    let (rest, rows, code) = self::told(from_pipe);
    assert_eq!((rest.as_str(), code), ("", 1));
    assert_eq!(told[0].0, "one0 200\n1 404\nthree2 200\n");
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], (String::from_utf8(out).expect("text"), rows, code));
}

/// Standard output, the rows of the report by number without what no two runs share, and the code.
fn told(mut run: Run) -> (String, Vec<Value>, i32) {
    let mut out = String::new();
    run.stdout().read_to_string(&mut out).expect("text");
    let Run { child, folder } = run;
    let code = wait(child, LONG);
    let text = folder.text("report");
    let mut rows: Vec<Value> = text.lines().map(|row| serde_json::from_str(row).expect("a row")).collect();
    rows.sort_by_key(|row| row["seq"].as_u64().unwrap_or(u64::MAX));
    for row in &mut rows {
        let row = row.as_object_mut().expect("a row is an object");
        for name in ["job", "conn", "ms", "ms_p", "elapsed_ms", "started", "ended", "input", "held_back_by"] {
            row.remove(name);
        }
    }
    (out, rows, code)
}
