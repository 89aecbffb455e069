//! A run of the program against hostile servers, and what must hold at the end of every run: no panic, over in time,
//! a code that fits, one row for each URL, nothing incomplete on the disk. What a row of its own asks for is asserted
//! elsewhere.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use gannet_origin::{Origin, OriginBuilder, Tls};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Nothing that is waited for takes longer, unless it is broken.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// By how much a run may be over its deadline.
const OVERSHOOT: Duration = Duration::from_millis(250);

/// What starting a process, and reaping it, may take on a busy machine.
const START: Duration = Duration::from_millis(1500);

/// How the program and the server speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    /// HTTP/1.1 in the clear.
    Http1,
    /// HTTP/1.1 under TLS.
    Http1Tls,
    /// HTTP/2 under TLS.
    Http2,
}

impl Speech {
    /// The two versions of HTTP.
    pub(crate) const VERSIONS: [Self; 2] = [Self::Http1, Self::Http2];

    /// A server with nothing special about it.
    pub(crate) fn server(self) -> Server {
        self.serve(Origin::builder())
    }

    /// A server as described.
    pub(crate) fn serve(self, builder: OriginBuilder) -> Server {
        let builder = match self {
            Self::Http1 => builder,
            Self::Http1Tls => builder.tls(Tls::Http1Only),
            Self::Http2 => builder.tls(Tls::Http2Only),
        };
        let origin = Origin::start_in_thread(builder).expect("an origin starts on the loopback");
        Server { origin, speech: self }
    }

    /// What a row calls it.
    fn version(self) -> &'static str {
        if self == Self::Http2 { "2" } else { "1.1" }
    }
}

/// A hostile origin and how to speak with it.
pub(crate) struct Server {
    pub(crate) origin: Origin,
    pub(crate) speech: Speech,
}

impl Server {
    /// A run that fetches these paths.
    pub(crate) fn trial<P: AsRef<str>>(&self, paths: impl IntoIterator<Item = P>) -> Trial {
        Trial::of(Vec::<String>::new()).and(self, paths)
    }
}

/// A run of the program that is to be: the URLs come from a list, the bodies go to files.
pub(crate) struct Trial {
    pub(crate) folder: Folder,
    urls: Vec<String>,
    args: Vec<String>,
    authorities: String,
    deadline: Duration,
    version: Option<&'static str>,
    kept: Vec<String>,
    pages: Pages,
    environment: Vec<(String, String)>,
    descriptors: Option<u32>,
    given: Given,
}

/// Where the URLs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    /// In a list.
    Listed,
    /// On the command line, as options for one URL want it.
    AsWords,
}

/// Of which pages the program may take its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pages {
    /// Of those that the allocator chooses.
    Any,
    /// Of small ones: huge pages round what is held to 2 MiB, by chance.
    Small,
}

impl Trial {
    /// A run that fetches these URLs, by a deadline of 10 s.
    pub(crate) fn of<U: Into<String>>(urls: impl IntoIterator<Item = U>) -> Self {
        Self {
            folder: Folder::new(),
            urls: urls.into_iter().map(Into::into).collect(),
            args: Vec::new(),
            authorities: String::new(),
            deadline: Duration::from_secs(10),
            version: None,
            kept: Vec::new(),
            pages: Pages::Any,
            environment: Vec::new(),
            descriptors: None,
            given: Given::Listed,
        }
    }

    /// Fetches these paths of that server too.
    pub(crate) fn and<P: AsRef<str>>(mut self, server: &Server, paths: impl IntoIterator<Item = P>) -> Self {
        self.urls.extend(paths.into_iter().map(|path| server.origin.url(path.as_ref())));
        self.trusting(server.origin.ca_pem(), server.speech)
    }

    /// Trusts this authority too, and expects this version of HTTP.
    pub(crate) fn trusting(mut self, ca_pem: &str, speech: Speech) -> Self {
        self.authorities.push_str(ca_pem);
        self.version = Some(speech.version());
        self
    }

