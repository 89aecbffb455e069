//! Makes each kind of error occur in the program's report, but for those that only the library can meet. A kind that
//! nobody makes fails here with its code.

#[path = "../../../gannet/tests/codes/of_the_library.rs"]
mod of_the_library;

use std::fs::File;
use std::process::{Command, Stdio};

use gannet::ErrorKind;
use gannet_origin::{Blackhole, Certificate, Http2Fault, Origin, OriginBuilder, RawReply, Refusal, Tls};

use self::of_the_library::OF_THE_LIBRARY;
use crate::fixture::{Folder, end, start};
use crate::schema;

/// Servers and a folder, for all kinds.
struct Stage {
    folder: Folder,
    plain: Origin,
}

/// What a case left: its report, or why it cannot be had on this machine.
enum Made {
    Report(String),
    Skipped(&'static str),
}

impl Stage {
    fn new() -> Self {
        let big =
            RawReply::new().send(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(2 << 20))).fin();
        let folder = Folder::new();
        folder.write("there", "x");
        Self { folder, plain: start(Origin::builder().raw("/big", big)) }
    }

    /// Runs the program with these options, separated by spaces, and a URL behind them.
    fn get(&self, options: &str, url: &str) -> Made {
        self.ran(self.folder.command(words(options).chain([url])))
    }

    /// The same for a path of the plain origin, whose body is thrown away.
    fn path(&self, options: &str, path: &str) -> Made {
        self.get(&format!("--no-body {options}"), &self.plain.url(path))
    }

    /// The same under TLS, with this certificate.
    fn tls(&self, certificate: Certificate, ca: impl Fn(&Origin) -> String) -> Made {
        let origin = start(Origin::builder().tls(Tls::Both).certificate(certificate));
        self.folder.write("ca.pem", &ca(&origin));
        self.get("--no-body --cacert ca.pem", &origin.url("/"))
    }

    /// A list on standard input.
    fn list(&self, list: &[u8]) -> Made {
        std::fs::write(self.folder.path().join("list"), list).expect("a file can be written");
        let mut command = self.folder.command(words("--no-body -i -"));
        command.stdin(File::open(self.folder.path().join("list")).expect("it was written a moment ago"));
        self.ran(command)
    }

    /// Runs it below a shell that first does `before`; `$0` is the program.
    fn below_shell(&self, before: &str, options: &str, url: &str) -> Made {
        let mut command = self.folder.command([""; 0]);
        let program = command.get_program().to_owned();
        command = Command::new("sh");
        command.env("XDG_CONFIG_HOME", "/dev/null").env("XDG_STATE_HOME", self.folder.path().join("state"));
        command.current_dir(self.folder.path()).arg("-c").arg(format!("{before}\nexec \"$0\" \"$@\""));
        command.arg(program).args(words(options)).arg(url);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.ran(command)
    }

    /// Runs it in namespaces of its own, where it may mount, if this machine lets us.
    fn in_namespaces(&self, flags: &str, before: &str, options: &str, url: &str) -> Made {
        let may = Command::new("unshare").args([flags, "true"]).stderr(Stdio::null()).status();
        if !may.is_ok_and(|status| status.success()) {
            return Made::Skipped("this machine gives no namespaces (unshare)");
        }
        let before = format!(
            "if [ -z \"$INSIDE\" ]; then INSIDE=1 exec unshare {flags} sh -c '{before}\nexec \"$0\" \"$@\"' \"$0\" \"$@\"; fi"
        );
        self.below_shell(&before, options, url)
    }

    fn ran(&self, mut command: Command) -> Made {
        let report = self.folder.path().join("r");
        let _ = std::fs::remove_file(&report);
        command.args(["--report", "r", "--retry", "0"]);
        let ran = end(command.spawn().expect("the program starts"));
        Made::Report(std::fs::read_to_string(report).unwrap_or_else(|_| format!("no report: {ran:?}")))
    }
}

fn words(options: &str) -> impl Iterator<Item = &str> {
    options.split_whitespace()
}

/// Where nothing listens, or nothing answers.
fn nobody(stage: &Stage, kind: ErrorKind) -> Option<Made> {
    Some(match kind {
        ErrorKind::NameNotFound => {
            // Longer than a label may be (RFC 1035, section 2.3.4): no name server is asked.
            stage.get("", &format!("http://{}.example/", "a".repeat(70)))
        }
        ErrorKind::LookupFailed => stage.in_namespaces("-rn", "", "", "http://name.example/"),
        ErrorKind::LookupTimeout => {
            let before = "mkfifo fifo; mount --bind fifo /etc/hosts";
            stage.in_namespaces("-rm", before, "--connect-timeout 300ms", "http://name.example/")
        }
        ErrorKind::Refused => {
            stage.get("", &format!("http://{}/", Refusal::open().expect("a free port").addr()))
        }
        ErrorKind::ConnectTimeout => {
            let hole = Blackhole::open().expect("a full queue");
            stage.get("--connect-timeout 200ms", &format!("http://{}/", hole.addr()))
        }
        ErrorKind::Unreachable => stage.in_namespaces("-rn", "", "", "http://192.0.2.1/"),
        // A link-local address without its link.
        ErrorKind::ConnectFailed => stage.get("", "http://[fe80::1]/"),
        ErrorKind::NoDescriptors => (8..32)
            .map(|files| stage.below_shell(&format!("ulimit -n {files}"), "--no-body", &stage.plain.url("/")))
            .find(|made| matches!(made, Made::Report(text) if text.contains(kind.code())))?,
        _ => return None,
    })
}

