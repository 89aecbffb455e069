//! Tells the program when it was built, so that `gannet doctor` can doubt a clock that is behind that moment.
//! `SOURCE_DATE_EPOCH` counts for more than the clock, for builds that can be repeated byte for byte.

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-changed=build.rs");
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse::<u64>().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    println!("cargo::rustc-env=BUILT_AT_SECONDS={}", given.unwrap_or_else(now));
}
