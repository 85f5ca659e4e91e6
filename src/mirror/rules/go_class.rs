//! Translates a character class of Go's regular expressions.
//!
//! The `regex` crate has set operators and nested classes, which Go does not have, so every character is
//! written as its number.

use super::go_escape::escaped_char;
use std::iter::Peekable;
use std::str::Chars;

/// The names that a class may contain as `[:name:]`.
const NAMES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// Translates a class whose `[` has been read, up to its `]`.
pub(super) fn translate(rest: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut class = String::from(if rest.next_if_eq(&'^').is_some() { "[^" } else { "[" });
    let mut is_first = true;
    while is_first || rest.next_if_eq(&']').is_none() {
        is_first = false;
        match named(rest)?.or_else(|| perl(rest)) {
            Some(named) => class.push_str(&named),
            None => class.push_str(&range(rest)?),
        }
    }
    class.push(']');
    Ok(class)
}

/// Reads `[:name:]`. A `[` without a `:]` before the next bracket is text.
fn named(rest: &mut Peekable<Chars<'_>>) -> Result<Option<String>, String> {
    let mut ahead = rest.clone();
    if (ahead.next(), ahead.next()) != (Some('['), Some(':')) {
        return Ok(None);
    }
    let mut text = String::new();
    while let Some(c) = ahead.next_if(|c| !"[]".contains(*c)) {
        text.push(c);
    }
    let (Some(name), Some(_)) = (text.strip_suffix(':'), ahead.next_if_eq(&']')) else {
        return Ok(None);
    };
    if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Err(format!("\"[:{name}:]\" is not a class"));
    }
    *rest = ahead;
    Ok(Some(format!("[:{name}:]")))
}

fn perl(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut ahead = rest.clone();
    let class = match (ahead.next(), ahead.next()) {
        (Some('\\'), Some(class @ ('d' | 'D' | 's' | 'S' | 'w' | 'W'))) => class,
        _ => return None,
    };
    *rest = ahead;
    Some(format!("\\{class}"))
}

/// Reads a character or a range of characters. A hyphen before the closing bracket is text.
fn range(rest: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let low = character(rest)?;
    let mut ahead = rest.clone();
    let is_range = ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']');
    if !is_range {
        return Ok(coded(low));
    }
    rest.next();
    let high = character(rest)?;
    if high < low {
        return Err(format!("the range {low}-{high} in a class is reversed"));
    }
    Ok(format!("{}-{}", coded(low), coded(high)))
}

fn character(rest: &mut Peekable<Chars<'_>>) -> Result<char, String> {
    match rest.next() {
        None => Err("a \"[\" is not closed".to_string()),
        Some('\\') => escaped_char(rest),
        Some(c) => Ok(c),
    }
}

fn coded(c: char) -> String {
    format!("\\x{{{:x}}}", u32::from(c))
}
