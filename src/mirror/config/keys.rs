//! The keys of the configuration, in one table for the parser, for suggestions and for the JSON Schema.

/// The shape of a key's value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// Text; numbers and booleans count as they are written.
    Text,
    Bool,
    /// A whole number of zero or more.
    Count,
    /// A whole number.
    Integer,
    /// A number of zero or more.
    Number,
    /// A duration in Go's grammar.
    Duration,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// A list, whose items may be null.
    List(&'static Shape),
    Table(&'static Table),
    /// A mapping of names to text.
    TextMap,
    /// Any of several shapes.
    Any(&'static [Shape]),
}

/// A key.
#[derive(Debug)]
pub(super) struct Key {
    pub name: &'static str,
    pub shape: Shape,
    /// A description for editors; empty for a key without effect.
    pub about: &'static str,
    /// The reason why the key has no effect, if it is only accepted.
    pub unused: Option<&'static str>,
}

/// The keys of one kind of mapping.
#[derive(Debug)]
pub(super) struct Table {
    /// The mapping's name in messages.
    pub name: &'static str,
    pub keys: &'static [&'static [Key]],
    pub required: &'static [&'static str],
}

impl Table {
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().copied().flatten()
    }

    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

const fn key(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, about, unused: None }
}

const fn unused(name: &'static str, shape: Shape, why: &'static str) -> Key {
    Key { name, shape, about: "", unused: Some(why) }
}

use Shape::{Any, Bool, Choice, Count, Duration, Integer, List, Number, Text, TextMap};

/// The whole file.
pub(super) static TOP: Table = Table {
    name: "the configuration",
    keys: &[&[
        key("version", Count, "The version of the format: 1."),
        key("creds", List(&Shape::Table(&CREDENTIAL)), "How each registry is reached."),
        key("defaults", Shape::Table(&DEFAULTS), "Default values for entries, and general settings."),
        key("sync", List(&Shape::Table(&ENTRY)), "The images to mirror, and their destinations."),
        key("events", Shape::Table(&EVENTS), "The webhooks that the server listens to."),
    ]],
    required: &[],
};

/// The words for `tls`.
pub(super) const TLS: &[&str] = &["enabled", "insecure", "disabled"];

pub(super) static CREDENTIAL: Table = Table {
    name: "creds",
    keys: &[&[
        key("registry", Text, "The registry's name in references, with its port. May be a template."),
        key("hostname", Text, "The host to connect to, if it differs."),
        key("user", Text, "The user's name. May be a template."),
        key("pass", Text, "The password. May be a template, as in {{file \"/run/secrets/hub\"}}."),
        key("token", Text, "A token instead of a user and a password."),
        key("credHelper", Text, "The credential helper to ask, as in docker-credential-pass."),
        key("credExpire", Any(&[Integer, Duration]), "The lifetime of the credential helper's answer."),
        key("credHost", Text, "The name to ask the credential helper for, if it differs."),
        key(
            "tls",
            Choice(TLS),
            "enabled (default), insecure (certificates are not checked) or disabled (plain HTTP).",
        ),
        key("regcert", Text, "The registry's certificate authority, as PEM. May be a template."),
        key("clientCert", Text, "The certificate to present, as PEM. May be a template."),
        key("clientKey", Text, "The key of clientCert, as PEM. May be a template."),
        key("pathPrefix", Text, "The prefix of every repository on this registry."),
        key("mirrors", List(&Text), "Registries to try before this one, by their names in creds."),
        key("reqPerSec", Number, "The maximum number of requests per second."),
        key("reqConcurrent", Count, "The maximum number of concurrent requests."),
        unused("priority", Count, "mirrors are tried in the order of their list"),
        unused("repoAuth", Bool, "tokens are scoped to each repository anyway"),
        unused("blobChunk", Integer, "the upload method is chosen by what the registry accepts"),
        unused("blobMax", Integer, "the upload method is chosen by what the registry accepts"),
        unused("api", Text, "it is deprecated in regsync"),
        unused("apiOpts", TextMap, "they are options of regsync's client"),
        unused("scheme", Text, "it is deprecated in regsync; set tls: disabled for plain HTTP"),
    ]],
    required: &["registry"],
};

