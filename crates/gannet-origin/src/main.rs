//! The program: starts an origin, prints its URL, and on Ctrl-C what it counted. No behaviour lives here.

mod named;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use gannet_origin::{Certificate, Http2Fault, Origin, QUERY_KEYS, Tls, TlsFault, TlsVersions};

fn main() -> ExitCode {
    let outcome = match Flags::read(std::env::args().skip(1)) {
        Ok(Asked::Help) => say(&help()),
        Ok(Asked::Run(flags)) => run(&flags),
        Err(complaint) => Err(io::Error::new(io::ErrorKind::InvalidInput, complaint)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; there is nowhere else to say it.
            let _ = writeln!(io::stderr(), "gannet-origin: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(flags: &Flags) -> io::Result<()> {
    let mut runtime = match flags.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if flags.threads > 1 {
        runtime.worker_threads(flags.threads);
    }
    runtime.enable_all().build()?.block_on(serve(flags))
}

async fn serve(flags: &Flags) -> io::Result<()> {
    // Only the counts are printed, so no log is kept.
    let mut builder = Origin::builder().port(flags.port).seed(flags.seed).log_limit(0);
    if let Some(tls) = flags.tls {
        builder = builder.tls(tls).tls_versions(flags.tls_versions).certificate(flags.certificate);
    }
    if let Some(fault) = flags.tls_fault {
        builder = builder.tls_fault(fault);
    }
    if let Some(fault) = flags.http2_fault {
        builder = builder.http2_fault_first(flags.http2_fault_first, fault);
    }
    for (path, file) in &flags.files {
        builder = builder.file(path, "", std::fs::read(file)?);
    }
    for (prefix, query) in &flags.behave {
        builder = builder.script(prefix, query.split('|'));
    }
    for (prefix, query) in &flags.limits {
        builder = builder.limits(prefix, query);
    }
    let origin = builder.start().await?;
    if let Some(path) = &flags.ca_out {
        std::fs::write(path, origin.ca_pem())?;
    }
    say(&format!("{}\n", origin.url("")))?;
    if flags.voice == Voice::Normal {
        let ca = flags.ca_out.as_ref().map(|path| format!(", its CA is in {path}")).unwrap_or_default();
        writeln!(io::stderr(), "listening on {}{ca}", origin.url(""))?;
    }
    match flags.counts_every {
        None => told_to_stop().await?,
        Some(period) => tokio::select! {
            stopped = told_to_stop() => stopped?,
            failed = say_counts(&origin, period) => failed?,
        },
    }
    say(&format!("{}\n", origin.counts().to_json()))
}

/// Says the counts at each tick; ends only when nobody can hear them.
async fn say_counts(origin: &Origin, period: Duration) -> io::Result<()> {
    let mut ticks = tokio::time::interval(period);
    loop {
        ticks.tick().await;
        say(&format!("{}\n", origin.counts().to_json()))?;
    }
}

/// Waits for Ctrl-C, or for the signal that `kill` sends.
async fn told_to_stop() -> io::Result<()> {
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminated.recv() => Ok(()),
    }
}

fn say(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// What the command line asks for.
enum Asked {
    Help,
    Run(Flags),
}

#[derive(Debug, PartialEq, Eq)]
struct Flags {
    port: u16,
    tls: Option<Tls>,
    threads: usize,
    seed: u64,
    ca_out: Option<String>,
    certificate: Certificate,
    tls_versions: TlsVersions,
    tls_fault: Option<TlsFault>,
    http2_fault: Option<Http2Fault>,
    /// Connections that the fault befalls.
    http2_fault_first: u64,
    /// Paths, and the files that they show.
    files: Vec<(String, String)>,
    /// Path prefixes, and their queries.
    behave: Vec<(String, String)>,
    /// Path prefixes, and the limits that they share.
    limits: Vec<(String, String)>,
    counts_every: Option<Duration>,
    voice: Voice,
}

#[derive(Debug, PartialEq, Eq)]
enum Voice {
    Normal,
    Quiet,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            port: 0,
            tls: None,
            threads: 1,
            seed: 0,
            ca_out: None,
            certificate: Certificate::Good,
            tls_versions: TlsVersions::Both,
            tls_fault: None,
            http2_fault: None,
            http2_fault_first: u64::MAX,
            files: Vec::new(),
            behave: Vec::new(),
            limits: Vec::new(),
            counts_every: None,
            voice: Voice::Normal,
        }
    }
}

impl Flags {
    fn read(mut args: impl Iterator<Item = String>) -> Result<Asked, String> {
        let mut flags = Self::default();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--help" | "-h" => return Ok(Asked::Help),
                "--port" => flags.port = number(&arg, args.next())?,
                "--tls" => flags.tls = Some(Tls::Both),
                "--threads" => flags.threads = number::<usize>(&arg, args.next())?.clamp(1, MAX_THREADS),
                "--seed" => flags.seed = number(&arg, args.next())?,
                "--ca-out" => flags.ca_out = Some(args.next().ok_or("--ca-out needs a file")?),
                "--certificate" => flags.certificate = known(&arg, args.next(), named::certificate)?,
                "--tls-versions" => flags.tls_versions = known(&arg, args.next(), named::tls_versions)?,
                "--tls-fault" => flags.tls_fault = Some(known(&arg, args.next(), named::tls_fault)?),
                "--http2-fault" => flags.http2_fault = Some(known(&arg, args.next(), named::http2_fault)?),
                "--http2-fault-first" => flags.http2_fault_first = number(&arg, args.next())?,
                "--file" => flags.files.push(pair(&arg, args.next())?),
                "--behave" => flags.behave.push(pair(&arg, args.next())?),
                "--limits" => flags.limits.push(pair(&arg, args.next())?),
                "--counts-every" => {
                    let period = Duration::from_millis(number(&arg, args.next())?);
                    flags.counts_every = Some(period.max(SHORTEST_PERIOD));
                }
                "--quiet" => flags.voice = Voice::Quiet,
                _ => return Err(format!("unknown flag {arg:?}; see --help")),
            }
        }
        if flags.ca_out.is_some() && flags.tls.is_none() {
            return Err("--ca-out needs --tls: without it there is no CA".to_owned());
        }
        let is_of_tls = flags.tls_fault.is_some()
            || (flags.certificate, flags.tls_versions) != (Certificate::Good, TlsVersions::Both);
        if is_of_tls && flags.tls.is_none() {
            return Err("--certificate, --tls-versions and --tls-fault need --tls".to_owned());
        }
        Ok(Asked::Run(flags))
    }
}

