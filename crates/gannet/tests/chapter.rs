//! Each example of `examples/chapter/` asserts its own claim: here each one is run, and none may be left out.

#![expect(
    clippy::duplicate_mod,
    reason = "each example stands alone, and several bring the same plain client"
)]

use std::error::Error;
use std::path::Path;

#[path = "../examples/chapter/background_work.rs"]
mod background_work;
#[path = "../examples/chapter/comparison.rs"]
mod comparison;
#[path = "../examples/chapter/compute.rs"]
mod compute;
#[path = "../examples/chapter/fetch_all.rs"]
mod fetch_all;
#[path = "../examples/chapter/fetch_all_with_timeout.rs"]
mod fetch_all_with_timeout;
#[path = "../examples/chapter/fetch_data.rs"]
mod fetch_data;
#[path = "../examples/chapter/fetch_first.rs"]
mod fetch_first;
#[path = "../examples/chapter/lazy_and_spawned.rs"]
mod lazy_and_spawned;
#[path = "../examples/chapter/make_future.rs"]
mod make_future;
#[path = "../examples/chapter/process.rs"]
mod process;
#[path = "../examples/chapter/run_with_timeout.rs"]
mod run_with_timeout;

/// The one program text of the folder that is no pattern: several examples bring it as their plain client.
const PLAIN_CLIENT: &str = "plain_http";

type Claim = Result<(), Box<dyn Error>>;

#[test]
fn the_text_comes_in_a_runtime_and_outside_of_one_an_error_says_so() -> Claim {
    fetch_data::main()
}

#[test]
fn each_cell_of_the_comparison_has_its_example_and_a_fetch_is_small() -> Claim {
    comparison::main()
}

#[test]
fn a_call_does_nothing_until_it_is_awaited() -> Claim {
    compute::main()
}

#[test]
fn a_token_its_child_and_a_timer_stop_a_loop_between_its_awaits_only() -> Claim {
    process::main()
}

#[test]
fn a_loop_that_is_dropped_runs_its_guard_and_does_not_go_on() -> Claim {
    run_with_timeout::main()
}

#[test]
fn all_run_together_and_come_in_input_order() -> Claim {
    fetch_all::main()
}

#[test]
fn a_timeout_is_told_from_a_failure_and_keeps_what_was_done() -> Claim {
    fetch_all_with_timeout::main()
}

#[test]
fn the_first_success_wins_and_the_loser_ends_at_the_origin() -> Claim {
    fetch_first::main()
}

#[test]
fn background_work_outlives_its_caller_and_obeys_its_handle() -> Claim {
    background_work::main()
}

#[test]
fn what_is_lazy_waits_and_what_is_spawned_starts() -> Claim {
    lazy_and_spawned::main()
}

#[test]
fn futures_by_hand_boxed_and_pinned_drive_plain_code_and_gannet() -> Claim {
    make_future::main()
}

#[test]
fn every_pattern_of_the_chapter_is_an_example_and_is_run_here() -> Claim {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(here.join("Cargo.toml"))?;
    let tests = include_str!("chapter.rs");
    let mut patterns = 0;
    for entry in here.join("examples/chapter").read_dir()? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("the names are plain");
        if name == PLAIN_CLIENT || path.extension() != Some("rs".as_ref()) {
            continue;
        }
        patterns += 1;
        let entry = format!("[[example]]\nname = \"{name}\"\npath = \"examples/chapter/{name}.rs\"\n");
        assert!(manifest.contains(&entry), "{name} has no entry in Cargo.toml");
        assert!(tests.contains(&format!(" {{\n    {name}::main()\n}}")), "{name} is not run here");
    }
    assert_eq!(patterns, 11, "one example for each row of the chapter");
    Ok(())
}