/// The keys that `defaults` and entries have in common.
static SETTINGS: &[Key] = &[
    key(
        "backup",
        Text,
        "A template for the name under which a replaced image is kept, as in old-{{.Ref.Tag}}.",
    ),
    key("interval", Duration, "How often the server runs the entry, as in 1h."),
    key(
        "schedule",
        Text,
        "When the server runs the entry: a cron expression, @daily or @every 1h. Takes precedence over interval.",
    ),
    key("ratelimit", Shape::Table(&RATE_LIMIT), "Pauses while the source's rate limit is nearly used up."),
    key("digestTags", Bool, "Also copy tags such as sha256-….sig that belong to an image."),
    key("referrers", Bool, "Also copy referrers of an image, such as signatures."),
    key("fastCheck", Bool, "Compare only the image's digest, even with digestTags or referrers."),
    key("fastCopy", Bool, "Another name for fastCheck."),
    key("forceRecursive", Bool, "Check all parts of an image even if its digest has not changed."),
    unused("includeExternal", Bool, "layers that have their own URLs are not copied"),
    key("mediaTypes", List(&Text), "The media types of the manifests that are mirrored; others are skipped."),
    key(
        "hooks",
        Shape::Table(&HOOKS),
        "Programs and requests to run before and after an image is written, and if it has not changed.",
    ),
    unused(
        "referrerFilters",
        List(&Shape::Table(&REFERRER_FILTER)),
        "all referrers are copied if referrers is set",
    ),
    unused("referrerSource", Text, "referrers are read from the image's own repository"),
    unused("referrerTarget", Text, "referrers are written to the image's own repository"),
    unused("referrerSlow", Bool, "referrers are found through the registry's API or the fallback tag"),
    key("wrap", Shape::Table(&WRAP), "How to wrap images."),
    key("suffix", Text, "The suffix for every tag at the target, such as -reaped; instead of targetTag."),
    key("targetTag", Text, "A template for the tag at the target, such as {{.Source.Tag}}-reaped."),
    key(
        "newest",
        Any(&[Count, Shape::Table(&NEWEST)]),
        "Take only the newest N of the version tags that pass the filters.",
    ),
    key("minAge", Duration, "Exclude images that were created more recently, such as 72h."),
    key("prune", Shape::Table(&PRUNE), "Delete old results at the target."),
    key(
        "onUnsupported",
        Choice(ON_UNSUPPORTED),
        "What to do with images that cannot be wrapped: carry (default), skip or fail.",
    ),
    key(
        "recheck",
        Text,
        "When to check the parts of an unchanged image: always, never or a duration such as 24h.",
    ),
];

pub(super) static DEFAULTS: Table = Table {
    name: "defaults",
    keys: &[
        SETTINGS,
        &[
            key("parallel", Count, "The maximum number of images at once."),
            key("skipDockerConfig", Bool, "Do not read the logins of Docker and Podman."),
            key("userAgent", Text, "The User-Agent header for registries."),
            unused("blobLimit", Integer, "blobs are streamed and need no limit"),
            unused("cacheCount", Integer, "each manifest is read once per pass"),
            unused("cacheTime", Duration, "each manifest is read once per pass"),
        ],
    ],
    required: &[],
};

/// The words for `type`.
pub(super) const KINDS: &[&str] = &["registry", "repository", "image"];
/// The words for `onUnsupported`.
pub(super) const ON_UNSUPPORTED: &[&str] = &["carry", "skip", "fail"];

