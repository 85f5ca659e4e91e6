//! The content of a registry, and the settings of its behaviour.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::body::Bytes;

use super::auth::{Auth, Issued};
use crate::support::image::digest;

/// The settings that apply unless a hook decides otherwise. The default is the behaviour of Debian's registry.
#[derive(Clone, Debug)]
pub struct Settings {
    pub auth: Auth,
    /// Whether a mount is answered with 201; otherwise with 202 and an upload session.
    pub mounts: bool,
    /// The form of `Location`.
    pub location: Location,
    /// Whether a manifest that refers to a missing blob or child is rejected.
    pub checks_references: bool,
    /// Whether responses to HEAD and GET have `Docker-Content-Digest`.
    pub content_digest: bool,
    /// Whether Range is supported for blobs.
    pub ranges: bool,
    /// Whether there is a referrers API.
    pub referrers: bool,
    /// The maximum body of a PUT or PATCH of an upload; a larger one is answered with 413.
    pub max_body: usize,
    /// The maximum that is accepted of one PATCH; the response's Range states how much that was.
    pub takes_of_patch: usize,
    /// The value of `OCI-Chunk-Min-Length`.
    pub min_chunk: Option<usize>,
    /// A delay before each response, as with a distant registry.
    pub latency: Duration,
}

/// The form of `Location` headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    Absolute,
    Relative,
    /// On this `host:port`, which must know the upload.
    On(String),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auth: Auth::None,
            mounts: true,
            location: Location::Absolute,
            checks_references: true,
            content_digest: true,
            ranges: true,
            referrers: false,
            max_body: usize::MAX,
            takes_of_patch: usize::MAX,
            min_chunk: None,
            latency: Duration::ZERO,
        }
    }
}

/// A stored manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub media_type: String,
    pub digest: String,
    pub bytes: Bytes,
}

#[derive(Clone, Default)]
pub(super) struct Repository {
    pub manifests: BTreeMap<String, Stored>,
    pub tags: BTreeMap<String, String>,
    pub blobs: BTreeMap<String, Bytes>,
}

pub(super) struct Upload {
    pub repository: String,
    pub bytes: Vec<u8>,
}

#[derive(Default)]
pub(super) struct Store {
    pub settings: Settings,
    pub repositories: BTreeMap<String, Repository>,
    pub uploads: BTreeMap<String, Upload>,
    pub opened: usize,
    pub issued: Vec<Issued>,
}

impl Store {
    pub fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    pub fn put_blob(&mut self, repository: &str, bytes: Bytes) -> String {
        let digest = digest(&bytes);
        self.repository(repository).blobs.insert(digest.clone(), bytes);
        digest
    }

    pub fn blob(&self, repository: &str, digest: &str) -> Option<Bytes> {
        self.repositories.get(repository)?.blobs.get(digest).cloned()
    }

    pub fn remove_blob(&mut self, repository: &str, digest: &str) {
        self.repository(repository).blobs.remove(digest);
    }

    pub fn put_manifest(&mut self, name: &str, reference: &str, media_type: &str, bytes: Bytes) -> String {
        let digest = digest(&bytes);
        let stored = Stored { media_type: media_type.to_owned(), digest: digest.clone(), bytes };
        let repository = self.repository(name);
        repository.manifests.insert(digest.clone(), stored);
        if !reference.contains(':') {
            repository.tags.insert(reference.to_owned(), digest.clone());
        }
        digest
    }

    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Stored> {
        let repository = self.repositories.get(repository)?;
        let digest = repository.tags.get(reference).map_or(reference, String::as_str);
        repository.manifests.get(digest).cloned()
    }

    pub fn tags(&self, repository: &str) -> BTreeMap<String, String> {
        self.repositories.get(repository).map(|repository| repository.tags.clone()).unwrap_or_default()
    }

    pub fn repositories(&self) -> Vec<String> {
        let held = self.repositories.iter().filter(|(_, held)| !held.manifests.is_empty());
        held.map(|(name, _)| name.clone()).collect()
    }

    pub fn open_uploads(&self) -> usize {
        self.uploads.len()
    }
}
