use super::*;
use proptest::prelude::*;

/// Ranges, with versions that lie within and versions that lie outside: what regsync answers, row by row.
const CASES: &[(&str, &[&str], &[&str])] = &[
    // Comparisons.
    (
        ">=1.0.0",
        &["1.0.0", "1", "1.0", "v1.0.0", "1.5.0", "20240101"],
        &["0.9.0", "1.0.0-rc1", "1.0.0-0", "0.9.9.9"],
    ),
    ("<=2.0.0", &["2.0.0", "2", "1.5", "0", "2.0.0-alpine"], &["2.1.0", "2.0.0.1", "2.0.1-rc1"]),
    (">1.0.0", &["1.0.1", "1.0.1-rc1", "1.0.0.1", "1.0.0.1-x"], &["1.0.0", "1", "1.0.0-zzz"]),
    ("<2.0.0", &["1.9.9", "2.0.0-rc1", "2-alpine", "0.0.0-0"], &["2.0.0", "2", "v2.0", "2.0.0.0"]),
    (
        "=1.0.0",
        &["1.0.0", "1", "v1", "1.0.0+build", "1.0.0.0.0", "01.00"],
        &["1.0.1", "1.0.0-rc1", "1.0.0.1"],
    ),
    ("1.0.0", &["1.0.0", "1", "v1.0"], &["1.0.1", "1.0.0-alpine"]),
    ("v1.2", &["1.2.0", "v1.2"], &["1.2.1", "1.2-slim"]),
    (">=v1.22", &["1.22", "v1.30.1"], &["1.21.9", "1.22-rc1"]),
    // Both conditions have to hold.
    (
        ">=1.0.0 <2.0.0",
        &["1.0.0", "1.5.0", "2.0.0-rc1", "1.99.99.99"],
        &["0.9.0", "2.0.0", "2.1.0", "1.0.0-rc1"],
    ),
    (">=2 <5", &["2", "2.0.0", "3.1", "4.99", "5-rc1"], &["5", "1.99", "5.0.1"]),
    (">=1.5 <2.0", &["1.5", "1.5.0", "1.10"], &["1.4.9", "2.0", "2"]),
    ("  >=1.5   <2.0\t", &["1.6"], &["2.0"]),
    (">2 <1", &[], &["1", "1.5", "2", "3"]),
    (">=1 <=3 >1.5", &["2", "3"], &["1", "1.5", "3.0.1"]),
    // Caret.
    (
        "^1.2.3",
        &["1.2.3", "1.2.5", "1.5.0", "1.99", "2.0.0-rc1", "1.2.3.4"],
        &["1.2.2", "2.0.0", "1.2.3-rc1", "0.9"],
    ),
    (
        "^3.12",
        &["3.12", "3.12.0", "3.13-alpine", "3.99", "4.0.0-rc1", "v3.20"],
        &["3.12-alpine", "4", "4.0", "3.11.9"],
    ),
    ("^1", &["1", "1.0.1", "1.99", "2-rc1"], &["2", "0.9", "1-alpine"]),
    ("^0.2.3", &["0.2.3", "0.2.5", "0.3.0-rc1"], &["0.3.0", "0.2.2", "1.2.3"]),
    ("^0.0.3", &["0.0.3", "0.0.3.7", "0.0.4-rc1"], &["0.0.4", "0.0.2", "0.1"]),
    ("^0", &["0", "0.0.0", "0.0.0.5", "0.0.1-rc1"], &["0.0.1", "0.1", "0-rc1"]),
    ("^0.1", &["0.1", "0.1.9"], &["0.2", "0.0.9", "1"]),
    ("^0.0", &["0.0.0"], &["0.0.1"]),
    ("^1.2.3-beta.2", &["1.2.3-beta.2", "1.2.3-beta.11", "1.2.3", "1.9"], &["1.2.3-alpha.9", "1.2.3-b", "2"]),
    ("^v3.18", &["3.18", "v3.20"], &["3.17", "4"]),
    ("^10.0.17763.2114", &["10.0.17763.2114", "10.0.17763.2115", "10.1"], &["10.0.17763.2113", "11"]),
    // Tilde.
    ("~1.2.3", &["1.2.3", "1.2.99", "1.3.0-rc1"], &["1.2.2", "1.3.0", "1.2.3-rc1"]),
    ("~1.2", &["1.2", "1.2.0", "1.2.9"], &["1.3", "1.1.9", "2"]),
    ("~1", &["1", "1.0.9", "1.0.0.1", "1.1-rc1"], &["1.1", "1.1.0", "1.2", "2"]),
    ("~0", &["0", "0.0.9"], &["0.1", "1"]),
    (
        "~3.12-alpine",
        &["3.12-alpine", "3.12-alpine3.19", "3.12", "3.12.4", "3.12.4-alpine"],
        &["3.12-a", "3.13", "3.11"],
    ),
    // What follows a hyphen is a prerelease, whatever it says.
    (
        ">=3.12-alpine",
        &["3.12-alpine", "3.12-slim", "3.12", "3.12.1-alpine"],
        &["3.12-Alpine", "3.12-aaa", "3.11"],
    ),
    (
        "=3.12-alpine",
        &["3.12-alpine", "3.12.0-alpine", "v3.12-alpine"],
        &["3.12", "3.12-alpine3.19", "3.12.1-alpine"],
    ),
    (
        ">=1.0.0-rc2",
        &["1.0.0-rc2", "1.0.0-rc11", "1.0.0", "1.0.0-rc2.1"],
        &["1.0.0-rc1", "1.0.0-rc", "1.0.0-beta9"],
    ),
    ("<1.0.0-rc2", &["1.0.0-rc1", "1.0.0-alpha", "0.9"], &["1.0.0-rc2", "1.0.0-rc10", "1.0.0"]),
    ("<=1.0-rc1-2", &["1.0-rc1-1", "1.0-rc1"], &["1.0-rc1-3", "1.0-rc1-10", "1.0"]),
    // Dates and build numbers are versions.
    (
        ">=20240101",
        &["20240101", "20241231", "20240101.1", "9223372036854775807"],
        &["20231231", "2024.01.01", "1.0"],
    ),
    (">=2024.01.15 <2024.02", &["2024.01.15", "2024.1.31"], &["2024.01.14", "2024.02.01"]),
    (">=2024-01", &["2024-01", "2024-02-03", "2024", "2025-01-01"], &["2023-12-31", "2024-0"]),
];

