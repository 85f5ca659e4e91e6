//! Documents whose keys keep their order, written as block-style YAML or as JSON.

use serde_json::Value;

/// A document to be written.
pub(super) enum Document {
    Scalar(Value),
    List(Vec<Document>),
    Map(Vec<(String, Document)>),
}

impl<T: Into<Value>> From<T> for Document {
    fn from(value: T) -> Self {
        match value.into() {
            Value::Array(items) => Document::List(items.into_iter().map(Document::from).collect()),
            Value::Object(fields) => {
                Document::Map(fields.into_iter().map(|(key, value)| (key, Document::from(value))).collect())
            }
            scalar => Document::Scalar(scalar),
        }
    }
}

impl Document {
    pub fn is_empty(&self) -> bool {
        match self {
            Document::Scalar(_) => false,
            Document::List(items) => items.is_empty(),
            Document::Map(fields) => fields.is_empty(),
        }
    }

    /// Writes YAML; text that could be taken for something else is quoted.
    pub fn to_yaml(&self) -> String {
        let mut output = String::new();
        self.block(0, false, &mut output);
        output
    }

    /// Writes indented JSON with a line feed at its end.
    pub fn to_json(&self) -> String {
        let mut output = String::new();
        self.json(0, &mut output);
        output + "\n"
    }

    /// Writes YAML at an indentation. `inline` says that the first line has been started already.
    fn block(&self, indent: usize, inline: bool, output: &mut String) {
        let pad = |first: bool, output: &mut String| {
            if !(first && inline) {
                output.push_str(&" ".repeat(indent));
            }
        };
        match self {
            Document::Map(fields) if !fields.is_empty() => {
                for (index, (key, value)) in fields.iter().enumerate() {
                    pad(index == 0, output);
                    output.push_str(&text(key));
                    let is_block = !matches!(value, Document::Scalar(_)) && !value.is_empty();
                    output.push_str(if is_block { ":\n" } else { ": " });
                    value.block(indent + 2, !is_block, output);
                }
            }
            Document::List(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    pad(index == 0, output);
                    output.push_str("- ");
                    item.block(indent + 2, true, output);
                }
            }
            Document::Scalar(Value::String(value)) => line(&text(value), output),
            Document::Scalar(value) => line(&value.to_string(), output),
            Document::List(_) => line("[]", output),
            Document::Map(_) => line("{}", output),
        }
    }

    fn json(&self, indent: usize, output: &mut String) {
        let pad = |more: usize| format!("\n{}", " ".repeat(indent + more));
        match self {
            Document::Scalar(value) => output.push_str(&value.to_string()),
            Document::List(items) if items.is_empty() => output.push_str("[]"),
            Document::Map(fields) if fields.is_empty() => output.push_str("{}"),
            Document::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    output.push(if index == 0 { '[' } else { ',' });
                    output.push_str(&pad(2));
                    item.json(indent + 2, output);
                }
                output.push_str(&(pad(0) + "]"));
            }
            Document::Map(fields) => {
                for (index, (key, value)) in fields.iter().enumerate() {
                    output.push(if index == 0 { '{' } else { ',' });
                    output.push_str(&format!("{}{}: ", pad(2), Value::from(key.as_str())));
                    value.json(indent + 2, output);
                }
                output.push_str(&(pad(0) + "}"));
            }
        }
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
    fn writes_blocks_and_quotes_ambiguous_text() {
        let value = json!({ "a": { "b": [1, { "c": "x", "d": [] }, null] }, "e": "3.10", "f": "no", "g": "{{.x}}\n" });
        let expected = "a:\n  b:\n    - 1\n    - c: x\n      d: []\n    - null\ne: \"3.10\"\nf: \"no\"\ng: \"{{.x}}\\n\"\n";
        assert_eq!(Document::from(value.clone()).to_yaml(), expected);
        let json: Value = serde_json::from_str(&Document::from(value.clone()).to_json()).unwrap();
        assert_eq!(json, value);
    }

    #[test]
    fn keys_keep_their_order() {
        let document = Document::Map(vec![("b".into(), 1.into()), ("a".into(), json!([true]).into())]);
        assert_eq!(document.to_yaml(), "b: 1\na:\n  - true\n");
        assert_eq!(document.to_json(), "{\n  \"b\": 1,\n  \"a\": [\n    true\n  ]\n}\n");
    }
}
