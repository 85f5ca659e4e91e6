//! Durations as Go's `time.ParseDuration` reads them.

use std::time::Duration;

/// Go keeps durations as nanoseconds in 63 bits.
const LONGEST: u128 = i64::MAX as u128;

/// The units, in nanoseconds. Microseconds are written with either of two signs that look the same.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Parses a duration such as `90s`, `1h30m` or `1.5h`; only `0` may lack a unit. Returns a whole message as the error.
/// Negative durations are errors.
pub fn parse(text: &str) -> Result<Duration, String> {
    let nanoseconds = nanoseconds(text).map_err(|why| format!("invalid duration {text:?}: {why}"))?;
    Ok(Duration::from_nanos(nanoseconds))
}

fn nanoseconds(text: &str) -> Result<u64, String> {
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return Err("it lacks a number; write it as \"90s\" or \"1h30m\"".to_string());
    }
    let mut total = 0;
    if rest != "0" {
        while !rest.is_empty() {
            let (term, tail) = term(rest)?;
            total += term;
            if total > LONGEST {
                return Err(too_long());
            }
            rest = tail;
        }
    }
    if is_negative && total > 0 {
        return Err("it is negative".to_string());
    }
    u64::try_from(total).map_err(|_| too_long())
}

/// Reads a number and its unit; returns nanoseconds and the rest of the text.
fn term(text: &str) -> Result<(u128, &str), String> {
    let (whole, rest) = split_digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(format!("{text:?} does not begin with a number"));
    }
    let (unit, rest) =
        rest.split_at(rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len()));
    let Some((_, nanoseconds)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(match unit {
            "" => "it lacks a unit; use ns, us, ms, s, m or h".to_string(),
            _ => format!("{unit:?} is not a unit; use ns, us, ms, s, m or h"),
        });
    };
    let whole: u128 = match whole.trim_start_matches('0') {
        "" => 0,
        digits => digits.parse::<u64>().map_err(|_| too_long())?.into(),
    };
    Ok((whole * nanoseconds + fraction_of(fraction, *nanoseconds), rest))
}

/// Returns a fraction of a unit, computed as Go does: in floating point, of as many digits as fit into 63 bits.
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

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn too_long() -> String {
    "it is longer than 292 years".to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let cases = [
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
        ];
        for (text, nanoseconds) in cases {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused_with_a_reason() {
        let cases = [
            ("", "it lacks a number"),
            ("-", "it lacks a number"),
            ("3", "it lacks a unit"),
            ("3600", "it lacks a unit"),
            ("s", "\"s\" does not begin with a number"),
            (".", "\".\" does not begin with a number"),
            ("-.", "does not begin with a number"),
            (".s", "does not begin with a number"),
            ("+.s", "does not begin with a number"),
            ("1d", "\"d\" is not a unit"),
            ("1 h", "\" h\" is not a unit"),
            ("1h ", "\"h \" is not a unit"),
            ("1H", "\"H\" is not a unit"),
            ("1h-5m", "\"h-\" is not a unit"),
            ("\u{85}\u{85}", "does not begin with a number"),
            ("-5m", "it is negative"),
            ("9223372036854775808ns", "292 years"),
            ("3000000h", "292 years"),
            ("99999999999999999999h", "292 years"),
            ("9223372036854ms776us", "292 years"),
        ];
        for (text, why) in cases {
            let message = parse(text).expect_err(text);
            assert!(message.starts_with("invalid duration \"") && message.contains(why), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-+]?[0-9.a-z\u{b5} ]{0,40}|.*") {
            let _ = parse(&text);
        }

        #[test]
        fn whole_units_add_up(hours in 0u64..10_000, minutes in 0u64..10_000, seconds in 0u64..100_000) {
            let expected = Duration::from_secs(hours * 3600 + minutes * 60 + seconds);
            prop_assert_eq!(parse(&format!("{hours}h{minutes}m{seconds}s")), Ok(expected));
        }
    }
}
