//! Faults that were found once and mended, each over real sockets, so that they stay mended.

use std::sync::Arc;
use std::time::Duration;

use gannet::sink::Ordered;
use gannet::{Client, ErrorKind, HttpVersions, WhyStarted};
use gannet_origin::Origin;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

const fn ms(length: u64) -> Duration {
    Duration::from_millis(length)
}

async fn origin() -> Origin {
    Origin::builder().start().await.expect("a port is free")
}

fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("gannet-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

#[tokio::test]
async fn a_fetch_and_a_race_are_saved_to_a_path() {
    let (origin, folder) = (origin().await, folder("saved"));
    let (one, two) = (folder.join("one"), folder.join("two"));
    let receipt = Client::new().get(origin.url("/?text=hello")).save_to(&one).await.expect("it is saved");
    assert_eq!((receipt.path.as_deref(), receipt.length), (Some(one.as_path()), 5));
    let legs = [origin.url("/?never"), origin.url("/?text=won")];
    let first = Client::new().fetch_first(legs).save_to(&two).await.expect("one is saved");
    assert_eq!((first.index, std::fs::read(&two).ok()), (1, Some(b"won".to_vec())));
    let left = std::fs::read_dir(&folder).map_or(0, Iterator::count);
    assert_eq!(left, 2, "nothing but the two files is there");
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

#[tokio::test]
async fn a_connection_that_is_still_sending_does_not_hold_up_the_next_fetch() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 200];
                let length = stream.read(&mut head).await.unwrap_or(0);
                let refuses: &[u8] = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
                let answers: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                let is_post = head[..length].starts_with(b"POST");
                let _ = stream.write_all(if is_post { refuses } else { answers }).await;
                std::future::pending::<()>().await;
            });
        }
    });
    let client = Client::builder().retries(0).build().expect("settings agree");
    let refused = client.post(&url).body(vec![0; 20 << 20]).text().await.expect_err("413");
    assert_eq!(refused.status().map(|status| status.as_u16()), Some(413));
    let text = timeout(Duration::from_secs(2), client.get(&url).text()).await.expect("it does not hang");
    assert_eq!(text.expect("another connection serves"), "ok");
}

#[tokio::test]
async fn when_the_connecting_attempt_is_dropped_another_connects() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("https://{}/", listener.local_addr().expect("it is bound"));
    let client = Client::builder().danger_trust_anybody().connect_timeout(ms(200)).retries(0).build();
    let client = client.expect("settings agree");
    let (mut one, mut two, mut three) = (client.get(&url), client.get(&url), client.get(&url));
    for fetch in [&mut one, &mut two, &mut three] {
        let _ = timeout(ms(20), fetch).await;
    }
    drop(one);
    drop(two);
    let ended = timeout(Duration::from_secs(2), three).await.expect("its wake was passed on");
    assert_eq!(ended.expect_err("nobody shakes hands").kind(), ErrorKind::ConnectTimeout);
}

#[tokio::test]
async fn who_waits_for_the_right_to_connect_gets_that_of_a_connection_that_turns_idle() {
    let (one, two) = (origin().await, origin().await);
    let client = Client::builder().max_connections(1).max_idle_connections(1).retries(0).build();
    let client = client.expect("settings agree");
    let slow = client.get(one.url("/?text=a&delay=100ms")).text();
    let waiting = async {
        one.wait_until(|counts| counts.in_flight == 1, Duration::from_secs(2)).await;
        client.get(two.url("/?text=b")).text().await
    };
    let both = timeout(Duration::from_secs(2), async { tokio::join!(slow, waiting) }).await.expect("no hang");
    assert_eq!((both.0.expect("it comes").as_str(), both.1.expect("it comes").as_str()), ("a", "b"));
}

#[tokio::test]
async fn idle_http2_connections_make_room_and_end_with_their_time() {
    let client = Client::builder()
        .http_versions(HttpVersions::Http2)
        .max_connections(2)
        .idle_timeout(ms(100))
        .retries(0)
        .build();
    let client = client.expect("settings agree");
    let origins = [origin().await, origin().await, origin().await];
    for origin in &origins {
        let text = timeout(Duration::from_secs(2), client.get(origin.url("/?text=a")).text()).await;
        assert_eq!(text.expect("there is room").expect("it comes"), "a");
    }
    let closed = origins[2].wait_until(|counts| counts.open_connections == 0, Duration::from_secs(2)).await;
    assert!(closed && client.gauges().connections == 0, "{:?}", client.gauges());
}

