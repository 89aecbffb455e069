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
        rules.learned(Speaks::Http2 { streams: 250 });
    }
    assert_eq!((open.limit(), capped.limit()), (100, 2));
    open.learned(Speaks::Http2 { streams: 10 });
    assert_eq!(open.limit(), 10);
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
fn a_host_is_known_in_less_than_512_bytes_and_owns_nothing_on_the_heap() {
    let size = size_of::<HostRules>();
    eprintln!("a known host's rules: {size} bytes");
    assert!(size < 512 && !std::mem::needs_drop::<HostRules>(), "{size}");
}
