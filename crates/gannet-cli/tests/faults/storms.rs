//! Storms: hosts that fail for everybody, and what servers say about coming back. Nobody is asked more often than the
//! budget allows, and a job that gets nowhere ends.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use gannet_origin::{AfterGoAway, Blackhole, Http2Fault, Origin, OriginBuilder, RequestRecord};

use crate::fixture::{End, LONG, Server, Speech, Trial, code_of};

/// A server that is met under each address of the loopback: each is a host of its own.
fn at_every_address(builder: OriginBuilder) -> Server {
    Speech::Http1.serve(builder.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).log_limit(100_000))
}

/// This path at the host of this number.
fn url(server: &Server, host: usize, path: &str) -> String {
    format!("http://127.0.{}.{}:{}{path}", host / 250, 1 + host % 250, server.origin.addr().port())
}

/// While firsts run, at most firsts x 1.2 + 10 requests came, on every prefix. Gives the number of requests up to the
/// last first.
fn hold_to_the_budget(requests: &[RequestRecord], what: &str) -> usize {
    let (mut firsts, mut until) = (HashSet::new(), 0);
    for (number, request) in (1..).zip(requests) {
        if firsts.insert(&request.path_and_query) {
            until = number;
        }
    }
    firsts.clear();
    for (number, request) in (1..).zip(&requests[..until]) {
        firsts.insert(&request.path_and_query);
        let most = firsts.len() as f64 * 1.2 + 10.0;
        assert!(f64::from(number) <= most, "{what}: {number} requests for {} firsts", firsts.len());
    }
    until
}

#[test]
fn row_34_a_storm_at_one_host_stays_within_the_budget_and_ends_by_the_breaker() {
    let mut runs = Vec::new();
    for speech in Speech::VERSIONS {
        for fault in ["status=503", "reset=0", "size=10k&truncate=500"] {
            let server = speech.server();
            let trial = server.trial((0..1000).map(|n| format!("/{n}?{fault}")));
            // Without a journal: what other tests do to the disk is not the breaker's time.
            let trial = trial.with("--host-give-up 3s -P out --journal none").within(Duration::from_secs(40));
            runs.push((format!("{speech:?} {fault}"), server, trial.start(Stdio::null())));
        }
    }
    for (what, server, running) in runs {
        let end = running.end();
        let requests = server.origin.requests();
        hold_to_the_budget(&requests, &what);
        // Until the breaker opens as many are in flight as may be: 6, or all of -j.
        let most = if what.starts_with("Http2") { 64 + 30 } else { 60 };
        assert!(
            (20..=most).contains(&requests.len()),
            "{what}: {} requests: {}",
            requests.len(),
            end.summary
        );
        assert_eq!((end.code, &end.summary["failed"]), (3, &1000.into()), "{what}: {end:?}");
        let given_up = end.summary["errors"]["host.unavailable"].as_u64();
        assert!(given_up >= Some(900), "{what}: {end:?}");
        // Three probes, 5 s apart, and what --host-give-up says.
        let elapsed = end.summary["elapsed_ms"].as_f64().expect("a number");
        assert!((15_000.0..17_500.0).contains(&elapsed), "{what}: {elapsed} ms");
    }
}

#[test]
fn row_34_a_storm_at_many_hosts_stays_within_the_budget_on_every_prefix() {
    for fault in ["status=503", "status=500", "reset=0"] {
        let server = at_every_address(Origin::builder());
        // So few at each that no breaker opens.
        let urls = (0..1000).map(|n| url(&server, n % 250, &format!("/{n}?{fault}")));
        let end = Trial::of(urls).trusting("", Speech::Http1).within(Duration::from_secs(4)).run();
        // What waits to be retried late waits until the deadline.
        assert_eq!((end.code, &end.summary["firsts"]), (4, &1000.into()), "{fault}: {end:?}");
        assert_eq!(end.summary["failed"], 1000, "{fault}: {end:?}");
        let requests = server.origin.requests();
        let until = hold_to_the_budget(&requests, fault);
        let (first, last) = (requests[0].started, requests[until - 1].started);
        let rate = 1000.0 / (last - first).as_secs_f64().max(1.0);
        let late = (requests.len() - until) as f64;
        let took = requests.last().expect("there are some").started - last;
        // A timer that is late by some is made up for.
        let most = rate * 0.2 * (took.as_secs_f64() + 0.2) + 10.0;
        assert!(late <= most, "{fault}: {late} late ones in {took:?}, at most {most:.0}");
        assert!(end.summary["budget_refused"].as_u64() > Some(0), "{end:?}");
    }
}

#[test]
fn a_host_that_recovers_is_asked_within_five_seconds_and_all_is_had() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        // Twenty failures open the breaker, then the server is well.
        let paths = (0..60).map(|n| format!("/x?up-after=20&n={n}"));
        let end = server.trial(paths).with("--per-host 1").within(Duration::from_secs(30)).run();
        let requests = server.origin.requests();
        let (failed, _) = requests[19].ended.expect("it was answered");
        let pause = requests[20].started.saturating_sub(failed);
        assert!(pause <= Duration::from_millis(5_250), "{speech:?}: {pause:?}");
        assert_eq!((end.code, &end.summary["ok"]), (0, &60.into()), "{speech:?}: {end:?}");
    }
}

