//! What the rules have to reach against each kind of server, over twenty seeds.

use std::time::Duration;

use super::super::Settings;
use super::server::Nature;
use super::{Figures, Plan, run};

const SEEDS: u64 = 20;
/// A run, in seconds, and how much of it is left for settling.
const SECONDS: u64 = 90;
const SETTLED: Duration = Duration::from_secs(10);

fn plan(nature: Nature, seed: u64) -> Plan {
    Plan {
        seed,
        nature,
        then: None,
        settings: Settings::default(),
        median: 50.0,
        seconds: SECONDS,
        cut: 0,
        long: 0,
        settled: SETTLED,
    }
}

fn capped(mut plan: Plan, cap: u32) -> Plan {
    plan.settings.per_host = Some(cap);
    plan
}

/// The worst of twenty seeds.
#[derive(Debug)]
struct Worst {
    /// Of what is allowed.
    throughput: f64,
    refused: f64,
}

/// The worst of the seeds; `allowed` is how many would be answered at best.
fn worst(seeds: u64, run_one: impl Fn(u64) -> (Figures, f64)) -> Worst {
    let mut worst = Worst { throughput: f64::MAX, refused: 0.0 };
    for seed in 0..seeds {
        let (figures, allowed) = run_one(seed);
        let sent = f64::from(figures.answered + figures.refused).max(1.0);
        worst.throughput = worst.throughput.min(f64::from(figures.answered) / allowed);
        worst.refused = worst.refused.max(f64::from(figures.refused) / sent);
    }
    worst
}

fn figures(plan: Plan) -> Figures {
    run(plan).unwrap_or_else(|what| panic!("{what}: {plan:?}"))
}

fn against_a_limit(seeds: u64, cap: u32, median: f64) -> Worst {
    worst(seeds, |seed| {
        let nature = Nature::AtMost(10);
        let settled = SETTLED + Duration::from_secs_f64(median / 50.0);
        let best = Plan { median, settled, ..capped(plan(Nature::Plain, seed), 10) };
        (figures(Plan { nature, ..capped(best, cap) }), f64::from(figures(best).answered))
    })
}

fn against_a_rate(seeds: u64, cap: u32, burst: f64, median: f64) -> Worst {
    worst(seeds, |seed| {
        let nature = Nature::PerSecond { rate: 100.0, burst, status: 429 };
        let seconds = SECONDS as f64 - SETTLED.as_secs_f64();
        (figures(Plan { median, ..capped(plan(nature, seed), cap) }), 100.0 * seconds)
    })
}

/// Attempts a second against what they are when nothing fails.
fn against_chance(seeds: u64, percent: u32, median: f64) -> Worst {
    worst(seeds, |seed| {
        let open = figures(Plan { median, ..plan(Nature::Plain, seed) });
        let run = figures(Plan { median, ..plan(Nature::Random(percent), seed) });
        let all = Figures { answered: run.answered + run.refused, refused: 0, ..run };
        (all, f64::from(open.answered))
    })
}

/// The mean share refused between the third and the sixth second by a server that allows so many a second, with a burst
/// as large.
fn soon_refused(seeds: u64, rate: f64, median: f64) -> f64 {
    let share = |seed| {
        let nature = Nature::PerSecond { rate, burst: rate, status: 429 };
        let settled = Duration::from_secs(3);
        let run = figures(Plan { median, settled, seconds: 6, ..capped(plan(nature, seed), 64) });
        f64::from(run.refused) / f64::from(run.answered + run.refused)
    };
    (0..seeds).map(share).sum::<f64>() / seeds as f64
}

fn given_up_after(nature: Nature, seed: u64) -> Option<Duration> {
    let dead = Plan { seconds: 600, ..plan(nature, seed) };
    figures(dead).given_up.map(|at| at.since(crate::Moment::ZERO))
}

/// The first target that is missed, for the mutants; a few seeds do.
pub(super) fn missed() -> Option<&'static str> {
    let missed = std::panic::catch_unwind(|| {
        let few = 2;
        let fine = |worst: &Worst| worst.throughput >= 0.9 && worst.refused < 0.02;
        if !fine(&against_a_limit(few, 64, 50.0)) {
            return Some("a limit is found");
        }
        if !fine(&against_a_rate(few, 64, 10.0, 50.0)) {
            return Some("a rate is found");
        }
        if !fine(&against_a_rate(few, 64, 100.0, 1.0)) {
            return Some("the rate of a quick server is found");
        }
        if soon_refused(10, 100.0, 20.0) > 0.02 || soon_refused(10, 20.0, 20.0) > 0.02 {
            return Some("a rate is found soon");
        }
        if against_chance(few, 30, 50.0).throughput < 0.9 {
            return Some("one that fails at random is not throttled");
        }
        if starved() < 0.5 {
            return Some("a long body starves nobody");
        }
        if regained() < 0.9 {
            return Some("a limit that was lifted is found again");
        }
        if rate_regained() < 0.9 {
            return Some("a rate that was raised is found again");
        }
        if given_up_after(Nature::BreaksBodies, 1).is_none() {
            return Some("a host whose every body breaks is given up");
        }
        (given_up_after(Nature::Dead(5), 1).is_none()).then_some("a dead host is given up")
    });
    missed.unwrap_or(Some("an invariant"))
}

