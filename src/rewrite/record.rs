//! The record that wrap writes into an image, so that it can be recognised, upgraded, verified and undone.
//!
//! It consists of labels in the config, because every transport keeps the config. OCI manifests also carry source and
//! recipe as annotations, so that an image is known to be up to date without its config.

use super::embedded::embed;
use super::format;
use super::layer::Layer;
use super::list::{self, List};
use super::policy::Policy;
use crate::error::{Error, Result};
use crate::image::json::{Document, Undo, child, quote, to_json};
use crate::image::{Content, Digest, ImageConfig, ImagePath, Manifest, Platform};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::ops::Deref;

/// The prefix of all keys in the record.
pub const PREFIX: &str = "io.reapify.";
/// The maximum number of undos in a record. Wrapping an image makes about twenty, an index three.
pub const MAX_UNDO: usize = 64;
/// The version of the record's format; records of other versions are not read.
const FORMAT: &str = "1";
/// The version of the rewrite, which is part of every recipe. Raise it with every change to what wrap writes.
pub const RECIPE: &str = "2";
/// The keys, in the order in which they are written.
mod key {
    pub const FORMAT: &str = "io.reapify.record";
    pub const REAPER: &str = "io.reapify.reaper";
    pub const PATH: &str = "io.reapify.path";
    pub const ARGS: &str = "io.reapify.args";
    pub const SOURCE: &str = "io.reapify.source";
    pub const RECIPE: &str = "io.reapify.recipe";
    pub const LAYER: &str = "io.reapify.layer";
    pub const DIFF_ID: &str = "io.reapify.diff-id";
    pub const UNDO: &str = "io.reapify.undo";
    pub const PLATFORM: &str = "io.reapify.platform";
    pub const CONTENT: &str = "io.reapify.content";
}

/// The record of one wrap. It is written by [`Record::new`] or read from an image, and never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record(Fields);

/// The fields of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// The digest of the reaper program.
    pub reaper: Digest,
    /// The path of the reaper in the image.
    pub path: ImagePath,
    /// The reaper's options.
    pub args: Vec<String>,
    /// The digest of the manifest that was wrapped.
    pub source: Digest,
    /// The digest of everything except the source that determines the result.
    pub recipe: Digest,
    /// The digest of the added layer.
    pub layer: Digest,
    /// The diff_id of the added layer.
    pub diff_id: Digest,
    /// The edits that restore config and manifest.
    pub undo: Undos,
    /// The Docker manifest list that the image is the first wrapped one of.
    pub list: Option<List>,
}

/// The edits that restore config and manifest, applied from last to first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undos {
    /// The undos of the config.
    pub config: Vec<Undo>,
    /// The undos of the manifest.
    pub manifest: Vec<Undo>,
}

impl Undos {
    /// Replaces the placeholder that [`Record::write_labels`] wrote.
    pub fn write(&self, config: &mut Document) -> Result<()> {
        let undo = Undos { config: condense(&self.config), manifest: condense(&self.manifest) };
        config.set(&child("/config/Labels", key::UNDO), &quote(&to_json(&undo)?)).map(drop)
    }
}

/// Returns the recipe: equal recipes give equal results from equal sources.
pub fn recipe(reaper: &Digest, policy: &Policy) -> Digest {
    Digest::sha256(format!("reapify image recipe\n{RECIPE}\n{reaper}\n{}", policy.fingerprint()))
}

impl Deref for Record {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.0
    }
}

impl Record {
    /// Creates the record of a wrap, with no undo: that is known only after the edits.
    pub fn new(reaper: &Digest, policy: &Policy, source: &Digest, layer: &Layer) -> Self {
        Record(Fields {
            reaper: reaper.clone(),
            path: policy.path.clone(),
            args: policy.args.clone(),
            source: source.clone(),
            recipe: recipe(reaper, policy),
            layer: layer.digest.clone(),
            diff_id: layer.diff_id.clone(),
            undo: Undos::default(),
            list: None,
        })
    }

