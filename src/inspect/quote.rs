//! Text for people: command lines in POSIX shell syntax, and lines of evidence.

use crate::inspect::verdict::Evidence;

/// Returns a command line that a POSIX shell splits into the same words.
pub fn command_line<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quoted(word.as_ref())).collect();
    quoted.join(" ")
}

/// Returns a word, quoted if necessary.
pub fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

impl Evidence {
    /// Returns the fact with its place.
    pub fn line_for_people(&self) -> String {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: {}", self.what),
            (Some(file), None) => format!("{file}: {}", self.what),
            _ => self.what.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_words_only_if_necessary() {
        assert_eq!(command_line(&["nginx", "-g", "daemon off;"]), "nginx -g 'daemon off;'");
        assert_eq!(command_line(&["echo", "", "it's", "$x"]), "echo '' 'it'\\''s' '$x'");
        assert_eq!(quoted("a=b"), "a=b");
        assert_eq!(quoted("~"), "'~'");
    }

    #[test]
    fn formats_evidence_with_its_place() {
        let evidence =
            Evidence { file: Some("/run.sh".into()), line: Some(3), layer: None, what: "exec `x`".into() };
        assert_eq!(evidence.line_for_people(), "/run.sh:3: exec `x`");
    }
}
