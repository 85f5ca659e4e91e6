//! Durations as Go writes them: `300ms`, `1h30m`, `1.5h`.

use std::time::Duration;

/// The units with their nanoseconds; `µ` exists twice in Unicode.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
/// The longest duration that Go supports, about 292 years.
const LONGEST: u128 = i64::MAX as u128;

/// Parses a duration in the grammar of Go's `time.ParseDuration`, but not a negative one.
///
/// # Errors
/// Returns the reason without repeating the text.
pub fn parse(text: &str) -> Result<Duration, String> {
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err("a duration is a number with a unit, as in 90s or 1h30m".into());
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (nanoseconds, after) = part(rest)?;
        total += nanoseconds;
        if total > LONGEST {
            return Err("the duration is too long".into());
        }
        rest = after;
    }
    match (negative, u64::try_from(total)) {
        (true, Ok(1..)) => Err("the duration is negative".into()),
        (_, Ok(total)) => Ok(Duration::from_nanos(total)),
        (_, Err(_)) => Err("the duration is too long".into()),
    }
}

/// Reads one number and its unit, and returns what follows.
fn part(text: &str) -> Result<(u128, &str), String> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err("a duration is a number with a unit, as in 90s or 1h30m".into());
    }
    let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    if unit.is_empty() {
        return Err(format!("the unit is missing after {}", shortened(whole)));
    }
    let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("the unit {:?} is unknown: use ns, us, ms, s, m or h", shortened(unit)));
    };
    let size = u128::from(*size);
    let whole = match whole {
        "" => 0,
        whole => whole.parse::<u64>().map_err(|_| "the duration is too long")?,
    };
    Ok((u128::from(whole) * size + fraction_of(fraction, size), rest))
}

/// Returns a fraction of a unit, computed as Go does: in floating point, with as many digits as fit into 63
/// bits.
fn fraction_of(digits: &str, unit: u128) -> u128 {
    let mut numerator = 0;
    let mut scale = 1.0;
    for digit in digits.bytes() {
        let next = u128::from(digit - b'0') + numerator * 10;
        if next > LONGEST {
            break;
        }
        numerator = next;
        scale *= 10.0;
    }
    (numerator as f64 * (unit as f64 / scale)) as u128
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn shortened(text: &str) -> String {
    text.chars().take(20).collect()
}

/// Formats a duration so that [`parse`] returns the same one, with the largest units that fit.
pub fn format(duration: Duration) -> String {
    let total = duration.as_nanos();
    if total == 0 {
        return "0s".into();
    }
    let mut rest = total;
    let mut text = String::new();
    for unit in ["h", "m", "s", "ms", "us", "ns"] {
        let size = UNITS.iter().find(|(name, _)| *name == unit).map_or(1, |(_, size)| u128::from(*size));
        if rest >= size {
            text += &format!("{}{unit}", rest / size);
            rest %= size;
        }
    }
    text
}

/// Formats a duration like Go's `Duration.String`: `1h0m0s`, `1.5s`, `2ms`.
pub fn go_text(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    let (unit, size) = match nanoseconds {
        0 => return "0s".into(),
        1..1_000 => ("ns", 1),
        1_000..1_000_000 => ("\u{b5}s", 1_000),
        1_000_000..1_000_000_000 => ("ms", 1_000_000),
        _ => ("s", 1_000_000_000),
    };
    let minutes = duration.as_secs() / 60;
    let rest = if unit == "s" { nanoseconds % 60_000_000_000 } else { nanoseconds };
    let width = size.to_string().len() - 1;
    let fraction = format!("{:0width$}", rest % size);
    let number = match fraction.trim_end_matches('0') {
        "" => (rest / size).to_string(),
        fraction => format!("{}.{fraction}", rest / size),
    };
    match (minutes / 60, minutes) {
        (0, 0) => format!("{number}{unit}"),
        (0, minutes) => format!("{minutes}m{number}s"),
        (hours, minutes) => format!("{hours}h{}m{number}s", minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("+0", 0),
            ("-0", 0),
            ("-0s", 0),
            ("5s", 5_000_000_000),
            ("1478s", 1_478_000_000_000),
            ("+5s", 5_000_000_000),
            ("5.0s", 5_000_000_000),
            ("5.6s", 5_600_000_000),
            ("5.s", 5_000_000_000),
            (".5s", 500_000_000),
            ("1.004s", 1_004_000_000),
            ("1.0040s", 1_004_000_000),
            ("100.00100s", 100_001_000_000),
            ("10ns", 10),
            ("11us", 11_000),
            ("12\u{b5}s", 12_000),
            ("12\u{3bc}s", 12_000),
            ("13ms", 13_000_000),
            ("15m", 900_000_000_000),
            ("16h", 57_600_000_000_000),
            ("3h30m", 12_600_000_000_000),
            ("10.5s4m", 250_500_000_000),
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
            ("39h9m14.425s", 140_954_425_000_000),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("0.9223372036854775807h", 3_320_413_933_267),
            ("0.100000000000000000000h", 360_000_000_000),
            ("9223372036854775807ns", 9_223_372_036_854_775_807),
            ("0.9223372036854775807ns", 0),
            ("00000000000000000000000001s", 1_000_000_000),
            ("0s", 0),
            ("30m", 1_800_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1m1h", 3_660_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("1\u{b5}s", 1_000),
            ("1\u{3bc}s", 1_000),
            ("3h2m1s4ms5us6ns", 10_921_004_005_006),
            ("9223372036854775807ns", i64::MAX as u64),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn rejects_durations_that_are_invalid_in_go() {
        for text in [
            "",
            "3",
            "-",
            "+",
            "s",
            ".",
            "-.",
            ".s",
            "+.s",
            "1d",
            "1 h",
            " 1h",
            "1h ",
            "--1s",
            "1H",
            "1h-30m",
            "1e3s",
            "9223372036854775808ns",
            "99999999999999999999h",
            "-5s",
            "1,5h",
            "\u{661}s",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert_eq!(parse("7d"), Err("the unit \"d\" is unknown: use ns, us, ms, s, m or h".into()));
        assert_eq!(parse("60"), Err("the unit is missing after 60".into()));
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for (text, expected) in [
            ("0", "0s"),
            ("1ns", "1ns"),
            ("1100ns", "1.1\u{b5}s"),
            ("2200us", "2.2ms"),
            ("10ms", "10ms"),
            ("3300ms", "3.3s"),
            ("10s", "10s"),
            ("1m", "1m0s"),
            ("4m5001ms", "4m5.001s"),
            ("1h", "1h0m0s"),
            ("24h30m", "24h30m0s"),
        ] {
            assert_eq!(go_text(parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn durations_round_trip() {
        for nanoseconds in
            [0, 1, 999, 1_000, 61_000_000_000, 3_600_000_000_000, 10_921_004_005_006, i64::MAX as u64]
        {
            let duration = Duration::from_nanos(nanoseconds);
            assert_eq!(parse(&format(duration)), Ok(duration));
        }
        assert_eq!(format(Duration::from_secs(900)), "15m");
    }

    proptest! {
        #[test]
        fn parsing_any_duration_does_not_panic(text in "[-+]?[0-9.a-z\u{b5} ]{0,40}|.*") {
            let _ = parse(&text);
        }

        #[test]
        fn units_are_added(hours in 0u64..10_000, minutes in 0u64..10_000, seconds in 0u64..100_000) {
            let expected = Duration::from_secs(hours * 3600 + minutes * 60 + seconds);
            prop_assert_eq!(parse(&format!("{hours}h{minutes}m{seconds}s")), Ok(expected));
        }
    }
}
