//! Rows of the fault table: what the world does to a fetcher, and what the program must do then. Each test bears the
//! number of its row; what holds in all rows is asserted by the fixture, at the end of every run.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod calls;
mod codings;
mod cuts;
mod fixture;
mod frames;
mod framing;
mod heads;
mod integrity;
mod journal;
mod lists;
mod losers;
mod names;
mod network;
mod parts;
mod process;
mod redirects;
mod signals;
mod slow;
mod storms;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tracer;
