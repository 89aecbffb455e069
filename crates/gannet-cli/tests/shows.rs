//! What the program is for, at the size that is promised: by one deadline, whatever the servers do; twenty thousand
//! files from a server as it is found in the world; and, smaller than in `benches/`, that hedges pay and the gate
//! finds what a server allows.

#[path = "faults/fixture.rs"]
#[expect(dead_code, reason = "the fault table uses the rest of it")]
mod fixture;

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gannet_origin::{Certificate, Credentials, Origin, body};
use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{End, Folder, LONG, Speech, Trial};

/// Files that nginx serves.
const FILES: u64 = 20_000;

/// The length of each.
const KIB: usize = 1024;

/// Where nginx is; who is not root may not look for it in the second place.
const PROGRAMS: [&str; 2] = ["nginx", "/usr/sbin/nginx"];

/// How long fetching them may take.
const FILES_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn a_thousand_urls_are_over_by_the_deadline_though_three_hundred_never_answer() {
    let is_silent = |n: u64| n % 10 < 3;
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let tail = |n| if is_silent(n) { "never".to_owned() } else { format!("size=1k&seed={n}") };
        let trial = server.trial((0..1000).map(|n| format!("/{n}?{}", tail(n))));
        let end = trial.with("-j 400 --per-host 400").within(Duration::from_secs(2)).run();
        assert_eq!((end.code, &end.summary["ok"], &end.summary["unfinished"]), (4, &700.into(), &300.into()));
        let kept = (0..1000).filter(|n| !is_silent(*n)).all(|n| end.body(n as usize) == body(KIB, n));
        assert!(kept && end.folder.files_below("out").len() == 700, "{end:?}");
    }
}

#[test]
fn a_list_of_a_hundred_thousand_is_accounted_for_at_the_deadline() {
    const URLS: usize = 100_000;
    let server = Speech::Http1.server();
    let trial = server.trial((0..URLS).map(|n| format!("/{n}?never"))).within(Duration::from_secs(1));
    let (code, folder) = trial.with("--no-body -j 10").start(Stdio::null()).end_without_report();
    let report = folder.text("report");
    assert_eq!((code, report.lines().count()), (4, URLS + 1), "a row for each URL, and the summary");
}

#[test]
fn twenty_thousand_files_come_whole_from_nginx_over_http_1() {
    let Some(nginx) = Nginx::start(Speech::Http1) else { return };
    all_files_are_whole(&nginx.trial().run());
}

#[test]
fn twenty_thousand_files_come_whole_from_nginx_over_http_2() {
    let Some(nginx) = Nginx::start(Speech::Http2) else { return };
    all_files_are_whole(&nginx.trial().run());
}

fn all_files_are_whole(end: &End) {
    let (elapsed, again) = (&end.summary["elapsed_ms"], &end.summary["retries"]);
    eprintln!("{FILES} files in {elapsed} ms, {again} of them asked for again");
    assert_eq!((end.code, &end.summary["ok"]), (0, &FILES.into()), "{end:?}");
    let expected: Vec<_> = (0..FILES).map(|n| format!("out/{n:05}")).collect();
    assert!(end.folder.files_below("out") == expected);
    for (n, name) in (0..).zip(&expected) {
        let bytes = fs::read(end.folder.path(name)).expect("it was listed a moment ago");
        assert!(bytes == body(KIB, n), "{name} holds other bytes");
    }
}

#[test]
fn hedges_cut_the_tail_at_two_percent_more_requests() {
    // Of 3,000 some 30 straggle: without hedges the fifteenth slowest does, and with them few do.
    let fifteenth = |hedge: &str| {
        let end = tail(3000, "1%x100", hedge, 1);
        let mut took: Vec<_> = (0..3000).map(|seq| end.took(seq)).collect();
        took.sort_by(f64::total_cmp);
        took[2985]
    };
    let (without, with) = (fifteenth("off"), fifteenth("auto"));
    assert!(with * 4.0 < without, "p99.5 is {with} ms with hedges, and {without} ms without");
}

#[test]
fn stragglers_hardly_delay_the_end_of_a_job() {
    // A straggler takes 1 s, the job without any a third of that. The machine may stall in one run, not in each.
    let ratio = |seed| {
        let took = |stragglers| {
            let summary = tail(1000, stragglers, "auto", seed).summary;
            summary["elapsed_ms"].as_f64().expect("a number")
        };
        took("1%x200") / took("0%x1")
    };
    let ratios: Vec<_> = (1..=3).map(ratio).collect();
    assert!(ratios.iter().any(|ratio| *ratio < 1.6), "with stragglers it took {ratios:?} times as long");
}

