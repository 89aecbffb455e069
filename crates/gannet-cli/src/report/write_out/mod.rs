//! `-w`: a text about each URL, in curl's words (its man page, `--write-out`). A format is read before anything is
//! sent, and refused if it names what there is not; its names are one table in `variables`.

mod values;
mod variables;

use std::io::{self, Read as _};

use gannet::Outcome;
use gannet::sink::Ordered;
use http::HeaderName;

use self::values::Values;
use self::variables::{Name, TABLE, Variable};
use super::{Asked, Attempts, Closing, Record, Sheet};
use crate::args::distance;
use crate::say::Complaint;

/// The longest format that is read from a file, in bytes: 1 MiB.
const LONGEST: u64 = 1 << 20;

/// What is to be written about each URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format(Vec<Piece>);

/// A part of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Variable),
    /// The first field of this name.
    Header(HeaderName),
    /// What follows goes there.
    To(Stream),
    /// What follows is written about failures alone.
    OnError,
}

/// Where a text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

/// What is written about one outcome.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Format {
    /// Reads a format; `@FILE` and `@-` are read first, without their line breaks, as curl does.
    pub(crate) fn parse(text: &str) -> Result<Self, Complaint> {
        match text.strip_prefix('@') {
            Some(name) => Self::pieces(&read(name)?),
            None => Self::pieces(text),
        }
    }

    /// Whether something of it goes to standard error.
    pub(crate) fn uses_stderr(&self) -> bool {
        self.0.contains(&Piece::To(Stream::Stderr))
    }

    /// What it says about one outcome.
    pub(crate) fn render(&self, outcome: &Outcome, asked: &Asked, attempts: Attempts) -> Written {
        let values = Values::of(outcome, asked, attempts);
        let mut written = Written::default();
        let mut stream = Stream::Stdout;
        for piece in &self.0 {
            let text = match stream {
                Stream::Stdout => &mut written.stdout,
                Stream::Stderr => &mut written.stderr,
            };
            match piece {
                Piece::Text(given) => text.extend_from_slice(given.as_bytes()),
                Piece::Value(variable) => values.write(*variable, text),
                Piece::Header(name) => text.extend_from_slice(values.header(name)),
                Piece::To(other) => stream = *other,
                Piece::OnError if outcome.error().is_none() => break,
                Piece::OnError => {}
            }
        }
        written
    }

    fn pieces(text: &str) -> Result<Self, Complaint> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut left = text;
        while let Some(at) = left.find(['%', '\\']) {
            plain.push_str(&left[..at]);
            left = &left[at..];
            if let Some((literal, behind)) = escape(left) {
                plain.push_str(literal);
                left = behind;
                continue;
            }
            let (piece, behind) = directive(left)?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
            left = behind;
        }
        plain.push_str(left);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }
}

/// What stands for itself or for another letter, and what is behind it; `None` before a directive.
fn escape(text: &str) -> Option<(&str, &str)> {
    for (written, meant) in [("\\n", "\n"), ("\\r", "\r"), ("\\t", "\t"), ("\\\\", "\\"), ("%%", "%")] {
        if let Some(behind) = text.strip_prefix(written) {
            return Some((meant, behind));
        }
    }
    let is_directive = text.starts_with("%{") || text.starts_with("%header{");
    // As with curl, any other letter is taken as it stands.
    (!is_directive).then(|| text.split_at(1))
}

/// `%{name}` or `%header{name}`, and what is behind it.
fn directive(text: &str) -> Result<(Piece, &str), Complaint> {
    let open = |text: &str| {
        Complaint::new(format!("-w has no }} behind {text}")).fix("%{name}; %% stands for one %")
    };
    let (head, rest) = text.split_once('{').expect("a directive has a brace");
    let (name, behind) = rest.split_once('}').ok_or_else(|| open(text))?;
    let piece = match head {
        "%" => match Name::of(name).ok_or_else(|| unknown(name))? {
            Name::Value(variable) => Piece::Value(variable),
            Name::Stdout => Piece::To(Stream::Stdout),
            Name::Stderr => Piece::To(Stream::Stderr),
            Name::OnError => Piece::OnError,
        },
        _ => Piece::Header(name.parse().map_err(|_| {
            Complaint::new(format!("-w %header{{{name}}} names no header field")).fix("%header{content-type}")
        })?),
    };
    Ok((piece, behind))
}