pub(super) static ENTRY: Table = Table {
    name: "an entry of sync",
    keys: &[
        &[
            key("source", Text, "The source: a registry, repository or image. May be a template."),
            key(
                "target",
                Text,
                "The destination of the results. May be a template, such as mirror.example/{{.Sync.Source}}.",
            ),
            key("type", Choice(KINDS), "The kind of source and target: registry, repository or image."),
            key(
                "tags",
                Shape::Table(&TAGS),
                "The filter for the tags of a repository: semverRange, then allow, then deny.",
            ),
            key(
                "tagSets",
                List(&Shape::Table(&TAGS)),
                "Several filters; a tag is selected if it passes any of them.",
            ),
            key("repos", Shape::Table(&REPOS), "The filter for the repositories of a registry."),
            key("platform", Text, "Take only this platform's image, without its index, such as linux/arm64."),
            key("platforms", List(&Text), "Reduce indexes to these platforms."),
            unused("parallel", Count, "it belongs in defaults"),
        ],
        SETTINGS,
    ],
    required: &["source", "target", "type"],
};

pub(super) static RATE_LIMIT: Table = Table {
    name: "ratelimit",
    keys: &[&[
        key("min", Count, "Pause while fewer requests than this are left."),
        key("retry", Duration, "How long to pause before asking again; at least 5m."),
    ]],
    required: &[],
};

pub(super) static TAGS: Table = Table {
    name: "tags",
    keys: &[&[
        key(
            "semverRange",
            List(&Text),
            "Ranges of versions, as in \">=1.2.0 <2.0.0\" or ^3.12; one must contain the tag.",
        ),
        key("allow", List(&Text), "Regular expressions; one must match the whole tag."),
        key("deny", List(&Text), "Regular expressions; none may match the whole tag."),
    ]],
    required: &[],
};

pub(super) static REPOS: Table = Table {
    name: "repos",
    keys: &[&[
        key("allow", List(&Text), "Regular expressions; one must match the whole name of the repository."),
        key("deny", List(&Text), "Regular expressions; none may match the whole name of the repository."),
    ]],
    required: &[],
};

static REFERRER_FILTER: Table = Table {
    name: "referrerFilters",
    keys: &[&[
        key("artifactType", Text, "The artifact type."),
        key("annotations", TextMap, "The annotations."),
    ]],
    required: &[],
};

/// The words for `wrap.mode`.
pub(super) const MODES: &[&str] = &["wrap", "copy", "off"];
/// The words for `wrap.ifInit`.
pub(super) const IF_INIT: &[&str] = &["skip", "wrap"];
/// The words for `wrap.attestations`.
pub(super) const ATTESTATIONS: &[&str] = &["drop", "keep"];
/// The words for `wrap.format`.
pub(super) const FORMATS: &[&str] = &["keep", "oci", "docker"];

pub(super) static WRAP: Table = Table {
    name: "wrap",
    keys: &[&[
        key("mode", Choice(MODES), "wrap (default), copy (unchanged) or off (the entry is disabled)."),
        key(
            "grace",
            Any(&[Number, Duration]),
            "The time between SIGTERM and SIGKILL for processes that remain when the main process exits, such as 3s.",
        ),
        key("group", Bool, "Forward signals to the main process's whole process group."),
        key("rewrite", List(&Text), "Signals to translate before forwarding, such as TERM:INT."),
        key(
            "reaper",
            Any(&[Text, List(&Text)]),
            "Reapers to use instead of the built-in ones, each [PLATFORM=]FILE.",
        ),
        key("path", Text, "The path of the reaper in the image."),
        key(
            "ifInit",
            Choice(IF_INIT),
            "What to do with an image that starts an init already: skip (default) or wrap.",
        ),
        key(
            "attestations",
            Choice(ATTESTATIONS),
            "What to do with attestations of rewritten images: drop (default) or keep.",
        ),
        key("provenance", Bool, "Attach a provenance statement to the result."),
        key("format", Choice(FORMATS), "Media types of the result: keep (default), oci or docker."),
    ]],
    required: &[],
};

/// The words for `newest.by`.
pub(super) const NEWEST_BY: &[&str] = &["semver", "created"];

pub(super) static NEWEST: Table = Table {
    name: "newest",
    keys: &[&[
        key("count", Count, "The number of tags to take."),
        key("by", Choice(NEWEST_BY), "semver (default), or created: reads a manifest and a config per tag."),
    ]],
    required: &["count"],
};

