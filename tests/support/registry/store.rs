//! What a registry holds, and how it is set up to behave.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::body::Bytes;

use super::auth::{Auth, Issued};
use crate::support::image::digest;

/// How a registry answers when no hook says otherwise. The default is what Debian's registry does.
#[derive(Clone, Debug)]
pub struct Settings {
    pub auth: Auth,
    /// Whether a mount is answered 201; if not, it is a 202 with an upload session.
    pub mounts: bool,
    /// How `Location` is written.
    pub location: Location,
    /// Whether a manifest that names a missing blob or child is refused.
    pub checks_references: bool,
    /// Whether HEAD and GET carry `Docker-Content-Digest`.
    pub content_digest: bool,
    /// Whether Range is honoured on blobs.
    pub ranges: bool,
    /// Whether there is a referrers API.
    pub referrers: bool,
    /// The largest body of a PUT or PATCH of an upload; a larger one is answered 413.
    pub max_body: usize,
    /// The most that is taken of one PATCH; the answer's Range says how much that was.
    pub takes_of_patch: usize,
    /// What `OCI-Chunk-Min-Length` says.
    pub min_chunk: Option<usize>,
    /// Waited before each answer, as a distant registry would make one wait.
    pub latency: Duration,
}

/// How `Location` headers are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    Absolute,
    Relative,
    /// On this `host:port`, which has to know the upload.
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

/// A manifest as it is stored.
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