#[test]
fn row_33_a_server_that_wants_to_be_left_alone_for_too_long_fails_its_url_at_once() {
    let server = at_every_address(Origin::builder());
    for wish in ["3600", "1000000000000000000", "99999999999999999999999999", "date+86400"] {
        let urls = (0..3).map(|n| url(&server, 1, &format!("/{n}?status=503&retry-after={wish}")));
        let others = (2..20).map(|host| url(&server, host, "/x?size=1k"));
        let end = Trial::of(urls.chain(others)).trusting("", Speech::Http1).with("--per-host 1").run();
        let counts = ["ok", "failed", "unfinished"].map(|outcome| end.summary[outcome].as_u64());
        // Who waited behind it has no time before the deadline, and was never started.
        assert_eq!((end.code, counts), (4, [Some(18), Some(1), Some(2)]), "{wish}: {end:?}");
        assert_eq!(end.summary["retries"], 0, "{end:?}");
        assert!(end.stderr.contains("the server wants us back in "), "{wish}: {}", end.stderr);
        let elapsed = end.summary["elapsed_ms"].as_f64().expect("a number");
        assert!(elapsed < 1_000.0, "{wish}: {elapsed} ms");
        assert_eq!(server.origin.requests_to("/0"), 1, "who waited behind it was not sent");
        server.origin.reset_counts();
    }
}

#[test]
fn row_33_a_wish_that_makes_no_sense_counts_as_none() {
    let server = at_every_address(Origin::builder());
    let wishes = ["-1", "-1000000000000000000", "date-60", "date-315360000", "soon", "1e9", "12.5", ""];
    let path = |wish: &&str| format!("/{wish}x?script=503,200&retry-after={wish}&size=1k");
    let urls = (0..).zip(&wishes).map(|(host, wish)| url(&server, host, &path(wish)));
    let end = Trial::of(urls).trusting("", Speech::Http1).run();
    assert_eq!((end.code, &end.summary["retries"]), (0, &wishes.len().into()), "{end:?}");
    // A first backoff is at most 250 ms.
    assert!((0..wishes.len()).all(|seq| end.took(seq) < 700.0), "{end:?}");
}

#[test]
fn retry_after_at_one_host_of_a_hundred_holds_up_nobody_else() {
    let server = at_every_address(Origin::builder());
    let path = |n: usize| match n {
        42 => "/42?script=503,200&retry-after=3&size=1k".to_owned(),
        n => format!("/{n}?size=1k"),
    };
    let urls = (0..1000).map(|n| url(&server, n % 100, &path(n)));
    let end = Trial::of(urls).trusting("", Speech::Http1).run();
    assert_eq!((end.code, &end.summary["ok"]), (0, &1000.into()), "{end:?}");
    let requests = server.origin.requests();
    let of_it: Vec<_> =
        requests.iter().filter(|request| request.path_and_query.starts_with("/42?")).collect();
    let (refused, _) = of_it[0].ended.expect("it was answered");
    let back = of_it[1].started.saturating_sub(refused);
    let wish = Duration::from_secs(3);
    // The jitter is at most a tenth.
    assert!((3_000..3_600).contains(&back.as_millis()), "{back:?}");
    let number = |request: &RequestRecord| {
        let digits = request.path_and_query.trim_start_matches('/').split('?').next();
        digits.and_then(|digits| digits.parse::<usize>().ok()).expect("a number")
    };
    let others = requests.iter().filter(|request| number(request) % 100 != 42);
    let last = others.map(|request| request.started).max().expect("there are others");
    assert!(last < of_it[1].started, "the others were held up until {last:?}");
    let early = |request: &&RequestRecord| {
        number(request) % 100 == 42 && request.started > refused && request.started < refused + wish
    };
    // What was in flight when the wish came was sent before.
    let sent_before = refused + Duration::from_millis(100);
    let early: Vec<_> =
        requests.iter().filter(early).filter(|request| request.started > sent_before).collect();
    assert!(early.is_empty(), "sent at {:?} and {:?}: {early:?}", of_it[0], of_it[1]);
}

#[test]
fn a_list_with_many_dead_links_opens_no_breaker() {
    for speech in Speech::VERSIONS {
        let server = speech.server();
        let path = |n| if n % 5 < 3 { format!("/{n}?status=404") } else { format!("/{n}?size=10") };
        let end = server.trial((0..1000).map(path)).run();
        assert_eq!((end.code, &end.summary["ok"]), (1, &400.into()), "{end:?}");
        assert_eq!((server.origin.counts().requests, &end.summary["retries"]), (1000, &0.into()));
        let elapsed = end.summary["elapsed_ms"].as_f64().expect("a number");
        assert!(elapsed < 5_000.0, "no breaker was waited for: {elapsed} ms");
    }
}

