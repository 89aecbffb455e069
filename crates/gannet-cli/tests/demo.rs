//! Runs the program's demo as a user does: every promise is held, each act stands alone, and an act that there is not
//! is refused.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

const ACTS: [&str; 5] = ["lazy", "all", "first", "cancel", "hedge"];
/// The demo is over by then.
const LIMIT: Duration = Duration::from_secs(20);

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
    taken: Duration,
}

fn demo(arguments: &[&str]) -> Ran {
    let began = Instant::now();
    let command = Command::new(env!("CARGO_BIN_EXE_gannet")).arg("demo").args(arguments).output();
    let Output { status, stdout, stderr } = command.expect("the program can be started");
    let text = |bytes| String::from_utf8(bytes).expect("the demo writes text");
    Ran { code: status.code(), out: text(stdout), err: text(stderr), taken: began.elapsed() }
}

#[test]
fn every_promise_of_the_demo_is_held_within_twenty_seconds() {
    let ran = demo(&[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.taken < LIMIT, "{:?}", ran.taken);
    assert!(ran.out.contains("5 of 5 promises held"), "{}", ran.out);
    for (place, act) in ACTS.iter().enumerate() {
        assert!(ran.out.contains(&format!("{} {act:<8}", place + 1)), "{act}: {}", ran.out);
    }
    let next = ran.out.split_once("Try next:\n").expect("the demo says how to go on").1;
    assert_eq!(next.lines().filter(|line| line.trim_start().starts_with("gannet ")).count(), 3);
}

#[test]
fn the_demo_is_readable_without_a_terminal() {
    let ran = demo(&["lazy"]);
    assert!(ran.out.chars().all(|letter| letter == '\n' || !letter.is_control()), "{:?}", ran.out);
    assert!(ran.out.lines().all(|line| line.len() <= 120), "{}", ran.out);
}

#[test]
fn one_act_is_played_with_its_rust_lines() {
    let ran = demo(&["first"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.taken < LIMIT, "{:?}", ran.taken);
    assert!(ran.out.contains("client.fetch_first(mirrors).text().await"), "{}", ran.out);
    assert!(!ran.out.contains("hedge"), "{}", ran.out);
}

#[test]
fn an_act_that_there_is_not_is_refused_and_all_five_are_named() {
    let ran = demo(&["nosuch"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("nosuch") && ACTS.iter().all(|act| ran.err.contains(act)), "{}", ran.err);
}
