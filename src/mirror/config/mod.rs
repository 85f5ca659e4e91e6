//! The configuration of `reapify mirror`: regsync's YAML with the same meaning, and additional keys.
//!
//! [`load`] reads a file, merges `defaults` into its entries, expands its templates, and reports every error
//! with its line, column and a suggestion. Keys that are accepted without effect become a [`Note`]. The
//! module itself reads no files and no environment variables: it asks [`Outside`].
//!
//! - Keys that start with `x-` are ignored everywhere; other unknown keys are errors. Anchors, aliases and merge keys
//!   work; a mapping's own value goes before a merged one. Of duplicate keys the last counts.
//! - Templates are expanded in `registry`, `user`, `pass`, `regcert`, `clientCert` and `clientKey` of `creds`, in
//!   `source` and `target` of entries, and in hooks' URLs and headers; `backup` and `targetTag` are kept as templates.
//!   Anywhere else a template is an error.
//! - An entry's own value goes before that of `defaults`. Most keys are taken whole. `interval` and `schedule` are taken
//!   together, so that an entry with one of them gets neither from `defaults`; so are `suffix` and `targetTag`.
//!   `ratelimit`, `wrap` and `hooks` are merged key by key. Empty text, an empty `mediaTypes`, `interval: 0s` and
//!   `ratelimit.min: 0` count as absent, as in regsync; `newest: 0` and `minAge: 0s` undo what `defaults` say.
//! - Numbers where text is expected count as they are written: the tag `3.10` stays `3.10`.

mod credential;
mod dump;
mod entry;
mod events;
mod fields;
mod keys;
mod model;
mod nearest;
mod node;
mod problem;
mod schema;
mod secret;
mod template;
mod template_parse;
mod template_parts;
mod wrapping;
mod written;

#[cfg(test)]
mod tests;

pub use model::{
    Attestations, Config, Credential, Entry, EventKind, Events, Format, Hook, Hooks, IfInit, Kind, Mode,
    Newest, NewestBy, OnUnsupported, Origin, Patterns, Proof, Prune, RateLimit, Receiver, Recheck, TagPlaces,
    TagSet, Tls, Wrap,
};
pub use problem::{ConfigError, Note, Place};
pub use schema::schema;
pub use secret::Secret;
pub use template::Template;
pub use template_parts::{Context, Reference, Scope, Sync, TemplateError};

use entry::Settings;
use fields::{Fields, Reader};
use node::Tree;

/// The environment of a configuration: variables and files.
pub trait Outside {
    /// Returns an environment variable, if it is set.
    fn env(&self, name: &str) -> Option<String>;

    /// Returns the text of a file.
    ///
    /// # Errors
    /// Returns the reason if the file cannot be read.
    fn file(&self, path: &str) -> Result<String, String>;
}

/// A configuration, and notes about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Notes about keys that have no effect or an unexpected meaning, in the order of the file.
    pub notes: Vec<Note>,
}

/// Loads a configuration. `file` is its name in errors.
///
/// # Errors
/// Returns the first problem, with its place.
pub fn load(text: &str, file: &str, outside: &dyn Outside) -> Result<Loaded, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let reader = Reader::new(Tree::parse(text, file)?, file, outside);
    let config = match reader.tree.root.map(|root| reader.item(root, "configuration")) {
        Some(root) if !root.is_null() => config(&reader, Some(&root.fields(&keys::TOP)?))?,
        _ => config(&reader, None)?,
    };
    if config.entries.is_empty() {
        reader.note(Place::default(), "sync has no entries: there is nothing to mirror");
    }
    Ok(Loaded { config, notes: reader.into_notes() })
}

fn config(reader: &Reader<'_>, top: Option<&Fields<'_, '_>>) -> Result<Config, ConfigError> {
    let version =
        top.map_or(Ok(None), |top| top.count("version"))?.filter(|version| *version > 0).unwrap_or(1);
    if let Some(top) = top.filter(|_| version > 1) {
        return Err(reader
            .error(top.place_of("version"), format!("invalid version: {version} is not supported, only 1")));
    }
    let list = |key: &str| top.map_or(Ok(Vec::new()), |top| top.list(key));
    let general = match top {
        Some(top) => top.table("defaults", &keys::DEFAULTS)?,
        None => None,
    };
    let defaults = general.as_ref().map_or(Ok(Settings::default()), Settings::read)?;
    let events = match top {
        Some(top) => top.table("events", &keys::EVENTS)?,
        None => None,
    };
    let general = general.as_ref();
    Ok(Config {
        version,
        credentials: credential::read(reader, list("creds")?)?,
        parallel: general
            .map_or(Ok(None), |fields| fields.count("parallel"))?
            .filter(|count| *count > 0)
            .map(|count| count as usize),
        user_agent: general.map_or(Ok(None), |fields| fields.text("userAgent"))?,
        skip_docker_config: general
            .map_or(Ok(None), |fields| fields.bool("skipDockerConfig"))?
            .unwrap_or(false),
        events: events.map_or(Ok(Events::default()), |fields| events::read(reader, &fields))?,
        entries: entry::read(reader, list("sync")?, &defaults)?,
    })
}