pub(super) static PRUNE: Table = Table {
    name: "prune",
    keys: &[&[
        key("keep", Count, "The number of newest results to keep."),
        key(
            "only-ours",
            Bool,
            "Delete only results whose record shows that reapify made them; must be true.",
        ),
    ]],
    required: &["keep"],
};

pub(super) static HOOKS: Table = Table {
    name: "hooks",
    keys: &[&[
        key("pre", HOOK_OR_LIST, "Hooks to run before an image is written."),
        key("post", HOOK_OR_LIST, "Hooks to run after an image was written."),
        key("unchanged", HOOK_OR_LIST, "Hooks to run if an image has not changed."),
        key("timeout", Duration, "The time limit of each hook."),
    ]],
    required: &[],
};

const HOOK_OR_LIST: Shape = Any(&[Shape::Table(&HOOK), List(&Shape::Table(&HOOK))]);

/// The words for a hook's `type`, in regsync's form of hooks.
pub(super) const HOOK_TYPES: &[&str] = &["exec", "http"];

pub(super) static HOOK: Table = Table {
    name: "a hook",
    keys: &[&[
        key("exec", List(&Text), "A program and its arguments."),
        key("http", Text, "A URL to post to. May be a template."),
        key("headers", TextMap, "Headers of the request. Their values may be templates."),
        key("type", Choice(HOOK_TYPES), "exec or http, with params."),
        key("params", List(&Text), "The program and its arguments, or the URL."),
    ]],
    required: &[],
};

pub(super) static EVENTS: Table = Table {
    name: "events",
    keys: &[&[
        key(
            "receivers",
            List(&Shape::Table(&RECEIVER)),
            "The senders that may send events, and how they authenticate.",
        ),
        key(
            "hosts",
            TextMap,
            "Names that registries use for themselves in events, with their names in this file.",
        ),
    ]],
    required: &[],
};

/// The words for `kind`.
pub(super) const EVENT_KINDS: &[&str] = &["distribution", "harbor", "gitlab", "dockerhub", "quay", "plain"];

pub(super) static RECEIVER: Table = Table {
    name: "a receiver of events",
    keys: &[&[
        key(
            "kind",
            Choice(EVENT_KINDS),
            "The kind of the sender: distribution, harbor, gitlab, dockerhub, quay or plain.",
        ),
        key("path", Text, "The last segment of the path below /events/; the kind if absent."),
        key("secret", Shape::Table(&SECRET), "The source of the shared secret."),
        key("header", Text, "The header with the secret, or with the signature if hmac is set."),
        key("hmac", Bool, "The header has an HMAC-SHA256 of the body with the secret as its key."),
        key(
            "tokenInPath",
            Bool,
            "The secret is the path segment after the receiver's, for senders that cannot set headers.",
        ),
    ]],
    required: &["kind"],
};

pub(super) static SECRET: Table = Table {
    name: "secret",
    keys: &[&[
        key("env", Text, "The environment variable with the secret."),
        key("file", Text, "The file with the secret."),
    ]],
    required: &[],
};

/// All tables, to find where a misplaced key belongs.
pub(super) static ALL: &[&Table] = &[
    &TOP,
    &DEFAULTS,
    &ENTRY,
    &CREDENTIAL,
    &TAGS,
    &RATE_LIMIT,
    &WRAP,
    &PRUNE,
    &NEWEST,
    &HOOKS,
    &HOOK,
    &EVENTS,
    &RECEIVER,
];

/// Keys of other tools, with the corresponding keys of this one.
pub(super) const SYNONYMS: [(&str, &str); 12] = [
    ("password", "pass"),
    ("username", "user"),
    ("host", "hostname"),
    ("src", "source"),
    ("from", "source"),
    ("destination", "target"),
    ("dest", "target"),
    ("to", "target"),
    ("repositories", "repos"),
    ("include", "allow"),
    ("exclude", "deny"),
    ("cron", "schedule"),
];
