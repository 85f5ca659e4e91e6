//! Writes JSON values as block-style YAML.

use serde_json::Value;

/// Writes a value; text that YAML could take for something else is quoted.
pub(super) fn write(value: &Value) -> String {
    let mut output = String::new();
    block(value, 0, false, &mut output);
    output
}

/// Writes a collection at an indentation. `inline` says that its first line has been started already.
fn block(value: &Value, indent: usize, inline: bool, output: &mut String) {
    let pad = |first: bool, output: &mut String| {
        if !(first && inline) {
            output.push_str(&" ".repeat(indent));
        }
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (index, (key, value)) in fields.iter().enumerate() {
                pad(index == 0, output);
                output.push_str(&text(key));
                output.push(':');
                match value {
                    Value::Object(inner) if !inner.is_empty() => {
                        output.push('\n');
                        block(value, indent + 2, false, output);
                    }
                    Value::Array(items) if !items.is_empty() => {
                        output.push('\n');
                        block(value, indent + 2, false, output);
                    }
                    scalar => {
                        output.push(' ');
                        block(scalar, 0, true, output);
                    }
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                pad(index == 0, output);
                output.push_str("- ");
                block(item, indent + 2, true, output);
            }
        }
        Value::String(value) => line(&text(value), output),
        other => line(&other.to_string(), output),
    }
}

fn line(text: &str, output: &mut String) {
    output.push_str(text);
    output.push('\n');
}

/// Writes text plainly where it cannot be taken for anything else, else in double quotes.
fn text(value: &str) -> String {
    let is_plain = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '@' | '+' | ':'))
        && !value.ends_with(':')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&value.to_ascii_lowercase().as_str());
    if is_plain {
        return value.into();
    }
    let mut quoted = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') =>
            {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_written_as_blocks_and_doubtful_text_is_quoted() {
        let value = json!({ "a": { "b": [1, { "c": "x", "d": [] }, null] }, "e": "3.10", "f": "no", "g": "{{.x}}\n" });
        let expected = "a:\n  b:\n    - 1\n    - c: x\n      d: []\n    - null\ne: \"3.10\"\nf: \"no\"\ng: \"{{.x}}\\n\"\n";
        assert_eq!(write(&value), expected);
    }
}
