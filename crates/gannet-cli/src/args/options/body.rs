//! Options for where the bodies go. Only names, values and words for help.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use crate::args::values;

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct BodyArgs {
    /// Write to FILE, once for each URL; - is stdout
    ///
    /// For a URL that stands for several, FILE needs #1. A file gets its name when its body is whole, and replaces
    /// what was there. Without -o, -O, -P and --no-body, bodies go to standard output in input order; those that
    /// wait for their turn are held, 64 MiB in memory and up to --max-buffer in unnamed temporary files.
    #[arg(short = 'o', long = "output", value_name = "FILE", action = ArgAction::Append)]
    pub(crate) files: Vec<String>,
    /// Write to files here, named like the URLs' ends
    #[arg(short = 'O', long = "remote-name")]
    pub(crate) remote_name: bool,
    /// Write to files below DIR, skip what is there
    ///
    /// DIR is made if it is missing. The name is the last part of the URL's path, with its query behind an
    /// underscore; a name that was given before gets the URL's number.
    #[arg(short = 'P', long = "directory-prefix", value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Where the names of -o and -O lie
    ///
    /// It must be there, unless --create-dirs is given.
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    pub(crate) output_dir: Option<PathBuf>,
    /// Make the folders that the names of -o and --output-dir lie in
    #[arg(long, hide_short_help = true)]
    pub(crate) create_dirs: bool,
    /// Name files below -P so: '{host}/{base}'
    ///
    /// Fields: {host} {path} {base} {stem} {ext} {seq} {seq:09} {shard} {shard:05} {id} {hash}. base is the last
    /// part of the path, stem and ext are it up to and behind its last dot; seq is the URL's number from 0; shard
    /// is a number that changes each 10,000 URLs; hash is one of the URL. Double a brace to mean it.
    #[arg(long, value_name = "TEMPLATE", hide_short_help = true)]
    pub(crate) name: Option<String>,
    #[arg(long, value_name = "RULE", value_enum, hide_possible_values = true)]
    #[arg(help = "Of files that exist: overwrite, skip, rename, fail, update")]
    #[arg(long_help = "What to do about a file that exists: overwrite, skip, rename, fail or \
        update\n\n\
        overwrite is the default of -o and -O, and replaces the file when the new body is whole; skip is the \
        default of -P, sends nothing, and counts as obtained; rename gives the new file a number; fail fails that \
        URL; update replaces it only if the server has another version: it asks by ETag or Last-Modified where the \
        journal has them, else by the file's time, and what is unchanged counts as obtained.")]
    pub(crate) if_exists: Option<ExistsRule>,
    /// Give files the time that the server gives (Last-Modified)
    #[arg(short = 'R', long, hide_short_help = true)]
    pub(crate) remote_time: bool,
    /// Keep no bodies
    #[arg(long)]
    pub(crate) no_body: bool,
    /// Write nothing of a body to standard output before it is whole
    ///
    /// It can be retried from its beginning until then.
    #[arg(long, hide_short_help = true)]
    pub(crate) whole: bool,
    /// The most that waits for standard output on disk [default: 1G]
    ///
    /// In unnamed temporary files, beside 64 MiB in memory. When it is reached, no more URLs are started until
    /// there is room again.
    #[arg(long, value_name = "SIZE", value_parser = values::size, allow_hyphen_values = true)]
    #[arg(hide_short_help = true)]
    pub(crate) max_buffer: Option<u64>,
    /// Take only this media type: image/*, text/html (repeatable)
    ///
    /// A reply of another Content-Type, or of none, fails before its body.
    #[arg(long, value_name = "TYPE", hide_short_help = true)]
    pub(crate) accept: Vec<String>,
    /// A status of 400 and above fails, but its body is written
    #[arg(long, hide_short_help = true)]
    pub(crate) fail_with_body: bool,
    /// Hold nothing back: each piece is written as it comes, as it is anyway
    #[arg(short = 'N', long, hide_short_help = true)]
    pub(crate) no_buffer: bool,
    /// Resume by itself, as far as this version does
    #[arg(short = 'C', long = "continue-at", value_name = "OFFSET", hide = true)]
    pub(crate) continue_at: Option<String>,
}

/// What to do about a file that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExistsRule {
    /// Replace it once the new body is whole.
    Overwrite,
    /// Leave it, and count the URL as obtained.
    Skip,
    /// Give the new file a number.
    Rename,
    /// Fail that URL.
    Fail,
    /// Replace it if the server has another version.
    Update,
}