fn input(stage: &Stage, kind: ErrorKind) -> Option<Made> {
    Some(match kind {
        ErrorKind::BadUrl => stage.list(b"http://[x/\n"),
        ErrorKind::BadScheme => stage.list(b"ftp://h/\n"),
        ErrorKind::BadEntry => stage.list(b"{\"no\": \"url\"}\n"),
        ErrorKind::LineTooLong => stage.list(&[b"http://h/", &[b'x'; 70_000][..]].concat()),
        ErrorKind::NotText => stage.list(b"http://h/\xff\n"),
        ErrorKind::InputUnreadable => {
            let mut command = stage.folder.command(words("--no-body -i -"));
            command.stdin(File::open(stage.folder.path()).expect("a folder can be opened"));
            stage.ran(command)
        }
        // As long as a URL may be, and two bytes longer than HTTP/2's target can be written.
        ErrorKind::BadRequest => {
            let url = stage.plain.url("/");
            let rest = "x".repeat(65_536 - url.len());
            stage.get("--no-body --http2", &(url + &rest))
        }
        _ => return None,
    })
}

fn tls(stage: &Stage, kind: ErrorKind) -> Option<Made> {
    let ca = |origin: &Origin| origin.ca_pem().to_owned();
    Some(match kind {
        ErrorKind::CertExpired => stage.tls(Certificate::Expired, ca),
        ErrorKind::CertName => stage.tls(Certificate::WrongHost, ca),
        ErrorKind::CertUntrusted => stage.tls(Certificate::UnknownRoot, ca),
        ErrorKind::CertInvalid => {
            stage.tls(Certificate::SelfSignedCa, |origin| origin.certificate_pem().to_owned())
        }
        ErrorKind::TlsHandshake => stage.get("", &stage.plain.url("/").replace("http:", "https:")),
        _ => return None,
    })
}

fn reply(stage: &Stage, kind: ErrorKind) -> Option<Made> {
    Some(match kind {
        ErrorKind::Reset => stage.path("", "/?size=1000&reset=20"),
        ErrorKind::EmptyReply => stage.path("", "/?fin=0"),
        ErrorKind::StaleConnection => {
            let list = [stage.plain.url("/a?then-close"), stage.plain.url("/b")].join("\n");
            stage.folder.write("list", &list);
            stage.ran(stage.folder.command(words("-i list --no-body -j 1 -d a=b")))
        }
        ErrorKind::StreamRefused => {
            let fault = Http2Fault::RefuseStream { times: u64::MAX };
            stage.get("--http2", &start(OriginBuilder::http2_fault(Origin::builder(), fault)).url("/"))
        }
        ErrorKind::BadReply => stage.path("", "/?raw=HTTP%2f9.9%20what%0d%0a%0d%0a"),
        ErrorKind::HeadTooLarge => stage.path("", "/big"),
        ErrorKind::FirstByteTimeout => stage.path("--read-timeout 200ms", "/?never"),
        ErrorKind::Status => stage.path("", "/?status=404"),
        ErrorKind::ContentType => stage.path("--accept image/*", "/?type=text/plain&size=10"),
        ErrorKind::TooManyRedirects => stage.path("", "/?loop"),
        ErrorKind::BadRedirect => stage.path("-g", "/?redirect=http:%2f%2f[x%2f"),
        ErrorKind::RobotsDisallowed => {
            let rules = "User-agent: *\nDisallow: /private";
            let origin = start(Origin::builder().file("/robots.txt", "text/plain", rules));
            stage.get("--no-body --robots", &origin.url("/private/x"))
        }
        ErrorKind::RobotsUnavailable => {
            let origin = start(Origin::builder().behave("/robots.txt", "status=500"));
            stage.get("--no-body --robots", &origin.url("/x"))
        }
        ErrorKind::RedirectRefused => stage.path("", "/?redirect=ftp:%2f%2fh%2f"),
        _ => return None,
    })
}

