//! Authentication of webhook senders by a shared secret.
//!
//! Only keys derived from secrets are kept, not their text, and comparisons take constant time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName};
use ring::hmac;
use std::fmt;

/// The header of signatures that most senders use.
pub const SIGNATURE_HEADER: &str = "X-Hub-Signature-256";

/// A secret that is shared with a sender.
#[derive(Clone)]
struct Secret {
    key: hmac::Key,
    /// The secret, signed with itself: presented secrets are signed as well, so that only signatures are
    /// compared.
    itself: hmac::Tag,
}

impl Secret {
    fn new(text: &str) -> Result<Self, BadProof> {
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() {
            return Err(BadProof("invalid secret: it is empty"));
        }
        if text.trim() != text || text.contains(char::is_control) {
            return Err(BadProof("invalid secret: it has white space around it or control characters in it"));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes());
        let itself = hmac::sign(&key, text.as_bytes());
        Ok(Secret { key, itself })
    }

    fn equals(&self, presented: &[u8]) -> bool {
        hmac::verify(&self.key, presented, self.itself.as_ref()).is_ok()
    }

    fn signed(&self, body: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.key, body, signature).is_ok()
    }
}

/// The reason why a proof is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadProof(&'static str);

impl fmt::Display for BadProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadProof {}

/// The way in which a sender authenticates.
#[derive(Clone)]
pub struct Proof(Way);

#[derive(Clone)]
enum Way {
    Nothing,
    Header(HeaderName, Secret),
    Bearer(Secret),
    Signature(HeaderName, Secret),
    Path(Secret),
}

impl Proof {
    /// Expects nothing: anyone who reaches the listener may send events.
    pub fn nothing() -> Self {
        Proof(Way::Nothing)
    }

    /// Expects a header whose entire value is the secret. GitLab and Harbor send it in `Authorization`.
    pub fn header(name: &str, secret: &str) -> Result<Self, BadProof> {
        Ok(Proof(Way::Header(header_name(name)?, Secret::new(secret)?)))
    }

    /// Expects `Authorization: Bearer SECRET`.
    pub fn bearer(secret: &str) -> Result<Self, BadProof> {
        Ok(Proof(Way::Bearer(Secret::new(secret)?)))
    }

    /// Expects a header with the HMAC-SHA256 of the body, in hexadecimal or base64, with or without a prefix
    /// `sha256=`. The usual name is [`SIGNATURE_HEADER`].
    pub fn signature(name: &str, secret: &str) -> Result<Self, BadProof> {
        Ok(Proof(Way::Signature(header_name(name)?, Secret::new(secret)?)))
    }

    /// Expects the secret as the last segment of the path, for senders that cannot set headers: Docker Hub
    /// and Quay.
    pub fn path(secret: &str) -> Result<Self, BadProof> {
        let proof = Secret::new(secret)?;
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        match secret.trim_end().bytes().all(is_plain) {
            true => Ok(Proof(Way::Path(proof))),
            false => {
                Err(BadProof("invalid secret: in a path it may contain only letters, digits and - . _ ~"))
            }
        }
    }

    /// Checks the headers, or the token at the end of the path. Signatures are checked by
    /// [`check_body`](Self::check_body).
    pub fn check_head(&self, headers: &HeaderMap, token: Option<&str>) -> Result<(), Denied> {
        let good = match &self.0 {
            Way::Nothing => true,
            Way::Header(name, secret) => single(headers, name).is_some_and(|value| secret.equals(value)),
            Way::Bearer(secret) => bearer(headers).is_some_and(|value| secret.equals(value)),
            Way::Path(secret) => token.is_some_and(|token| secret.equals(token.as_bytes())),
            Way::Signature(name, _) => headers.contains_key(name),
        };
        if good { Ok(()) } else { Err(self.denied()) }
    }

    /// Checks the signature of the body. Accepts it for all other proofs.
    pub fn check_body(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Denied> {
        let Way::Signature(name, secret) = &self.0 else { return Ok(()) };
        match single(headers, name)
            .and_then(signature)
            .is_some_and(|signature| secret.signed(body, &signature))
        {
            true => Ok(()),
            false => Err(self.denied()),
        }
    }

    /// Returns whether the secret is part of the path.
    pub fn is_path(&self) -> bool {
        matches!(self.0, Way::Path(_))
    }

    fn denied(&self) -> Denied {
        match &self.0 {
            Way::Nothing => Denied::Forbidden(String::new()),
            Way::Header(name, _) => Denied::Forbidden(format!("the header {name} must be the shared secret")),
            Way::Bearer(_) => Denied::Unauthorized,
            Way::Signature(name, _) => Denied::Forbidden(format!(
                "the header {name} must be the HMAC-SHA256 of the body with the shared secret"
            )),
            Way::Path(_) => Denied::Forbidden("the path must end in the shared secret".into()),
        }
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Way::Header(name, _) => write!(f, "header {name} (hidden)"),
            Way::Bearer(_) => f.write_str("bearer (hidden)"),
            Way::Signature(name, _) => write!(f, "signature in {name} (hidden)"),
            Way::Nothing => f.write_str("nothing"),
            Way::Path(_) => f.write_str("path (hidden)"),
        }
    }
}

