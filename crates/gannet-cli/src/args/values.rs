//! The values of options as people write them: lengths of time, sizes, goals, sets of statuses. Pure text; what
//! makes no sense is refused with a sentence that names what would.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use gannet::{Goal, HedgeAfter, StatusSet};
use http::{HeaderName, HeaderValue};

/// Longer than any run, and short enough for every clock.
const LONGEST: Duration = Duration::from_secs(3650 * 86_400);
/// How lengths of time are written.
const LENGTHS: &str = "10s, 1h30m, 300ms or a number of seconds";

/// A length of time: `300ms`, `1h30m`, or a bare number of seconds, which may have a fraction. It is over 0.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let length = duration_or_zero(text)?;
    if length.is_zero() { Err(format!("0 leaves no time; write {LENGTHS}, over 0")) } else { Ok(length) }
}

/// As [`duration`], of what has no limit without its option.
pub(crate) fn time_limit(text: &str) -> Result<Duration, String> {
    match duration_or_zero(text) {
        Ok(length) if length.is_zero() => Err("0 leaves no time; leave it out for no such limit".into()),
        read => read,
    }
}

/// As [`duration`], and 0 for none.
pub(crate) fn duration_or_zero(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no length of time; write {LENGTHS}");
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, unit, behind) = split(rest);
        let factor = match unit {
            "" if number.len() == text.len() => 1.0,
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(bad()),
        };
        seconds += number.parse::<f64>().map_err(|_| bad())? * factor;
        rest = behind;
    }
    match Duration::try_from_secs_f64(seconds) {
        _ if text.is_empty() => Err(bad()),
        Ok(length) if length <= LONGEST => Ok(length),
        Ok(_) | Err(_) => Err(format!("{text} is over the longest that can be waited for, 3650d")),
    }
}

/// What is wrong with a length of time, where words may be written, too.
fn or_in_words(text: &str, words: &str) -> Result<Duration, String> {
    let told = |why: String| match why.split_once("; ") {
        Some((what, _)) => format!("{what}; write {words}"),
        None => why,
    };
    duration(text).map_err(told)
}

/// So many a second: `50/s`, `600/m`, `10/h`, or a bare number.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => f64::NAN,
    };
    let rate = number.parse::<f64>().map_or(f64::NAN, |number| number / seconds);
    if rate > 0.0 && rate.is_finite() {
        Ok(rate)
    } else {
        Err(format!("{text:?} is no rate; write 50/s, 600/m, 10/h or a number a second"))
    }
}

/// After how long a dead host is waited for no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GiveUp(pub(crate) Option<Duration>);

impl FromStr for GiveUp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self(None)),
            _ => or_in_words(text, "10s, 5m or never").map(|after| Self(Some(after))),
        }
    }
}

/// Splits a number and the letters behind it off the front.
fn split(text: &str) -> (&str, &str, &str) {
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, tail) = text.split_at(digits);
    let letters = tail.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(tail.len());
    let (unit, behind) = tail.split_at(letters);
    (number, unit, behind)
}

/// When all must be over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Deadline {
    /// So long after the program's start.
    After(Duration),
    /// At this moment of the wall clock.
    At(SystemTime),
}

impl FromStr for Deadline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_date = text.as_bytes().get(4) == Some(&b'-');
        if !is_date {
            return time_limit(text).map(Self::After);
        }
        let at: jiff::Timestamp = text.parse().map_err(|_| {
            format!("{text:?} is no moment; write one as 2026-11-23T18:00:00Z, or a length of time")
        })?;
        Ok(Self::At(at.into()))
    }
}

/// How many redirects.
pub(crate) fn hops(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is no number of redirects; write 0, 10 or 50"))
}

/// How many URLs or requests at once.
pub(crate) fn at_once(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=100_000).contains(number));
    number.ok_or_else(|| format!("{text:?} is none of the numbers from 1 to 100000"))
}