    /// Returns the words that precede the original entrypoint.
    pub fn prefix(&self) -> Vec<String> {
        prefix(&self.path, &self.args)
    }

    /// Writes the record into the config's labels, with a placeholder for the undo.
    pub fn write_labels(&self, config: &mut Document) -> Result<Vec<Undo>> {
        let args = to_json(&self.args)?;
        let digests =
            [&self.reaper, &self.source, &self.recipe, &self.layer, &self.diff_id].map(Digest::to_string);
        let [reaper, source, recipe, layer, diff_id] = &digests;
        let labels: [(&str, &str); 9] = [
            (key::FORMAT, FORMAT),
            (key::REAPER, reaper),
            (key::PATH, self.path.as_str()),
            (key::ARGS, &args),
            (key::SOURCE, source),
            (key::RECIPE, recipe),
            (key::LAYER, layer),
            (key::DIFF_ID, diff_id),
            (key::UNDO, ""),
        ];
        labels.iter().map(|(key, value)| config.set(&child("/config/Labels", key), &quote(value))).collect()
    }

    /// Reads the labels of a config; `None` if they hold no complete record.
    pub fn read(labels: &BTreeMap<String, String>) -> Option<Self> {
        let get = |key: &str| labels.get(key);
        let digest = |key: &str| get(key)?.parse::<Digest>().ok();
        if get(key::FORMAT)? != FORMAT {
            return None;
        }
        Some(Record(Fields {
            reaper: digest(key::REAPER)?,
            path: get(key::PATH)?.parse().ok()?,
            args: serde_json::from_str(get(key::ARGS)?).ok()?,
            source: digest(key::SOURCE)?,
            recipe: digest(key::RECIPE)?,
            layer: digest(key::LAYER)?,
            diff_id: digest(key::DIFF_ID)?,
            undo: serde_json::from_str(get(key::UNDO)?).ok()?,
            list: List::read(labels),
        }))
    }
}

/// Returns the annotation key under which an index stores its undo record.
pub fn undo_key() -> &'static str {
    key::UNDO
}

/// Returns the annotation key of the platform.
pub fn platform_key() -> &'static str {
    key::PLATFORM
}

/// The annotations of OCI manifests and indexes, which show that an image is up to date without its config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotations {
    /// The digest of the manifest that was wrapped.
    pub source: Digest,
    /// The recipe.
    pub recipe: Digest,
    /// The platform of the image.
    pub platform: Option<Platform>,
    /// The digest of the content that wrap produced: the config of an image, or the text of an index's list of
    /// children. If another tool edits the content and keeps the annotation, the digest no longer matches. `None`
    /// until it is known.
    pub content: Option<Digest>,
}

impl Annotations {
    /// Reads the annotations of a manifest.
    pub fn read(manifest: &Manifest) -> Option<Self> {
        let text = |key: &str| manifest.annotations.get(key);
        let digest = |key: &str| text(key)?.parse::<Digest>().ok();
        Some(Annotations {
            source: digest(key::SOURCE)?,
            recipe: digest(key::RECIPE)?,
            platform: text(key::PLATFORM).and_then(|platform| platform.parse().ok()),
            content: digest(key::CONTENT),
        })
    }

    /// Writes the annotations; a missing content digest gets a placeholder, for [`write_content`].
    pub fn write(&self, manifest: &mut Document) -> Result<Vec<Undo>> {
        self.write_with(self.platform.as_ref().map(Platform::to_string).as_deref(), manifest)
    }

    /// Writes the annotations like [`Annotations::write`], with this text as the platform.
    pub fn write_with(&self, platform: Option<&str>, manifest: &mut Document) -> Result<Vec<Undo>> {
        let content = self.content.as_ref().map(Digest::to_string).unwrap_or_default();
        let platform = platform.map(|platform| (key::PLATFORM, platform.to_string()));
        let pairs = [(key::SOURCE, self.source.to_string()), (key::RECIPE, self.recipe.to_string())];
        pairs
            .into_iter()
            .chain(platform)
            .chain([(key::CONTENT, content)])
            .map(|(key, value)| manifest.set(&child("/annotations", key), &quote(&value)))
            .collect()
    }

