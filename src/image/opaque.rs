//! Manifests that reapify does not understand and can only copy.

use super::manifest::{Content, Descriptor, Manifest};
use crate::error::Error;
use bytes::Bytes;
use serde::Deserialize;

impl Manifest {
    /// Creates a manifest from bytes that [`Manifest::parse`] rejected, with the blobs that it plainly refers to.
    pub fn opaque(bytes: Bytes, media_type: &str, why: Error) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Parts {
            config: Option<serde_json::Value>,
            layers: Vec<serde_json::Value>,
            blobs: Vec<serde_json::Value>,
        }
        let parts: Parts = serde_json::from_slice(&bytes).unwrap_or_default();
        let all = parts.config.into_iter().chain(parts.layers).chain(parts.blobs);
        let blobs = all.filter_map(|part| serde_json::from_value::<Descriptor>(part).ok()).collect();
        Manifest::unread(bytes, media_type, Content::Opaque { why, blobs })
    }
}
