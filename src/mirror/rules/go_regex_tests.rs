use super::*;
use proptest::prelude::*;
use regex::bytes::RegexBuilder;

/// Returns whether a pattern matches a whole name.
fn matches(pattern: &str, name: &str) -> bool {
    let translated = translate(pattern).expect(pattern).pattern;
    let regex = RegexBuilder::new(&format!("^(?:{translated})$")).unicode(false).build().expect(pattern);
    regex.is_match(name.as_bytes())
}

#[test]
fn patterns_match_what_they_match_in_go() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("latest", &["latest"], &["latest1", "xlatest", ""]),
        ("3.\\d+", &["3.12", "3x12"], &["3.", "3.x", "13.12"]),
        ("v?[0-9]+(\\.[0-9]+){0,2}", &["1", "v1.2.3"], &["1.2.3.4", "v"]),
        ("(?i)RC|beta", &["rc", "BETA"], &["rc1"]),
        ("(?i:a)b", &["Ab", "ab"], &["AB"]),
        ("(?i)a(?-i)b", &["Ab"], &["AB"]),
        ("(?ii-sU)a()", &["A"], &["b"]),
        ("(?)a", &["a"], &["b"]),
        ("(?P<x>a)(?<y>b)(?P<x1>c)", &["abc"], &["ab"]),
        // Classes are plain sets: no operators, no nesting.
        ("[a&&b]", &["a", "&", "b"], &["", "c"]),
        ("[[a]", &["[", "a"], &["b"]),
        ("[a[b]c]", &["ac]", "[c]", "bc]"], &["a", "c"]),
        ("[]a]", &["]", "a"], &["b"]),
        ("[^]a]", &["b"], &["]", "a"]),
        ("[a~~b]", &["a", "~", "b"], &["-"]),
        ("[+--]", &["+", ",", "-"], &["."]),
        ("[a-]", &["a", "-"], &["b"]),
        ("[-a]", &["a", "-"], &["b"]),
        ("[\\w.-]+", &["a_1.-"], &["a b"]),
        ("[a-c-e]+", &["abc-e"], &["d"]),
        ("[[:alpha:][:^digit:]_]", &["a", "_", "."], &["1"]),
        ("[[:alpha]", &["[", ":", "a", "h"], &["z"]),
        ("[\\]\\-\\\\]", &["]", "-", "\\"], &["a"]),
        ("[\\x30-\\x{39}]", &["0", "9"], &["a"]),
        ("[\\S]", &["a"], &[" "]),
        ("[#x y]", &["#", "x", " ", "y"], &["z"]),
        // Escapes.
        ("\\Qa.b*\\Ec+", &["a.b*ccc"], &["axbc"]),
        ("\\Q\\E", &[""], &["a"]),
        ("\\Qa\\d\\E", &["a\\d"], &["a1"]),
        ("\\_\\-\\/\\<\\>", &["_-/<>"], &["-/"]),
        ("\\x41\\x{42}\\103\\060\\0", &["ABC0\0"], &["ABC0"]),
        ("\\b1\\b\\.\\B", &["1."], &["1"]),
        ("\\A1\\z", &["1"], &["11"]),
        // Braces that are no repetition are text.
        ("a{,2}", &["a{,2}"], &["a", "aa"]),
        ("a{ 2 }", &["a{ 2 }"], &["aa"]),
        ("a{02}", &["a{02}"], &["aa"]),
        ("{", &["{"], &[""]),
        ("a{2", &["a{2"], &["aa"]),
        ("a}]", &["a}]"], &["a"]),
        ("a{2}", &["aa"], &["a", "aaa"]),
        ("a{2,}?", &["aa", "aaa"], &["a"]),
        ("a{0,1000}", &["", "aaa"], &["b"]),
        ("a|", &["a", ""], &["b"]),
        ("", &[""], &["a"]),
        ("^a$|^b$", &["a", "b"], &["ab"]),
        ("a#b ", &["a#b "], &["a"]),
    ];
    for (pattern, within, outside) in cases {
        within.iter().for_each(|name| assert!(matches(pattern, name), "{pattern} matches {name:?}"));
        outside.iter().for_each(|name| assert!(!matches(pattern, name), "{pattern} does not match {name:?}"));
    }
}

