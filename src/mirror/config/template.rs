//! The templates of regsync that a mirror needs: `{{ env "X" }}`, `{{ .Ref.Tag | lower }}`.
//!
//! A template is text with actions in `{{ }}`. An action is a pipeline of the functions `env`, `file`,
//! `default`, `lower`, `upper` and `trimSpace` over quoted text, the fields of `.Ref` (an image) and of
//! `.Sync` (an entry), with parentheses, comments and trim markers as in Go. Everything else in Go's
//! templates is an error.
//!
//! `env` and `file` are evaluated when a template is parsed. An unset variable or an unreadable file counts
//! as empty text, as in regsync, and is listed in [`Template::missing`].

use super::template_parse;
use super::template_parts::{Context, Expression, Field, RefField, Scope, SyncField, TemplateError};
use super::{Outside, Place};
use std::fmt;

/// The longest text that a template may produce.
const MAX_OUTPUT: usize = 1 << 20;

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
    /// Names the function, field or syntax that is not supported.
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

    /// Returns what `env` and `file` did not find, such as `environment variable "X" is not set`.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Renders the template.
    ///
    /// # Errors
    /// Returns an error if the context does not have a field, or the result is too long.
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
    /// Computes the text. The parser has limited the depth.
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

    /// Returns whether the text depends only on what is known when it is parsed.
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
