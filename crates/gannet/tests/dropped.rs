//! What is left when a large job is dropped. Alone in its process, since it counts the process's descriptors.

use std::time::Duration;

use gannet::Client;
use gannet_origin::Origin;

const SOON: Duration = Duration::from_millis(50);

fn paths(origin: &Origin, count: usize, query: &str) -> Vec<String> {
    (0..count).map(|index| origin.url(&format!("/{index}?{query}"))).collect()
}

#[tokio::test]
async fn a_dropped_job_of_a_thousand_leaves_nothing_within_50_ms() {
    let origin = Origin::start_in_thread(Origin::builder()).expect("a port is free");
    let client = Client::builder().per_host(1_000).build().expect("settings agree");
    let before = open_descriptors();
    let metrics = tokio::runtime::Handle::current().metrics();
    let tasks = metrics.num_alive_tasks();
    let mut job = Box::pin(client.fetch_all(paths(&origin, 1_000, "never")).concurrency(1_000));
    let all_in = |counts: &gannet_origin::Counts| counts.in_flight == 1_000;
    tokio::select! {
        outcomes = &mut job => panic!("none of them ends: {}", outcomes.len()),
        reached = origin.wait_until(all_in, Duration::from_secs(20)) => assert!(reached, "{:?}", origin.counts()),
    }
    assert_eq!((client.gauges().permits, client.gauges().connections), (1_000, 1_000));
    drop(job);
    assert_eq!(client.gauges().permits, 0, "permits are back at once");
    tokio::time::sleep(SOON).await;
    let gauges = client.gauges();
    assert_eq!((gauges.connections, gauges.tasks), (0, 0), "{gauges:?}");
    assert_eq!(metrics.num_alive_tasks(), tasks);
    assert_eq!(open_descriptors(), before, "descriptors are left");
    assert!(origin.wait_until_blocking(|counts| counts.in_flight == 0, Duration::from_secs(1)));
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