fn body(stage: &Stage, kind: ErrorKind) -> Option<Made> {
    Some(match kind {
        ErrorKind::BodyTooSlow => stage.path("--speed-limit 1k --speed-time 200ms", "/?size=1k&drip=1/20ms"),
        ErrorKind::BodyStalled => stage.path("--read-timeout 200ms", "/?size=100&stall=10"),
        ErrorKind::BodyTruncated => stage.path("", "/?size=1000&truncate=10"),
        ErrorKind::BodyTooLarge => stage.path("--max-size 10", "/?size=1000"),
        ErrorKind::BodyNotResumable => stage.get("-o -", &stage.plain.url("/?size=4000000&truncate=3900000")),
        ErrorKind::CodingBroken => stage.path("--compressed", "/?size=1000&coding-lie=gzip"),
        ErrorKind::CodingCut => stage.path("--compressed", "/?size=1000&coding=gzip&coding-cut=20"),
        ErrorKind::CodingUnknown => stage.path("--compressed", "/?size=1000&coding-lie=lzma"),
        ErrorKind::Digest => stage.path("--checksum md5:d41d8cd98f00b204e9800998ecf8427e", "/?size=9"),
        ErrorKind::Bomb => stage.path("--compressed", "/?bomb=10g&coding=gzip"),
        _ => return None,
    })
}

fn end_of_job(stage: &Stage, kind: ErrorKind) -> Option<Made> {
    Some(match kind {
        ErrorKind::JobDeadline => stage.path("--deadline 200ms", "/?never"),
        ErrorKind::ItemDeadline => stage.path("-m 0.2", "/?never"),
        // The first is told to stay away, the second waits in the queue behind it.
        ErrorKind::HostAway => {
            let away = stage.plain.url("/?status=503&retry-after=3600");
            stage.get(&format!("--no-body --per-host 1 {away}"), &stage.plain.url("/"))
        }
        // Three probes, one each 5 s.
        ErrorKind::HostUnavailable => {
            let dead = format!("http://{}/", Refusal::open().expect("a free port").addr());
            stage.get(&format!("--no-body --host-give-up 1s --globoff {}", [&*dead; 40].join(" ")), &dead)
        }
        // The second run does not send again what the first one has sent.
        ErrorKind::Unanswered => {
            std::fs::write(stage.folder.path().join("once"), stage.plain.url("/?never") + "\n").ok()?;
            stage.get("-P once.d -d x --deadline 200ms -i", "once");
            stage.get("-P once.d -d x -i", "once")
        }
        ErrorKind::Cancelled => {
            let (missing, silent) = (stage.plain.url("/?status=404"), stage.plain.url("/?never"));
            stage.get(&format!("--no-body --fail-early {missing}"), &silent)
        }
        _ => return None,
    })
}

fn sink(stage: &Stage, kind: ErrorKind) -> Option<Made> {
    let url = stage.plain.url("/x?size=100000");
    let to = |options: &str| stage.get(options, &url);
    Some(match kind {
        ErrorKind::BadName => to(&format!("-o {}", "x".repeat(300))),
        ErrorKind::Exists => to("--if-exists fail -o there"),
        // Who is root may not make a file there either.
        ErrorKind::Forbidden => to("-o /sys/gannet"),
        ErrorKind::BadPlace => to("-o missing/x"),
        ErrorKind::DiskFull => to("-o /dev/full"),
        ErrorKind::ReadOnly => {
            let before = "mkdir -p frozen; mount -t tmpfs -o ro none frozen";
            stage.in_namespaces("-rm", before, "-o frozen/x", &url)
        }
        // A file over its limit; the signal of the same name is not heeded.
        ErrorKind::SinkFailed => stage.below_shell("trap '' XFSZ; ulimit -f 10", "-o long", &url),
        _ => return None,
    })
}

#[test]
fn each_code_occurs_in_a_report_or_is_the_librarys_alone() {
    let stage = Stage::new();
    let ways = [nobody, input, tls, reply, body, end_of_job, sink];
    let mut faults = Vec::new();
    for kind in ErrorKind::ALL {
        let made = ways.into_iter().find_map(|way| way(&stage, *kind));
        // No file of a sound machine fails so: tests/faults/calls.rs makes it, call by call.
        let is_ours = !OF_THE_LIBRARY.contains(kind) && *kind != ErrorKind::DiskFailed;
        match made {
            None if is_ours => faults.push(format!("{}: nobody makes it", kind.code())),
            None => {}
            Some(_) if !is_ours => faults.push(format!("{}: the program has it too", kind.code())),
            Some(Made::Report(text))
                if text.contains(&format!("\"error\":{{\"code\":\"{}\"", kind.code())) =>
            {
                schema::hold(&text);
            }
            Some(Made::Report(text)) => faults.push(format!("{}: {text}", kind.code())),
            Some(Made::Skipped(why)) => {
                eprintln!("SKIPPED: {}: {why}", kind.code());
                assert!(std::env::var_os("GANNET_TEST_NO_SKIP").is_none(), "{why}");
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
