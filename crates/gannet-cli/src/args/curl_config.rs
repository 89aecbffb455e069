//! `-K FILE`: options in the format of curl's config files, turned into words for the front of the command line.
//! Files and standard input are read here; what the options mean is decided elsewhere.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};

use super::vocabulary::{Known, Takes, Vocabulary};
use super::words;
use crate::say::Complaint;

/// The longest file, in bytes.
const LONGEST: u64 = 16 << 20;
/// How deep files may name files.
const DEPTH: usize = 10;

/// What files gave.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// Words for the command line.
    pub(super) words: Vec<String>,
    /// The long names among them; a URL is called `url`.
    pub(super) names: BTreeSet<String>,
    /// Whether standard input was read.
    pub(super) has_read_stdin: bool,
}

/// Reads the files in order.
pub(super) fn read(files: &[String], vocabulary: &mut Vocabulary) -> Result<Given, Complaint> {
    let mut given = Given::default();
    for file in files {
        given.read(file, vocabulary, 1)?;
    }
    Ok(given)
}

/// Where a line stands, for errors.
struct Place<'a> {
    file: &'a str,
    line: usize,
}

impl Place<'_> {
    fn complaint(&self, what: &str) -> Complaint {
        Complaint::new(format!("{} line {}: {what}", shown(self.file), self.line))
    }
}

fn shown(file: &str) -> &str {
    if file == "-" { "standard input" } else { file }
}

impl Given {
    fn read(&mut self, file: &str, vocabulary: &mut Vocabulary, depth: usize) -> Result<(), Complaint> {
        if file == "-" && std::mem::replace(&mut self.has_read_stdin, true) {
            return Err(Complaint::new("-K - is given twice").fix("standard input can be read once"));
        }
        let text = text(file)?;
        for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(&text).lines().enumerate() {
            let place = Place { file, line: index + 1 };
            let Some(line) = parsed(line).map_err(|wrong| place.complaint(wrong))? else { continue };
            match self.take(line, &place, vocabulary)? {
                Some(_) if depth == DEPTH => {
                    return Err(place.complaint("more than 10 files name one another"));
                }
                Some(nested) => self.read(&nested, vocabulary, depth + 1)?,
                None => {}
            }
        }
        Ok(())
    }

    /// Takes one option; the name of a further file, if it is one.
    fn take(
        &mut self,
        line: Line,
        place: &Place<'_>,
        vocabulary: &mut Vocabulary,
    ) -> Result<Option<String>, Complaint> {
        let Line { option, value } = line;
        if let Some(letters) = option.strip_prefix('-').filter(|rest| !rest.starts_with('-')) {
            return self.take_letters(letters, value, place, vocabulary);
        }
        let name = option.strip_prefix("--").unwrap_or(&option);
        match (name, value) {
            ("next", _) => Err(next(place)),
            ("url", Some(url)) if url.starts_with('-') => Err(place.complaint("a URL does not begin with -")),
            ("url", Some(url)) => {
                self.names.insert("url".into());
                self.words.push(url);
                Ok(None)
            }
            ("config", Some(file)) => Ok(Some(file)),
            ("url" | "config", None) => Err(place.complaint(&format!("{name} needs a value"))),
            (_, value) => match vocabulary.long(name) {
                Some(known) => self.push(&known, value, place, vocabulary).map(|()| None),
                None => Err(unknown(&format!("--{name}"), place, vocabulary)),
            },
        }
    }

