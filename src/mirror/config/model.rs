//! The configuration with every default applied.

use super::problem::Place;
use super::secret::Secret;
use super::template::Template;
use std::collections::BTreeMap;
use std::time::Duration;

/// A configuration with defaults merged and templates expanded.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The version of the format: 1.
    pub version: u64,
    /// How to reach registries, one item per registry.
    pub credentials: Vec<Credential>,
    /// The maximum number of images at once, if set.
    pub parallel: Option<usize>,
    /// The User-Agent header for registries, if set.
    pub user_agent: Option<String>,
    /// Whether to ignore the logins of Docker and Podman.
    pub skip_docker_config: bool,
    /// The webhooks that the server listens to.
    pub events: Events,
    /// The entries of `sync`, in the order of the file.
    pub entries: Vec<Entry>,
}

/// How to reach one registry.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    /// The registry's name in references, with its port; Docker Hub is `docker.io`.
    pub host: String,
    /// The host to connect to, if it differs.
    pub hostname: Option<String>,
    /// The user's name.
    pub user: Option<String>,
    /// The password.
    pub pass: Option<Secret>,
    /// A token instead of a user and a password.
    pub token: Option<Secret>,
    /// The credential helper to ask.
    pub cred_helper: Option<String>,
    /// The lifetime of the credential helper's answer.
    pub cred_expire: Option<Duration>,
    /// The name to ask the credential helper for, if it differs.
    pub cred_host: Option<String>,
    /// Whether and how connections are encrypted.
    pub tls: Tls,
    /// The registry's certificate authority, as PEM.
    pub regcert: Option<String>,
    /// The certificate to present, as PEM.
    pub client_cert: Option<String>,
    /// The key of `client_cert`, as PEM.
    pub client_key: Option<Secret>,
    /// The prefix of every repository on this registry, without slashes around it.
    pub path_prefix: Option<String>,
    /// Registries to try before this one.
    pub mirrors: Vec<String>,
    /// The maximum number of requests per second, if set.
    pub req_per_sec: Option<f64>,
    /// The maximum number of concurrent requests, if set.
    pub req_concurrent: Option<usize>,
    /// The credential's place in the file.
    pub place: Place,
}

/// Whether and how connections to a registry are encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tls {
    /// TLS with certificate verification.
    #[default]
    Enabled,
    /// TLS without certificate verification.
    Insecure,
    /// Plain HTTP.
    Disabled,
}

/// The kind of an entry's source and target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All repositories of a registry.
    Registry,
    /// The tags of a repository.
    Repository,
    /// One image.
    Image,
}

/// An entry of `sync`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The entry's number in the file, from 1.
    pub position: usize,
    /// The line on which the entry starts.
    pub line: usize,
    /// The kind of source and target.
    pub kind: Kind,
    /// The source of the images.
    pub source: String,
    /// The destination of the results.
    pub target: String,
    /// The filters for tags: a tag is selected if it passes any of them, or if there are none. An entry for
    /// one image has none.
    pub tag_sets: Vec<TagSet>,
    /// The filter for the repositories of a registry; empty for other kinds.
    pub repos: Patterns,
    /// The only platform to take, without its index.
    pub platform: Option<String>,
    /// The platforms to keep of indexes; empty for all.
    pub platforms: Vec<String>,
    /// The interval at which the server runs the entry; `None` if it has a schedule.
    pub interval: Option<Duration>,
    /// The cron expression for the server.
    pub schedule: Option<String>,
    /// The template for the name under which a replaced image is kept.
    pub backup: Option<Template>,
    /// The template for the destination tag.
    pub target_tag: Option<Template>,
    /// The suffix for every destination tag.
    pub suffix: Option<String>,
    /// When to pause for the source's rate limit.
    pub rate_limit: RateLimit,
    /// Whether to copy referrers.
    pub referrers: bool,
    /// Whether to copy tags such as `sha256-….sig` that belong to an image.
    pub digest_tags: bool,
    /// The media types of manifests to mirror.
    pub media_types: Vec<String>,
    /// Whether to compare only the digests of images.
    pub fast_check: bool,
    /// Whether to check all parts of an image even if its digest is unchanged.
    pub force_recursive: bool,
    /// Whether to copy layers that have URLs of their own.
    pub include_external: bool,
    /// How to wrap images.
    pub wrap: Wrap,
    /// The newest tags to take; `None` for all.
    pub newest: Option<Newest>,
    /// The minimum age of images.
    pub min_age: Option<Duration>,
    /// Which old results to delete; `None` for none.
    pub prune: Option<Prune>,
    /// What to do with images that cannot be wrapped.
    pub on_unsupported: OnUnsupported,
    /// When to check the parts of an unchanged image.
    pub recheck: Recheck,
    /// The hooks to run before and after an image is written.
    pub hooks: Hooks,
    /// The places of values, by key.
    pub(super) places: BTreeMap<&'static str, Place>,
}

impl Entry {
    /// Returns the place of a key's value, such as `schedule`, even if it is from `defaults`; otherwise the
    /// entry's own place.
    pub fn place(&self, key: &str) -> Place {
        let own = Place { line: self.line, column: 1 };
        self.places.get(key).or_else(|| self.places.get("")).copied().unwrap_or(own)
    }
}

/// A filter for tags: a tag must be in one of the ranges, match one pattern of `allow` and none of `deny`.
///
/// `None` is a null in the file, which matches nothing. `places` has the place of each item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagSet {
    /// Patterns of which one must match, if there are any.
    pub allow: Vec<Option<String>>,
    /// Patterns of which none may match.
    pub deny: Vec<Option<String>>,
    /// Ranges of versions of which one must contain the tag, if there are any.
    pub semver_range: Vec<Option<String>>,
    /// The place of each item.
    pub places: TagPlaces,
}