    /// Adds options, separated by spaces.
    pub(crate) fn with(mut self, options: &str) -> Self {
        self.args.extend(options.split_whitespace().map(str::to_owned));
        self
    }

    /// Its one URL stands on the command line.
    pub(crate) fn alone(mut self) -> Self {
        self.given = Given::AsWords;
        self
    }

    /// Puts a file into the folder before the run, which is to outlive it.
    pub(crate) fn keep(mut self, name: &str, bytes: &[u8]) -> Self {
        self.folder.write(name, bytes);
        self.kept.push(name.to_owned());
        self
    }

    /// A file that the test has put into the folder.
    pub(crate) fn kept(mut self, name: &str) -> Self {
        self.kept.push(name.to_owned());
        self
    }

    /// Runs it with this in its environment.
    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it with so many descriptors and no more.
    pub(crate) fn with_descriptors(mut self, most: u32) -> Self {
        self.descriptors = Some(most);
        self
    }

    /// The program, or a shell that becomes the program.
    fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_gannet");
        let Some(most) = self.descriptors else { return Command::new(program) };
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {most} && exec \"$0\" \"$@\""), program]);
        shell
    }

    /// Its memory is to be compared with that of another run.
    pub(crate) fn weighed(mut self) -> Self {
        self.pages = Pages::Small;
        self
    }

    /// Must be over by this time.
    pub(crate) fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs it, with the bodies in files.
    pub(crate) fn run(self) -> End {
        self.with("-P out").start(Stdio::null()).end()
    }

    /// Starts it; without `-P` the bodies go to standard output.
    pub(crate) fn start(self, stdout: Stdio) -> Running {
        self.folder.write("list", self.urls.join("\n").as_bytes());
        let mut command = self.command();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        match self.given {
            Given::Listed => command.args(["-i", "list"]),
            Given::AsWords => command.args(&self.urls),
        };
        command.args(["--report", "report", "--deadline"]).env("XDG_CONFIG_HOME", "/dev/null");
        command.env("XDG_STATE_HOME", self.folder.path(".gannet-state"));
        command.arg(format!("{}ms", self.deadline.as_millis())).args(&self.args);
        if !self.authorities.is_empty() {
            self.folder.write("ca.pem", self.authorities.as_bytes());
            command.args(["--cacert", "ca.pem"]);
        }
        if self.pages == Pages::Small {
            command.env("MIMALLOC_ALLOW_THP", "0");
        }
        let stderr = File::create(self.folder.path("stderr")).expect("a file can be made");
        command.current_dir(&self.folder.0).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let begun = Instant::now();
        let child = command.spawn().expect("the program starts");
        Running { trial: self, child, begun }
    }
}

/// A run under way.
pub(crate) struct Running {
    trial: Trial,
    pub(crate) child: Child,
    begun: Instant,
}

impl Running {
    pub(crate) fn kill(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the program was not yet waited for");
    }

    /// Writes a file of its folder anew.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        self.trial.folder.write(name, bytes);
    }

    /// The most memory that it has held so far, in bytes: VmHWM of proc(5), which starts with the program. The
    /// kernel's ru_maxrss starts with the process that it was forked from, and would tell of that one.
    pub(crate) fn peak_memory(&self) -> u64 {
        peak_memory(&self.child)
    }

    /// Waits for the end, and holds it to what must hold at every end.
    pub(crate) fn end(self) -> End {
        let allowed = self.trial.deadline + OVERSHOOT;
        let Self { trial, child, begun } = self;
        let code = wait(child, allowed + LONG);
        let took = begun.elapsed();
        let end = End::read(trial, code);
        assert!(took < allowed + START, "over after {took:?} instead of {allowed:?}: {end:?}");
        end.hold_to_what_holds_always(allowed);
        end
    }

    /// Waits for the end of a run whose report is elsewhere, unfinished, or looked at by the test alone.
    pub(crate) fn end_without_report(self) -> (i32, Folder) {
        (wait(self.child, LONG), self.trial.folder)
    }
}

