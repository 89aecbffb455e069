//! The options of the help, of the man page and of docs/CLI.md are the same: whoever reads one misses nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// What the program prints, in a place without settings.
fn printed(args: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_gannet")).args(args).env("XDG_CONFIG_HOME", "/dev/null").output();
    let output = output.expect("the program starts");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn docs() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CLI.md");
    std::fs::read_to_string(path).expect("docs/CLI.md is there")
}

/// The options that a piece of text begins with, `-o, --output <FILE>` or `-K <FILE>`, in one spelling.
fn options(text: &str) -> Option<String> {
    let mut found = Vec::new();
    for part in text.split(", ") {
        let end = part.find([' ', '[', '<']).unwrap_or(part.len());
        if !part.starts_with('-') || end < 2 {
            break;
        }
        // Dots say that it may be given more than once.
        found.push(part[..end].trim_end_matches("..."));
        if end < part.len() {
            break;
        }
    }
    (!found.is_empty()).then(|| found.join(", "))
}

fn of_help(text: &str) -> BTreeSet<String> {
    let indented = text.lines().filter(|line| line.starts_with("  ") && line.trim_start().starts_with('-'));
    let begins = |line: &&str| line.len() - line.trim_start().len() <= 6;
    indented.filter(begins).filter_map(|line| options(line.trim_start())).collect()
}

fn of_man(text: &str) -> BTreeSet<String> {
    let mut plain = text.replace("\\-", "-");
    for font in ["\\fB", "\\fI", "\\fR"] {
        plain = plain.replace(font, "");
    }
    let lines: Vec<&str> = plain.lines().collect();
    let titles = lines.windows(2).filter(|pair| pair[0].starts_with(".TP")).map(|pair| pair[1]);
    titles.filter_map(options).collect()
}

fn of_docs(text: &str) -> BTreeSet<String> {
    let cells = text.lines().filter_map(|line| line.strip_prefix("| `"));
    cells.filter_map(|cell| options(cell.split('`').next()?)).collect()
}

#[test]
fn help_man_page_and_docs_have_the_same_options() {
    let help = of_help(&printed(&["--help"]));
    assert!(
        help.len() > 60
            && ["-o, --output", "-K", "-#, --progress-bar"].iter().all(|option| help.contains(*option)),
        "{help:?}"
    );
    for (place, found) in [("gannet man", of_man(&printed(&["man"]))), ("docs/CLI.md", of_docs(&docs()))] {
        let missing: Vec<_> = help.difference(&found).collect();
        let unknown: Vec<_> = found.difference(&help).collect();
        assert!(
            missing.is_empty() && unknown.is_empty(),
            "{place}: missing {missing:?}, unknown {unknown:?}"
        );
    }
}

#[test]
fn what_race_takes_is_taken_without_a_subcommand_too() {
    let (all, race) = (of_help(&printed(&["--help"])), of_help(&printed(&["race", "--help"])));
    assert!(race.len() > 40 && race.is_subset(&all), "{:?}", race.difference(&all));
}

#[test]
fn the_docs_name_all_exit_codes_and_variables_that_the_man_page_names() {
    let (man, docs) = (printed(&["man"]), docs());
    let section = |title: &str| {
        let begin = man.find(&format!(".SH {title}")).unwrap_or_else(|| panic!("{title}: {man}"));
        let rest = &man[begin + 4..];
        rest[..rest.find(".SH").unwrap_or(rest.len())].to_owned()
    };
    for code in section("\"EXIT STATUS\"").lines().filter_map(|line| line.strip_prefix("\\fB")) {
        let code = code.split('\\').next().expect("a code");
        assert!(docs.contains(&format!("| {code} |")), "exit code {code}");
    }
    let variables = section("\"WRITE-OUT VARIABLES\"");
    let names = variables.split_whitespace().filter(|word| word.contains('_') && !word.contains('{'));
    let names: Vec<&str> =
        names.filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(docs.contains(&format!("`{name}`")), "-w variable {name}");
    }
}

#[test]
fn usage_lines_name_the_url() {
    for (args, usage) in [
        (["--help", "-h"], "Usage: gannet [OPTIONS] URL..."),
        (["get", "-h"], "Usage: gannet get [OPTIONS] URL..."),
        (["race", "--help"], "Usage: gannet race [OPTIONS] URL..."),
    ] {
        let args = if args[0] == "--help" { &args[..1] } else { &args[..] };
        assert!(printed(args).contains(usage), "{args:?}");
    }
    assert!(printed(&["help"]).contains("Usage: gannet [OPTIONS] URL..."));
}
