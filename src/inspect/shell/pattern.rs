//! Patterns, ranges and simple arithmetic.

/// Returns whether unquoted text may expand to other words, because it contains a file pattern or braces.
pub fn expands(text: &str) -> bool {
    let has_braces = text.contains('{') && text.contains('}') && (text.contains(',') || text.contains(".."));
    has_braces || text.contains(['*', '?']) || (text.contains('[') && text.contains(']') && text.len() > 2)
}

/// Returns whether a text matches a shell pattern; `None` if the pattern uses more than `*`, `?`, `[…]` and `\`.
pub fn matches(pattern: &str, text: &str) -> Option<bool> {
    let is_extended = |pair: (char, char)| "?*+@!".contains(pair.0) && pair.1 == '(';
    if pattern.chars().zip(pattern.chars().skip(1)).any(is_extended) {
        return None;
    }
    if pattern.len().saturating_mul(text.len()) > 1 << 22 {
        return None;
    }
    let tokens = tokens(&pattern.chars().collect::<Vec<_>>());
    let text: Vec<char> = text.chars().collect();
    // The usual algorithm, which backtracks only to the last `*`.
    let (mut at, mut in_text, mut back) = (0, 0, None);
    loop {
        match (tokens.get(at), text.get(in_text)) {
            (Some(Token::Any), _) => {
                back = Some((at + 1, in_text));
                at += 1;
            }
            (Some(token), Some(c)) if token.matches(*c) => {
                at += 1;
                in_text += 1;
            }
            (None, None) => return Some(true),
            _ => match back {
                Some((token, start)) if start < text.len() => {
                    back = Some((token, start + 1));
                    at = token;
                    in_text = start + 1;
                }
                _ => return Some(false),
            },
        }
    }
}

enum Token {
    Any,
    One,
    Char(char),
    Class(bool, Vec<(char, char)>),
}

impl Token {
    fn matches(&self, c: char) -> bool {
        match self {
            Token::Any => false,
            Token::One => true,
            Token::Char(own) => *own == c,
            Token::Class(is_negated, ranges) => {
                *is_negated != ranges.iter().any(|(from, to)| (*from..=*to).contains(&c))
            }
        }
    }
}

fn tokens(pattern: &[char]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = pattern.get(at) {
        at += 1;
        tokens.push(match c {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => {
                at += 1;
                Token::Char(pattern.get(at - 1).copied().unwrap_or('\\'))
            }
            '[' => match class(pattern.get(at..).unwrap_or_default()) {
                Some((token, length)) => {
                    at += length;
                    token
                }
                None => Token::Char('['),
            },
            c => Token::Char(*c),
        });
    }
    tokens
}

fn class(text: &[char]) -> Option<(Token, usize)> {
    let is_negated = matches!(text.first(), Some('!' | '^'));
    let start = usize::from(is_negated);
    let end = text.iter().take(256).skip(start + 1).position(|c| *c == ']')? + start + 1;
    let body = text.get(start..end)?;
    let mut ranges = Vec::new();
    if body.windows(2).any(|pair| pair == ['[', ':']) {
        ranges.extend(named(&body.iter().collect::<String>())?);
        return Some((Token::Class(is_negated, ranges), end + 2));
    }
    let mut at = 0;
    while let Some(from) = body.get(at) {
        match (body.get(at + 1), body.get(at + 2)) {
            (Some('-'), Some(to)) => {
                ranges.push((*from, *to));
                at += 3;
            }
            _ => {
                ranges.push((*from, *from));
                at += 1;
            }
        }
    }
    Some((Token::Class(is_negated, ranges), end + 1))
}

fn named(name: &str) -> Option<Vec<(char, char)>> {
    Some(match name {
        "[:digit:" => vec![('0', '9')],
        "[:alpha:" => vec![('a', 'z'), ('A', 'Z')],
        "[:alnum:" => vec![('0', '9'), ('a', 'z'), ('A', 'Z')],
        "[:space:" => vec![(' ', ' '), ('\t', '\r')],
        "[:upper:" => vec![('A', 'Z')],
        "[:lower:" => vec![('a', 'z')],
        _ => return None,
    })
}

/// The maximum length of a text from which [`strip`] removes a part.
pub const MAX_STRIPPED: usize = 1024;