/// The most memory that a process which has not ended has held so far, in bytes.
pub(crate) fn peak_memory(child: &Child) -> u64 {
    peak_so_far(child).expect("it runs")
}

/// The most memory that a process has held so far, in bytes; `None` if it has ended.
pub(crate) fn peak_so_far(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("proc(5)");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    Some(kibibytes << 10)
}

/// Waits for a process; one that hangs is killed.
pub(crate) fn wait(mut child: Child, limit: Duration) -> i32 {
    let pid = Pid::from_child(&child);
    // A pipe that nobody reads is to stay one.
    let stdout = child.stdout.take();
    let (tell, told) = mpsc::channel();
    let waiter = std::thread::spawn(move || tell.send(child.wait()));
    let status = told.recv_timeout(limit).unwrap_or_else(|_| {
        kill_process(pid, Signal::KILL).expect("it was not yet waited for");
        panic!("the program hangs: it was killed after {limit:?}")
    });
    drop(stdout);
    waiter.join().expect("the waiter does not panic").expect("its message was taken");
    code(status.expect("a child can be waited for"))
}

/// The code as shells have it.
fn code(status: ExitStatus) -> i32 {
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    status.code().unwrap_or_else(|| 128 + signal.expect("a process ends by a code or a signal"))
}

/// How a run ended.
pub(crate) struct End {
    pub(crate) code: i32,
    /// By `seq`.
    pub(crate) rows: Vec<Value>,
    pub(crate) summary: Value,
    pub(crate) stderr: String,
    pub(crate) folder: Folder,
    urls: Vec<String>,
    version: Option<&'static str>,
    kept: Vec<String>,
}

