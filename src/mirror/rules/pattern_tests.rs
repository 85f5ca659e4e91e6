use super::*;

fn pattern(text: &str) -> Pattern {
    Pattern::new(Some(text)).expect(text).0
}

#[test]
fn patterns_match_whole_names() {
    assert!(pattern("a|b").matches("a") && pattern("a|b").matches("b"));
    for other in ["ab", "ax", "xb", ""] {
        assert!(!pattern("a|b").matches(other), "{other}");
    }
    assert!(pattern("3\\.\\d+").matches("3.12") && !pattern("3\\.\\d+").matches("3.12-alpine"));
    assert!(pattern("latest").matches("latest") && !pattern("latest").matches("latest-alpine"));
}

#[test]
fn a_null_matches_nothing() {
    let (null, warning) = Pattern::new(None).expect("a null");
    assert!(!null.matches("") && !null.matches("null") && warning.is_none());
    assert_eq!(null.as_str(), "null");
}

#[test]
fn an_empty_pattern_matches_no_name() {
    assert!(!pattern("").matches("latest"));
}

#[test]
fn a_warning_says_what_an_alternation_means_in_regsync() {
    let (_, warning) = Pattern::new(Some("latest|3.*")).expect("a pattern");
    let warning = warning.expect("a warning");
    assert!(warning.contains("\"^(?:latest|3.*)$\"; regsync reads it as \"^latest|3.*$\""), "{warning}");
    assert_eq!(Pattern::new(Some("(latest|3.*)")).expect("a pattern").1, None);
}

#[test]
fn patterns_that_would_take_too_much_memory_are_refused() {
    let message = Pattern::new(Some("((a{1000}){1000}){1000}")).expect_err("too large");
    assert_eq!(message, "it is too large");
    let message = Pattern::new(Some(&"(a|b)".repeat(100_000))).expect_err("too large");
    assert_eq!(message, "it is too large");
}

#[test]
fn matching_takes_linear_time() {
    let name = "a".repeat(128);
    assert!(pattern("(a*)*(a|aa)+[ab]*").matches(&name));
    assert!(!pattern("(a*)*(a|aa)+b").matches(&name));
}

#[test]
fn a_hyphen_in_the_pattern_names_prereleases() {
    assert!(pattern("\\d+\\.\\d+-alpine").names_prerelease("3.12-alpine"));
    assert!(pattern("3.12-rc1").names_prerelease("3.12-rc1"));
    assert!(!pattern("\\d+\\.\\d+-alpine").names_prerelease("3.12-slim"));
    assert!(!pattern(".*").names_prerelease("3.12-alpine"));
    assert!(!pattern("[\\w.-]+").names_prerelease("3.12-alpine"));
}
