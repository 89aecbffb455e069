//! Numbers for people: times, bytes, counts of things.

use std::time::Duration;

/// A length of time: `42 ms`, `0.4 s`, `75 s`, `12 min`.
pub(crate) fn seconds(length: Duration) -> String {
    match length.as_secs_f64() {
        instant if instant < 0.00995 => format!("{:.1} ms", instant * 1000.0),
        short if short < 0.0995 => format!("{} ms", (short * 1000.0).round()),
        some if some < 99.95 => format!("{:.1} s", some),
        long if long < 600.0 => format!("{} s", long.round()),
        minutes if minutes < 36_000.0 => format!("{} min", (minutes / 60.0).round()),
        hours => format!("{} h", (hours / 3600.0).round()),
    }
}

/// An amount of bytes: `512 B`, `1.5 KiB`, `118 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut amount = count as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1023.95 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if amount < 99.95 {
        format!("{amount:.1} {}", UNITS[unit])
    } else {
        format!("{amount:.0} {}", UNITS[unit])
    }
}

/// A length of time as options take it, and exactly: `10s`, `1m30s`, `300ms`.
pub(crate) fn as_given(length: Duration) -> String {
    let (whole, micros) = (length.as_secs(), length.subsec_micros());
    let parts = [
        (whole / 86_400, "d"),
        (whole / 3600 % 24, "h"),
        (whole / 60 % 60, "m"),
        (whole % 60, "s"),
        (u64::from(micros / 1000), "ms"),
        (u64::from(micros % 1000), "us"),
    ];
    let text: String =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// An amount of bytes as options take it, and exactly: `64K`, `10G`, `1000`.
pub(crate) fn size_as_given(count: u64) -> String {
    let units = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
    let exact = units.iter().find(|(shift, _)| count > 0 && count.trailing_zeros() >= *shift);
    exact.map_or_else(|| count.to_string(), |(shift, unit)| format!("{}{unit}", count >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_is_easiest_to_read() {
        for (millis, text) in [
            (2, "2.0 ms"),
            (42, "42 ms"),
            (400, "0.4 s"),
            (12_340, "12.3 s"),
            (100_000, "100 s"),
            (720_000, "12 min"),
        ] {
            assert_eq!(seconds(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn what_an_option_takes_is_said_exactly() {
        for (millis, text) in
            [(10_000, "10s"), (90_000, "1m30s"), (300, "300ms"), (86_400_000, "1d"), (0, "0s")]
        {
            assert_eq!(as_given(Duration::from_millis(millis)), text);
        }
        for (count, text) in [(0, "0"), (1000, "1000"), (65_536, "64K"), (5 << 20, "5M"), (1 << 40, "1T")] {
            assert_eq!(size_as_given(count), text);
        }
    }

    #[test]
    fn bytes_have_powers_of_1024() {
        for (count, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (123_456_789, "118 MiB"), (1 << 40, "1.0 TiB")]
        {
            assert_eq!(bytes(count), text);
        }
    }
}
