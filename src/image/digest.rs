//! Digests: `algorithm:hex`, as the OCI image specification ("Digests") defines them.

use crate::error::{Error, Result};
use sha2::Digest as _;
use std::fmt;
use std::str::FromStr;

/// The two algorithms that the OCI image specification registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// `sha256`, 64 hex digits.
    Sha256,
    /// `sha512`, 128 hex digits.
    Sha512,
}

impl Algorithm {
    /// Returns the name, as it is written before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    fn hex_len(self) -> usize {
        match self {
            Algorithm::Sha256 => 64,
            Algorithm::Sha512 => 128,
        }
    }
}

/// A well-formed digest: a known algorithm, and lower-case hex digits of the right length.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    hex: Box<str>,
}

impl Digest {
    /// Returns the SHA-256 digest of `bytes`.
    pub fn sha256(bytes: impl AsRef<[u8]>) -> Self {
        Self::of(Algorithm::Sha256, bytes)
    }

    /// Returns the digest of `bytes` by `algorithm`.
    pub fn of(algorithm: Algorithm, bytes: impl AsRef<[u8]>) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes.as_ref());
        hasher.finish()
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the hex digits, without the algorithm.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// Returns whether `bytes` have this digest.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        Self::of(self.algorithm, bytes) == *self
    }

    /// Returns an error unless `bytes` have this digest; `what` names them in the message.
    pub fn check(&self, bytes: &[u8], what: impl fmt::Display) -> Result<()> {
        let found = Self::of(self.algorithm, bytes);
        if found == *self {
            return Ok(());
        }
        Err(mismatch(self, &found).context(what))
    }
}

/// Returns the error for bytes whose digest is `found` instead of `expected`.
pub fn mismatch(expected: &Digest, found: &Digest) -> Error {
    Error::verification(format!("digest mismatch: expected {expected}, found {found}"))
        .hint("the source is damaged, or a proxy changed the content; nothing was tagged")
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::unsupported(format!("invalid digest {text:?}: {why}"));
        let (name, hex) = text.split_once(':').ok_or_else(|| bad("missing algorithm before a colon"))?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(bad("the algorithm must be sha256 or sha512")),
        };
        if hex.len() != algorithm.hex_len() || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(bad(&format!("expected {} lower-case hex digits", algorithm.hex_len())));
        }
        Ok(Digest { algorithm, hex: hex.into() })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A hash in progress.
#[derive(Clone)]
pub enum Hasher {
    /// SHA-256.
    Sha256(sha2::Sha256),
    /// SHA-512, boxed because it is large and rare.
    Sha512(Box<sha2::Sha512>),
}

impl Hasher {
    /// Starts a hash.
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Hasher::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => Hasher::Sha512(Box::default()),
        }
    }

    /// Adds bytes to the hash.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hash) => hash.update(bytes),
            Hasher::Sha512(hash) => hash.update(bytes),
        }
    }

    /// Returns the digest of all bytes added.
    pub fn finish(self) -> Digest {
        match self {
            Hasher::Sha256(hash) => Digest { algorithm: Algorithm::Sha256, hex: hex(&hash.finalize()) },
            Hasher::Sha512(hash) => Digest { algorithm: Algorithm::Sha512, hex: hex(&hash.finalize()) },
        }
    }
}

fn hex(bytes: &[u8]) -> Box<str> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text.into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_match_published_test_vectors() {
        assert_eq!(
            Digest::sha256("abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(
            Digest::of(Algorithm::Sha512, "abc").to_string().starts_with("sha512:ddaf35a193617abacc417349")
        );
    }

    #[test]
    fn only_well_formed_digests_parse() {
        let good = Digest::sha256("x").to_string();
        assert_eq!(good.parse::<Digest>().unwrap().to_string(), good);
        for bad in
            ["", "sha256:", "sha256:AB", "md5:00", &good[..70], &good.to_uppercase(), &format!("{good}0")]
        {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