    /// Returns whether the manifest still has the content that wrap produced.
    pub fn describe(&self, manifest: &Manifest) -> bool {
        self.content.is_some() && self.content == content(manifest)
    }
}

/// Returns the digest of a manifest's content: its config, or the text of its list of children.
pub fn content(manifest: &Manifest) -> Option<Digest> {
    match &manifest.content {
        Content::Image { config, .. } => Some(config.digest.clone()),
        Content::Index { .. } => {
            let mut text = Document::new(&manifest.bytes).ok()?;
            text.get("/manifests").ok()?.map(|list| Digest::sha256(list.as_bytes()))
        }
        Content::Artifact { .. } | Content::Opaque { .. } => None,
    }
}

/// Replaces the placeholder that [`Annotations::write`] wrote.
pub fn write_content(manifest: &mut Document, content: &Digest) -> Result<()> {
    manifest.set(&child("/annotations", key::CONTENT), &quote(&content.to_string())).map(drop)
}

/// Returns whether labels or annotations contain any key of a record, complete or not.
pub fn has_record_key(map: &BTreeMap<String, String>) -> bool {
    map.keys().any(|key| key.starts_with(PREFIX))
}

/// Returns whether a label depends on the manifest, and not only on the config.
pub fn is_about_manifest(key: &str) -> bool {
    matches!(key, key::SOURCE | key::UNDO | list::LABEL)
}

/// Returns the path in a record, complete or not.
pub fn recorded_path(labels: &BTreeMap<String, String>) -> Option<&str> {
    labels.get(key::PATH).map(String::as_str)
}

/// Returns `path`, the reaper's options, and the `--` that ends them.
pub fn prefix(path: &ImagePath, args: &[String]) -> Vec<String> {
    let mut words = vec![path.to_string()];
    words.extend(args.iter().cloned());
    words.push("--".into());
    words
}

/// Drops undos that an earlier one covers, because the earlier one is applied after them.
pub fn condense(undos: &[Undo]) -> Vec<Undo> {
    let mut restored: HashSet<&str> = HashSet::new();
    let mut kept = Vec::new();
    for undo in undos {
        let at = undo.pointer();
        let mut above = at.match_indices('/').map(|(end, _)| &at[..end]).chain([at]);
        if above.any(|place| restored.contains(place)) {
            continue;
        }
        if !matches!(undo, Undo::Pop(_)) {
            restored.insert(at);
        }
        kept.push(undo.clone());
    }
    kept
}

/// The state of an image's record.
#[derive(Debug)]
pub enum RecordState {
    /// The image has no record.
    Absent,
    /// The image has a valid record.
    Valid(Box<Original>),
    /// The image has a record that does not describe it, such as one inherited from a wrapped base image.
    Stale {
        /// Whether the image still starts the reaper that the record names.
        reaper_first: bool,
        /// Why the record is not valid.
        why: Error,
    },
}

/// An image as it was before the wrap.
#[derive(Debug, Clone)]
pub struct Original {
    /// The record of the wrap.
    pub record: Record,
    /// The original manifest.
    pub manifest: Manifest,
    /// The original config.
    pub config: ImageConfig,
    /// Whether the manifest is the original one, digest for digest. An archive that does not store manifests, or a
    /// program that packs the layers again, preserves only the config and the diff_ids.
    pub exact: bool,
}

/// Returns whether an image starts the reaper of its wrapped base image. Labels, entrypoint and layers must agree,
/// because anyone can write a label.
fn is_inherited(config: &ImageConfig) -> bool {
    let Some(record) = Record::read(&config.labels) else { return false };
    let diff_id = record.diff_id.to_string();
    config.entrypoint.starts_with(&record.prefix()) && config.diff_ids.contains(&diff_id)
}

/// Returns whether the last layer is the recorded one, so that nothing was built on the wrapped image.
pub fn has_last_layer(config: &ImageConfig) -> bool {
    let recorded = Record::read(&config.labels).map(|record| record.diff_id.to_string());
    recorded.is_some() && recorded.as_ref() == config.diff_ids.last()
}

