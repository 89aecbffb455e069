//! The documents are true as far as a machine can tell: each promise of docs/SEMANTICS.md names tests, each test that is
//! named exists, each option and each command line that is shown is taken, each link leads somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The documents in which options are named.
const DOCUMENTS: [&str; 6] = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/CLI.md",
    "docs/SEMANTICS.md",
    "docs/ARCHITECTURE.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// All Rust of the workspace, in one text.
fn sources() -> String {
    let (mut folders, mut text) = (vec![root().join("crates")], String::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                text += &std::fs::read_to_string(&path).expect("source is text");
            }
        }
    }
    text
}

/// What stands between backticks, outside of fenced lines.
fn spans(text: &str) -> Vec<String> {
    let mut is_fenced = false;
    let outside = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        !is_fence && !is_fenced
    });
    let text = outside.collect::<Vec<_>>().join("\n");
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The lines of fenced blocks that a shell would read, without comments.
fn shell_lines(text: &str) -> Vec<String> {
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines);
    lines.map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned()).collect()
}

/// Whether a span is a name of several words, as functions and tests have: `*` stands for the rest of one.
fn is_name(span: &str) -> bool {
    let letters =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'*';
    span.contains('_')
        && span.bytes().all(letters)
        && span.starts_with(|first: char| first.is_ascii_lowercase())
}

/// Names of tests, in the sources.
fn tests(sources: &str) -> BTreeSet<&str> {
    let marks = ["#[test]", "#[tokio::test"];
    let behind = marks.iter().flat_map(|mark| sources.split(mark).skip(1));
    behind.filter_map(|text| text.split("fn ").nth(1)?.split('(').next()).collect()
}