/// The refusal of a sender that did not authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Status 401 with a challenge, for schemes that HTTP defines.
    Unauthorized,
    /// Status 403, and what is expected.
    Forbidden(String),
}

fn header_name(text: &str) -> Result<HeaderName, BadProof> {
    text.parse().map_err(|_| BadProof("invalid header name"))
}

/// Returns the value of a header that was sent exactly once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value.as_bytes())
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = single(headers, &AUTHORIZATION)?;
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token.trim_ascii())
}

/// Decodes a signature.
fn signature(value: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let text = text.strip_prefix("sha256=").unwrap_or(text);
    match text.len() {
        64 => hexadecimal(text),
        _ => STANDARD.decode(text).ok(),
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| pair.iter().try_fold(0, |sum, byte| Some(sum * 16 + digit(byte)?));
    text.as_bytes().chunks_exact(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs =
            pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
        pairs.collect::<Vec<_>>().into_iter().fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
    }

    fn passes(proof: &Proof, pairs: &[(&str, &str)], token: Option<&str>, body: &[u8]) -> bool {
        let headers = headers(pairs);
        proof.check_head(&headers, token).and_then(|()| proof.check_body(&headers, body)).is_ok()
    }

    #[test]
    fn a_header_is_compared_as_a_whole() {
        let proof = Proof::header("X-Secret", "hunter2\r\n").unwrap();
        assert!(passes(&proof, &[("x-secret", "hunter2")], None, b""));
        for wrong in ["", "hunter", "hunter22", "Hunter2", "Bearer hunter2"] {
            assert!(!passes(&proof, &[("x-secret", wrong)], Some("hunter2"), b""), "{wrong}");
        }
        assert!(!passes(&proof, &[], Some("hunter2"), b"hunter2"));
        assert!(!passes(&proof, &[("x-secret", "hunter2"), ("x-secret", "hunter2")], None, b""));
    }

    #[test]
    fn a_bearer_token_follows_its_scheme() {
        let proof = Proof::bearer("hunter2").unwrap();
        for good in ["Bearer hunter2", "bearer hunter2", "BEARER  hunter2"] {
            assert!(passes(&proof, &[("authorization", good)], None, b""), "{good}");
        }
        for wrong in ["hunter2", "Basic hunter2", "Bearer", "Bearer ", "Bearerhunter2", "Bearer hunter2 x"] {
            assert!(!passes(&proof, &[("authorization", wrong)], None, b""), "{wrong}");
        }
        assert_eq!(proof.check_head(&HeaderMap::new(), None), Err(Denied::Unauthorized));
    }

    #[test]
    fn a_signature_is_that_of_rfc_4231() {
        // Test case 2 of RFC 4231.
        let hex = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let base64 = "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=";
        let body = b"what do ya want for nothing?";
        let proof = Proof::signature(SIGNATURE_HEADER, "Jefe").unwrap();
        let prefixed = format!("sha256={hex}");
        for good in [hex, base64, &prefixed, &hex.to_uppercase(), &format!("sha256={base64}")] {
            assert!(passes(&proof, &[("x-hub-signature-256", good)], None, body), "{good}");
            assert!(!passes(&proof, &[("x-hub-signature-256", good)], None, b"what do ya want for nothing!"));
            assert!(!passes(&proof, &[("x-hub-signature", good)], None, body));
        }
        let odd = format!("{}g", &hex[..63]);
        for wrong in ["", "sha256=", "sha1=5bdc", &hex[..62], &odd, "é", &base64[..43], "Jefe"] {
            assert!(!passes(&proof, &[("x-hub-signature-256", wrong)], None, body), "{wrong}");
        }
        assert!(!passes(&proof, &[], None, body));
    }

    #[test]
    fn a_token_is_the_last_part_of_the_path() {
        let proof = Proof::path("a1b2-C3~\n").unwrap();
        assert!(proof.is_path() && passes(&proof, &[], Some("a1b2-C3~"), b""));
        assert!(!passes(&proof, &[], Some("a1b2-C3"), b"") && !passes(&proof, &[], None, b""));
        assert!(!passes(&proof, &[("authorization", "a1b2-C3~")], None, b""));
    }

    #[test]
    fn rejects_secrets_that_cannot_match() {
        for wrong in ["", "\n", " a", "a ", "a\n\n", "a\tb", "\u{0}"] {
            assert!(Proof::bearer(wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["a/b", "a b", "ü", "a%20", "a?b"] {
            assert!(Proof::path(wrong).is_err(), "{wrong}");
        }
        assert!(Proof::header("X Secret", "a").is_err() && Proof::header("", "a").is_err());
    }

    #[test]
    fn secrets_are_not_shown() {
        for proof in [Proof::header("x-a", "hunter2"), Proof::bearer("hunter2"), Proof::path("hunter2")] {
            let shown = format!("{proof:?}");
            assert!(shown.contains("hidden") && !shown.contains("hunter2"));
        }
    }
}
