//! The parts of templates.

use std::fmt;

/// The fields that a template may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// None: for `creds`, and hooks that run without an entry.
    Plain,
    /// The fields of `.Sync`: for `source`, `target` and similar keys.
    Entry,
    /// The fields of `.Sync` and `.Ref`, the image that is replaced: for `backup`.
    Image,
    /// The fields of `.Source`, the image that is read, also named `.Ref`, and of `.Sync`: for `targetTag`.
    Tag,
}

/// An image reference, as templates see it in `.Ref`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    /// `.Ref.Scheme`: `reg` or `ocidir`.
    pub scheme: String,
    /// `.Ref.Reference`: the reference as written.
    pub reference: String,
    /// `.Ref.Registry`: the host, with its port.
    pub registry: String,
    /// `.Ref.Repository`: the path on the registry.
    pub repository: String,
    /// `.Ref.Tag`.
    pub tag: String,
    /// `.Ref.Digest`.
    pub digest: String,
    /// `.Ref.Path`: the directory of an OCI layout.
    pub path: String,
    /// `.Ref.CommonName`: the full name.
    pub common_name: String,
}

/// An entry of `sync`, as templates see it in `.Sync`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sync {
    /// `.Sync.Source`.
    pub source: String,
    /// `.Sync.Target`.
    pub target: String,
    /// `.Sync.Type`: `registry`, `repository` or `image`.
    pub kind: String,
    /// `.Sync.Platform`.
    pub platform: String,
    /// `.Sync.Interval`, in Go's format: `1h0m0s`.
    pub interval: String,
    /// `.Sync.Schedule`.
    pub schedule: String,
    /// `.Sync.Backup`: the template itself.
    pub backup: String,
}

/// The context in which a template is rendered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// The image, for `.Ref` and `.Source`.
    pub reference: Option<&'a Reference>,
    /// The entry, for `.Sync`.
    pub sync: Option<&'a Sync>,
}

/// A field of `.Ref` or `.Sync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Ref(RefField),
    Sync(SyncField),
}

/// A field of `.Ref`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefField {
    Scheme,
    Reference,
    Registry,
    Repository,
    Tag,
    Digest,
    Path,
    CommonName,
}

/// A field of `.Sync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SyncField {
    Source,
    Target,
    Kind,
    Platform,
    Interval,
    Schedule,
    Backup,
}

/// The names of the fields.
pub(super) const FIELDS: [(&str, Field); 15] = [
    (".Ref.Scheme", Field::Ref(RefField::Scheme)),
    (".Ref.Reference", Field::Ref(RefField::Reference)),
    (".Ref.Registry", Field::Ref(RefField::Registry)),
    (".Ref.Repository", Field::Ref(RefField::Repository)),
    (".Ref.Tag", Field::Ref(RefField::Tag)),
    (".Ref.Digest", Field::Ref(RefField::Digest)),
    (".Ref.Path", Field::Ref(RefField::Path)),
    (".Ref.CommonName", Field::Ref(RefField::CommonName)),
    (".Sync.Source", Field::Sync(SyncField::Source)),
    (".Sync.Target", Field::Sync(SyncField::Target)),
    (".Sync.Type", Field::Sync(SyncField::Kind)),
    (".Sync.Platform", Field::Sync(SyncField::Platform)),
    (".Sync.Interval", Field::Sync(SyncField::Interval)),
    (".Sync.Schedule", Field::Sync(SyncField::Schedule)),
    (".Sync.Backup", Field::Sync(SyncField::Backup)),
];

/// A part of an action: text that is known now or when the template is rendered.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Text(String),
    Field(Field),
    Default(Box<Expression>, Box<Expression>),
    Change(Change, Box<Expression>),
}

/// A function from text to text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Lower,
    Upper,
    TrimSpace,
}

impl Change {
    pub(super) fn apply(self, text: &str) -> String {
        match self {
            Change::Lower => text.to_lowercase(),
            Change::Upper => text.to_uppercase(),
            Change::TrimSpace => text.trim().into(),
        }
    }
}

/// The reason why a text is not a valid template, and the position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// The position of the problem, in characters from the start of the text.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// How to fix it, if known.
    pub hint: Option<String>,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TemplateError {}