#[test]
fn each_name_in_the_semantics_is_a_test_or_a_function() {
    let (text, sources) = (read("docs/SEMANTICS.md"), sources());
    let tests = tests(&sources);
    assert!(tests.len() > 300, "{} tests were found", tests.len());
    let is_known = |name: &str| match name.strip_suffix('*') {
        Some(begin) => tests.iter().any(|test| test.starts_with(begin)),
        None => {
            tests.contains(name)
                || [format!("fn {name}("), format!("{name}:")].iter().any(|code| sources.contains(code))
        }
    };
    let unknown: Vec<String> =
        spans(&text).into_iter().filter(|span| is_name(span) && !is_known(span)).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn each_promise_of_the_semantics_names_a_test_and_stands_once() {
    let (text, sources) = (read("docs/SEMANTICS.md"), sources());
    let tests = tests(&sources);
    let promises: Vec<&str> =
        text.split("\n- ").skip(1).filter_map(|rest| rest.split("\n\n").next()).collect();
    assert!(promises.len() > 100, "{} promises were found", promises.len());
    let is_held = |promise: &str| {
        spans(promise)
            .iter()
            .any(|span| tests.contains(span.as_str()) || span.starts_with("row_") && is_name(span))
    };
    let loose: Vec<_> = promises.iter().filter(|promise| !is_held(promise)).collect();
    assert!(loose.is_empty(), "{loose:#?}");
    let distinct: BTreeSet<&str> = promises.iter().copied().collect();
    assert_eq!(distinct.len(), promises.len(), "a promise stands twice");
}

/// The options that a document names: words that begin with a dash, in spans and lines that are gannet's.
fn options(text: &str) -> BTreeSet<String> {
    let is_ours = |line: &String| line.starts_with("gannet ") || line.starts_with('-');
    let lines = spans(text).into_iter().chain(shell_lines(text)).filter(is_ours);
    let words = lines.flat_map(|line| {
        let own = line.split(" | ").next().unwrap_or_default().to_owned();
        own.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    });
    let option = |word: String| {
        let name = word.split(['=', ',', '|', ']', ')']).next()?.to_owned();
        let letter = name.trim_start_matches('-').chars().next()?;
        (name.starts_with('-') && (letter.is_ascii_alphabetic() || letter == '#')).then_some(name)
    };
    words.filter_map(option).collect()
}

#[test]
fn each_option_in_the_documents_is_one_that_the_program_knows() {
    let mut faults = Vec::new();
    let mut count = 0;
    for document in DOCUMENTS {
        for option in options(&read(document)) {
            let program = env!("CARGO_BIN_EXE_gannet");
            let mut command = Command::new(program);
            command.arg(&option).env("XDG_CONFIG_HOME", "/dev/null").stdin(Stdio::null());
            let said = command.output().expect("the program starts").stderr;
            let said = String::from_utf8_lossy(&said).into_owned();
            count += 1;
            if said.contains("has no ") {
                faults.push(format!("{document}: {option}: {said}"));
            }
        }
    }
    assert!(faults.is_empty() && count > 100, "{count}: {faults:#?}");
}

#[test]
fn each_command_line_of_the_front_page_is_taken() {
    let folder = std::env::temp_dir().join(format!("gannet-front-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    for (name, text) in [("urls.txt", "https://a.example/x\n"), ("body.json", "{}"), ("pic.png", "x")] {
        std::fs::write(folder.join(name), text).expect("a file can be written");
    }
    // Nothing is sent: each is shown as a plan. What fetches nothing is run as it is.
    let shown = "gannet() { case \"$*\" in demo*|doctor|config|man|completions*|help|*--curl*|*-h) ;; \
                 *) set -- \"$@\" --dry-run ;; esac; command gannet \"$@\"; }\nset -o pipefail\n";
    let program = Path::new(env!("CARGO_BIN_EXE_gannet")).parent().expect("a folder").to_owned();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let lines: Vec<String> = shell_lines(&read("README.md"));
    let lines = lines.iter().filter(|line| line.contains("gannet ") && !line.starts_with("gannet demo"));
    let mut count = 0;
    for line in lines.filter(|line| !line.starts_with("cargo ")) {
        count += 1;
        // What stands behind a pipe or a semicolon reads what a run would give.
        let own = line.split(" | ").find(|part| part.contains("gannet ")).unwrap_or(line);
        let mut command = Command::new("bash");
        command.args(["-c", &format!("{shown}{own}")]).current_dir(&folder);
        command.env("PATH", &path).env("XDG_CONFIG_HOME", "/dev/null").stdin(Stdio::null());
        let ran = command.output().expect("a shell starts");
        assert!(ran.status.success(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    assert!(count > 10, "{count} lines were found");
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

#[test]
fn each_link_of_the_documents_leads_to_a_file_or_a_heading() {
    let mut faults = Vec::new();
    for document in DOCUMENTS {
        let text = read(document);
        let anchors: BTreeSet<String> = text.lines().filter_map(anchor).collect();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let is_there = match target.split_once('#') {
                Some(("", anchor)) => anchors.contains(anchor),
                _ if target.starts_with("https://") => true,
                _ => {
                    let base = root().join(document);
                    base.parent()
                        .is_some_and(|folder| folder.join(target.split('#').next().unwrap_or("")).exists())
                }
            };
            if !is_there {
                faults.push(format!("{document}: {target}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The links of the lines of links that stand before a document's first section.
fn contents(text: &str) -> Vec<&str> {
    let before = text.split("\n## ").next().unwrap_or_default();
    let lines = before.lines().filter(|line| line.starts_with('['));
    let links = lines.flat_map(|line| line.split("](#").skip(1));
    links.filter_map(|rest| rest.split(')').next()).collect()
}

#[test]
fn each_section_stands_once_in_the_contents_and_in_its_order() {
    for document in DOCUMENTS {
        let text = read(document);
        let links = contents(&text);
        let distinct: BTreeSet<&str> = links.iter().copied().collect();
        assert_eq!(distinct.len(), links.len(), "{document}: a link stands twice: {links:#?}");
    }
    let text = read("docs/SEMANTICS.md");
    let sections = text.lines().filter(|line| line.starts_with("## "));
    assert_eq!(contents(&text), sections.filter_map(anchor).collect::<Vec<_>>());
}

/// The anchor of a heading, as it is made for readers.
fn anchor(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?;
    let kept = title.to_lowercase().replace(' ', "-");
    Some(kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_')).collect())
}
