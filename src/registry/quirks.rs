//! Known deviations of registries, in one table of facts with their sources.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// A method of uploading a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    /// The whole blob in the PUT that ends the upload: one request.
    Put,
    /// The whole blob in one PATCH, then an empty PUT.
    Patch,
    /// Chunks of this many bytes, one PATCH per chunk, then an empty PUT.
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
            _ => Err(Error::usage(format!("invalid upload method {text:?}"))
                .hint("use [HOST=]put, patch or chunks:MEBIBYTES")),
        }
    }
}

/// The deviation of one registry, identified by the end of its host name.
struct Quirk {
    host: &'static str,
    /// The largest body of a PUT that the registry accepts.
    put_limit: u64,
    /// The method for larger blobs, which is also the fallback if a PUT with a body is refused.
    fallback: Option<Upload>,
}

/// The known deviations. Other registries accept a PUT of any size; if one refuses that, PATCH is used.
const QUIRKS: [Quirk; 5] = [
    // Azure: "maximum size of a blob upload in one request is about 20 MB" (regclient's table; ACR issue 594).
    Quirk { host: ".azurecr.io", put_limit: 20_000_000, fallback: Some(Upload::Chunks(8 << 20)) },
    // GitHub: rejects chunks larger than 4 MiB; accepts a PUT of any size (regclient's table).
    Quirk { host: "ghcr.io", put_limit: u64::MAX, fallback: Some(Upload::Chunks(4 << 20)) },
    // Google: no PATCH (google/go-containerregistry's notes on Artifact Registry).
    Quirk { host: ".pkg.dev", put_limit: u64::MAX, fallback: None },
    Quirk { host: "gcr.io", put_limit: u64::MAX, fallback: None },
    // Amazon: answers 201 to the first PATCH and discards the following ones.
    Quirk { host: ".amazonaws.com", put_limit: u64::MAX, fallback: None },
];

/// Returns the upload method for a blob of `size` bytes to `host`, and the fallback if the registry refuses it.
pub fn upload(host: &str, size: u64) -> (Upload, Option<Upload>) {
    let name = host.rsplit_once(':').map_or(host, |p| p.0);
    match QUIRKS.iter().find(|q| name.ends_with(q.host)) {
        Some(quirk) if size > quirk.put_limit => (quirk.fallback.unwrap_or(Upload::Put), None),
        Some(quirk) => (Upload::Put, quirk.fallback),
        None => (Upload::Put, Some(Upload::Patch)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_the_upload_method_for_each_registry() {
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
