//! A registry in this process, in memory, that misbehaves on demand and remembers every request.
//!
//! ```ignore
//! let registry = Registry::start();
//! let source = Image::small().in_registry(&registry, "app", "v1");
//! registry.at(3, Act::HangUp);                          // the fourth request gets no answer
//! registry.hook(|asked| match &asked.kind {             // and any quirk there is
//!     Kind::StartUpload { .. } => Act::Answer(Reply::status(429).header("retry-after", "1")),
//!     _ => Act::Serve,
//! });
//! …
//! registry.log().paths();
//! ```
//!
//! It speaks the OCI distribution specification over HTTP/1.1: manifests, blobs with Range, mounts, uploads
//! (monolithic, chunked, cancelled), tags, referrers, deletion; Basic and Bearer authentication. As strict
//! as a real one: digests are checked, and a manifest is refused while a blob it names is missing.

mod act;
mod api;
mod auth;
mod log;
mod route;
mod serve;
mod store;

pub use act::{Act, Reply};
pub use auth::{Auth, Bearer, Issued};
pub use log::{Entry, Log};
pub use route::{Asked, Kind, pairs};
pub use store::{Location, Settings, Stored};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;

use store::Store;

type Hook = Arc<dyn Fn(&Asked) -> Act + Send + Sync>;

/// The state shared by the server's thread and the test.
struct Shared {
    store: Mutex<Store>,
    log: Mutex<Log>,
    hooks: Mutex<Vec<Hook>>,
    address: SocketAddr,
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("no handler panics with the store in hand")
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("no handler panics with the log in hand")
    }

    fn host(&self) -> String {
        self.address.to_string()
    }
}

/// A running registry, which stops when the value is dropped.
pub struct Registry {
    shared: Arc<Shared>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Registry {
    /// Starts a registry on a free loopback port, with plain HTTP.
    pub fn start() -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || serve::run(&sender, stopped));
        let shared = receiver.recv().expect("the registry's thread starts");
        Self { shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.shared.host()
    }

    /// Returns the image's name for reapify and skopeo: `docker://host/repository:tag`.
    pub fn name(&self, repository: &str, reference: &str) -> String {
        let separator = if reference.contains(':') { '@' } else { ':' };
        format!("docker://{}/{repository}{separator}{reference}", self.host())
    }

    // Behaviour.

    /// Changes its settings from now on.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.shared.store().settings);
    }

    /// Adds a hook that is called for every request from now on. The first hook that returns anything other than
    /// [`Act::Serve`] determines the reaction.
    pub fn hook(&self, hook: impl Fn(&Asked) -> Act + Send + Sync + 'static) {
        self.shared.hooks.lock().expect("no hook panics").push(Arc::new(hook));
    }

    /// Reacts like this once, to the request with this index; the first request since the log was cleared is 0.
    pub fn at(&self, index: usize, act: Act) {
        let act = Mutex::new(Some(act));
        self.hook(move |asked| match asked.index == index {
            true => act.lock().expect("no hook panics").take().unwrap_or(Act::Serve),
            false => Act::Serve,
        });
    }

    /// Removes all hooks.
    pub fn behave(&self) {
        self.shared.hooks.lock().expect("no hook panics").clear();
    }

    /// Redirects blob downloads to another registry, which gets the blobs to serve.
    pub fn redirect_blobs_to(&self, other: &Registry) {
        let (from, to) = (Arc::clone(&self.shared), Arc::clone(&other.shared));
        self.hook(move |asked| match &asked.kind {
            Kind::Blob { repository, digest } if asked.method == "GET" => {
                let Some(blob) = from.store().blob(repository, digest) else { return Act::Serve };
                to.store().put_blob("storage", blob);
                let url = format!("http://{}/v2/storage/blobs/{digest}?signature=abc", to.host());
                Act::Answer(Reply::status(307).header("location", &url))
            }
            _ => Act::Serve,
        });
    }

    // Log.

    /// Returns the log so far.
    pub fn log(&self) -> Log {
        self.shared.log().clone()
    }

    /// Clears the log: the next request has index 0 again.
    pub fn clear_log(&self) {
        self.shared.log().clear();
    }

    /// Returns the tokens that its token endpoint has issued.
    pub fn issued(&self) -> Vec<Issued> {
        self.shared.store().issued.clone()
    }

    /// Returns a hook with the responses of its token endpoint, for use with other registries.
    pub fn give_token(&self) -> impl Fn(&Asked) -> Act + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move |asked| {
            let (shared, asked) = (Arc::clone(&shared), asked.clone());
            Act::make(move |body| shared.store().give_token(&asked, &body))
        }
    }

    // Content.

    /// Copies a whole repository of another registry.
    pub fn adopt(&self, other: &Registry, repository: &str, name: &str) {
        let whole = other.shared.store().repository(repository).clone();
        self.shared.store().repositories.insert(name.to_owned(), whole);
    }

    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        self.shared.store().put_blob(repository, bytes.to_vec().into())
    }

    /// Stores a manifest without checking it; `reference` is a tag or a digest.
    pub fn put_manifest(&self, repository: &str, reference: &str, media_type: &str, bytes: &[u8]) -> String {
        self.shared.store().put_manifest(repository, reference, media_type, bytes.to_vec().into())
    }

    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.shared.store().blob(repository, digest).map(Vec::from)
    }

    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Stored> {
        self.shared.store().manifest(repository, reference)
    }

    pub fn remove_blob(&self, repository: &str, digest: &str) {
        self.shared.store().remove_blob(repository, digest);
    }

    /// Deletes a manifest, like a garbage collection of untagged manifests: references to it remain.
    pub fn remove_manifest(&self, repository: &str, digest: &str) {
        self.shared.store().repository(repository).manifests.remove(digest);
    }

    pub fn tags(&self, repository: &str) -> BTreeMap<String, String> {
        self.shared.store().tags(repository)
    }

    /// Returns the repositories that have a manifest.
    pub fn repositories(&self) -> Vec<String> {
        self.shared.store().repositories()
    }

    /// Returns how many uploads were opened and neither finished nor cancelled.
    pub fn open_uploads(&self) -> usize {
        self.shared.store().open_uploads()
    }

    /// Returns the digest to which a tag refers, after checking that everything below it exists and is intact.
    #[track_caller]
    pub fn complete(&self, repository: &str, reference: &str) -> String {
        let manifest = self.manifest(repository, reference);
        let manifest = manifest.unwrap_or_else(|| panic!("{repository}:{reference} is missing"));
        assert_eq!(super::image::digest(&manifest.bytes), manifest.digest);
        let value: Value = serde_json::from_slice(&manifest.bytes).expect("a manifest is JSON");
        for child in value["manifests"].as_array().into_iter().flatten() {
            self.complete(repository, child["digest"].as_str().expect("a digest"));
        }
        let layers = value["layers"].as_array().into_iter().flatten();
        for descriptor in layers.chain(value.get("config")) {
            let digest = descriptor["digest"].as_str().expect("a digest");
            let blob = self.blob(repository, digest);
            let blob = blob.unwrap_or_else(|| panic!("{repository}:{reference}: missing blob {digest}"));
            assert_eq!(super::image::digest(&blob), digest);
            assert_eq!(Some(blob.len() as u64), descriptor["size"].as_u64(), "size of {digest}");
        }
        manifest.digest
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A handler that panicked has already failed its test.
            let _ = thread.join();
        }
    }
}

/// How long a stalled request is held: longer than any test waits.
const FOR_EVER: Duration = Duration::from_secs(3600);