#[test]
fn rejects_patterns_that_are_invalid_in_go() {
    for (pattern, why) in [
        ("*", "\"*\" has nothing to repeat; patterns are regular expressions"),
        ("*-alpine", "\"*\" has nothing to repeat"),
        ("a|+", "\"+\" has nothing to repeat"),
        ("(?:?a)", "\"?\" has nothing to repeat"),
        ("{2}", "\"{2}\" has nothing to repeat"),
        ("a**", "\"*\" follows another repetition"),
        ("a*??", "\"?\" follows another repetition"),
        ("a{2}{3}", "\"{3}\" follows another repetition"),
        ("a{1001}", "\"{1001}\" is not within 0 and 1000"),
        ("a{2,1}", "\"{2,1}\" is not within"),
        ("a{99999999999}", "is not within"),
        ("(a", "a \"(\" is not closed"),
        ("a)|(b", "a \")\" has no matching \"(\""),
        ("[a", "a \"[\" is not closed"),
        ("[]", "a \"[\" is not closed"),
        ("[z-a]", "the range z-a in a class is reversed"),
        ("[[:alphabet:]]", "\"[:alphabet:]\" is not a class"),
        ("[[::]]", "\"[::]\" is not a class"),
        ("[b--c]", "the range b-- in a class is reversed"),
        ("[[:alfa:]]", "\"[:alfa:]\" is not a class"),
        ("a\\", "it ends with a backslash"),
        ("[a\\", "it ends with a backslash"),
        ("\\Qa", "\\Q is not followed by \\E"),
        ("\\E", "\\E is not an escape sequence"),
        ("\\Z", "\\Z is not an escape sequence"),
        ("\\y", "\\y is not an escape sequence"),
        ("[\\b]", "\\b is not an escape sequence"),
        ("(a)\\1", "backreferences are not supported"),
        ("\\8", "backreferences are not supported"),
        ("\\xg", "\\x is not followed by a hexadecimal number"),
        ("\\x{}", "\\x is not followed by"),
        ("\\x{41", "\\x is not followed by"),
        ("(?=a)", "look-ahead is not supported"),
        ("(?!a)b", "look-ahead is not supported"),
        ("(?<=a)b", "look-behind is not supported"),
        ("(?<!a)b", "look-behind is not supported"),
        ("(?P=a)", "not followed by a name"),
        ("(?P<>a)", "a group has an invalid name"),
        ("(?<a", "a group has an invalid name"),
        ("(?x)a", "\"(?\" is followed by 'x'"),
        ("(?>a)", "\"(?\" is followed by '>'"),
        ("(?i-)a", "\"(?\" is followed by ')'"),
        ("(?", "a \"(\" is not closed"),
        ("\\pL", "Unicode classes"),
        ("[\\p{Greek}]", "Unicode classes"),
        ("é", "not ASCII"),
        ("\\xe9", "not ASCII"),
        ("[\\x{10ffff}]", "not ASCII"),
    ] {
        let message = translate(pattern).expect_err(pattern);
        assert!(message.contains(why), "{pattern}: {message}");
    }
    let deep = "(".repeat(101) + &")".repeat(101);
    assert!(translate(&deep).is_err_and(|message| message.contains("nested more than 100 deep")));
    assert!(translate(&deep[1..201]).is_ok());
}

