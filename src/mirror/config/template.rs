//! The templates of regsync, as far as a mirror needs them: `{{ env "X" }}`, `{{ .Ref.Tag | lower }}`.
//!
//! A template is text with actions in `{{ }}`. An action is a pipeline of the functions `env`, `file`, `default`,
//! `lower`, `upper` and `trimSpace` over quoted text, the fields of `.Ref` (an image) and of `.Sync` (an entry), with
//! parentheses, comments and trim markers as in Go. Everything else that Go's templates know is an error.
//!
//! `env` and `file` are asked when a template is parsed. An unset variable or an unreadable file counts as empty text,
//! as in regsync, and is listed in [`Template::missing`].

use super::template_parse;
use super::{Outside, Place};
use std::fmt;

/// The longest text that a template may produce.
const MAX_OUTPUT: usize = 1 << 20;

/// Which fields a template may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// None: `creds` and what runs without an entry.
    Plain,
    /// Those of `.Sync`: `source`, `target` and the like.
    Entry,
    /// Those of `.Sync` and `.Ref`, the image that is replaced: `backup`.
    Image,
    /// Those of `.Source`, the image that is read, which `.Ref` stands for too, and of `.Sync`: `targetTag`.
    Tag,
}

/// An image reference, as `.Ref` shows it to a template.
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
    /// `.Ref.CommonName`: the whole name.
    pub common_name: String,
}

/// An entry of `sync`, as `.Sync` shows it to a template.
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
    /// `.Sync.Interval`, as Go writes durations: `1h0m0s`.
    pub interval: String,
    /// `.Sync.Schedule`.
    pub schedule: String,
    /// `.Sync.Backup`: the template itself.
    pub backup: String,
}

/// What a template is rendered for.
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

/// A part of an action: text that is known or will be when the template is rendered.
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
    fn apply(self, text: &str) -> String {
        match self {
            Change::Lower => text.to_lowercase(),
            Change::Upper => text.to_uppercase(),
            Change::TrimSpace => text.trim().into(),
        }
    }
}

/// Why a text is not a template, and where in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// The position of the problem, in characters from the start of the text.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// How to put it right, where that is known.
    pub hint: Option<String>,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TemplateError {}

/// A parsed template. `Debug` shows its text, not what `env` and `file` returned.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Expression>,
    missing: Vec<String>,
    place: Place,
}

impl Template {
    /// Parses a template whose actions may use the fields of `scope`.
    ///
    /// # Errors
    /// Names the function, field or syntax that is not known here.
    pub fn parse(text: &str, scope: Scope, outside: &dyn Outside) -> Result<Template, TemplateError> {
        let (parts, missing) = template_parse::parse(text, scope, outside)?;
        Ok(Template { text: text.into(), parts, missing, place: Place::default() })
    }

    /// Sets the template's place in the configuration.
    #[must_use]
    pub(super) fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// Returns the text that was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the template's place in the configuration.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Lists what `env` and `file` asked for and did not find, as in `environment variable "X" is not set`.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Renders the template.
    ///
    /// # Errors
    /// Says that the context lacks what a field names, or that the result is too long.
    pub fn render(&self, context: &Context<'_>) -> Result<String, String> {
        let mut output = String::new();
        for part in &self.parts {
            match part {
                Expression::Text(text) => output.push_str(text),
                part => output.push_str(&part.evaluate(context)?),
            }
            if output.len() > MAX_OUTPUT {
                return Err(format!("the template produces more than {} KiB", MAX_OUTPUT >> 10));
            }
        }
        Ok(output)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.text).finish()
    }
}

impl Expression {
    /// Computes the text. The parser has bounded the depth.
    pub fn evaluate(&self, context: &Context<'_>) -> Result<String, String> {
        Ok(match self {
            Expression::Text(text) => text.clone(),
            Expression::Field(field) => field.of(context)?.into(),
            Expression::Default(fallback, value) => match value.evaluate(context)? {
                value if value.is_empty() => fallback.evaluate(context)?,
                value => value,
            },
            Expression::Change(change, value) => change.apply(&value.evaluate(context)?),
        })
    }

    /// Whether the text depends on nothing that is known later only.
    pub fn is_constant(&self) -> bool {
        match self {
            Expression::Text(_) => true,
            Expression::Field(_) => false,
            Expression::Default(fallback, value) => fallback.is_constant() && value.is_constant(),
            Expression::Change(_, value) => value.is_constant(),
        }
    }
}

impl Field {
    fn of<'c>(self, context: &Context<'c>) -> Result<&'c str, String> {
        match self {
            Field::Ref(field) => {
                let reference = context.reference.ok_or(".Ref is not known here")?;
                Ok(match field {
                    RefField::Scheme => &reference.scheme,
                    RefField::Reference => &reference.reference,
                    RefField::Registry => &reference.registry,
                    RefField::Repository => &reference.repository,
                    RefField::Tag => &reference.tag,
                    RefField::Digest => &reference.digest,
                    RefField::Path => &reference.path,
                    RefField::CommonName => &reference.common_name,
                })
            }
            Field::Sync(field) => {
                let sync = context.sync.ok_or(".Sync is not known here")?;
                Ok(match field {
                    SyncField::Source => &sync.source,
                    SyncField::Target => &sync.target,
                    SyncField::Kind => &sync.kind,
                    SyncField::Platform => &sync.platform,
                    SyncField::Interval => &sync.interval,
                    SyncField::Schedule => &sync.schedule,
                    SyncField::Backup => &sync.backup,
                })
            }
        }
    }
}
