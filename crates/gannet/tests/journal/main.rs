//! What a journal keeps, and what the next run makes of it: over real files, and an origin that counts.

mod corrected;
mod damage;
mod fixture;
mod lists;
mod names;
mod once;
mod opening;
mod parts;
mod resuming;
mod updating;