/// The counts are not said more often.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);

/// The most threads that are started.
const MAX_THREADS: usize = 64;

fn number<N: std::str::FromStr>(flag: &str, value: Option<String>) -> Result<N, String> {
    let value = value.ok_or_else(|| format!("{flag} needs a number"))?;
    value.parse().map_err(|_| format!("{flag} needs a number, and {value:?} is none"))
}

fn known<T>(flag: &str, value: Option<String>, read: fn(&str) -> Option<T>) -> Result<T, String> {
    let value = value.ok_or_else(|| format!("{flag} needs a name"))?;
    read(&value).ok_or_else(|| format!("{flag} knows no {value:?}; see --help"))
}

fn pair(flag: &str, value: Option<String>) -> Result<(String, String), String> {
    let value = value.ok_or_else(|| format!("{flag} needs PATH=VALUE"))?;
    let (path, rest) = value.split_once('=').ok_or_else(|| format!("{flag} needs a = in {value:?}"))?;
    Ok((path.to_owned(), rest.to_owned()))
}

fn help() -> String {
    let mut text = HELP_HEAD.to_owned();
    for (key, example, what) in QUERY_KEYS {
        let pair = if example.is_empty() { (*key).to_owned() } else { format!("{key}={example}") };
        writeln!(text, "  {pair:<32} {what}").expect("a string takes any text");
    }
    text.push_str(HELP_TAIL);
    text.push_str(&named::help());
    text
}

const HELP_HEAD: &str = "\
An HTTP origin that can be slow, hostile or broken on demand. Listens on 127.0.0.1 alone.