/// Finds the record of an image and checks it: the last layer and diff_id are the recorded ones, the entrypoint has
/// the recorded prefix, and undoing the wrap gives the recorded source.
pub fn find(manifest: &Manifest, config: &ImageConfig) -> RecordState {
    if !has_record_key(&config.labels) {
        return RecordState::Absent;
    }
    state(config, |record| undo(manifest, config, record))
}

fn state(config: &ImageConfig, undo: impl FnOnce(Record) -> Result<Original>) -> RecordState {
    let incomplete = || Error::unsupported("its labels are incomplete or have an unknown version");
    match Record::read(&config.labels).ok_or_else(incomplete).and_then(undo) {
        Ok(original) => RecordState::Valid(Box::new(original)),
        Err(why) => RecordState::Stale { reaper_first: is_inherited(config), why },
    }
}

fn stale(why: &str) -> Error {
    Error::unsupported(why)
}

/// Returns the config before the wrap, if the record describes this config.
fn undone_config(config: &ImageConfig, record: &Record) -> Result<ImageConfig> {
    if config.diff_ids.last() != Some(&record.diff_id.to_string()) {
        return Err(stale("the last diff_id is not the recorded one"));
    }
    if !config.entrypoint.starts_with(&record.prefix()) {
        return Err(stale("the entrypoint does not start with the recorded prefix"));
    }
    let mut text = Document::new(&config.bytes)?;
    apply(&mut text, &record.undo.config)?;
    ImageConfig::parse(text.into_bytes())
}

fn undo(manifest: &Manifest, config: &ImageConfig, record: Record) -> Result<Original> {
    let Content::Image { config: descriptor, layers } = &manifest.content else {
        return Err(stale("it describes an image, not an index"));
    };
    let original = undone_config(config, &record)?;
    if layers.last().is_none_or(|l| l.digest != record.layer) {
        return Err(stale("the last layer is not the recorded one"));
    }
    let mut text = Document::new(&manifest.bytes)?;
    apply(&mut text, &record.undo.manifest)?;
    if descriptor.data.is_some() {
        embed(&mut text, "/config", &original.bytes)?;
    }
    let media_type = format::before(&record.undo.manifest, &manifest.media_type);
    let undone = Manifest::parse(text.into_bytes(), Some(media_type))?;
    match &undone.content {
        Content::Image { config: restored, .. }
            if undone.digest == record.source && restored.digest.matches(&original.bytes) =>
        {
            Ok(Original { record, manifest: undone, config: original, exact: true })
        }
        _ => Err(stale("undoing it does not give the recorded source")),
    }
}

/// Returns whether a manifest may be one that another program made for a wrapped image: Docker's own image store, for
/// example, packs the layers again when it pushes an image. Only OCI manifests have annotations that prove the contrary.
pub fn may_be_remade(manifest: &Manifest) -> bool {
    !has_record_key(&manifest.annotations)
}

/// Undoes a wrap whose manifest was not preserved (`docker-archive:` stores none): the config is restored digest for
/// digest, and the manifest loses its last layer.
pub fn find_without_manifest(manifest: &Manifest, config: &ImageConfig) -> RecordState {
    match find(manifest, config) {
        RecordState::Stale { .. } => state(config, |record| undo_config(manifest, config, record)),
        state => state,
    }
}

fn undo_config(manifest: &Manifest, config: &ImageConfig, record: Record) -> Result<Original> {
    let original = undone_config(config, &record)?;
    let digest = Digest::sha256(&original.bytes);
    let recorded = record.undo.manifest.iter().find_map(|undo| match undo {
        Undo::Set(pointer, raw) if pointer == "/config/digest" => Some(raw.clone()),
        _ => None,
    });
    if recorded != Some(quote(&digest.to_string())) {
        return Err(stale("undoing it does not give the recorded config"));
    }
    let mut text = Document::new(&manifest.bytes)?;
    text.set("/config/digest", &quote(&digest.to_string()))?;
    text.set("/config/size", &original.bytes.len().to_string())?;
    text.remove_elements("/layers", &[config.diff_ids.len() - 1])?;
    let manifest = Manifest::parse(text.into_bytes(), Some(&manifest.media_type))?;
    Ok(Original { record, manifest, config: original, exact: false })
}

