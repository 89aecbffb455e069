//! Limits refuse with 429, and Retry-After says when to come again.

use std::time::{Duration, SystemTime};

use gannet_origin::Origin;

use crate::client::{Client, field, origin, reply};
use crate::http2;

const PATIENCE: Duration = Duration::from_secs(5);

fn status(origin: &Origin, path: &str) -> String {
    reply(origin, path).0[9..12].to_owned()
}

#[test]
fn retry_after_is_seconds_or_a_date_or_any_text_on_any_status() {
    let origin = origin();
    let said = |query: &str| field(&reply(&origin, query).0, "retry-after").unwrap().to_owned();
    assert_eq!(said("/?status=503&retry-after=2"), "2");
    assert_eq!(said("/?retry-after=1000000000000000000"), "1000000000000000000");
    assert_eq!(said("/?status=302&retry-after=-5"), "-5");
    assert_eq!(said("/?status=429&retry-after=soon%20enough"), "soon enough");
    let date = httpdate::parse_http_date(&said("/?status=503&retry-after=date+3600")).unwrap();
    let wait = date.duration_since(SystemTime::now()).unwrap();
    assert!((3500..=3600).contains(&wait.as_secs()), "{wait:?}");
    let date = httpdate::parse_http_date(&said("/?status=503&retry-after=date-60")).unwrap();
    assert!(date < SystemTime::now());
}

#[test]
fn a_path_may_have_a_rate_of_its_own() {
    let origin = origin();
    let statuses = [0; 4].map(|_| status(&origin, "/a?rate=2/m&retry-after=7"));
    assert_eq!(statuses, ["200", "200", "429", "429"]);
    assert_eq!(status(&origin, "/b?rate=2/m"), "200");
    assert_eq!(field(&reply(&origin, "/a?rate=2/m&retry-after=7").0, "retry-after"), Some("7"));
    assert_eq!(field(&reply(&origin, "/c?rate=2/m&retry-after=7").0, "retry-after"), None);
    assert_eq!(origin.counts().refused, 3);
}

#[test]
fn a_rate_of_a_prefix_holds_for_its_paths_together() {
    let builder = Origin::builder().rate("/", 2, Duration::from_secs(600)).behave("/", "retry-after=3");
    let origin = Origin::start_in_thread(builder).unwrap();
    assert_eq!(["/a", "/b", "/c"].map(|path| status(&origin, path)), ["200", "200", "429"]);
    assert_eq!(field(&reply(&origin, "/d").0, "retry-after"), Some("3"));
}

#[test]
fn so_many_requests_are_in_flight_and_no_more() {
    let origin = Origin::start_in_thread(Origin::builder().concurrency("/p", 2)).unwrap();
    let mut clients = [0; 2].map(|_| Client::of(&origin));
    clients.iter_mut().for_each(|client| client.get("/p/x?never"));
    assert!(origin.wait_until_blocking(|counts| counts.in_flight == 2, PATIENCE));
    assert_eq!((status(&origin, "/p/y"), status(&origin, "/q")), ("429".to_owned(), "200".to_owned()));
    drop(clients);
    assert!(origin.wait_until_blocking(|counts| counts.in_flight == 0, PATIENCE));
    assert_eq!(status(&origin, "/p/y"), "200");
    assert_eq!((origin.counts().refused, origin.counts().peak_in_flight), (1, 3));
}

#[test]
fn a_rate_over_no_time_is_refused_at_the_start() {
    let builder = Origin::builder().rate("/", 2, Duration::ZERO);
    assert_eq!(Origin::start_in_thread(builder).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn limits_hold_over_http2_too() {
    let mut client = http2::Client::new().await;
    let query = "/l?concurrency=0&retry-after=1";
    let (head, _) = client.get(query).await.unwrap();
    assert_eq!((head.status.as_u16(), &head.headers["retry-after"]), (429, &"1".parse().unwrap()));
    assert_eq!(client.origin.counts().refused, 1);
}