    /// Takes letters behind one dash; what is behind the first that takes a value is its value.
    fn take_letters(
        &mut self,
        letters: &str,
        mut value: Option<String>,
        place: &Place<'_>,
        vocabulary: &mut Vocabulary,
    ) -> Result<Option<String>, Complaint> {
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let known = vocabulary.short(letter);
            let takes = known.as_ref().map(|known| known.takes);
            if letter == ':' {
                return Err(next(place));
            }
            if letter == 'K' || takes.is_some_and(|takes| takes != Takes::Nothing) {
                let attached = rest.as_str();
                let value = match (attached, value) {
                    ("", value) => value,
                    (attached, None) => Some(attached.to_owned()),
                    (_, Some(_)) => return Err(place.complaint(&format!("-{letter} has two values"))),
                };
                return match known {
                    Some(known) => self.push(&known, value, place, vocabulary).map(|()| None),
                    None => value.map(Some).ok_or_else(|| place.complaint("-K needs a value")),
                };
            }
            let known = known.ok_or_else(|| unknown(&format!("-{letter}"), place, vocabulary))?;
            let own = if rest.as_str().is_empty() { value.take() } else { None };
            self.push(&known, own, place, vocabulary)?;
        }
        Ok(None)
    }

    fn push(
        &mut self,
        known: &Known,
        value: Option<String>,
        place: &Place<'_>,
        vocabulary: &mut Vocabulary,
    ) -> Result<(), Complaint> {
        let name = &known.long;
        let word = match (known.takes, value) {
            (Takes::Nothing, None) => format!("--{name}"),
            (Takes::Nothing, Some(_)) => return Err(place.complaint(&format!("{name} takes no value"))),
            (_, None) => return Err(place.complaint(&format!("{name} needs a value"))),
            (_, Some(value)) => format!("--{name}={value}"),
        };
        if let Some(reason) = vocabulary.refusal(known, &word) {
            return Err(place.complaint(&format!("{name} cannot be used")).why(reason));
        }
        self.names.insert(name.clone());
        self.words.push(word);
        Ok(())
    }
}

fn next(place: &Place<'_>) -> Complaint {
    place.complaint("gannet has no --next").why("all URLs of a run share its options").fix("one run for each")
}

fn unknown(option: &str, place: &Place<'_>, vocabulary: &Vocabulary) -> Complaint {
    let complaint = place.complaint(&format!("there is no {option}"));
    let nearest = option.strip_prefix("--").and_then(|name| vocabulary.nearest(name));
    match (words::is_curls(option), nearest) {
        (true, _) => complaint.fix(words::USE_CURL),
        (false, Some(nearest)) => complaint.fix(format!("did you mean --{nearest}?")),
        (false, None) => complaint.fix("gannet --help shows all options"),
    }
}

fn text(file: &str) -> Result<String, Complaint> {
    let unreadable =
        |why: &str| Complaint::new(format!("-K {} cannot be read", shown(file))).why(why.to_owned());
    let reader: Box<dyn Read> = match file {
        "-" => Box::new(io::stdin()),
        path => Box::new(File::open(path).map_err(|cause| unreadable(&cause.to_string()))?),
    };
    let mut bytes = Vec::new();
    reader.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|cause| unreadable(&cause.to_string()))?;
    if bytes.len() as u64 > LONGEST {
        return Err(unreadable("it is longer than 16 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
        unreadable(&format!("line {line} is no UTF-8"))
    })
}

/// One option as it stands in a file.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    /// With its dashes, if it has any.
    option: String,
    value: Option<String>,
}

/// Reads a line; `None` for an empty one and for a comment.
fn parsed(line: &str) -> Result<Option<Line>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    // As in curl, = and : part a name without dashes from its value; of one with two dashes, = does it too.
    let parts = |letter: char| match (line.starts_with("--"), line.starts_with('-')) {
        (true, _) => letter == '=',
        (false, true) => false,
        (false, false) => letter == '=' || letter == ':',
    };
    let end = line.find(|letter: char| letter.is_whitespace() || parts(letter)).unwrap_or(line.len());
    let (option, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || parts(letter));
    let value = match rest.strip_prefix('"') {
        Some(quoted) => Some(unquoted(quoted)?),
        None if rest.is_empty()
            || rest.starts_with('#') && line[..line.len() - rest.len()].ends_with(' ') =>
        {
            None
        }
        None => Some(bare(rest)?),
    };
    if option.is_empty() || option == "-" || option == "--" {
        return Err("a value without its option");
    }
    Ok(Some(Line { option: option.to_owned(), value }))
}

/// A value without quotes ends at the first space; only a comment may follow.
fn bare(text: &str) -> Result<String, &'static str> {
    let (value, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match rest.trim_start() {
        "" => Ok(value.to_owned()),
        comment if comment.starts_with('#') => Ok(value.to_owned()),
        _ => Err("a value with spaces has to stand in double quotes"),
    }
}

