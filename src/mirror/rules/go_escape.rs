//! Escape sequences of Go's regular expressions that denote one character.

use std::iter::Peekable;
use std::str::Chars;

/// Reads what follows a backslash before a single character.
pub(super) fn escaped_char(rest: &mut Peekable<Chars<'_>>) -> Result<char, String> {
    let c = rest.next().ok_or("it ends with a backslash")?;
    let octal = |c: &char| ('0'..='7').contains(c);
    let value = match c {
        'p' | 'P' => return Err("Unicode classes (\\p) are not supported; names are ASCII".to_string()),
        '0'..='7' if c == '0' || rest.peek().is_some_and(octal) => (0..2)
            .map_while(|_| rest.next_if(octal))
            .fold(c as u32 - 48, |value, c| value * 8 + c as u32 - 48),
        '1'..='9' => return Err("backreferences are not supported".to_string()),
        'x' => hexadecimal(rest).ok_or("\\x is not followed by a hexadecimal number")?,
        'a' => 7,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'v' => 11,
        _ if c.is_ascii_punctuation() || c.is_ascii_control() || c == ' ' => c as u32,
        _ => return Err(format!("\\{c} is not an escape sequence")),
    };
    u8::try_from(value)
        .ok()
        .filter(u8::is_ascii)
        .map(char::from)
        .ok_or_else(|| "an escape sequence denotes a character that is not ASCII".to_string())
}

/// Reads two hexadecimal digits, or any number of them in braces.
fn hexadecimal(rest: &mut Peekable<Chars<'_>>) -> Option<u32> {
    let is_braced = rest.next_if_eq(&'{').is_some();
    let most = if is_braced { 8 } else { 2 };
    let digits: String = (0..most).map_while(|_| rest.next_if(char::is_ascii_hexdigit)).collect();
    let is_whole = if is_braced { rest.next_if_eq(&'}').is_some() } else { digits.len() == 2 };
    u32::from_str_radix(&digits, 16).ok().filter(|_| is_whole)
}