fn unknown(name: &str) -> Complaint {
    let complaint = Complaint::new(format!("-w knows no %{{{name}}}"));
    let nearest = TABLE.iter().map(|row| row.0).min_by_key(|known| distance(name, known));
    match nearest.filter(|known| distance(name, known) <= known.len().div_ceil(3)) {
        Some(known) => complaint.fix(format!("did you mean %{{{known}}}?")),
        None => complaint
            .fix(format!("it knows {}", TABLE.iter().map(|row| row.0).collect::<Vec<_>>().join(", "))),
    }
}

/// A format from a file, or standard input for `-`.
fn read(name: &str) -> Result<String, Complaint> {
    let unreadable = |why: String| Complaint::new(format!("-w @{name} cannot be read")).why(why);
    let text = || -> io::Result<String> {
        let mut text = String::new();
        if name == "-" {
            io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text)?;
        } else {
            std::fs::File::open(name)?.take(LONGEST + 1).read_to_string(&mut text)?;
        }
        Ok(text)
    };
    let mut text = text().map_err(|cause| unreadable(cause.to_string()))?;
    if text.len() as u64 > LONGEST {
        return Err(unreadable("it is longer than 1 MiB".into()));
    }
    text.retain(|letter| !matches!(letter, '\r' | '\n' | '\0'));
    Ok(text)
}

/// The texts of `-w`, as their URLs settle.
pub(crate) struct WriteOut {
    format: Format,
    asked: Asked,
    attempts: Attempts,
    /// Where there are bodies on standard output, each text goes behind its body.
    bodies: Option<Ordered>,
    stdout: Option<Sheet>,
    stderr: Option<Sheet>,
    sheets: Vec<Sheet>,
}

impl WriteOut {
    /// Writes to standard output, and what is behind `%{stderr}` to standard error.
    pub(crate) fn on(format: Format, asked: Asked, attempts: Attempts, stdout: Sheet, stderr: Sheet) -> Self {
        Self::to(format, asked, attempts, stderr).with_stdout(stdout)
    }

    /// Writes behind each body on standard output, and what is behind `%{stderr}` to standard error.
    pub(crate) fn behind(
        format: Format,
        asked: Asked,
        attempts: Attempts,
        bodies: Ordered,
        stderr: Sheet,
    ) -> Self {
        Self { bodies: Some(bodies), ..Self::to(format, asked, attempts, stderr) }
    }

    fn to(format: Format, asked: Asked, attempts: Attempts, stderr: Sheet) -> Self {
        let stderr = format.uses_stderr().then_some(stderr);
        let sheets = stderr.iter().cloned().collect();
        Self { format, asked, attempts, bodies: None, stdout: None, stderr, sheets }
    }

    fn with_stdout(mut self, stdout: Sheet) -> Self {
        self.sheets.push(stdout.clone());
        self.stdout = Some(stdout);
        self
    }
}

impl Record for WriteOut {
    fn settled(&mut self, outcome: &Outcome) {
        let Written { stdout, stderr } = self.format.render(outcome, &self.asked, self.attempts);
        if let Some(bodies) = &self.bodies {
            // Each body waits for it, be it empty.
            bodies.epilogue(outcome.seq(), stdout);
        } else if let Some(sheet) = &self.stdout {
            sheet.pen.write(&stdout);
        }
        if let Some(sheet) = &self.stderr {
            sheet.pen.write(&stderr);
        }
    }

    fn close(&mut self, _: &Closing<'_>) {}

    fn sheets(&self) -> &[Sheet] {
        &self.sheets
    }
}

#[cfg(test)]
mod tests;