/// Fetches a list from an origin with lognormal latencies and stragglers; extras are within the budget.
fn tail(urls: u64, stragglers: &str, hedge: &str, seed: u64) -> End {
    let latency = format!("latency=lognormal:5ms,0.3&stragglers={stragglers}");
    let server = Speech::Http1.serve(Origin::builder().behave("/", latency).seed(seed));
    let trial = server.trial((0..urls).map(|n| format!("/{n}"))).within(Duration::from_secs(30));
    let flags = format!("--no-body -j 16 --per-host 16 --hedge {hedge} --hedge-budget 2%");
    let end = trial.with(&flags).start(Stdio::null()).end();
    let counts = server.origin.counts();
    let extra = counts.requests - counts.paths;
    assert_eq!((end.code, counts.paths), (0, urls), "{end:?}");
    assert!(extra <= (urls / 50).max(10), "{extra} requests more than URLs: {end:?}");
    end
}

#[test]
fn what_a_server_allows_is_found_and_kept_to() {
    // Each allows so many a second.
    let allowed = [("concurrency=10", "delay=50ms", 200), ("rate=100/s", "delay=20ms", 100)];
    std::thread::scope(|scope| {
        for (limits, behaviour, a_second) in allowed {
            scope.spawn(move || keeps_to(limits, behaviour, a_second));
        }
    });
}

/// After 3 s worth of requests, 3 s worth of them are let in at the pace that is allowed, and few are refused.
fn keeps_to(limits: &str, behaviour: &str, a_second: u64) {
    let server = Speech::Http1.serve(Origin::builder().limits("/", limits).behave("/", behaviour));
    let urls = 7 * a_second;
    let trial = server.trial((0..urls).map(|n| format!("/{n}"))).within(Duration::from_secs(30));
    let run = trial.with("--no-body -j 64 --per-host 64").start(Stdio::null());
    let let_in = |urls: u64| {
        assert!(server.origin.wait_until_blocking(|counts| counts.requests - counts.refused >= urls, LONG));
        (Instant::now(), server.origin.counts().refused)
    };
    let (settled, refused_before) = let_in(3 * a_second);
    let (then, refused) = let_in(6 * a_second);
    let pace = 3.0 * a_second as f64 / then.duration_since(settled).as_secs_f64();
    let refused = (refused - refused_before) as f64 / (3 * a_second) as f64;
    eprintln!("{limits}: {pace:.1} a second, {:.1} % of what was let in was refused", refused * 100.0);
    assert_eq!(run.end().code, 0);
    assert!(pace > 0.75 * a_second as f64, "{limits}: {pace} a second");
    assert!(refused < 0.05, "{limits}: {refused} of what was let in was refused");
}

/// nginx on a free port, as it comes but for where its files lie: it closes a connection after 1,000 requests.
struct Nginx {
    process: Child,
    addr: SocketAddr,
    ca_pem: String,
    speech: Speech,
    _folder: Folder,
}

impl Nginx {
    /// Starts it with [`FILES`] files of [`KIB`]; `None` if it is not installed.
    fn start(speech: Speech) -> Option<Self> {
        let Some(program) = PROGRAMS.into_iter().find(|name| is_there(name)) else {
            eprintln!("SKIPPED: nginx is not installed");
            assert!(std::env::var_os("GANNET_TEST_NO_SKIP").is_none(), "nginx is not installed, and must be");
            return None;
        };
        let folder = Folder::new();
        (0..FILES).for_each(|n| folder.write(&format!("www/{n:05}"), &body(KIB, n)));
        let credentials = Credentials::make(Certificate::Good).expect("a certificate can be made");
        folder.write("certificate.pem", credentials.certificate_pem.as_bytes());
        folder.write("key.pem", credentials.key_pem.as_bytes());
        // nginx takes over a socket that listens already, as it does when it is upgraded: no port is lost to another,
        // and nobody has to wait until it is up.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        folder.write("nginx.conf", configuration(addr, speech).as_bytes());
        let mut command = Command::new(program);
        command.arg("-p").arg(folder.path("")).args(["-c", "nginx.conf", "-e", "error.log"]);
        command.env("NGINX", "0;").stdin(OwnedFd::from(listener));
        command
            .stdout(Stdio::null())
            .stderr(File::create(folder.path("stderr")).expect("a file can be made"));
        let process = command.spawn().expect("nginx starts");
        Some(Self { process, addr, ca_pem: credentials.ca_pem, speech, _folder: folder })
    }

    /// A run that fetches all its files.
    fn trial(&self) -> Trial {
        let scheme = if self.speech == Speech::Http1 { "http" } else { "https" };
        let urls = (0..FILES).map(|n| format!("{scheme}://{}/{n:05}", self.addr));
        Trial::of(urls).trusting(&self.ca_pem, self.speech).within(FILES_WITHIN)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its master ends its workers; one that is gone already needs no signal.
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        let _ = self.process.wait();
    }
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("-v").stderr(Stdio::null()).status().is_ok()
}

fn configuration(addr: SocketAddr, speech: Speech) -> String {
    let tls = match speech {
        Speech::Http1 => "",
        Speech::Http1Tls | Speech::Http2 => " ssl http2",
    };
    format!(
        "user root; daemon off; pid nginx.pid; events {{}}
         http {{
             access_log access.log;
             client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
             server {{
                 listen {addr}{tls}; root www;
                 ssl_certificate certificate.pem; ssl_certificate_key key.pem;
             }}
         }}"
    )
}
