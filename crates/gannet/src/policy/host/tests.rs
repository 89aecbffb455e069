//! Single rules of the gate, one by one.

use super::*;

fn at(millis: u64) -> Moment {
    Moment::ZERO + Duration::from_millis(millis)
}

fn enter(rules: &mut HostRules, now: Moment) -> Pass {
    match rules.enter(now) {
        Entry::Granted(pass) => pass,
        other => panic!("{other:?} at {now:?}"),
    }
}

#[test]
fn http2_widens_a_host_unless_the_caller_capped_it() {
    let mut open = HostRules::new(None);
    let mut capped = HostRules::new(Some(2));
    for rules in [&mut open, &mut capped] {
        rules.learned(Speaks::Http2 { streams: 100, in_all: 400 });
    }
    assert_eq!((open.limit(), capped.limit()), (100, 2));
    open.learned(Speaks::Http2 { streams: 10, in_all: 40 });
    assert_eq!(open.limit(), 10);
    let mut wide = HostRules::new(Some(300));
    wide.learned(Speaks::Http2 { streams: 100, in_all: 400 });
    assert_eq!(wide.limit(), 300, "a cap above what one connection has streams for");
    wide.learned(Speaks::Http2 { streams: 10, in_all: 40 });
    assert_eq!(wide.limit(), 40);
}

#[test]
fn no_more_than_the_limit_are_in_flight() {
    let mut rules = HostRules::new(Some(2));
    let pass = enter(&mut rules, at(0));
    enter(&mut rules, at(0));
    assert_eq!(rules.enter(at(0)), Entry::Full);
    rules.leave(pass, Left::Success, at(1), 0);
    enter(&mut rules, at(1));
    assert_eq!(rules.in_flight(), 2);
}

#[test]
fn a_host_that_refuses_nothing_owns_nothing_on_the_heap_before_its_twentieth_answer() {
    let mut rules = HostRules::new(None);
    let answers = |rules: &mut HostRules, count| {
        for answer in 0..count {
            let pass = enter(rules, at(answer));
            rules.leave(pass, Left::Answered, at(answer), 0);
        }
    };
    answers(&mut rules, 20);
    assert!(rules.load.measured().is_none() && size_of::<HostRules>() <= 128, "{}", size_of::<HostRules>());
    answers(&mut rules, 1);
    let watched = rules.load.measured().map(size_of_val);
    assert!(watched.is_some_and(|size| size < 512), "{watched:?}");
}

#[test]
fn what_was_in_flight_at_the_first_refusal_balances() {
    let mut rules = HostRules::new(Some(4));
    let passes: Vec<Pass> = (0..4).map(|_| enter(&mut rules, at(0))).collect();
    let refused = Left::Refused { status: 429, retry_after: None };
    rules.leave(passes[0], refused, at(5), 0);
    assert!(rules.load.measured().is_some() && rules.in_flight() == 3);
    for pass in &passes[1..] {
        rules.leave(*pass, Left::Success, at(6), 0);
    }
    assert_eq!(rules.in_flight(), 0);
}

#[test]
fn a_host_says_in_words_why_one_waits() {
    let mut rules = HostRules::with(&Settings { host_rate: Some(2.0), ..Settings::default() });
    assert_eq!(rules.held(at(0)), None);
    let pass = enter(&mut rules, at(0));
    let said = |rules: &HostRules, now| rules.held(now).map(|held| held.to_string()).unwrap_or_default();
    assert_eq!(said(&rules, at(1)), "host rate: 2 a second");
    let refused = Left::Refused { status: 503, retry_after: Some(Duration::from_secs(60)) };
    rules.leave(pass, refused, at(10), 0);
    assert_eq!(said(&rules, at(10)), "cool-down for 60 s after status 503");
    rules.exhausted(Duration::from_secs(90), at(10), 0);
    assert_eq!(said(&rules, at(10)), "cool-down for 90 s: the server says nothing is left");
    assert_eq!(rules.enter(at(20)), Entry::NotBefore(at(90_010)));
    assert_eq!(rules.wake(at(20)), Some(at(90_010)));
}

#[test]
fn no_time_that_is_left_is_told_as_0() {
    let just = Held::Breaker { remaining: Duration::from_micros(10) }.to_string();
    assert_eq!(just, "breaker open for 1 s: most attempts failed");
    let probing = Held::Breaker { remaining: Duration::ZERO }.to_string();
    assert_eq!(probing, "breaker open, one goes to see: most attempts failed");
}

#[test]
fn too_long_an_absence_is_not_waited_for() {
    let mut rules = HostRules::new(None);
    let pass = enter(&mut rules, at(0));
    let hour = Duration::from_secs(3600);
    rules.leave(pass, Left::Refused { status: 429, retry_after: Some(hour) }, at(0), u32::MAX);
    // The jitter is at most a second, after what was asked.
    assert_eq!(rules.enter(at(1)), Entry::Away(at(3_601_000)));
}

#[test]
fn a_dead_host_is_probed_and_given_up() {
    let mut rules =
        HostRules::with(&Settings { give_up: Some(Duration::from_secs(12)), ..Settings::default() });
    for attempt in 0..20 {
        let pass = rules.enter_beyond(at(attempt));
        rules.leave(pass, Left::Unreached, at(attempt), 0);
    }
    let mut now = at(19);
    for _ in 0..3 {
        assert!(matches!(rules.held(now), Some(Held::Breaker { .. })));
        now = rules.wake(now).expect("a probe is due");
        let Entry::Granted(probe) = rules.enter(now) else { panic!("the probe goes through") };
        assert_eq!(rules.enter(now), Entry::Full);
        rules.leave(probe, Left::Unreached, now, 0);
    }
    assert_eq!((rules.enter(now), rules.held(now)), (Entry::GivenUp, Some(Held::GivenUp)));
}

#[test]
fn refusals_lower_a_host_and_close_their_places_at_once() {
    let mut rules = HostRules::new(Some(16));
    let passes: Vec<Pass> = (0..16).map(|_| enter(&mut rules, at(0))).collect();
    assert!(!rules.is_lowered());
    for pass in &passes[10..] {
        rules.leave(*pass, Left::Refused { status: 429, retry_after: None }, at(5), 0);
    }
    assert_eq!((rules.limit(), rules.enter(at(6)), rules.is_lowered()), (10, Entry::Full, true));
    rules.leave(passes[0], Left::Success, at(110), 0);
    assert_eq!((rules.limit(), rules.pace()), (10, None));
}

#[test]
fn what_refusals_taught_is_forgotten_five_minutes_after_the_last_request() {
    let mut rules = HostRules::new(Some(16));
    let passes: Vec<Pass> = (0..16).map(|_| enter(&mut rules, at(0))).collect();
    for (number, pass) in passes.iter().enumerate() {
        let left = if number < 10 { Left::Success } else { Left::Refused { status: 429, retry_after: None } };
        rules.leave(*pass, left, at(200), 0);
    }
    rules.look(at(400));
    assert!(rules.is_lowered() && !rules.is_idle(at(299_000)));
    assert!(rules.is_idle(at(301_000)), "who is known no better than a new one may be forgotten");
}