impl std::fmt::Debug for End {
    /// Shows what went wrong first, for there may be many rows.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "exit {}\n{}\n{}",
            self.code,
            self.summary,
            self.stderr.lines().take(20).collect::<String>()
        )?;
        let (sound, failed): (Vec<_>, Vec<_>) = self.rows.iter().partition(|row| row["outcome"] == "ok");
        failed.iter().chain(&sound).take(8).try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl End {
    fn read(trial: Trial, code: i32) -> Self {
        let Trial { folder, urls, version, kept, .. } = trial;
        let stderr = folder.text("stderr");
        let mut rows: Vec<Value> = folder
            .text("report")
            .lines()
            .map(|line| serde_json::from_str(line).expect("a row of JSON"))
            .collect();
        let summary = rows.pop().unwrap_or_else(|| panic!("no report; exit {code}: {stderr}"));
        rows.sort_by_key(|row| row["seq"].as_u64());
        Self { code, rows, summary, stderr, folder, urls, version, kept }
    }

    /// `ok`, or the code of the error, for each URL.
    pub(crate) fn codes(&self) -> Vec<&str> {
        self.rows.iter().map(code_of).collect()
    }

    /// The bytes of the file that a URL gave.
    pub(crate) fn body(&self, seq: usize) -> Vec<u8> {
        let path = self.rows[seq]["body"]["path"].as_str().expect("what was fetched has a path");
        fs::read(self.folder.path(path)).expect("what was fetched can be read")
    }

    /// Milliseconds that a URL took.
    pub(crate) fn took(&self, seq: usize) -> f64 {
        self.rows[seq]["ms"]["total"].as_f64().expect("a number")
    }

    fn hold_to_what_holds_always(&self, allowed: Duration) {
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        assert_eq!(self.summary["type"], "summary", "{self:?}");
        assert_eq!(self.summary["exit"], self.code, "{self:?}");
        let elapsed = self.summary["elapsed_ms"].as_f64().expect("a number");
        assert!(elapsed <= allowed.as_secs_f64() * 1e3, "over after {elapsed} ms instead of {allowed:?}");
        self.has_one_row_for_each_url();
        self.counts_add_up();
        self.files_are_those_of_the_rows();
    }

    fn has_one_row_for_each_url(&self) {
        assert_eq!(self.rows.len(), self.urls.len(), "one row for each URL: {self:?}");
        for (seq, (row, url)) in (0..).zip(self.rows.iter().zip(&self.urls)) {
            assert_eq!((row["seq"].as_u64(), row["url"].as_str()), (Some(seq), Some(url.as_str())));
        }
        for row in &self.rows {
            let is_known =
                ["ok", "failed", "unfinished", "cancelled"].iter().any(|word| row["outcome"] == *word);
            assert!(is_known && (row["outcome"] == "ok") == row["error"].is_null(), "{row}");
            let version = row["http"].as_str().or(self.version);
            assert_eq!(version, self.version, "another version of HTTP was spoken: {row}");
        }
    }

    fn counts_add_up(&self) {
        let count = |outcome: &str| self.rows.iter().filter(|row| row["outcome"] == outcome).count();
        for outcome in ["ok", "failed", "unfinished", "cancelled"] {
            assert_eq!(self.summary[outcome], count(outcome), "{outcome}: {self:?}");
        }
        let attempts: u64 = self.rows.iter().filter_map(|row| row["attempts"].as_u64()).sum();
        assert_eq!(self.summary["attempts"], attempts);
        let ok = count("ok");
        let fits = match self.code {
            0 => ok == self.rows.len(),
            1 => ok > 0 && count("failed") > 0 && count("unfinished") == 0,
            3 => ok == 0 && count("unfinished") == 0,
            // What had failed and had no time for another attempt is `failed`, of the deadline too.
            4 => count("unfinished") > 0 || self.summary["deadline_hit"] == true,
            5 => self.codes().iter().any(|code| code.starts_with("integrity.")),
            code => code > 128,
        };
        assert!(fits, "the code does not fit: {self:?}");
    }

    /// Under a final name is what a row calls whole, all of it, and nothing else.
    fn files_are_those_of_the_rows(&self) {
        let found = self.folder.files_below("");
        let parts: Vec<_> = found.iter().filter(|name| name.ends_with(".part")).collect();
        assert!(parts.is_empty(), "parts are left: {parts:?}");
        let ours = ["list", "report", "ca.pem", "stderr"];
        let of_rows: BTreeSet<_> =
            self.rows.iter().filter_map(|row| row["body"]["path"].as_str().map(str::to_owned)).collect();
        let is_strange = |name: &&String| {
            !ours.contains(&name.as_str()) && !of_rows.contains(*name) && !self.kept.contains(name)
        };
        let strange: Vec<_> = found.iter().filter(is_strange).collect();
        assert!(strange.is_empty(), "files that no row tells of: {strange:?}");
        for row in self.rows.iter().filter(|row| row["body"]["path"].is_string()) {
            let path = row["body"]["path"].as_str().expect("text");
            let length = fs::metadata(self.folder.path(path)).map(|file| file.len()).unwrap_or(u64::MAX);
            assert_eq!(row["bytes"], length, "{row}");
        }
    }
}

/// `ok`, or the code of the error.
pub(crate) fn code_of(row: &Value) -> &str {
    row["error"]["code"].as_str().unwrap_or_else(|| row["outcome"].as_str().expect("a word"))
}

/// A folder that is removed at the end, in which the program runs.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gannet-faults-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is below the folder")).expect("a folder can be made");
        fs::write(path, bytes).expect("a file can be written");
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The paths of all files below a folder, in order; those of gannet's own folders apart.
    pub(crate) fn files_below(&self, below: &str) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path(below)).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = Path::new(below).join(entry.file_name()).to_string_lossy().into_owned();
            if entry.file_name().to_string_lossy().starts_with(".gannet") {
                continue;
            }
            if entry.path().is_dir() {
                found.extend(self.files_below(&name));
            } else {
                found.push(name);
            }
        }
        found.sort();
        found
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A number from the environment, for sweeps; says how to have them finer.
pub(crate) fn from_environment(name: &str, default: usize) -> usize {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number")))
}