#[test]
fn plain_text_is_recognised() {
    let literal = |pattern| translate(pattern).expect(pattern).literal;
    assert_eq!(literal("latest"), Some("latest".into()));
    assert_eq!(literal("3\\.12\\-alpine"), Some("3.12-alpine".into()));
    assert_eq!(literal("\\Q1.0\\E"), Some("1.0".into()));
    for pattern in ["3.12", "a?", "[a]", "(a)", "a|b", "^a", "\\d", "(?i)a", "a{2}"] {
        assert_eq!(literal(pattern), None, "{pattern}");
    }
}

#[test]
fn hyphens_outside_of_classes_are_noticed() {
    for (pattern, has_hyphen) in [
        ("\\d+-alpine", true),
        ("\\d+(\\-rc)?", true),
        ("\\x2d", true),
        ("\\Q-\\E", true),
        ("[\\d.-]+", false),
        ("[a-z]", false),
        ("(?i-s)a", false),
        (".*", false),
    ] {
        assert_eq!(translate(pattern).expect(pattern).has_hyphen, has_hyphen, "{pattern}");
    }
}

#[test]
fn alternations_without_a_group_are_loose() {
    for (pattern, is_loose) in [
        ("a|b", true),
        ("a|", true),
        ("|a", true),
        ("a$|b", true),
        ("a|^b", true),
        ("a$|^b", false),
        ("^a$|^b$|^c$", false),
        ("a$|b$|^c", true),
        ("a.*|.*b", false),
        ("a.+|.+?b", false),
        ("a\\z|\\Ab", false),
        ("a.?|^b", true),
        ("a\\.*|^b", true),
        ("a.*c|^b", true),
        ("a.{2,}|^b", false),
        ("a.{2,3}|^b", true),
        ("a$?|^b", true),
        ("a$|^*b", true),
        ("a$|(^b)", true),
        ("(a|b)", false),
        ("(?:a|b)c|^d", true),
        ("[a|b]", false),
        ("a\\|b", false),
        ("\\Qa|b\\E", false),
        ("(?i)a$|^b", false),
        ("ab", false),
    ] {
        assert_eq!(translate(pattern).expect(pattern).is_loose, is_loose, "{pattern}");
    }
}

/// Patterns that are valid more often than not.
fn any_pattern() -> impl Strategy<Value = String> {
    "([ab.^$|()?*+-]|\\[|\\]|\\\\[dwQEx0-9.]|\\{[0-3],?[0-3]?\\}|\\(\\?[imsU-]{0,2}:?){0,12}"
}

proptest! {
    #[test]
    fn translated_patterns_compile(pattern in any_pattern()) {
        if let Ok(translation) = translate(&pattern) {
            let regex = RegexBuilder::new(&format!("^(?:{})$", translation.pattern)).unicode(false).build();
            prop_assert!(regex.is_ok(), "{} -> {}", pattern, translation.pattern);
        }
    }

    #[test]
    fn plain_text_matches_like_its_pattern(pattern in any_pattern(), name in "[ab.-]{0,4}") {
        if let Ok(Translation { literal: Some(literal), .. }) = translate(&pattern) {
            prop_assert!(matches(&pattern, &literal));
            prop_assert_eq!(matches(&pattern, &name), literal == name);
        }
    }

    #[test]
    fn patterns_that_are_not_loose_match_the_same_without_a_group(pattern in any_pattern(), name in "[ab.-]{0,4}") {
        if let Ok(Translation { pattern, is_loose: false, .. }) = translate(&pattern) {
            let bare = RegexBuilder::new(&format!("^{pattern}$")).unicode(false).build();
            let group = RegexBuilder::new(&format!("^(?:{pattern})$")).unicode(false).build();
            let is_match = |regex: Result<regex::bytes::Regex, _>| regex.map(|r| r.is_match(name.as_bytes())).ok();
            prop_assert_eq!(is_match(bare), is_match(group), "{}", pattern);
        }
    }

    #[test]
    fn translating_any_pattern_does_not_panic(pattern in ".*") {
        let _ = translate(&pattern);
    }
}
