//! What a fetch that succeeds at once pays for retries, budget, deadline and hedges that it does not need: nothing is
//! allocated for them.

use std::time::Duration;

use gannet::sim::Replies;
use gannet::{Client, ClientBuilder};

const URL: &str = "http://a.example/x";
/// Fetches by which growing tables and the first of everything fall out of the average.
const WARM: u64 = 200;
const FETCHES: u64 = 1000;

/// Allocations of so many fetches, once everything has its place.
fn allocations(set: impl FnOnce(ClientBuilder) -> ClientBuilder) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime can be made");
    let client = set(Client::builder().transport(Replies::new().on(URL, "x"))).build().expect("they agree");
    let fetch = |count: u64| {
        runtime.block_on(async {
            for _ in 0..count {
                assert_eq!(client.get(URL).text().await.expect("it is served"), "x");
            }
        });
    };
    fetch(WARM);
    allocation_counter::measure(|| fetch(FETCHES)).count_total
}

/// Whether two counts differ by less than one in a fetch: tables of the simulated network grow now and then.
fn are_alike(one: u64, other: u64) -> bool {
    one.abs_diff(other) < FETCHES / 10
}

#[test]
fn a_fetch_that_needs_no_resilience_allocates_nothing_for_it() {
    let bare = allocations(|builder| builder.retries(0).retry_budget(None));
    let usual = allocations(|builder| builder);
    assert!(are_alike(bare, usual), "{bare} without retries, {usual} with them, in {FETCHES} fetches");
    let gated = allocations(|builder| {
        builder.per_host(4).host_give_up(Duration::from_secs(9)).retries(9).retry_budget(0.5)
    });
    assert!(are_alike(bare, gated), "{bare} without retries, {gated} with gates and budgets");
    assert!(bare > FETCHES, "what allocates is counted");
}

#[test]
fn a_hedge_that_may_come_costs_a_fetch_no_allocation_but_its_timer() {
    let bare = allocations(|builder| builder);
    let hedged = allocations(|builder| builder.hedge(Duration::from_millis(300)));
    assert!(hedged <= bare + FETCHES + FETCHES / 10, "{bare} without hedges, {hedged} with them");
}
