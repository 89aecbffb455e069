//! Holds the shape of the source: which room may use which, that each file says what it is for, that files and
//! functions stay small, and that only one place reads time and only one room spawns. There is no list of
//! exceptions.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the library, and the rooms that each may use. Nouns may be used by all and use nouns alone.
const ROOMS: [(&str, &[&str]); 9] = [
    ("policy", &[]),
    ("transport", &[]),
    ("source", &[]),
    ("sink", &[]),
    ("journal", &[]),
    ("engine", &["policy", "transport", "source", "sink", "journal"]),
    ("client", &["engine", "policy", "transport", "source", "sink", "journal"]),
    ("sim", &["client", "engine", "transport"]),
    // The crate's root: it only names what is public.
    ("lib", &["client", "engine", "journal", "policy", "sim", "source", "sink", "transport"]),
];

const NOUNS: [&str; 14] = [
    "clock", "cookies", "digest", "error", "event", "moment", "number", "outcome", "part", "path", "permit",
    "report", "request", "version",
];

/// The longest file, in lines, without its tests.
const FILE: usize = 500;
/// The longest function, in lines.
const FUNCTION: usize = 70;

struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The lines before the file's own tests.
    fn without_tests(&self) -> Vec<&str> {
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines.windows(2).position(|pair| {
            pair[0].starts_with("#[cfg(") && pair[0].contains("test") && pair[1].starts_with("mod tests")
        });
        lines[..tests.unwrap_or(lines.len())].to_vec()
    }

    fn is_test(&self) -> bool {
        let inside = |name: &str| self.path.components().any(|part| part.as_os_str() == name);
        inside("tests")
            || inside("simulation")
            || ["tests.rs", "whole_engine.rs"].iter().any(|name| self.path.ends_with(name))
    }

    /// The room of the library that the file belongs to.
    fn room(&self) -> Option<String> {
        let rest = self.path.strip_prefix(root().join("crates/gannet/src")).ok()?;
        let first = rest.components().next()?.as_os_str().to_str()?;
        Some(first.trim_end_matches(".rs").to_owned())
    }

    fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap_or(&self.path).display().to_string()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace is above the crate")
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).expect("source is text");
                found.push(Source { path, text });
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn each_file_opens_with_what_it_is_for() {
    let silent = |source: &Source| !source.text.starts_with("//! ");
    assert_none(&sources().iter().filter(|source| silent(source)).map(Source::name).collect::<Vec<_>>());
}

#[test]
fn rooms_use_only_what_the_table_allows() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let Some(room) = source.room() else { continue };
        let allowed: &[&str] = match ROOMS.iter().find(|(name, _)| *name == room) {
            Some((_, allowed)) => allowed,
            None if NOUNS.contains(&room.as_str()) => &[],
            None => {
                faults.push(format!("{}: a room that the table does not know", source.name()));
                continue;
            }
        };
        for (number, line) in source.without_tests().iter().enumerate() {
            if line.starts_with("use crate::{") {
                faults.push(format!(
                    "{}:{}: one path a line, or the table is blind",
                    source.name(),
                    number + 1
                ));
            }
            for used in rooms_in(line) {
                let fine = used == room || allowed.contains(&used) || NOUNS.contains(&used);
                if !fine && !line.trim_start().starts_with("//") {
                    faults.push(format!("{}:{}: {room} uses {used}", source.name(), number + 1));
                }
            }
        }
    }
    assert_none(&faults);
}

/// The rooms and nouns that a line names by `crate::`.
fn rooms_in(line: &str) -> Vec<&'static str> {
    let all = ROOMS.iter().map(|(name, _)| *name).chain(NOUNS);
    let named = |name: &&str| {
        line.split("crate::").skip(1).any(|rest| {
            rest.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with([':', ';', ',', ')', ' ']) || rest.is_empty())
        })
    };
    all.filter(named).collect()
}

#[test]
fn time_is_read_in_one_place_and_tasks_are_spawned_in_one_room() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let Some(room) = source.room() else { continue };
        for (number, line) in source.without_tests().iter().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            let reads_time =
                ["Instant::now", "SystemTime::now", ".elapsed()"].iter().any(|sign| line.contains(sign));
            if reads_time && room != "clock" {
                faults.push(format!("{}:{}: reads time", source.name(), number + 1));
            }
            let spawns = line.contains("tokio::spawn(") || line.contains("runtime.spawn(");
            if spawns && room != "engine" {
                faults.push(format!("{}:{}: spawns", source.name(), number + 1));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn files_and_functions_stay_small() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let lines = source.without_tests();
        if lines.len() > FILE {
            faults.push(format!("{}: {} lines", source.name(), lines.len()));
        }
        for (name, start, length) in functions(&lines) {
            if length > FUNCTION {
                faults.push(format!("{}:{start}: `{name}` has {length} lines", source.name()));
            }
        }
    }
    assert_none(&faults);
}

/// The functions in formatted source: name, first line, length. A function ends at the first brace that stands
/// alone at its own depth.
fn functions<'a>(lines: &[&'a str]) -> Vec<(&'a str, usize, usize)> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let Some(at) = code.find("fn ").filter(|at| *at == 0 || code[..*at].ends_with(' ')) else { continue };
        let words = ["pub", "async", "const", "unsafe", "extern"];
        if !code[..at].split_whitespace().all(|word| words.iter().any(|known| word.starts_with(known))) {
            continue;
        }
        let indent = &line[..line.len() - code.len()];
        let end = format!("{indent}}}");
        let name = code[at + 3..].split(['(', '<']).next().unwrap_or_default();
        if line.ends_with('}') || line.ends_with(';') {
            continue;
        }
        let body = lines[start..].iter().position(|line| **line == end || **line == format!("{indent});"));
        if let Some(length) = body {
            found.push((name, start + 1, length + 1));
        }
    }
    found
}

#[test]
fn no_room_is_named_after_nothing() {
    let vague = ["util", "utils", "helper", "helpers", "common", "misc", "manager", "service", "handler"];
    let is_vague = |source: &Source| {
        source.path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| vague.contains(&stem))
    };
    assert_none(&sources().iter().filter(|source| is_vague(source)).map(Source::name).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_for_later() {
    let signs = [
        concat!("to", "do!("),
        concat!("unimplement", "ed!("),
        concat!("FIX", "ME"),
        concat!("#[ig", "nore"),
    ];
    let mut faults = Vec::new();
    for source in &sources() {
        for sign in signs.iter().filter(|sign| source.text.contains(**sign)) {
            faults.push(format!("{}: {sign}", source.name()));
        }
    }
    assert_none(&faults);
}
