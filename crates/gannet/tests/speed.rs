//! The lowest speed that is put up with: whose slowness counts, and what it costs.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use gannet::{BoxFuture, Client, Error, ErrorKind, Reply, Transport, WhyStopped, WireRequest};
use http_body_util::StreamBody;

const SECOND: Duration = Duration::from_secs(1);

/// Gives 60 pieces of 1000 bytes. Whoever asks for one waits for it so long.
struct Pieces(Duration);

impl Pieces {
    fn reply(&self) -> Reply {
        let pause = self.0;
        let pieces = futures::stream::iter(0..60).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Error>(http_body::Frame::data(Bytes::from_static(&[b'x'; 1000])))
        });
        Reply::streaming(http::Response::new(StreamBody::new(pieces)))
    }
}

impl Transport for Pieces {
    fn send(&self, _: WireRequest) -> BoxFuture<'_, Result<Reply, Error>> {
        let reply = self.reply();
        Box::pin(async { Ok(reply) })
    }
}

/// Slow at first, quick from the second time on.
struct Mended(AtomicU32);

impl Transport for Mended {
    fn send(&self, _: WireRequest) -> BoxFuture<'_, Result<Reply, Error>> {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        let reply = Pieces(if before == 0 { SECOND } else { SECOND / 100 }).reply();
        Box::pin(async { Ok(reply) })
    }
}

fn client(transport: impl Transport) -> Client {
    let builder = Client::builder().transport(transport).lowest_speed(50_000, SECOND);
    builder.build().expect("settings agree")
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_is_slow_is_not_taken_for_a_slow_server() {
    let client = client(Pieces(SECOND / 100));
    let mut response = client.get("http://a/x").await.expect("a reply");
    let mut length = 0;
    while let Some(chunk) = response.chunk().await.expect("100 kB/s are fast enough") {
        length += chunk.len();
        tokio::time::sleep(10 * SECOND).await;
    }
    assert_eq!(length, 60_000);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_slow_is_told_to_its_reader() {
    let client = client(Pieces(SECOND / 25));
    let error = client.get("http://a/x").await.expect("a reply").text().await.expect_err("25 kB/s");
    assert!(error.kind() == ErrorKind::BodyTooSlow && error.is_timeout(), "{error}");
    assert!(error.message().contains("--speed-limit 50000 for --speed-time 1s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_too_slowly_is_fetched_anew() {
    let client = client(Mended(AtomicU32::new(0)));
    let outcomes = client.fetch_all(["http://a/x"]).await;
    let [slow, good] = outcomes[0].attempts() else { panic!("{outcomes:?}") };
    let WhyStopped::Failed(error) = &slow.why_stopped else { panic!("{slow:?}") };
    assert_eq!(error.kind(), ErrorKind::BodyTooSlow);
    assert!(matches!(good.why_stopped, WhyStopped::Won), "{good:?}");
    assert!(slow.timings.body >= SECOND && slow.timings.body < SECOND + SECOND / 4, "{slow:?}");
    assert_eq!(outcomes[0].body().map(|body| body.len()), Some(60_000));
}

#[tokio::test(start_paused = true)]
async fn without_the_setting_a_body_may_take_its_time() {
    let client = Client::builder().transport(Pieces(20 * SECOND)).build().expect("settings agree");
    assert_eq!(client.get("http://a/x").text().await.expect("a body").len(), 60_000);
}
