//! Image configs, as far as the rewrite reads them.

use super::json::{self, Object};
use super::platform::{Platform, StatedPlatform};
use crate::error::{Error, Result};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

/// An image config (OCI image specification, "Image Configuration"; Docker's has the same fields where it matters).
/// Edits are made to its bytes.
/// The fields are read-only, so that they always agree with the bytes.
#[derive(Debug, Clone)]
pub struct ImageConfig(Arc<Fields>);

/// The fields of an [`ImageConfig`].
#[derive(Debug)]
pub struct Fields {
    /// The original text.
    pub bytes: Bytes,
    /// `os`, `architecture` and `variant`, as written.
    pub platform: StatedPlatform,
    /// `config.Entrypoint`; empty if it is absent, `null` or `[]`.
    pub entrypoint: Vec<String>,
    /// `config.Cmd`; empty if it is absent, `null` or `[]`.
    pub cmd: Vec<String>,
    /// `config.User`; `None` if it is absent or empty.
    pub user: Option<String>,
    /// `config.StopSignal`.
    pub stop_signal: Option<String>,
    /// `config.Env`.
    pub env: Vec<String>,
    /// `config.WorkingDir`.
    pub working_dir: String,
    /// `config.Labels`.
    pub labels: BTreeMap<String, String>,
    /// `rootfs.diff_ids`, as written.
    pub diff_ids: Vec<String>,
    /// Whether each history entry has a layer; `None` if the config has no history.
    pub history: Option<Vec<bool>>,
    /// `created`.
    pub created: Option<String>,
}

#[derive(Deserialize)]
struct View<'a> {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    config: Option<Object<Inner<'a>>>,
    rootfs: Option<Object<RootFs>>,
    history: Option<Vec<Object<HistoryEntry>>>,
}

impl json::View for View<'_> {
    const KEYS: &'static [&'static str] =
        &["os", "architecture", "variant", "created", "config", "rootfs", "history"];
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Inner<'a> {
    #[serde(borrow)]
    entrypoint: Option<&'a RawValue>,
    #[serde(borrow)]
    cmd: Option<&'a RawValue>,
    user: Option<String>,
    stop_signal: Option<String>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

impl json::View for Inner<'_> {
    const KEYS: &'static [&'static str] =
        &["Entrypoint", "Cmd", "User", "StopSignal", "Env", "WorkingDir", "Labels"];
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Option<Vec<String>>,
}

impl json::View for RootFs {
    const KEYS: &'static [&'static str] = &["type", "diff_ids"];
}

#[derive(Deserialize)]
struct HistoryEntry {
    empty_layer: Option<bool>,
}

impl json::View for HistoryEntry {
    const KEYS: &'static [&'static str] = &["empty_layer"];
}

impl Deref for ImageConfig {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.0
    }
}

impl ImageConfig {
    /// Parses a config.
    ///
    /// # Errors
    ///
    /// Returns [`Kind::Unsupported`](crate::error::Kind) if the config is malformed, or if an engine might read it
    /// differently than reapify does.
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self> {
        let bytes = bytes.into();
        let malformed = |e: serde_json::Error| {
            Error::unsupported(format!("the image config is malformed: {e}"))
                .hint("container engines may misread or reject it; rebuild the image")
        };
        let Object(view): Object<View> = serde_json::from_slice(&bytes).map_err(malformed)?;
        let Object(rootfs) = view.rootfs.ok_or_else(|| {
            Error::unsupported("the image config has no rootfs")
                .hint("no container engine can start it; check the reference")
        })?;
        let inner = view.config.map(|o| o.0).unwrap_or_default();
        let fields = Fields {
            platform: StatedPlatform::new(view.os, view.architecture, view.variant),
            entrypoint: strings("Entrypoint", inner.entrypoint)?,
            cmd: strings("Cmd", inner.cmd)?,
            user: inner.user.filter(|user| !user.is_empty()),
            stop_signal: inner.stop_signal,
            env: inner.env.unwrap_or_default(),
            working_dir: inner.working_dir.unwrap_or_default(),
            labels: inner.labels.unwrap_or_default(),
            diff_ids: rootfs.diff_ids.unwrap_or_default(),
            history: view.history.map(|h| h.iter().map(|e| e.0.empty_layer != Some(true)).collect()),
            created: view.created.and_then(|c| serde_json::from_str(c.get()).ok()),
            bytes: Bytes::new(),
        };
        Ok(ImageConfig(Arc::new(Fields { bytes, ..fields })))
    }

    /// Returns the platform.
    ///
    /// # Errors
    ///
    /// Returns an error if the config does not state both an operating system and an architecture.
    pub fn platform(&self) -> Result<Platform> {
        self.platform.complete().ok_or_else(|| {
            Error::unsupported("the image config has no `os` or `architecture`")
                .hint("rebuild the image with a platform, or set os and architecture in its config")
        })
    }

    /// Returns whether there is an entrypoint. `[""]` counts as none, as it does in Docker.
    pub fn has_entrypoint(&self) -> bool {
        !self.entrypoint.is_empty() && self.entrypoint != [""]
    }
}

fn strings(name: &str, raw: Option<&RawValue>) -> Result<Vec<String>> {
    let Some(raw) = raw else { return Ok(Vec::new()) };
    serde_json::from_str::<Option<Vec<String>>>(raw.get()).map(Option::unwrap_or_default).map_err(|_| {
        let what = if raw.get().starts_with('"') { "a string, not a list" } else { "not a list of strings" };
        Error::unsupported(format!("the image config's {name} is {what}"))
            .hint("no container engine can start this image; write the command as a JSON list and rebuild it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn treats_absent_null_and_empty_entrypoints_alike() {
        for inner in [
            "",
            r#""config":null,"#,
            r#""config":{},"#,
            r#""config":{"Entrypoint":null},"#,
            r#""config":{"Entrypoint":[]},"#,
            r#""config":{"Entrypoint":[""]},"#,
        ] {
            let text = format!(r#"{{{inner}"rootfs":{{"type":"layers","diff_ids":null}}}}"#);
            let config = ImageConfig::parse(text.clone()).unwrap();
            assert!(!config.has_entrypoint(), "{text}");
            assert!(config.platform().is_err());
        }
    }

    #[test]
    fn rejects_configs_that_engines_may_misread() {
        for (text, why) in [
            (r#"{"config":{"Cmd":"sleep 1"},"rootfs":{}}"#, "Cmd is a string"),
            (r#"{"config":{"Entrypoint":[1]},"rootfs":{}}"#, "Entrypoint"),
            (r#"{"config":{"entrypoint":["x"]},"rootfs":{}}"#, "engines read as \"Entrypoint\""),
            (r#"{"Config":{},"rootfs":{}}"#, "engines read as \"config\""),
            (r#"{"rootfs":{"Diff_IDs":[]}}"#, "engines read as \"diff_ids\""),
            (r#"{"rootfs":{},"history":[{},{"Empty_Layer":true}]}"#, "engines read as \"empty_layer\""),
            (r#"{"config":{"Cmd":["x"],"Cmd":["y"]},"rootfs":{}}"#, "duplicate"),
            (r#"{"rootfs":{"diff_ids":{}}}"#, "malformed"),
            (r#"{}"#, "no rootfs"),
            (r#"[]"#, "malformed"),
            (r#"{"config":[],"rootfs":{}}"#, "malformed"),
            (r#"{"rootfs":[[]]}"#, "malformed"),
            ("", "malformed"),
        ] {
            let error = ImageConfig::parse(text).unwrap_err();
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }
}