/// How much is sent, of what is without failures, to a server of which 5 % fails and hardly any body is long.
fn starved() -> f64 {
    let many = |nature, long| figures(Plan { long, seconds: 300, ..capped(plan(nature, 3), 64) });
    let (some, best) = (many(Nature::Random(5), 1), many(Nature::Plain, 1));
    f64::from(some.answered + some.refused) / f64::from(best.answered)
}

/// The throughput of a server that allowed two in flight and then sixteen, against the latter.
fn regained() -> f64 {
    let settled = Duration::from_secs(105);
    let twice = Plan { seconds: 120, settled, ..capped(plan(Nature::AtMost(2), 3), 16) };
    let after = figures(Plan { then: Some(Nature::Plain), ..twice });
    let best = figures(Plan { nature: Nature::Plain, ..twice });
    f64::from(after.answered) / f64::from(best.answered)
}

/// The throughput of a server that allowed 30 a second and then 100, against the latter.
fn rate_regained() -> f64 {
    let per_second = |rate| Nature::PerSecond { rate, burst: 10.0, status: 429 };
    let settled = Duration::from_secs(75);
    let plan = Plan { seconds: 120, settled, ..capped(plan(per_second(30.0), 3), 16) };
    let after = figures(Plan { then: Some(per_second(100.0)), ..plan });
    f64::from(after.answered) / (100.0 * 45.0)
}

fn assert_fine(what: &str, worst: &Worst) {
    eprintln!(
        "{what}: worst of {SEEDS}: {:.3} of what is allowed, {:.2} % refused",
        worst.throughput,
        worst.refused * 100.0
    );
    assert!(worst.throughput >= 0.9 && worst.refused < 0.02, "{what}: {worst:?}");
}

#[test]
fn what_is_allowed_in_flight_is_used_and_hardly_overstepped() {
    for cap in [16, 64] {
        for median in [50.0, 500.0] {
            let what = format!("10 in flight, {cap} asked for, {median} ms");
            assert_fine(&what, &against_a_limit(SEEDS, cap, median));
        }
    }
}

#[test]
fn what_is_allowed_a_second_is_used_and_hardly_overstepped() {
    let quick = [(6, 100.0, 5.0), (64, 100.0, 1.0), (64, 100.0, 20.0)];
    let usual = [(16, 10.0, 50.0), (64, 10.0, 50.0), (64, 100.0, 50.0), (64, 10.0, 200.0)];
    for (cap, burst, median) in quick.into_iter().chain(usual) {
        let what = format!("100 a second, burst {burst}, {cap} asked for, {median} ms");
        assert_fine(&what, &against_a_rate(SEEDS, cap, burst, median));
    }
}

#[test]
fn a_rate_is_found_within_three_seconds_behind_a_burst() {
    for (rate, median) in [(100.0, 1.0), (100.0, 20.0), (20.0, 20.0), (100.0, 100.0)] {
        let refused = soon_refused(5 * SEEDS, rate, median);
        eprintln!("{rate} a second, {median} ms: {:.2} % refused from 3 s to 6 s", refused * 100.0);
        assert!(refused < 0.02, "{refused}");
    }
}

#[test]
fn one_that_fails_at_random_is_not_throttled() {
    for median in [50.0, 200.0] {
        let worst = against_chance(SEEDS, 30, median);
        eprintln!(
            "30 % fail at random, {median} ms: worst of {SEEDS}: {:.3} of the open throughput",
            worst.throughput
        );
        assert!(worst.throughput >= 0.9, "{worst:?}");
    }
}

#[test]
fn a_long_body_and_failures_starve_nobody() {
    let starved = starved();
    eprintln!("5 % fail, 1 % are long: {starved:.3} of what is sent without failures");
    assert!(starved >= 0.9, "{starved}");
}

#[test]
fn a_limit_that_was_lifted_is_found_again_within_45_seconds() {
    let regained = regained();
    eprintln!("2 in flight, then 16: {regained:.3} after 45 s");
    assert!(regained >= 0.9, "{regained}");
}

#[test]
fn a_rate_that_was_raised_is_found_again_within_15_seconds() {
    let regained = rate_regained();
    eprintln!("30 a second, then 100: {regained:.3} after 15 s");
    assert!(regained >= 0.9, "{regained}");
}

#[test]
fn a_dead_host_is_given_up_in_bounded_time() {
    for nature in [Nature::Dead(5), Nature::Dead(1_000), Nature::Dead(10_000), Nature::BreaksBodies] {
        let times = (0..SEEDS).map(|seed| given_up_after(nature, seed).expect("it is given up"));
        let latest = times.max().unwrap_or_default();
        eprintln!("{nature:?}: given up after {latest:?} at the latest");
        assert!(latest <= Duration::from_secs(200), "{latest:?}");
    }
}

#[test]
fn a_dead_host_that_lives_again_is_found_within_six_seconds() {
    for seed in 0..SEEDS {
        let settled = Duration::from_secs(36);
        let figures = figures(Plan { seconds: 40, settled, ..plan(Nature::DeadUntil(30), seed) });
        assert!(figures.answered > 100, "{figures:?}");
    }
}

#[test]
fn few_streams_are_all_used() {
    let figures = figures(plan(Nature::Streams(4), 1));
    let best = f64::from(super::run(capped(plan(Nature::Plain, 1), 4)).expect("it runs").answered);
    assert!(f64::from(figures.answered) > 0.95 * best, "{figures:?}");
}