/// How many URLs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowding {
    /// At most so many.
    AtMost(u32),
    /// As many as bring more throughput.
    Auto,
}

impl FromStr for Crowding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => at_once(text).map(Self::AtMost).map_err(|why| format!("{why}; write one of them, or auto")),
        }
    }
}

/// A number of bytes: `10G`, `5M`, `64K` (powers of 1024), or a bare number.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let bad = || format!("{text:?} is no size; write 10G, 5M, 64K or a number of bytes");
    let (number, unit, behind) = split(text);
    let power = match unit.to_ascii_uppercase().trim_end_matches('B').trim_end_matches('I') {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return Err(bad()),
    };
    let factor = 1u64 << (10 * power);
    match number.parse::<u64>() {
        _ if !behind.is_empty() => Err(bad()),
        Ok(whole) => whole.checked_mul(factor).ok_or_else(bad),
        Err(_) => Ok((number.parse::<f64>().map_err(|_| bad())? * factor as f64) as u64),
    }
}

/// `all`, `first`, a number of URLs, or a share of them.
pub(crate) fn goal(text: &str) -> Result<Goal, String> {
    let bad = || format!("{text:?} is no goal; write all, first, a number of URLs or a share such as 90%");
    match (text, text.strip_suffix('%')) {
        ("all", _) => Ok(Goal::All),
        ("first", _) => Ok(Goal::First),
        (_, Some(share)) => match share.parse::<f64>() {
            Ok(share) if share > 0.0 && share <= 100.0 => Ok(Goal::Percent(share)),
            _ => Err(bad()),
        },
        (count, None) => match count.parse::<u64>() {
            Ok(count) if count > 0 => Ok(Goal::AtLeast(count)),
            _ => Err(bad()),
        },
    }
}

/// Retries after the first attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retries {
    /// At most so many.
    AtMost(u32),
    /// Until it succeeds or the time is over.
    Endless,
}

impl FromStr for Retries {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "inf" => Ok(Self::Endless),
            _ => text
                .parse()
                .map(Self::AtMost)
                .map_err(|_| format!("{text:?} is no number of retries; write 0, 3, 10 or inf")),
        }
    }
}

/// Extra attempts of all URLs together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Budget {
    /// At most this share of the first attempts, from 0 to 1.
    Share(f64),
    /// As many as it takes.
    Off,
}

impl Budget {
    /// As the library takes it: without a bound, or this share.
    pub(crate) fn share(self) -> Option<f64> {
        match self {
            Self::Share(share) => Some(share),
            Self::Off => None,
        }
    }
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = match text.strip_suffix('%') {
            Some(number) => (number, 0.01),
            None => (text, 1.0),
        };
        match number.parse::<f64>().map(|number| number * unit) {
            _ if text == "off" => Ok(Self::Off),
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self::Share(share)),
            _ => Err(format!("{text:?} is no share of the first attempts; write 20%, 0.2 or off")),
        }
    }
}

/// When a silent attempt gets company.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Hedge {
    /// Never.
    Off,
    /// After so long without a byte of the body.
    After(HedgeAfter),
}

impl FromStr for Hedge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::After(HedgeAfter::Auto)),
            _ => match text.strip_prefix('p') {
                Some(percent) => quantile(percent).map(Self::After),
                None => or_in_words(text, "off, auto, p98 or 300ms").map(|after| Self::After(after.into())),
            },
        }
    }
}

/// `98` and `99.9` of `p98` and `p99.9`.
fn quantile(percent: &str) -> Result<HedgeAfter, String> {
    let plain = percent.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let share = percent.parse::<f64>().ok().filter(|percent| plain && *percent > 0.0 && *percent < 100.0);
    share.map(|percent| HedgeAfter::Quantile(percent / 100.0)).ok_or_else(|| {
        format!("p{percent} is no quantile; write p98 or p99.5, more than p0 and less than p100")
    })
}

