//! Secrets, and whether a server received them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::registry::Registry;

/// A password or a token.
#[derive(Clone, Debug)]
pub struct Secret {
    pub text: String,
    /// The forms that it may take in a header, a query or a body.
    forms: Vec<String>,
}

impl Secret {
    /// Creates a secret. It may contain only letters, digits and `-`, which no encoding of a URL or of JSON changes.
    #[track_caller]
    pub fn new(text: &str) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        assert!(text.len() >= 6 && text.bytes().all(plain), "{text} may be written in other ways");
        // Base64 encodes a text in three ways, depending on its offset; the characters at its ends are mixed with its
        // neighbours.
        let in_base64 = (0..3).map(|before| {
            let padded = format!("{}{text}", "x".repeat(before));
            let encoded = STANDARD_NO_PAD.encode(&padded);
            let (first, last) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
            encoded[first..last].to_owned()
        });
        let forms = std::iter::once(text.to_owned()).chain(in_base64).collect();
        Self { text: text.to_owned(), forms }
    }

    pub fn is_in(&self, said: &str) -> bool {
        self.forms.iter().any(|form| said.contains(form))
    }

    /// Returns whether a request to this server contained it, in the path, the headers or the body.
    pub fn was_told_to(&self, server: &Registry) -> bool {
        self.is_in(&server.log().everything_said())
    }
}