Usage: gannet-origin [FLAGS]

  --port N       listen there; default: any free port
  --tls          speak TLS (ALPN h2 and http/1.1); default: plain, h2 by prior knowledge
  --ca-out FILE  write the CA of the certificate there, in PEM
  --certificate NAME, --tls-versions 1.2|1.3|both, --tls-fault FAULT
                 what is wrong with TLS; see the names below
  --http2-fault FAULT, --http2-fault-first N
                 what is wrong with HTTP/2, and for how many connections; default: all
  --file /P=FILE serve that file at that path; repeatable
  --behave /P=QUERY
                 treat the paths that start so as if they came with that query; repeatable; of several with | between,
                 each request of a path takes the next, and the last stays
  --limits /P=QUERY
                 hold the paths that start so, together, to rate, concurrency and workers; repeatable
  --counts-every N
                 say the counts each N milliseconds, too
  --threads N    serve with that many threads; default: 1
  --seed N       the seed of latency, stragglers and fail; default: 0
  --quiet        only the URL and the counts, on standard output
  --help         this text

The URL is the first line of standard output; on Ctrl-C the counts follow, as JSON.

Each request says in its query what is done to it, at any path; keys combine with `&`:

";

const HELP_TAIL: &str = "
  /echo answers with the request as it was read, in JSON.
  /events sends server-sent events, each a chunk of its own.

Range and conditions are heeded once etag, last-modified or range is there. `range` says how:
  ok                 as it should be (RFC 9110)
  ignore             200 and the whole
  wrong-start        206 for a range that begins one byte before, or at 1
  wrong-total        Content-Range says one byte more of the whole
  wrong-length       a body one byte shorter than Content-Range says
  no-content-range   206 without Content-Range
  multipart          one range in a body of many parts
  short              the first half of what was asked for, and says so
  416                416 without Content-Range, though the range could be had
  416-here           416 with */N, where N is the first byte asked for
  404, 503           an error page for the range
  changed-etag       206 with another ETag; weak-etag: with W/ before it
  ignore-if-range    206 although If-Range does not fit

A server that is not yet up: /health?up-after=3, or script=503,503,200; one that fails: fail=30%.
Under TLS, no-length with fin=999g sends a whole body without length and closes without close_notify.

Waits: 200ms, 2s, 50us, or a bare number of milliseconds. Values are percent-decoded.
Over HTTP/2, `reset` is RST_STREAM, N counts bytes of the body, and `fin` and `truncate` end the stream
below its Content-Length.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Result<Flags, String> {
        match Flags::read(line.split_whitespace().map(str::to_owned))? {
            Asked::Run(flags) => Ok(flags),
            Asked::Help => Err(help()),
        }
    }

    #[test]
    fn flags_are_read_in_any_order() {
        let read = flags("--quiet --threads 2 --port 80 --tls").unwrap();
        assert_eq!((read.port, read.threads, read.tls, read.voice), (80, 2, Some(Tls::Both), Voice::Quiet));
    }

    #[test]
    fn a_flag_that_nobody_knows_is_named() {
        assert_eq!(flags("--prot 1").unwrap_err(), "unknown flag \"--prot\"; see --help");
    }

    #[test]
    fn faults_and_files_are_read() {
        let read =
            flags("--tls --tls-fault alert --certificate self-signed --file /a=b=c --behave /p=etag=x");
        let read = read.unwrap();
        assert_eq!((read.tls_fault, read.certificate), (Some(TlsFault::Alert), Certificate::SelfSigned));
        assert_eq!(read.files, [("/a".to_owned(), "b=c".to_owned())]);
        assert_eq!(read.behave, [("/p".to_owned(), "etag=x".to_owned())]);
        let read = flags("--limits /=rate=9/s&workers=2 --counts-every 500").unwrap();
        assert_eq!(read.limits, [("/".to_owned(), "rate=9/s&workers=2".to_owned())]);
        assert_eq!(read.counts_every, Some(Duration::from_millis(500)));
    }

    #[test]
    fn a_fault_of_tls_needs_tls_and_one_that_nobody_knows_is_named() {
        assert!(flags("--tls-fault alert").unwrap_err().contains("need --tls"));
        assert!(flags("--http2-fault x").unwrap_err().contains("knows no \"x\""));
    }

    #[test]
    fn the_help_names_every_query_key() {
        let text = flags("--help").unwrap_err();
        assert!(QUERY_KEYS.iter().all(|(key, ..)| text.contains(&format!("\n  {key}"))));
    }
}