/// Statuses that count as success: `200-299,304` or `any`.
pub(crate) fn statuses(text: &str) -> Result<StatusSet, String> {
    if text == "any" {
        return Ok(StatusSet::ANY);
    }
    let bad = |part: &str| format!("{part:?} is no status; write 200-299,304 or any");
    let mut ranges = Vec::new();
    for part in text.split(',') {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let range = low.trim().parse::<u16>().ok().zip(high.trim().parse::<u16>().ok());
        let range = range.filter(|(low, high)| *low >= 100 && *high <= 999 && low <= high);
        ranges.push(range.ok_or_else(|| bad(part))?);
    }
    Ok(StatusSet::ranges(ranges))
}

/// A header field, or what is wrong with it; told later, since the definition of the options would show the value.
#[derive(Debug, Clone)]
pub(crate) struct GivenHeader(pub(crate) Result<(HeaderName, HeaderValue), String>);

/// Never refuses: see [`GivenHeader`].
pub(crate) fn given_header(text: &str) -> Result<GivenHeader, std::convert::Infallible> {
    Ok(GivenHeader(header(text)))
}

/// A header field: `Name: value`, or `Name;` for an empty one.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = match (text.split_once(':'), text.strip_suffix(';')) {
        (Some((_, value)), _) if value.trim().is_empty() => {
            return Err(format!(
                "gannet cannot take a header out; write {:?} to send it empty",
                text.replace(':', ";")
            ));
        }
        (Some(pair), _) => pair,
        (None, Some(name)) => (name, ""),
        (None, None) => return Err("a header is written as 'Name: value'".into()),
    };
    let name = name.trim().parse().map_err(|_| format!("{name:?} is no name of a header"))?;
    // The value may be a secret: it is not repeated.
    let value =
        HeaderValue::from_str(value.trim()).map_err(|_| format!("the value of {name} cannot be sent"))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_with_units_and_bare_numbers_are_seconds() {
        for (text, millis) in [
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("300ms", 300),
            ("2", 2_000),
            ("0.5", 500),
            ("1.5s", 1_500),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        for text in ["", "s", "10x", "1h30", "-1", "inf", "nan", "1e3", "0", "0ms", "99999d", "1..5s", "5 s"]
        {
            assert!(duration(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn no_time_is_a_grace_and_else_refused_with_what_may_be_written() {
        for none in ["0", "0s", "0ms", "0.0"] {
            assert_eq!(duration_or_zero(none), Ok(Duration::ZERO), "{none}");
            for (refused, fix) in [
                (duration(none).err(), "write 10s, 1h30m, 300ms or a number of seconds, over 0"),
                (time_limit(none).err(), "leave it out for no such limit"),
                (none.parse::<Deadline>().err(), "leave it out for no such limit"),
                (none.parse::<GiveUp>().err(), "write 10s, 5m or never"),
                (none.parse::<Hedge>().err(), "write off, auto, p98 or 300ms"),
            ] {
                assert_eq!(refused, Some(format!("0 leaves no time; {fix}")), "{none}");
            }
        }
    }

    #[test]
    fn where_words_may_be_written_they_are_told() {
        for (refused, fix) in [
            ("soon".parse::<GiveUp>().err(), "write 10s, 5m or never"),
            ("soon".parse::<Hedge>().err(), "write off, auto, p98 or 300ms"),
            ("-1".parse::<Retries>().err(), "write 0, 3, 10 or inf"),
            ("many".parse::<Crowding>().err(), "write one of them, or auto"),
            ("2xx".parse::<Budget>().err(), "write 20%, 0.2 or off"),
            (goal("soon").err(), "write all, first, a number of URLs or a share such as 90%"),
            (statuses("-1").err(), "write 200-299,304 or any"),
        ] {
            assert!(refused.as_ref().is_some_and(|why| why.ends_with(fix)), "{refused:?}: {fix}");
        }
    }

    #[test]
    fn a_deadline_is_a_length_of_time_or_a_moment_with_its_zone() {
        assert_eq!("10s".parse(), Ok(Deadline::After(Duration::from_secs(10))));
        let at = Deadline::At(SystemTime::UNIX_EPOCH + Duration::from_secs(3_600));
        assert_eq!("1970-01-01T02:00:00+01:00".parse(), Ok(at));
        assert!("2026-11-23".parse::<Deadline>().is_err());
    }

    #[test]
    fn what_runs_at_once_is_a_number_within_bounds() {
        assert_eq!((at_once("1"), at_once("100000")), (Ok(1), Ok(100_000)));
        for text in ["0", "100001", "auto", "-1", "", "6.5"] {
            assert!(at_once(text).is_err_and(|why| why.contains("from 1 to 100000")), "{text}");
        }
    }

    #[test]
    fn rates_are_by_the_second_minute_or_hour() {
        assert_eq!((rate("50/s"), rate("600/m"), rate("1.5")), (Ok(50.0), Ok(10.0), Ok(1.5)));
        for wrong in ["", "0", "-1/s", "5/d", "x/s", "inf", "1/"] {
            assert!(rate(wrong).is_err_and(|why| why.contains("50/s")), "{wrong}");
        }
    }

    #[test]
    fn urls_at_once_are_a_number_or_auto() {
        assert_eq!(("6".parse(), "auto".parse()), (Ok(Crowding::AtMost(6)), Ok(Crowding::Auto)));
        for text in ["0", "AUTO", "", "-1"] {
            let refused = text.parse::<Crowding>();
            assert!(
                refused.is_err_and(|why| why.ends_with("from 1 to 100000; write one of them, or auto")),
                "{text}"
            );
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in
            [("7", 7), ("64K", 65_536), ("5m", 5 << 20), ("10G", 10 << 30), ("1.5k", 1536), ("1KiB", 1024)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "K", "5X", "-1", "1M2", "99999999T"] {
            assert!(size(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn budgets_are_shares_of_the_first_attempts() {
        for (text, budget) in [
            ("20%", Budget::Share(0.2)),
            ("0.2", Budget::Share(0.2)),
            ("2.5%", Budget::Share(0.025)),
            ("0", Budget::Share(0.0)),
            ("100%", Budget::Share(1.0)),
            ("off", Budget::Off),
        ] {
            assert_eq!(text.parse(), Ok(budget), "{text}");
        }
        for text in ["20", "101%", "-1%", "-0.1", "%", "", "nan", "inf", "some", "2%%"] {
            let refused = text.parse::<Budget>();
            assert!(refused.is_err_and(|why| why.contains("20%, 0.2 or off")), "{text} was taken");
        }
    }

    #[test]
    fn goals_are_words_numbers_and_shares() {
        assert_eq!(goal("all"), Ok(Goal::All));
        assert_eq!(goal("first"), Ok(Goal::First));
        assert_eq!(goal("3"), Ok(Goal::AtLeast(3)));
        assert_eq!(goal("90%"), Ok(Goal::Percent(90.0)));
        for text in ["0", "0%", "101%", "some", "-1"] {
            assert!(goal(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn statuses_are_ranges_and_single_ones() {
        let set = statuses("200-299,304").expect("a good set");
        let holds = |code: u16| set.contains(http::StatusCode::from_u16(code).expect("a status"));
        assert!(holds(200) && holds(299) && holds(304) && !holds(300) && !holds(404));
        assert!(statuses("2xx").is_err() && statuses("299-200").is_err() && statuses("").is_err());
    }

    #[test]
    fn a_header_that_is_refused_does_not_show_its_value() {
        assert_eq!(header("X-A: b: c").map(|(_, value)| value), Ok(HeaderValue::from_static("b: c")));
        assert_eq!(header("X-Empty;").map(|(_, value)| value), Ok(HeaderValue::from_static("")));
        assert!(header("Accept:").is_err_and(|text| text.contains("Accept;")));
        assert!(header("X-Key: se\u{1}cret").is_err_and(|text| !text.contains("cret")));
    }
}