/// Removes the shortest or longest prefix or suffix that matches a pattern.
pub fn strip(text: &str, pattern: &str, is_prefix: bool, is_greedy: bool) -> Option<String> {
    let mut cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    if is_prefix == is_greedy {
        cuts.reverse();
    }
    for cut in cuts {
        let (before, after) = text.split_at(cut);
        let (removed, kept) = if is_prefix { (before, after) } else { (after, before) };
        if matches(pattern, removed)? {
            return Some(kept.into());
        }
    }
    Some(text.into())
}

/// Returns the offset and length of a substring expansion.
pub fn range(text: &str) -> Option<(i64, Option<i64>)> {
    let (offset, length) = match text.split_once(':') {
        Some((offset, length)) => (offset, Some(length.trim().parse().ok()?)),
        None => (text, None),
    };
    Some((offset.trim().parse().ok()?, length))
}

/// Returns a substring as bash computes it.
pub fn substring(text: &str, (offset, length): (i64, Option<i64>)) -> String {
    let count = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let start = if offset < 0 { count.saturating_add(offset) } else { offset };
    if start < 0 {
        return String::new();
    }
    let end = match length {
        None => count,
        Some(length) if length < 0 => count.saturating_add(length),
        Some(length) => start.saturating_add(length),
    };
    let as_count = |number: i64| usize::try_from(number).unwrap_or(0);
    text.chars().skip(as_count(start)).take(as_count(end.saturating_sub(start))).collect()
}

/// Returns the value of an expression that is a number or a name, or compares or adds two of them.
pub fn arithmetic(text: &str, number: &dyn Fn(&str) -> Option<i64>) -> Option<i64> {
    let text = text.trim();
    let operand = |text: &str| {
        let text = text.trim().trim_start_matches("${").trim_end_matches('}');
        let text = text.trim_start_matches('$').trim();
        let is_simple = !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_#".contains(&byte));
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        match () {
            () if !is_simple => None,
            () if is_number => text.parse().ok(),
            () => number(text),
        }
    };
    for operator in ["==", "!=", "<=", ">=", "<", ">", "+", "-"] {
        let Some((left, right)) = text.split_once(operator) else { continue };
        let (left, right) = (operand(left)?, operand(right)?);
        return Some(match operator {
            "==" => i64::from(left == right),
            "!=" => i64::from(left != right),
            "<=" => i64::from(left <= right),
            ">=" => i64::from(left >= right),
            "<" => i64::from(left < right),
            ">" => i64::from(left > right),
            "+" => left.checked_add(right)?,
            _ => left.checked_sub(right)?,
        });
    }
    operand(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_patterns_like_case() {
        for (pattern, text, expected) in [
            ("-*", "-g", true),
            ("-*", "g", false),
            ("*.conf", "/etc/redis.conf", true),
            ("a?c", "abc", true),
            ("[0-9]*", "7x", true),
            ("[!a]*", "abc", false),
            ("*", "", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("[", "[", true),
            ("[[:digit:]]x", "1x", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), Some(expected), "{pattern} {text}");
        }
        assert_eq!(matches("@(a|b)", "a"), None);
    }

    #[test]
    fn strips_prefixes_and_suffixes() {
        assert_eq!(strip("-x", "-", true, false).as_deref(), Some("x"));
        assert_eq!(strip("redis.conf", "*.", true, false).as_deref(), Some("conf"));
        assert_eq!(strip("a/b/c", "*/", true, true).as_deref(), Some("c"));
        assert_eq!(strip("a/b/c", "/*", false, false).as_deref(), Some("a/b"));
        assert_eq!(strip("a/b/c", "/*", false, true).as_deref(), Some("a"));
    }

    #[test]
    fn evaluates_substrings_and_numbers() {
        assert_eq!(substring("-x", (0, Some(1))), "-");
        assert_eq!(substring("abc", (-1, None)), "c");
        assert_eq!(substring("abc", (5, None)), "");
        assert_eq!(range("0:1"), Some((0, Some(1))));
        let number = |name: &str| (name == "#").then_some(2);
        assert_eq!(arithmetic("$# > 1", &number), Some(1));
        assert_eq!(arithmetic("# == 0", &number), Some(0));
        assert_eq!(arithmetic("x", &number), None);
        assert_eq!(arithmetic("9223372036854775807 + 1", &number), None);
    }
}
