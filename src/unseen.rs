//! Characters that do not show as themselves: they move the cursor, set colours, change the writing direction, or are
//! invisible. Names and commands from images and registries may contain them.

/// Returns whether a character does not show as itself. Variation selectors, which emoji have, are not counted.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Line and paragraph separators.
            '\u{2028}'..='\u{2029}'
            // Unicode's Default_Ignorable_Code_Point, with the marks for writing directions.
            | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns a line of text that is safe for a terminal: unseen characters are written as in Rust.
pub fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match is_unseen(c) {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line
}

/// Returns the same JSON, safe for a terminal: unseen characters are written as `\uXXXX`. They can be in strings only,
/// except for the white space between values.
pub fn printable_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unseen(c) && !c.is_ascii_whitespace() {
            text.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind.
    const UNSEEN: &str = "\0\u{1b}\u{7f}\u{9b}\u{ad}\u{61c}\u{200b}\u{200e}\u{2028}\u{202e}\u{2060}\u{2067}\u{feff}\u{fffb}\u{e0041}";

    #[test]
    fn characters_that_do_not_show_are_escaped() {
        assert!(UNSEEN.chars().all(is_unseen));
        for text in ["", "a b", "grün", "日本語", "العربية", "❤\u{fe0f}", "a\\\"b"] {
            assert_eq!(printable(text), text);
            assert_eq!(printable_json(text), text);
        }
        assert_eq!(printable("a\n\u{202e}b\u{61c}"), r"a\n\u{202e}b\u{61c}");
        assert!(!printable(UNSEEN).chars().any(is_unseen));
    }

    #[test]
    fn json_stays_json_of_the_same_values() {
        assert_eq!(printable_json("\"\u{9b}\u{202e}\u{e0041}\""), r#""\u009b\u202e\udb40\udc41""#);
        let value = serde_json::json!({ UNSEEN: [UNSEEN, "\n\t", 1] });
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let shown = printable_json(&text);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
            assert!(!shown.chars().any(|c| is_unseen(c) && c != '\n'), "{shown:?}");
        }
    }
}