/// What a URL of the mixture may end as.
fn may_end(seq: usize) -> &'static [&'static str] {
    match seq % 6 {
        0..=2 => &["deadline.job"],
        3 => &["reply.status", "deadline.job"],
        4 => &["reply.status", "host.unavailable", "deadline.job"],
        _ => &["ok", "deadline.job"],
    }
}

#[test]
fn ten_thousand_urls_in_all_kinds_of_trouble_end_at_the_deadline_each_with_its_outcome() {
    let (server, hole) = (at_every_address(Origin::builder()), Blackhole::open().expect("a full queue"));
    let url = |n: usize| match n % 6 {
        0 => format!("http://{}/{n}", hole.addr()),
        1 => url(&server, n % 60, &format!("/{n}?size=100k&drip=1/50ms")),
        2 => url(&server, n % 60, &format!("/{n}?size=100k&stall=50k")),
        3 => url(&server, n % 60, &format!("/{n}?status=503&retry-after=3600")),
        4 => url(&server, n % 60, &format!("/{n}?status=503")),
        _ => url(&server, n % 60, &format!("/{n}?size=100")),
    };
    let trial = Trial::of((0..10_000).map(url)).trusting("", Speech::Http1).with("-j 512");
    // The fixture holds it to 250 ms beyond.
    let end: End = trial.within(Duration::from_secs(3)).run();
    assert_eq!(end.code, 4, "{end:?}");
    for (seq, row) in end.rows.iter().enumerate() {
        assert!(may_end(seq).contains(&code_of(row)), "{row}");
        assert!(row["outcome"] != "unfinished" || code_of(row) == "deadline.job", "{row}");
    }
    let is_away = |row: &&serde_json::Value| {
        row["error"]["message"].as_str().is_some_and(|why| why.contains("to be left alone"))
    };
    assert!(end.summary["ok"].as_u64() >= Some(500), "{end:?}");
    let away = end.rows.iter().filter(is_away).count();
    assert!(away >= 1_000, "{away} were told that the server wants to be left alone");
}

/// The CPU time that a process has taken, of proc(5); `None` if it has ended.
fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let (user, system) = (ticks()?, ticks()?);
    // A tick is a hundredth of a second, wherever Linux runs.
    Some(Duration::from_millis(10 * (user + system))).filter(|time| !time.is_zero())
}

#[test]
fn row_37_streams_that_are_refused_and_connections_that_go_away_again_and_again_cost_no_cpu() {
    let away = Http2Fault::GoAway { after_requests: 1, last_stream: 0, then: AfterGoAway::Close };
    for fault in [Http2Fault::RefuseStream { times: u64::MAX }, away] {
        let server = Speech::Http2.serve(Origin::builder().http2_fault(fault).log_limit(100_000));
        let trial = server.trial((0..30).map(|n| format!("/{n}"))).with("--retry inf -P out");
        let running = trial.within(Duration::from_secs(4)).start(Stdio::null());
        let pid = running.child.id();
        assert!(server.origin.wait_until_blocking(|counts| counts.requests >= 10, LONG));
        let (begun, before) = (std::time::Instant::now(), cpu_time(pid).expect("it runs"));
        let mut last = (begun, before);
        while begun.elapsed() < Duration::from_secs(3) {
            // Nothing is waited for but the time in which CPU is taken.
            server.origin.wait_until_blocking(|_| false, Duration::from_millis(100));
            last = cpu_time(pid).map_or(last, |time| (std::time::Instant::now(), time));
        }
        let end = running.end();
        let share = (last.1 - before).as_secs_f64() / (last.0 - begun).as_secs_f64();
        assert!(share < 0.05, "{fault:?}: {:.1} % of a core; {end:?}", share * 100.0);
        // Each is redone once without budget, and what the budget pays: its reserve, a share, and time.
        let (requests, firsts) = (server.origin.counts().requests as f64, 30.0);
        let most = 2.0 * (firsts + 10.0 + 0.2 * firsts + 4.0 * f64::max(0.2 * firsts, 1.0));
        assert!(requests <= most, "{fault:?}: {requests} requests, at most {most}; {end:?}");
    }
}

#[test]
fn row_37_a_connection_on_which_nothing_but_goaway_comes_is_left() {
    let server = Speech::Http2.serve(Origin::builder().http2_fault(Http2Fault::GoAwayStorm));
    let end = server.trial(["/a"]).with("--retry 0").within(LONG).run();
    assert_eq!((end.code, end.codes()), (3, vec!["reply.malformed"]), "{end:?}");
    assert!(end.stderr.contains("frames without end"), "{}", end.stderr);
    assert!(server.origin.wait_until_blocking(|counts| counts.open_connections == 0, LONG));
    let sent = server.origin.counts().bytes_sent;
    assert!(sent < 16 << 20, "{sent} bytes of a flood were read");
}
