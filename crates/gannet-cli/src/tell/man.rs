//! The man page, one for all subcommands: what the definition of the options knows, and behind it the tables that
//! are not in it. Text only.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

const EXIT_STATUS: [(&str, &str); 11] = [
    ("0", "What --until asked for was obtained."),
    ("1", "Some URLs failed."),
    (
        "2",
        "Usage or configuration; no valid line in the list, or a bad one under --strict. Nothing was sent.",
    ),
    ("3", "Nothing succeeded."),
    ("4", "The deadline came first; gannet resume JOB, or the same command, goes on."),
    (
        "5",
        "Integrity: a body has another digest than it should, or a file is not what its journal has of it.",
    ),
    ("6", "Local: the disk is full or read-only, the journal is in use or cannot be used."),
    ("129", "SIGHUP came."),
    ("130", "SIGINT came."),
    ("141", "Standard output was closed by its reader."),
    ("143", "SIGTERM came."),
];

const ENVIRONMENT: [(&str, &str); 7] = [
    (
        "GANNET_*",
        "Settings by the names of long options: GANNET_MAX_TIME=30 is --max-time 30, GANNET_QUIET=1 is --quiet. \
         Options take their value; flags take 1, true, yes or 0, false, no. An empty variable is not set, and one \
         that is no option is an error. They count for more than gannet.toml and for less than the command line.",
    ),
    ("GANNET_CONFIG", "The settings' file, in the place of the user's gannet.toml."),
    ("XDG_CONFIG_HOME", "Where gannet/gannet.toml lies; ~/.config without it."),
    ("XDG_STATE_HOME", "Where gannet keeps the journals of -o and -O; ~/.local/state without it."),
    ("NO_COLOR", "If it is not empty, nothing is coloured."),
    ("CLICOLOR_FORCE", "If it is neither empty nor 0, errors are coloured off a terminal, too."),
    ("TMPDIR", "Where bodies that wait for standard output are held."),
];

const FILES: [(&str, &str); 3] = [
    (
        "~/.config/gannet/gannet.toml",
        "Settings in TOML, if it is there. Its keys are the names of long options, with - or _: max-time = 30, quiet = \
     true, header = [\"Accept: text/html\"]. Options that a subcommand does not have are skipped; what no subcommand \
     has is an error.",
    ),
    ("DIR/.gannet/journal.sqlite", "The journal of what -P DIR fetched."),
    ("~/.local/state/gannet/", "The journals of -o and -O, until all is obtained."),
];

/// The variables of `-w`, in groups.
const WRITE_OUT: [(&str, &str); 5] = [
    (
        "About the reply",
        "http_code response_code http_version content_type header_json redirect_url num_redirects remote_ip \
         remote_port scheme",
    ),
    ("About the URL", "url url_effective urlnum xfer_id seq line method referer filename_effective"),
    (
        "About the end",
        "outcome error errormsg exitcode attempts hedged num_retries num_connects conn_id json",
    ),
    (
        "Amounts, in seconds, bytes, and bytes a second",
        "time_queue time_namelookup time_connect time_appconnect time_pretransfer time_redirect time_starttransfer \
         time_total size_download size_header speed_download",
    ),
    ("Where the text goes", "stdout stderr onerror"),
];

/// The page as roff.
pub(super) fn page(mut program: Command) -> Vec<u8> {
    program.build();
    let mut page = Vec::new();
    let man = Man::new(program.clone()).manual("User Commands");
    let written = man
        .render_title(&mut page)
        .and_then(|()| man.render_name_section(&mut page))
        .and_then(|()| man.render_synopsis_section(&mut page))
        .and_then(|()| man.render_description_section(&mut page))
        .and_then(|()| man.render_options_section(&mut page));
    written.expect("memory takes all that is written");
    let mut roff = Roff::new();
    subcommands(&mut roff, &program);
    listed(&mut roff, "EXIT STATUS", &EXIT_STATUS);
    listed(&mut roff, "ENVIRONMENT", &ENVIRONMENT);
    listed(&mut roff, "FILES", &FILES);
    roff.control("SH", ["WRITE-OUT VARIABLES"]);
    roff.text([roman(
        "In the format of --write-out, %{name} stands for a value, %header{name} for a field of the \
        reply's head, %% for one %; \\n, \\r, \\t and \\\\ are what they are in C.",
    )]);
    items(&mut roff, &WRITE_OUT);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("curl"), roman("(1)")]);
    roff.to_writer(&mut page).expect("memory takes all that is written");
    page
}

fn listed(roff: &mut Roff, title: &str, rows: &[(&str, &str)]) {
    roff.control("SH", [title]);
    items(roff, rows);
}

fn items(roff: &mut Roff, rows: &[(&str, &str)]) {
    for (name, text) in rows {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*text)]);
    }
}

/// Each subcommand with its words; options that get has are told above.
fn subcommands(roff: &mut Roff, program: &Command) {
    roff.control("SH", ["SUBCOMMANDS"]);
    for subcommand in program.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        let mut title: Vec<Inline> = vec![bold(format!("gannet {}", subcommand.get_name()))];
        let has_options =
            subcommand.get_arguments().any(|arg| !arg.is_positional() && arg.get_id() != "help");
        if has_options {
            title.push(roman(" [OPTIONS]"));
        }
        for positional in subcommand.get_positionals() {
            let named = positional.get_value_names().and_then(<[_]>::first).map(|name| name.as_str());
            let name = named.unwrap_or_else(|| positional.get_id().as_str()).to_uppercase();
            title.extend([
                roman(" "),
                italic(if name == "URL" && has_options { "URL...".into() } else { name }),
            ]);
            if positional.is_trailing_var_arg_set() {
                title.push(roman(" [OPTIONS]"));
            }
        }
        roff.control("TP", []);
        roff.text(title);
        let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
        roff.text([roman(format!("{about}."))]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_all_subcommands_and_tables() {
        let page = String::from_utf8(page(crate::args::definition())).expect("roff is text");
        for heading in ["NAME", "SYNOPSIS", "OPTIONS", "SUBCOMMANDS", "EXIT STATUS", "ENVIRONMENT", "FILES"] {
            assert!(
                page.lines().any(|line| line.trim_matches('"') == format!(".SH {heading}")
                    || line == format!(".SH \"{heading}\"")),
                "{heading}: {page}"
            );
        }
        assert!(!page.contains("WORDS"), "{page}");
        for word in ["race", "doctor", "completions", "GANNET_*", "gannet.toml", "http_code"] {
            assert!(page.contains(word), "{word}");
        }
        let names = WRITE_OUT.iter().flat_map(|(_, names)| names.split_whitespace()).count();
        assert_eq!(names, 43);
    }
}
