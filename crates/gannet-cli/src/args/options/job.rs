//! Options for what a run leaves behind, so that the next one goes on from it. Only names, values and words for help.

use clap::{Args, ValueEnum};

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Reliability")]
pub(crate) struct JobArgs {
    /// Keep what is done in DIR, or none [default: with files]
    ///
    /// The same command, or gannet resume, then goes on where this one stopped. With -P DIR it is DIR/.gannet; with -o
    /// and -O the user's state folder, until all is obtained; for other output there is none unless DIR is given.
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    pub(crate) journal: Option<String>,
    #[arg(long, value_name = "WHAT", value_enum, hide_possible_values = true, hide_short_help = true)]
    #[arg(help = "What is done survives the death of the process, or power [default: process]")]
    #[arg(long_help = "What is done survives the death of the process, or power [default: process]\n\n\
        process survives kill -9 at any moment; power survives that the machine loses power, too, and costs a sync of \
        each file, before it gets its name.")]
    pub(crate) durability: Option<Survival>,
    /// Begin a new job, whatever the journal holds
    ///
    /// The old job is kept beside it as history.
    #[arg(long, hide_short_help = true)]
    pub(crate) new_job: bool,
}

/// What that which is done survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Survival {
    /// The death of the process.
    #[default]
    Process,
    /// A power cut.
    Power,
}
