//! What is special about registries, in one table. Facts, not opinions: each with where it comes from.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// How a blob's bytes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    /// All in the PUT that ends the upload: one request.
    Put,
    /// All in one PATCH, then an empty PUT.
    Patch,
    /// Pieces of this many bytes, a PATCH each, then an empty PUT.
    Chunks(u64),
}

impl fmt::Display for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Upload::Put => f.write_str("a PUT"),
            Upload::Patch => f.write_str("a PATCH"),
            Upload::Chunks(size) => write!(f, "chunks of {size} bytes"),
        }
    }
}

impl FromStr for Upload {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mebibytes = |n: &str| n.parse::<u64>().ok().filter(|n| (1..=1024).contains(n));
        match (text, text.strip_prefix("chunks:").and_then(mebibytes)) {
            ("put", _) => Ok(Upload::Put),
            ("patch", _) => Ok(Upload::Patch),
            (_, Some(n)) => Ok(Upload::Chunks(n << 20)),
            _ => Err(Error::usage(format!("invalid way to upload {text:?}"))
                .hint("write put, patch, or chunks:MEBIBYTES, after HOST= for one host")),
        }
    }
}

/// One registry, by the end of its host's name.
struct Quirk {
    host: &'static str,
    /// A larger body of a PUT is refused.
    put_limit: u64,
    /// What is done with larger ones, and where a PUT with a body is refused.
    otherwise: Option<Upload>,
}

/// Registries that are not here take a PUT of any size, and a PATCH where they refuse that.
const QUIRKS: [Quirk; 5] = [
    // Azure: "maximum size of a blob upload in one request is about 20 MB" (regclient's table; ACR issue 594).
    Quirk { host: ".azurecr.io", put_limit: 20_000_000, otherwise: Some(Upload::Chunks(8 << 20)) },
    // GitHub: a chunk of more than 4 MiB is refused; a PUT may be of any size (regclient's table).
    Quirk { host: "ghcr.io", put_limit: u64::MAX, otherwise: Some(Upload::Chunks(4 << 20)) },
    // Google: no PATCH (google/go-containerregistry's notes on Artifact Registry).
    Quirk { host: ".pkg.dev", put_limit: u64::MAX, otherwise: None },
    Quirk { host: "gcr.io", put_limit: u64::MAX, otherwise: None },
    // Amazon: answers 201 to the first PATCH and drops the ones that follow.
    Quirk { host: ".amazonaws.com", put_limit: u64::MAX, otherwise: None },
];

/// How a blob of `size` bytes is sent to `host`, and how if that is refused.
pub fn upload(host: &str, size: u64) -> (Upload, Option<Upload>) {
    let name = host.rsplit_once(':').map_or(host, |p| p.0);
    match QUIRKS.iter().find(|q| name.ends_with(q.host)) {
        Some(quirk) if size > quirk.put_limit => (quirk.otherwise.unwrap_or(Upload::Put), None),
        Some(quirk) => (Upload::Put, quirk.otherwise),
        None => (Upload::Put, Some(Upload::Patch)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_registry_gets_what_it_takes() {
        let large = 30_000_000;
        for (host, size, expected) in [
            ("example.com", large, (Upload::Put, Some(Upload::Patch))),
            ("team.azurecr.io", 1000, (Upload::Put, Some(Upload::Chunks(8 << 20)))),
            ("team.azurecr.io:443", large, (Upload::Chunks(8 << 20), None)),
            ("ghcr.io", large, (Upload::Put, Some(Upload::Chunks(4 << 20)))),
            ("europe-docker.pkg.dev", large, (Upload::Put, None)),
            ("1234.dkr.ecr.eu-west-1.amazonaws.com", large, (Upload::Put, None)),
        ] {
            assert_eq!(upload(host, size), expected, "{host}");
        }
        assert_eq!("chunks:4".parse::<Upload>().unwrap(), Upload::Chunks(4 << 20));
        for bad in ["", "post", "chunks:", "chunks:0", "chunks:x"] {
            assert!(bad.parse::<Upload>().is_err());
        }
    }
}
