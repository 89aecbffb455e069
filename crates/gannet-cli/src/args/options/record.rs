//! Options for what is written down about each URL beside its body. Only names, values and words for help.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(next_help_heading = "Records")]
pub(crate) struct RecordArgs {
    /// Write a row of JSON for each URL; - is stdout
    ///
    /// A row as each URL settles, then one for the summary. An earlier report is replaced.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<String>,
    #[arg(long, value_name = "ORDER", value_enum, hide_possible_values = true, hide_short_help = true)]
    #[arg(help = "Rows as they are settled, or in the input's order [default: settled]")]
    pub(crate) report_order: Option<RowOrder>,
    /// Add each attempt to its row, as `tries`
    #[arg(long, hide_short_help = true)]
    pub(crate) report_attempts: bool,
    /// Print about each URL: '%{http_code} %{url}\n'
    ///
    /// Variables are curl's, and gannet's own; %{json} is the row of --report. @FILE reads the format from a file.
    /// On standard output, behind the URL's body. All variables: gannet man, or docs/CLI.md.
    #[arg(short = 'w', long, value_name = "FORMAT")]
    pub(crate) write_out: Option<String>,
    /// Write the heads of replies to FILE; - is standard output
    #[arg(short = 'D', long = "dump-header", value_name = "FILE", hide_short_help = true)]
    pub(crate) dump_header: Option<String>,
    /// Write each reply's head before its body
    ///
    /// Of a refused status only with --fail-with-body; -D writes it always. curl's -i, which is the list here.
    #[arg(long, visible_alias = "show-headers", hide_short_help = true)]
    pub(crate) include: bool,
    /// Write an HTTP Archive (HAR 1.2) of all replies' heads and times
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) har: Option<String>,
}

/// In which order rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum RowOrder {
    /// As they settle.
    #[default]
    Settled,
    /// As they stand in the input.
    Input,
}
