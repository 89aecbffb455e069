//! What went wrong, why, and what to do: three lines for people. Only the text is made here.

use std::fmt;

use gannet::ErrorKind;

use super::hint;

/// What went wrong, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    what: String,
    why: Option<String>,
    fix: Option<String>,
}

impl Complaint {
    /// Says what went wrong.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), why: None, fix: None }
    }

    /// Says why.
    pub(crate) fn why(self, why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..self }
    }

    /// Says what to do.
    pub(crate) fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }

    /// Two settings that cannot both be meant.
    pub(crate) fn contradiction(one: &str, other: &str) -> Self {
        Self::new(format!("{one} contradicts {other}")).fix("give one of them")
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", one_line(&self.what))?;
        if let Some(why) = &self.why {
            writeln!(f, "  why: {}", one_line(why))?;
        }
        if let Some(fix) = &self.fix {
            writeln!(f, "  fix: {}", one_line(fix))?;
        }
        Ok(())
    }
}

impl From<gannet::Error> for Complaint {
    fn from(error: gannet::Error) -> Self {
        let complaint = match (error.url(), error.kind()) {
            (Some(url), _) => Self::new(format!("{url} cannot be fetched")).why(error.message()),
            (None, ErrorKind::Settings) => Self::new(flags_alone(error.message())),
            (None, _) => Self::new(error.message()),
        };
        complaint.fix(hint(&error))
    }
}

/// The library names a setting by its method, and the flag behind it; here the flag says it all: `--max-time 3s`
/// of `timeout (--max-time) 3s`.
fn flags_alone(message: &str) -> String {
    let mut told = String::new();
    let mut rest = message;
    while let Some((before, behind)) = rest.split_once(" (-")
        && let Some((flag, after)) = behind.split_once(')')
    {
        told.push_str(before.rfind(' ').map_or("", |at| &before[..=at]));
        told.push('-');
        told.push_str(flag);
        rest = after;
    }
    told + rest
}

/// What servers send may end up in a message: control characters would reach the terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_by_their_flags_alone() {
        for (library, program) in [
            (
                "retry_delay (--retry-delay) 10s contradicts timeout (--max-time) 3s",
                "--retry-delay 10s contradicts --max-time 3s",
            ),
            (
                "trust_authorities (--cacert) contradicts danger_trust_anybody (-k): give one of them",
                "--cacert contradicts -k: give one of them",
            ),
            ("max_connections 0 lets nothing run", "max_connections 0 lets nothing run"),
            ("a (-", "a (-"),
        ] {
            assert_eq!(flags_alone(library), program);
        }
    }

    #[test]
    fn a_complaint_has_up_to_three_lines_and_no_control_characters() {
        let complaint = Complaint::new("a\u{1b}[31mb").why("c\nd").fix("e");
        assert_eq!(complaint.to_string(), "error: a\u{fffd}[31mb\n  why: c\u{fffd}d\n  fix: e\n");
        assert_eq!(Complaint::new("a").to_string(), "error: a\n");
    }
}
