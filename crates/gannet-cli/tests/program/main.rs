//! The program as its users meet it: run against an origin on the loopback. One room for each part of its face.

mod checksums;
mod codes;
mod corrected;
mod ending;
mod fixture;
mod inputs;
mod journal;
mod journal_again;
mod journal_lists;
mod journal_places;
mod leftovers;
mod mending;
mod output;
mod placing;
mod records;
mod refusing;
mod reporting;
mod requesting;
mod schema;
mod sending;
mod settling;
mod shell;
mod telling;
mod trying;
mod updating;
