//! What a configuration says, with every default applied.

use super::problem::Place;
use super::secret::Secret;
use super::template::Template;
use std::collections::BTreeMap;
use std::time::Duration;

/// A configuration whose entries carry their defaults and whose templates are expanded.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The version of the format: 1.
    pub version: u64,
    /// How registries are reached, one item for each registry.
    pub credentials: Vec<Credential>,
    /// The most images at once, if the file says.
    pub parallel: Option<usize>,
    /// How the client names itself to registries, if the file says.
    pub user_agent: Option<String>,
    /// Whether the logins of Docker and Podman are left alone.
    pub skip_docker_config: bool,
    /// The webhooks that the server listens to.
    pub events: Events,
    /// What is mirrored where, in the order of the file.
    pub entries: Vec<Entry>,
}

/// How one registry is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    /// The registry's name in references, with its port; Docker Hub is `docker.io`.
    pub host: String,
    /// The host to connect to, if it is another.
    pub hostname: Option<String>,
    /// The user's name.
    pub user: Option<String>,
    /// The password.
    pub pass: Option<Secret>,
    /// A token instead of a user and a password.
    pub token: Option<Secret>,
    /// The credential helper to ask.
    pub cred_helper: Option<String>,
    /// How long an answer of the credential helper is used.
    pub cred_expire: Option<Duration>,
    /// The name to ask the credential helper for, if it is another.
    pub cred_host: Option<String>,
    /// Whether and how connections are encrypted.
    pub tls: Tls,
    /// The registry's certificate authority, as PEM.
    pub regcert: Option<String>,
    /// The certificate to present, as PEM.
    pub client_cert: Option<String>,
    /// The key of `client_cert`, as PEM.
    pub client_key: Option<Secret>,
    /// What stands before every repository on this registry, without slashes around it.
    pub path_prefix: Option<String>,
    /// Registries to read from before this one.
    pub mirrors: Vec<String>,
    /// The most requests a second, if the file says.
    pub req_per_sec: Option<f64>,
    /// The most requests at once, if the file says.
    pub req_concurrent: Option<usize>,
    /// The credential's place in the file.
    pub place: Place,
}

/// Whether and how connections to a registry are encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tls {
    /// TLS with a certificate that is checked.
    #[default]
    Enabled,
    /// TLS with any certificate.
    Insecure,
    /// Plain HTTP.
    Disabled,
}

/// What the source and the target of an entry name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All repositories of a registry.
    Registry,
    /// The tags of a repository.
    Repository,
    /// One image.
    Image,
}

/// An item of `sync`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The entry's number in the file, from 1.
    pub position: usize,
    /// The line that the entry starts on.
    pub line: usize,
    /// What source and target name.
    pub kind: Kind,
    /// Where images are read.
    pub source: String,
    /// Where the results go.
    pub target: String,
    /// The filters for tags: a tag is taken if any of them lets it through, or if there are none. An image has none.
    pub tag_sets: Vec<TagSet>,
    /// The filter for the repositories of a registry; empty for other kinds.
    pub repos: Patterns,
    /// The one platform to take, without its index.
    pub platform: Option<String>,
    /// The platforms that indexes are shortened to; none stands for all.
    pub platforms: Vec<String>,
    /// How often the server runs the entry; absent if it has a schedule.
    pub interval: Option<Duration>,
    /// The cron expression for the server.
    pub schedule: Option<String>,
    /// The name under which a replaced image is kept.
    pub backup: Option<Template>,
    /// The tag at the target.
    pub target_tag: Option<Template>,
    /// What is added to every tag at the target.
    pub suffix: Option<String>,
    /// When to pause for the source's rate limit.
    pub rate_limit: RateLimit,
    /// Whether referrers are copied too.
    pub referrers: bool,
    /// Whether tags such as `sha256-….sig` that belong to an image are copied too.
    pub digest_tags: bool,
    /// The media types of the manifests that are mirrored.
    pub media_types: Vec<String>,
    /// Whether only an image's digest is looked at.
    pub fast_check: bool,
    /// Whether all parts of an image are gone through even if its digest has not changed.
    pub force_recursive: bool,
    /// Whether layers with URLs of their own are copied.
    pub include_external: bool,
    /// How images are wrapped.
    pub wrap: Wrap,
    /// How many of the newest tags are taken; absent if all are.
    pub newest: Option<Newest>,
    /// How old an image must be.
    pub min_age: Option<Duration>,
    /// Which old results are deleted; absent if none are.
    pub prune: Option<Prune>,
    /// What happens to images that cannot be wrapped.
    pub on_unsupported: OnUnsupported,
    /// When the parts of an unchanged image are asked for.
    pub recheck: Recheck,
    /// What runs before and after an image is written.
    pub hooks: Hooks,
    /// The places of values by key.
    pub(super) places: BTreeMap<&'static str, Place>,
}

impl Entry {
    /// Returns the place of a key's value, such as `schedule`, wherever the entry got it from; else the entry's own.
    pub fn place(&self, key: &str) -> Place {
        let own = Place { line: self.line, column: 1 };
        self.places.get(key).or_else(|| self.places.get("")).copied().unwrap_or(own)
    }
}