/// Applies undos from last to first. Returns an error if there are more than any wrap makes.
pub fn apply(text: &mut Document, undos: &[Undo]) -> Result<()> {
    if undos.len() > MAX_UNDO {
        let count = undos.len();
        return Err(Error::unsupported(format!("it has {count} undo steps; the maximum is {MAX_UNDO}")));
    }
    undos.iter().rev().try_for_each(|undo| text.undo(undo))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::json::work;
    use crate::image::media_type::{OCI_CONFIG, OCI_LAYER_GZIP};
    use crate::reapers::Reapers;
    use crate::rewrite::{self, Image};

    #[test]
    fn drops_undos_below_a_restored_value() {
        let set = |pointer: &str| Undo::Set(pointer.into(), "null".into());
        let del = |pointer: &str| Undo::Del(pointer.into());
        let pop = |pointer: &str| Undo::Pop(pointer.into());
        let undos = [
            set("/a"),
            del("/a/b"),
            set("/a"),
            set("/ab"),
            pop("/l"),
            set("/l/0"),
            del("/x/y"),
            set("/x/y/z"),
        ];
        assert_eq!(condense(&undos), [set("/a"), set("/ab"), pop("/l"), set("/l/0"), del("/x/y")]);
        assert_eq!(condense(&[set(""), set("/a")]), [set("")]);
    }

    fn image(config: &str) -> Image {
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"{OCI_CONFIG}","digest":"{}","size":{}}},"layers":[{{"mediaType":"{OCI_LAYER_GZIP}","digest":"{}","size":1}}]}}"#,
            Digest::sha256(config),
            config.len(),
            Digest::sha256("layer"),
        );
        Image::new(Manifest::parse(manifest, None).unwrap(), config.to_owned().into(), true).unwrap()
    }

    #[test]
    fn ignores_records_with_too_many_undo_steps() {
        let config = format!(
            r#"{{"os":"linux","architecture":"amd64","rootfs":{{"diff_ids":["{}"]}}}}"#,
            Digest::sha256("diff")
        );
        let image = image(&config);
        let (reapers, policy) = (Reapers::default(), Policy::default());
        let decision = rewrite::decide(&image, &image.config.platform().unwrap(), &reapers, &policy).unwrap();
        let outcome = decision.build(&[]).unwrap();
        let wrapped = outcome.built().unwrap();
        let steps: Vec<Undo> =
            (0..150_000).map(|_| Undo::Set("/config/Labels/a".into(), "\"b\"".into())).collect();
        for undo in [
            Undos { config: steps.clone(), manifest: Vec::new() },
            Undos { config: Vec::new(), manifest: steps.clone() },
        ] {
            let mut text = Document::new(&wrapped.config).unwrap();
            text.set(&child("/config/Labels", key::UNDO), &quote(&to_json(&undo).unwrap())).unwrap();
            text.set("/config/Labels/a", "\"b\"").unwrap();
            let config = text.to_string();
            let mut text = Document::new(&wrapped.manifest.bytes).unwrap();
            text.set("/config/digest", &quote(&Digest::sha256(&config).to_string())).unwrap();
            text.set("/config/size", &config.len().to_string()).unwrap();
            let manifest = Manifest::parse(text.into_bytes(), None).unwrap();
            let size = config.len();
            let hostile = Image::new(manifest, config.into(), true).unwrap();
            let (parsed, error) = work::during(|| rewrite::undo::unwrap(&hostile).unwrap_err());
            assert!(error.to_string().contains("150000 undo steps"), "{error}");
            assert!(parsed < 10 * size, "parsed {parsed} bytes for a config of {size}");
        }
    }
}
