//! What an act leaves to be read: what each side did, what the origin counted, and whether the promise held. Text
//! only; nothing here measures.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

/// An act as it went.
pub(super) struct Scene {
    pub(super) naive: String,
    pub(super) gannet: String,
    pub(super) origin: String,
    pub(super) promise: String,
    pub(super) verdict: Verdict,
}

/// What became of a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Held,
    /// What was promised came to pass, after the time that was promised.
    Late(String),
    Broken(String),
}

impl Verdict {
    /// `self`, if the time was kept too.
    pub(super) fn within(self, limit: Duration, taken: Duration) -> Self {
        match self {
            Self::Held if taken > limit => Self::Late(format!("it took {}", millis(taken))),
            other => other,
        }
    }

    /// `Held` if the fact is so, else broken for this reason.
    pub(super) fn of(is_so: Result<(), String>) -> Self {
        is_so.map_or_else(Self::Broken, |()| Self::Held)
    }
}

impl Scene {
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "  tokio     {}", self.naive)?;
        writeln!(out, "  gannet    {}", self.gannet)?;
        writeln!(out, "  origin    {}", self.origin)?;
        writeln!(out, "  promise   {}: {}", self.promise, self.verdict)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => f.write_str("held"),
            Self::Late(why) | Self::Broken(why) => write!(f, "BROKEN: {why}"),
        }
    }
}

/// A source file as its reader is to type it: without the room's own heading, and without its visibility.
pub(super) fn shown(source: &str) -> String {
    let lines = source.lines().skip_while(|line| line.starts_with("//!") || line.is_empty());
    let typed = lines.map(|line| format!("    {}", line.replace("pub(crate) ", "")));
    typed.map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A count with its thousands set apart: `2,000`.
pub(super) fn count(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length of time in seconds: `2.0 s`.
pub(super) fn seconds(length: Duration) -> String {
    format!("{:.1} s", length.as_secs_f64())
}

/// A length of time in milliseconds: `203 ms`; below ten with one decimal.
pub(super) fn millis(length: Duration) -> String {
    let millis = length.as_secs_f64() * 1e3;
    if millis < 10.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0_u64, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_late_promise_is_told_apart_from_a_broken_one() {
        let (limit, late) = (Duration::from_millis(50), Duration::from_millis(51));
        assert_eq!(Verdict::Held.within(limit, limit), Verdict::Held);
        assert!(matches!(Verdict::Held.within(limit, late), Verdict::Late(_)));
        let broken = Verdict::of(Err("lost one".to_owned()));
        assert_eq!(broken.clone().within(limit, late), broken);
    }

    #[test]
    fn lines_are_shown_without_heading_and_visibility() {
        assert_eq!(shown("//! a room\n\nuse x;\n\npub(crate) fn f() {}\n"), "    use x;\n\n    fn f() {}\n");
    }
}