/// A filter for tags: a tag must be in one of the ranges, match one of `allow` and none of `deny`.
///
/// `None` stands for a null in the file, which matches nothing. `places` holds the place of each item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagSet {
    /// Patterns of which one must match, if there are any.
    pub allow: Vec<Option<String>>,
    /// Patterns of which none may match.
    pub deny: Vec<Option<String>>,
    /// Ranges of versions of which one must contain the tag, if there are any.
    pub semver_range: Vec<Option<String>>,
    /// Where each of them stands.
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

/// A filter for repositories: one must match one of `allow`, if there are any, and none of `deny`.
///
/// `None` stands for a null in the file, which matches nothing.
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
    /// Pause while fewer requests than this are left; absent to never pause.
    pub min: Option<u64>,
    /// How long to pause, at least five minutes.
    pub retry: Duration,
}

/// What happens to images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// They are wrapped.
    #[default]
    Wrap,
    /// They are copied unchanged.
    Copy,
    /// Nothing: the entry is disabled.
    Off,
}

/// What happens to an image that starts with an init of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IfInit {
    /// It is copied unchanged.
    #[default]
    Skip,
    /// It is wrapped like any other.
    Wrap,
}

/// What happens to attestations of images that are rewritten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Attestations {
    /// They are left out.
    #[default]
    Drop,
    /// They are carried over unchanged.
    Keep,
}

/// The media types of results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Those of the source.
    #[default]
    Keep,
    /// The OCI's.
    Oci,
    /// Docker's.
    Docker,
}

/// How images are wrapped; the options of `reapify wrap` by the same names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wrap {
    /// Whether they are wrapped at all.
    pub mode: Mode,
    /// How long what the main process leaves behind may take to stop.
    pub grace: Option<Duration>,
    /// Whether signals go to the main process's whole group.
    pub group: bool,
    /// Signals to turn into others, as in `TERM:INT`.
    pub rewrite: Vec<String>,
    /// Other reapers than the built-in one, each `[PLATFORM=]FILE`.
    pub reaper: Vec<String>,
    /// Where the reaper goes in the image.
    pub path: Option<String>,
    /// What happens to an image that has an init.
    pub if_init: IfInit,
    /// What happens to attestations.
    pub attestations: Attestations,
    /// Whether a statement of what was done is put beside the result.
    pub provenance: bool,
    /// The media types of the result.
    pub format: Format,
}

/// How many of the newest tags are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// The number of tags, at least one.
    pub count: usize,
    /// What their age is measured by.
    pub by: NewestBy,
}

/// What the age of tags is measured by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NewestBy {
    /// The version in the tag.
    #[default]
    Semver,
    /// The time in the image's config, at the cost of a manifest and a config for each tag.
    Created,
}

/// Which old results are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prune {
    /// How many of the newest results stay.
    pub keep: usize,
    /// Whether only what the record shows to be ours is deleted: always.
    pub only_ours: bool,
}

/// What happens to images that cannot be wrapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnUnsupported {
    /// They are copied unchanged.
    #[default]
    Carry,
    /// They are left out.
    Skip,
    /// They count as failed.
    Fail,
}

/// When the parts of an unchanged image are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Recheck {
    /// In every pass.
    Always,
    /// Never.
    #[default]
    Never,
    /// Once in this time.
    Every(Duration),
}

/// What runs around the writing of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Before an image is written.
    pub pre: Vec<Hook>,
    /// After an image has been written.
    pub post: Vec<Hook>,
    /// When an image has not changed.
    pub unchanged: Vec<Hook>,
    /// How long each of them may take, if the file says.
    pub timeout: Option<Duration>,
}

/// Something that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// Runs a program with its arguments; there is at least the program.
    Exec(Vec<String>),
    /// Posts to a URL.
    Http {
        /// The URL, which often holds a secret.
        url: Secret,
        /// Headers of the request, whose values often are secrets.
        headers: Vec<(String, Secret)>,
    },
}

/// The webhooks that the server listens to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Events {
    /// Who may send events; no two have the same path.
    pub receivers: Vec<Receiver>,
    /// Names that registries give themselves in events, with their names in references.
    pub hosts: BTreeMap<String, String>,
}

/// One sender of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// Who sends.
    pub kind: EventKind,
    /// The segment of the path below `/events/`.
    pub path: String,
    /// How the sender proves who it is.
    pub proof: Proof,
    /// Where the secret came from, if there is one.
    pub origin: Option<Origin>,
    /// The receiver's place in the file.
    pub place: Place,
}

/// Who sends events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The registry of the distribution project.
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

/// How a sender proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Not at all.
    None,
    /// By `Authorization: Bearer SECRET`.
    Bearer(Secret),
    /// By a header whose value is the secret.
    Header {
        /// The header's name.
        name: String,
        /// The secret.
        value: Secret,
    },
    /// By an HMAC-SHA256 of the body.
    Hmac {
        /// The name of the header with the signature.
        header: String,
        /// The secret.
        key: Secret,
    },
    /// By the path's segment after the receiver's own.
    Path(Secret),
}

/// Where a secret came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An environment variable.
    Env(String),
    /// A file.
    File(String),
}