/// The places of the items of a [`TagSet`], by the same indices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagPlaces {
    /// The places of `allow`.
    pub allow: Vec<Place>,
    /// The places of `deny`.
    pub deny: Vec<Place>,
    /// The places of `semver_range`.
    pub semver_range: Vec<Place>,
}

/// A filter for repositories: a name must match one pattern of `allow`, if there are any, and none of `deny`.
///
/// `None` is a null in the file, which matches nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    /// Patterns of which one must match, if there are any.
    pub allow: Vec<Option<String>>,
    /// Patterns of which none may match.
    pub deny: Vec<Option<String>>,
    /// The places of `allow`.
    pub allow_places: Vec<Place>,
    /// The places of `deny`.
    pub deny_places: Vec<Place>,
}

/// When to pause for the source's rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Pauses while fewer pulls than this are left; `None` to never pause.
    pub min: Option<u64>,
    /// The length of the pause, at least five minutes.
    pub retry: Duration,
}

/// What to do with images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Wraps them.
    #[default]
    Wrap,
    /// Copies them unchanged.
    Copy,
    /// Does nothing: the entry is disabled.
    Off,
}

/// What to do with an image that starts an init already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IfInit {
    /// Copies it unchanged.
    #[default]
    Skip,
    /// Wraps it like any other.
    Wrap,
}

/// What to do with attestations of images that are rewritten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Attestations {
    /// Drops them.
    #[default]
    Drop,
    /// Copies them unchanged.
    Keep,
}

/// The media types of results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// The media types of the source.
    #[default]
    Keep,
    /// OCI media types.
    Oci,
    /// Docker media types.
    Docker,
}

/// The options for wrapping, named like those of `reapify wrap`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wrap {
    /// Whether to wrap images at all.
    pub mode: Mode,
    /// The time between SIGTERM and SIGKILL for processes that remain when the main process exits.
    pub grace: Option<Duration>,
    /// Whether to forward signals to the main process's whole process group.
    pub group: bool,
    /// Signals to translate before forwarding, such as `TERM:INT`.
    pub rewrite: Vec<String>,
    /// Reapers to use instead of the built-in ones, each `[PLATFORM=]FILE`.
    pub reaper: Vec<String>,
    /// The path of the reaper in the image.
    pub path: Option<String>,
    /// What to do with an image that starts an init already.
    pub if_init: IfInit,
    /// What to do with attestations.
    pub attestations: Attestations,
    /// Whether to attach a provenance statement to the result.
    pub provenance: bool,
    /// The media types of the result.
    pub format: Format,
}

/// The number of newest tags to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// The number of tags, at least one.
    pub count: usize,
    /// The criterion by which their age is compared.
    pub by: NewestBy,
}

/// The criterion by which the age of tags is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NewestBy {
    /// The version in the tag.
    #[default]
    Semver,
    /// The creation time in the image's config, which costs a manifest and a config per tag.
    Created,
}

/// Which old results to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prune {
    /// The number of newest results to keep.
    pub keep: usize,
    /// Whether to delete only results whose record shows that reapify made them; always true.
    pub only_ours: bool,
}

/// What to do with images that cannot be wrapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnUnsupported {
    /// Copies them unchanged.
    #[default]
    Carry,
    /// Leaves them out.
    Skip,
    /// Reports them as failed.
    Fail,
}

/// When to check the parts of an unchanged image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Recheck {
    /// In every pass.
    Always,
    /// Never.
    #[default]
    Never,
    /// Once per period.
    Every(Duration),
}

/// The hooks around writing an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Hooks that run before an image is written.
    pub pre: Vec<Hook>,
    /// Hooks that run after an image was written.
    pub post: Vec<Hook>,
    /// Hooks that run if an image is unchanged.
    pub unchanged: Vec<Hook>,
    /// The time limit of each hook, if set.
    pub timeout: Option<Duration>,
}

/// An action to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// Runs a program with arguments. The list is not empty.
    Exec(Vec<String>),
    /// Posts to a URL.
    Http {
        /// The URL, which often contains a secret.
        url: Secret,
        /// The headers of the request, whose values are often secrets.
        headers: Vec<(String, Secret)>,
    },
}

/// The webhooks that the server listens to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Events {
    /// The senders that may send events, each with a different path.
    pub receivers: Vec<Receiver>,
    /// Names that registries use for themselves in events, with their names in references.
    pub hosts: BTreeMap<String, String>,
}

/// A sender of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// The kind of the sender.
    pub kind: EventKind,
    /// The segment of the path below `/events/`.
    pub path: String,
    /// How the sender authenticates.
    pub proof: Proof,
    /// The origin of the secret, if there is one.
    pub origin: Option<Origin>,
    /// The receiver's place in the file.
    pub place: Place,
}

/// The kinds of senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The registry of the Distribution project.
    Distribution,
    /// Harbor.
    Harbor,
    /// GitLab's container registry.
    Gitlab,
    /// Docker Hub.
    DockerHub,
    /// Quay.
    Quay,
    /// Anything that posts `{"image": "…"}`.
    Plain,
}

/// How a sender authenticates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// No authentication.
    None,
    /// A header `Authorization: Bearer SECRET`.
    Bearer(Secret),
    /// A header whose value is the secret.
    Header {
        /// The header's name.
        name: String,
        /// The secret.
        value: Secret,
    },
    /// An HMAC-SHA256 of the body.
    Hmac {
        /// The name of the header with the signature.
        header: String,
        /// The secret.
        key: Secret,
    },
    /// A segment of the path after the receiver's own.
    Path(Secret),
}

/// The origin of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An environment variable.
    Env(String),
    /// A file.
    File(String),
}
