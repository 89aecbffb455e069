//! gannet.toml: keys are long options. Only its text is judged here, and no value is repeated in an error: it may be
//! a secret.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::settings::{Origin, Setting, Value};
use super::vocabulary::{Takes, Vocabulary};
use crate::say::Complaint;

/// The longest file, in bytes.
const LONGEST: u64 = 1 << 20;

/// Reads the settings of a file.
pub(super) fn read(path: &Path, vocabulary: &Vocabulary) -> Result<Vec<Setting>, Complaint> {
    let unreadable =
        |why: String| Complaint::new(format!("the settings in {} cannot be read", path.display())).why(why);
    let mut text = String::new();
    let file = File::open(path).map_err(|cause| unreadable(cause.to_string()))?;
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(|cause| unreadable(cause.to_string()))?;
    if text.len() as u64 > LONGEST {
        return Err(unreadable("it is longer than 1 MiB".into()));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let table = DeTable::parse(text).map_err(|error| {
        // The error's own text would show the line.
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        unreadable(format!("line {line}: {}", error.message()))
            .fix("it is TOML, as in docs/CLI.md; curl's format is read with -K FILE")
    })?;
    let mut settings = Reader { path, text, vocabulary, settings: Vec::new() };
    settings.table("", table.get_ref())?;
    Ok(settings.settings)
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    vocabulary: &'a Vocabulary,
    settings: Vec<Setting>,
}

impl Reader<'_> {
    /// Takes all keys of a table; `tlsv1.2 = true` is a table to TOML.
    fn table(&mut self, above: &str, table: &DeTable<'_>) -> Result<(), Complaint> {
        for (key, value) in table {
            let line = line_of(self.text, key.span().start);
            let name = format!("{above}{}", key.get_ref());
            match value.get_ref() {
                DeValue::Table(table) => self.table(&format!("{name}."), table)?,
                value => self.setting(&name, value, line)?,
            }
        }
        Ok(())
    }

    fn setting(&mut self, name: &str, value: &DeValue<'_>, line: usize) -> Result<(), Complaint> {
        let place = format!("{} line {line}", self.path.display());
        let Some(option) = self.vocabulary.long(name) else {
            let complaint = Complaint::new(format!("{place}: {name} is no setting"));
            return Err(match self.vocabulary.nearest(name) {
                Some(near) => complaint.fix(format!("did you mean {near}?")),
                None => complaint.fix("a key is a long option, as in gannet --help"),
            });
        };
        let is = |what: &str| Complaint::new(format!("{place}: {name} {what}"));
        let value = match (value, option.takes) {
            (DeValue::Boolean(is_on), Takes::Nothing) => Value::Flag(*is_on),
            (_, Takes::Nothing) => return Err(is("is true or false")),
            (DeValue::Array(elements), Takes::Many) => {
                let texts = elements.iter().map(|element| plain(element.get_ref()));
                Value::Texts(texts.collect::<Option<_>>().ok_or_else(|| is("is a list of strings"))?)
            }
            (DeValue::Array(_), _) => return Err(is("takes one value, not a list")),
            (value, _) => Value::Texts(vec![plain(value).ok_or_else(|| is("takes a string or a number"))?]),
        };
        if self.settings.iter().any(|setting| setting.option == option) {
            return Err(is("is there twice"));
        }
        let origin = Origin::File { path: self.path.to_owned(), line };
        self.settings.push(Setting { option, value, origin });
        Ok(())
    }
}

/// A string, number or moment as it would stand on the command line.
fn plain(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Datetime(moment) => Some(moment.to_string()),
        DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