/// What is behind an opening quote, up to the closing one.
fn unquoted(text: &str) -> Result<String, &'static str> {
    let (mut value, mut letters) = (String::new(), text.chars());
    loop {
        match letters.next() {
            None => return Err("the closing quote is missing"),
            Some('"') => break,
            Some('\\') => match letters.next() {
                None => return Err("the closing quote is missing"),
                Some('t') => value.push('\t'),
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('v') => value.push('\u{b}'),
                Some(other) => value.push(other),
            },
            Some(other) => value.push(other),
        }
    }
    let rest = letters.as_str().trim_start();
    if rest.is_empty() || rest.starts_with('#') { Ok(value) } else { Err("text behind the closing quote") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Option<(String, Option<String>)> {
        let line = parsed(text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
        line.map(|line| (line.option, line.value))
    }

    fn is(text: &str, option: &str, value: Option<&str>) {
        assert_eq!(line(text), Some((option.into(), value.map(str::to_owned))), "{text}");
    }

    #[test]
    fn a_line_is_an_option_and_its_value_however_they_are_parted() {
        for text in
            ["user-agent x", "user-agent = x", "user-agent: x", "  user-agent=x  ", "user-agent\tx # y"]
        {
            is(text, "user-agent", Some("x"));
        }
        is("--user-agent x", "--user-agent", Some("x"));
        is("-o file", "-o", Some("file"));
        is("-d a=b", "-d", Some("a=b"));
        is("-ofile", "-ofile", None);
        is("url = http://a/?b=c#d", "url", Some("http://a/?b=c#d"));
        is("silent # quietly", "silent", None);
        is("silent", "silent", None);
    }

    #[test]
    fn quoted_values_have_escapes_and_may_be_empty() {
        is(r#"data = "a \"b\" \\ \t\n\r\v\x é""#, "data", Some("a \"b\" \\ \t\n\r\u{b}x é"));
        is(r#"user-agent = """#, "user-agent", Some(""));
        is(r##"data "# no comment" # a comment"##, "data", Some("# no comment"));
    }

    #[test]
    fn letters_are_taken_as_on_the_command_line() {
        let mut vocabulary = super::super::vocabulary_of("get");
        let place = Place { file: "k", line: 7 };
        let mut words = |text: &str| {
            let mut given = Given::default();
            let line = parsed(text).expect("a line").expect("an option");
            given.take(line, &place, &mut vocabulary).map(|_| given.words).map_err(|wrong| wrong.to_string())
        };
        assert_eq!(
            words("-sSo file"),
            Ok(vec!["--silent".into(), "--show-error".into(), "--output=file".into()])
        );
        assert_eq!(words("-ofile"), Ok(vec!["--output=file".into()]));
        assert_eq!(words("data = -x"), Ok(vec!["--data=-x".into()]));
        assert_eq!(words("url = race"), Ok(vec!["race".into()]));
        for (line, said) in [
            ("-s x", "k line 7: silent takes no value"),
            ("output", "k line 7: output needs a value"),
            ("-T x", "k line 7: there is no -T"),
            ("next", "k line 7: gannet has no --next"),
            ("-:", "k line 7: gannet has no --next"),
            ("url = -x", "k line 7: a URL does not begin with -"),
            ("maxtime = 3", "did you mean --max-time?"),
            ("max-time = 3y", "k line 7: max-time cannot be used"),
            ("help", "k line 7: there is no --help"),
        ] {
            assert!(words(line).is_err_and(|wrong| wrong.contains(said)), "{line}: {:?}", words(line));
        }
    }

    #[test]
    fn comments_and_empty_lines_are_nothing() {
        assert!(
            line("").is_none() && line("   ").is_none() && line("# a").is_none() && line("\t# a\r").is_none()
        );
    }

    #[test]
    fn what_curl_would_cut_off_is_refused() {
        for text in ["data = a b", "data = \"a", "data = \"a\\", "data = \"a\" b", "= x", ": x", "- x"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