#[tokio::test]
async fn bodies_that_were_handed_over_no_longer_count_as_held() {
    let (origin, client) = (origin().await, Client::builder().max_memory(5_000, 10_000).build());
    let urls = (0..40).map(|index| origin.url(&format!("/{index}?size=1000")));
    let mut each = client.expect("settings agree").fetch_each(urls).concurrency(2);
    while let Some(outcome) = each.next().await {
        assert!(outcome.is_obtained(), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_redirected_body_that_waits_for_its_turn_does_not_block_the_one_whose_turn_it_is() {
    let (home, away) = (origin().await, origin().await);
    let target: String = home.url("/3?size=1000000").bytes().map(|byte| format!("%{byte:02x}")).collect();
    let urls = [
        home.url("/0?text=0&delay=200ms"),
        home.url("/1?text=1&delay=100ms"),
        home.url("/2?text=2"),
        away.url(&format!("/r?redirect={target}")),
    ];
    let client = Client::builder().per_host(1).build().expect("settings agree");
    let sink = Arc::new(Ordered::to(std::io::sink()).hold(10).spill(0));
    let job = client.fetch_all(urls).save_with(sink);
    let report = timeout(Duration::from_secs(5), job).await.expect("no deadlock");
    assert_eq!(report.expect("the output stays").obtained(), 4);
}

#[tokio::test]
async fn a_turn_beyond_the_concurrency_starts_when_all_others_wait_for_it() {
    let (slow, quick) = (origin().await, origin().await);
    let client = Client::builder().per_host(1).build().expect("settings agree");
    let mut urls = vec![slow.url("/0?delay=100ms"), slow.url("/1?text=1")];
    urls.extend((0..20).map(|index| quick.url(&format!("/{index}?size=100000"))));
    let sink = Arc::new(Ordered::to(std::io::sink()).hold(1_000).spill(0));
    let job = client.fetch_all(urls).save_with(sink).concurrency(2);
    let report = timeout(Duration::from_secs(5), job).await.expect("no deadlock");
    assert_eq!(report.expect("the output stays").obtained(), 22);
}

#[tokio::test]
async fn userinfo_stays_with_the_url_that_it_stood_in() {
    let (home, away) = (origin().await, origin().await);
    let first = home.url("/?status=503").replace("http://", "http://me:secret@");
    let sent = Client::new().get(first).mirror(&away.url("/echo")).text().await.expect("the mirror echoes");
    assert!(!sent.to_lowercase().contains("authorization"), "{sent}");
    let mirror = away.url("/echo").replace("http://", "http://you:other@");
    let sent = Client::new().get(home.url("/?status=404")).mirror(&mirror).text().await.expect("it echoes");
    assert!(sent.contains("Basic eW91Om90aGVy"), "{sent}");
}

#[tokio::test]
async fn hedges_and_retries_take_another_http2_connection() {
    let origin = origin().await;
    let client =
        Client::builder().http_versions(HttpVersions::Http2).read_timeout(ms(100)).retries(1).build();
    let fetch = client.expect("settings agree").get(origin.url("/?never")).text().hedge(ms(30));
    let error = fetch.timeout(ms(1500)).await.expect_err("it never answers");
    let mut used: Vec<u64> =
        error.attempts().iter().filter_map(|attempt| attempt.connection).map(|on| on.id).collect();
    assert_eq!(error.attempts()[1].why_started, WhyStarted::Hedge);
    let attempts = used.len();
    used.sort_unstable();
    used.dedup();
    assert!(attempts >= 3 && used.len() == attempts, "{:?}", error.attempts());
}

#[tokio::test]
async fn a_host_that_redirects_to_one_that_hangs_holds_nobody_up() {
    let (from, hangs, other) = (origin().await, origin().await, origin().await);
    let target: String = hangs.url("/?never").bytes().map(|byte| format!("%{byte:02x}")).collect();
    let urls: Vec<String> = (0..200)
        .map(|index| from.url(&format!("/{index}?redirect={target}")))
        .chain((0..50).map(|index| other.url(&format!("/{index}?text=x"))))
        .collect();
    let client = Client::new();
    let mut job = client.fetch_each(&urls).concurrency(32);
    let others = async {
        for _ in 0..50 {
            let outcome = job.next().await.expect("the others come");
            assert!(outcome.is_obtained() && outcome.seq() >= 200, "{outcome:?}");
        }
    };
    timeout(Duration::from_secs(5), others).await.expect("the others are not held up");
}

#[tokio::test]
async fn fail_fast_over_many_is_over_at_its_deadline() {
    let (origin, client) = (origin().await, Client::new());
    let began = Instant::now();
    let urls = (0..60_000).map(|index| origin.url(&format!("/{index}?never")));
    let error = client.fetch_all(urls).text().timeout(ms(300)).fail_fast().await.expect_err("none comes");
    assert!(error.is_timeout() && error.outcomes.len() == 60_000);
    assert!(began.elapsed() < ms(3_000), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_body_that_stalls_after_its_first_byte_left_is_neither_repeated_nor_mixed() {
    let origin = origin().await;
    let client = Client::builder().read_timeout(ms(100)).build().expect("settings agree");
    let tape = Tape::default();
    let sink = Arc::new(Ordered::to(tape.clone()));
    let request = gannet::Request::new(&origin.url("/?stall=5&size=100")).expect("a good URL");
    let request = request.mirror(&origin.url("/?text=MIRROR")).expect("a good URL");
    let outcomes = client.fetch_each([request]).save_with(sink.clone()).spawn().await;
    assert_eq!(outcomes[0].error().map(gannet::Error::kind), Some(ErrorKind::BodyNotResumable));
    sink.finish().await.expect("a tape takes all");
    assert_eq!(tape.0.lock().expect("no panic").len(), 5);
}

/// What was written.
#[derive(Clone, Default)]
struct Tape(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Tape {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_report_tells_times_of_every_length() {
    let (origin, folder) = (origin().await, folder("times"));
    let report =
        Client::new().fetch_all([origin.url("/?delay=60ms")]).save_into(&folder).await.expect("it is saved");
    let median = report.quantile(0.5).expect("one was obtained");
    assert!(median >= ms(59), "{median:?}");
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

#[tokio::test]
async fn the_framing_of_a_request_is_not_the_callers() {
    let origin = origin().await;
    let fetch = Client::new().get(origin.url("/echo")).header("content-length", "5").text();
    let sent = timeout(Duration::from_secs(2), fetch).await.expect("it does not hang").expect("it echoes");
    assert!(!sent.contains("content-length"), "{sent}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_of_the_users_own_to_a_device_is_written_through() {
    let (origin, folder) = (origin().await, folder("link"));
    let link = folder.join("null");
    std::os::unix::fs::symlink("/dev/null", &link).expect("a link can be made");
    Client::new().get(origin.url("/?text=x")).save_to(&link).await.expect("it is written");
    assert!(link.symlink_metadata().is_ok_and(|met| met.is_symlink()), "the link is still there");
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

#[tokio::test]
async fn those_who_do_not_know_a_host_wait_for_its_first_connection() {
    let origin = Origin::builder().tls(gannet_origin::Tls::Both).start().await.expect("a port is free");
    let client = Client::builder().trust_authorities(origin.ca_pem()).build().expect("settings agree");
    let urls: Vec<String> = (0..20).map(|n| origin.localhost_url(&format!("/{n}?delay=20ms"))).collect();
    let outcomes = client.fetch_all(&urls).await;
    assert!(outcomes.iter().all(|outcome| outcome.ending() == gannet::Ending::Ok), "{outcomes:?}");
    assert_eq!(origin.counts().connections, 1);
}

#[tokio::test]
async fn bodies_that_are_dropped_unread_take_no_other_stream_of_their_connection_with_them() {
    let origin = Origin::builder().start().await.expect("a port is free");
    let client = Client::builder()
        .http_versions(HttpVersions::Http2)
        .read_timeout(Duration::from_secs(10))
        .build()
        .expect("the settings agree");
    for count in [4, 20] {
        let get = |n: usize| client.get(origin.url(&format!("/{n}?body-delay=300ms&size=4m")));
        let mut replies: Vec<_> = futures::future::join_all((0..count).map(get))
            .await
            .into_iter()
            .map(|reply| reply.expect("a head comes"))
            .collect();
        // Each has sent what its window takes; nobody can see when.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let last = replies.pop().expect("there are some");
        drop(replies);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(last.bytes().await.expect("its connection serves on").len(), 4 << 20, "{count} streams");
    }
}