/// Where regsync's comparison of prereleases gives up and calls them equal, and ours does not.
const UNLIKE_REGSYNC: &[(&str, &[&str], &[&str])] = &[
    ("^1.2.3-beta.2", &["1.2.3-beta.2", "1.2.3-beta.11"], &["1.2.3-beta.1"]),
    (
        ">1.0-alpha.1",
        &["1.0-alpha.2", "1.0-alpha.10", "1.0-beta"],
        &["1.0-alpha.1", "1.0-alpha.0", "1.0-alpha"],
    ),
    ("=1.0-alpha.1", &["1.0-alpha.1", "1.0-alpha.01"], &["1.0-alpha.2", "1.0-alpha"]),
    (">1.0-99999999999999999999", &["1.0-100000000000000000000"], &["1.0-1", "1.0-99999999999999999999"]),
];

#[test]
fn ranges_contain_the_same_versions_as_in_regsync() {
    let rows: usize = CASES.iter().map(|(_, within, outside)| within.len() + outside.len()).sum();
    assert!(rows >= 120, "{rows} rows");
    for (text, within, outside) in CASES.iter().chain(UNLIKE_REGSYNC) {
        let range = Range::parse(text).expect(text);
        let contains = |version: &str| range.contains(&Version::parse(version).expect(version));
        within.iter().for_each(|version| assert!(contains(version), "{version} lies in {text:?}"));
        outside.iter().for_each(|version| assert!(!contains(version), "{version} lies outside {text:?}"));
    }
}

#[test]
fn rejects_ranges_that_regsync_rejects() {
    for (text, why) in [
        ("", "it is empty"),
        ("   ", "it is empty"),
        (">=1.0 || >=3", "\"||\" is not supported"),
        (">=1.0||>=3", "\"||\" is not supported"),
        (">=1.0-rc||>=3", "\"||\" is not supported"),
        (">=1.0,<2.0", "commas are not supported"),
        (">=1.0, <2.0", "commas are not supported"),
        (">=1.0-rc,<2.0", "commas are not supported"),
        ("1.0 - 2.0", "hyphen ranges are not supported"),
        (">= 1.0", "\">=\" has no version; write the operator and its version without a space"),
        ("^ 1.0", "\"^\" has no version"),
        ("~ 1.0", "\"~\" has no version"),
        (">", "\">\" has no version"),
        (">=1.0<2.0", "more than one operator"),
        ("==1.0", "more than one operator"),
        ("~>1.0", "more than one operator"),
        (">=1.0-rc<2", "more than one operator"),
        ("1.x", "\"1.x\" contains a wildcard"),
        ("1.*", "contains a wildcard"),
        ("*", "contains a wildcard"),
        ("^1.X.0", "contains a wildcard"),
        ("latest", "invalid version \"latest\""),
        ("!1.0", "invalid version"),
        ("!=1.0", "more than one operator"),
        (">=abc", "invalid version \"abc\""),
        (">=V1.0", "invalid version \"V1.0\""),
        (">=1.0.", "invalid version \"1.0.\""),
        (">=99999999999999999999", "invalid version"),
        (">=1.0-r(c)", "invalid version"),
        (">=1.0-é", "invalid version"),
    ] {
        let message = Range::parse(text).expect_err(text);
        let start = format!("invalid semver range {text:?}: ");
        assert!(message.starts_with(&start) && message.contains(why), "{message}");
    }
}

#[test]
fn a_range_names_prereleases_if_one_of_its_versions_is_one() {
    let names = |text| Range::parse(text).expect(text).names_prerelease();
    assert!(names(">=3.12-alpine") && names("^1.0.0-0") && names(">=1 <2-rc1"));
    assert!(!names(">=3.12") && !names("^1") && !names("~1.2+build-1"));
}

proptest! {
    #[test]
    fn parsing_any_range_does_not_panic(text in "[~^<>=v0-9. |,x*-]{0,30}|.*") {
        if let Ok(range) = Range::parse(&text) {
            let _ = range.contains(&Version::parse("1.2.3-rc1").expect("a version"));
        }
    }

    #[test]
    fn ranges_contain_their_bounds(version in "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}(-[a-z]{1,3}[0-9]{0,2})?") {
        let own = Version::parse(&version).expect("a version");
        for (operator, holds) in [(">=", true), ("<=", true), ("=", true), ("^", true), ("~", true), ("", true), (">", false), ("<", false)] {
            let range = Range::parse(&format!("{operator}{version}")).expect("a range");
            prop_assert_eq!(range.contains(&own), holds, "{}", operator);
        }
    }
}
