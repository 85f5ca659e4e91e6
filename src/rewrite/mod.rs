//! The rewrite: bytes in, bytes out. No I/O, no clock, no environment (contract C2).
//!
//! [`wrap`] takes a manifest and its config and gives those that start with the reaper; [`unwrap`] is
//! its inverse. Both work on one image; [`index`] carries the results into the index above.

pub mod index;
pub mod known_inits;
pub mod layer;
pub mod paths;
pub mod record;
pub mod repeat;

use crate::error::{Error, Result};
use crate::image::json::{Document, quote, to_json};
use crate::image::media_type::{self, Family};
use crate::image::{Content, Digest, ImageConfig, ImagePath, Manifest};
use crate::reapers::{Reaper, Reapers};
use bytes::Bytes;
use layer::Layer;
use paths::Directory;
use record::{Found, Original, Record, Undos};
use std::fmt;

/// Where the reaper goes unless the user says otherwise: a name no image uses, in a directory all have.
pub const DEFAULT_PATH: &str = "/.reaper";
/// Engines mount no more layers than this (overlayfs takes 128 with the upper one).
pub const MAX_LAYERS: usize = 127;

/// What to do with an image that starts with a known init.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfInit {
    /// Leave the image as it is.
    #[default]
    Skip,
    /// Wrap it like any other.
    Wrap,
}

/// The user's choices that shape the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The absolute path of the reaper in the image.
    pub path: ImagePath,
    /// Options for the reaper.
    pub args: Vec<String>,
    /// What to do with images that have an init.
    pub if_init: IfInit,
}

impl Default for Policy {
    fn default() -> Self {
        let path = DEFAULT_PATH.parse().expect("the default path is a path");
        Policy { path, args: Vec::new(), if_init: IfInit::Skip }
    }
}

impl Policy {
    /// Everything of the policy that the result depends on, in words that do not change.
    fn fingerprint(&self) -> String {
        let if_init = match self.if_init {
            IfInit::Skip => "skip",
            IfInit::Wrap => "wrap",
        };
        // Lists of strings have one JSON form; it keeps `["a b"]` and `["a","b"]` apart.
        let args = serde_json::Value::from(self.args.clone());
        format!("{}\n{args}\n{if_init}\n{}", quote(self.path.as_str()), known_inits::VERSION)
    }
}

/// What happened to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It was not wrapped before, and is now.
    Wrapped,
    /// An older wrap was replaced.
    Upgraded,
    /// It was wrapped just so already.
    Unchanged,
    /// It was left as it is, with a reason.
    Skipped,
    /// It was wrapped before, and is no more.
    Unwrapped,
}

impl Action {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Action::Wrapped => "wrapped",
            Action::Upgraded => "upgraded",
            Action::Unchanged => "unchanged",
            Action::Skipped => "skipped",
            Action::Unwrapped => "unwrapped",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The outcome of a rewrite: the manifest to push, and those of its blobs that are new.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// What happened.
    pub action: Action,
    /// Why, where it is not plain.
    pub reason: Option<String>,
    /// What the user should know besides.
    pub notes: Vec<String>,
    /// The manifest of the result.
    pub manifest: Manifest,
    /// The config of the result, if it is not that of the source.
    pub config: Option<Bytes>,
    /// The added layer.
    pub layer: Option<Layer>,
    /// The image without any reaper, where that is not the source itself.
    pub original: Option<Box<Original>>,
}

impl Rewritten {
    /// The image as it came.
    pub fn same(action: Action, reason: Option<String>, manifest: &Manifest) -> Self {
        Rewritten {
            action,
            reason,
            notes: Vec::new(),
            manifest: manifest.clone(),
            config: None,
            layer: None,
            original: None,
        }
    }
}

/// What a manifest and its config turn out to be.
#[derive(Debug)]
pub enum Read {
    /// A container image.
    Image(Box<Image>),
    /// Something else, by its own name for itself.
    Artifact(String),
}

/// The error for an artifact where an image is needed.
pub fn artifact(kind: &str) -> Error {
    Error::unsupported(format!("this is not a container image but an artifact ({kind})"))
        .hint("only images have an entrypoint to wrap")
}

/// An image to be rewritten.
#[derive(Debug, Clone)]
pub struct Image {
    /// The manifest.
    pub manifest: Manifest,
    /// The config.
    pub config: ImageConfig,
    /// Whether the manifest is the one the image was pushed with; not so in a `docker-archive:`.
    pub keeps_manifest: bool,
}

impl Image {
    /// Takes a manifest and its config, and checks that together they are a container image. What is
    /// clearly something else is [`Read::Artifact`]; what is an image but not a sound one is an error.
    pub fn read(manifest: Manifest, config: Bytes, keeps_manifest: bool) -> Result<Read> {
        let (descriptor, layers) = match &manifest.content {
            Content::Image { config, layers } => (config, layers),
            Content::Artifact { kind, .. } => return Ok(Read::Artifact(kind.clone())),
            Content::Index { .. } => return Err(Error::other("an index was taken for an image")),
        };
        if let Some(layer) = layers.iter().find(|l| !media_type::is_image_layer(&l.media_type)) {
            return match layer.media_type.contains("encrypted") {
                true => Err(Error::unsupported("the image has encrypted layers")
                    .hint("wrap it before it is encrypted")),
                false => Ok(Read::Artifact(manifest.artifact_type().into())),
            };
        }
        let config = match (ImageConfig::parse(config), descriptor.media_type.as_str()) {
            (Ok(config), _) => config,
            (Err(error), "" | media_type::OCI_CONFIG | media_type::DOCKER_CONFIG) => return Err(error),
            (Err(_), _) => return Ok(Read::Artifact(manifest.artifact_type().into())),
        };
        if layers.len() != config.diff_ids.len() {
            return Err(Error::unsupported(format!(
                "the manifest has {} layers, but the config has {} diff_ids",
                layers.len(),
                config.diff_ids.len()
            ))
            .hint("the image is damaged; rebuild it"));
        }
        Ok(Read::Image(Box::new(Image { manifest, config, keeps_manifest })))
    }

    /// As [`Image::read`], where nothing but an image will do.
    pub fn new(manifest: Manifest, config: Bytes, keeps_manifest: bool) -> Result<Self> {
        match Self::read(manifest, config, keeps_manifest)? {
            Read::Image(image) => Ok(*image),
            Read::Artifact(kind) => Err(artifact(&kind)),
        }
    }

    fn record(&self) -> Found {
        match self.keeps_manifest {
            true => record::find(&self.manifest, &self.config),
            false => record::find_without_manifest(&self.manifest, &self.config),
        }
    }

    /// Whether the image is wrapped, and the image before that.
    pub fn original(&self) -> Option<Box<Original>> {
        match self.record() {
            Found::Valid(original) => Some(original),
            _ => None,
        }
    }
}

/// Wraps an image: see the [module](self). An image that is wrapped by the same recipe, has an init of its own, or inherited the
/// reaper comes back as it is. `parents` are the image's directories above the reaper.
pub fn wrap(image: &Image, reapers: &Reapers, policy: &Policy, parents: &[Directory]) -> Result<Rewritten> {
    let platform = image.config.platform()?;
    let reaper = reapers.select(platform)?;
    let recipe = record::recipe(&reaper.digest, policy);
    let same = |action, reason: &str| Rewritten::same(action, Some(reason.into()), &image.manifest);
    match image.record() {
        Found::Valid(original) if original.record.recipe == recipe => {
            let mut result = same(Action::Unchanged, "already wrapped with this reaper and these options");
            result.original = Some(original);
            Ok(result)
        }
        Found::Valid(original) => {
            let source = Image {
                manifest: original.manifest.clone(),
                config: original.config.clone(),
                keeps_manifest: image.keeps_manifest,
            };
            let mut result = wrap_fresh(&source, reaper, &recipe, policy, parents)?;
            result.action = match result.action {
                Action::Wrapped => Action::Upgraded,
                other => other,
            };
            result.config.get_or_insert_with(|| source.config.bytes.clone());
            result.original = Some(original);
            Ok(result)
        }
        Found::Stale { reaper_first: true, .. } => {
            Ok(same(Action::Skipped, "it inherits the reaper of the wrapped image it was built from"))
        }
        Found::Nothing
            if argv(&image.config).first().is_some_and(|word| policy.path == **word)
                && policy.path != DEFAULT_PATH =>
        {
            Err(Error::unsupported(format!("the image starts {}, where the reaper is to go", policy.path))
                .hint("choose another --path"))
        }
        Found::Nothing if image.config.entrypoint.first().is_some_and(|word| policy.path == **word) => {
            Ok(same(
                Action::Skipped,
                "its entrypoint is the reaper already, without a record of who put it there",
            ))
        }
        Found::Stale { .. } | Found::Nothing => wrap_fresh(image, reaper, &recipe, policy, parents),
    }
}

/// Wraps an image that is not wrapped.
fn wrap_fresh(
    image: &Image,
    reaper: &Reaper,
    recipe: &Digest,
    policy: &Policy,
    parents: &[Directory],
) -> Result<Rewritten> {
    let (manifest, config) = (&image.manifest, &image.config);
    let argv = argv(config);
    if policy.if_init == IfInit::Skip
        && let Some(init) = known_inits::of(config)
    {
        let reason =
            format!("it starts {init}, which reaps already or insists on being PID 1 ({:?})", init.word);
        return Ok(Rewritten::same(Action::Skipped, Some(reason), manifest));
    }
    if config.diff_ids.len() >= MAX_LAYERS {
        return Err(Error::unsupported(format!(
            "the image has {} layers, and engines take no more than {MAX_LAYERS}",
            config.diff_ids.len()
        ))
        .hint("squash layers when the image is built"));
    }
    let layer = Layer::new(&policy.path, &reaper.program, parents)?;
    let mut notes = Vec::new();
    let mut record = Record {
        reaper: reaper.digest.clone(),
        path: policy.path.clone(),
        args: policy.args.clone(),
        source: manifest.digest.clone(),
        recipe: recipe.clone(),
        layer: layer.digest.clone(),
        diff_id: layer.diff_id.clone(),
        undo: Undos::default(),
    };

    let mut text = Document::new(&config.bytes)?;
    let undo = &mut record.undo.config;
    let entrypoint = wrapped_entrypoint(&mut text, config, &record::prefix(&policy.path, &policy.args))?;
    undo.push(text.set("/config/Entrypoint", &entrypoint)?);
    undo.push(text.push("/rootfs/diff_ids", &quote(&layer.diff_id.to_string()))?);
    match &config.history {
        Some(entries) if entries.iter().filter(|has_layer| **has_layer).count() == config.diff_ids.len() => {
            undo.push(text.push("/history", &history_entry(config, &policy.path))?);
        }
        Some(_) => notes.push("the history does not match the layers and is left as it is".to_string()),
        None => {}
    }
    if argv.is_empty() {
        notes.push(
            "the image has neither Entrypoint nor Cmd: it starts only with a command given".to_string(),
        );
    }
    let labels = record.write_labels(&mut text)?;
    record.undo.config.extend(labels);

    // The manifest's undo goes into the config, and the config's digest into the manifest: edit the
    // manifest with what is known, so that the undo is, then once more with the digest.
    let mut outer = Document::new(&manifest.bytes)?;
    record.undo.manifest = edit_manifest(&mut outer, manifest, &layer, &record)?;
    record.write_undo(&mut text)?;
    let new_config = Bytes::from(text.into_bytes());
    outer.set("/config/digest", &quote(&Digest::sha256(&new_config).to_string()))?;
    outer.set("/config/size", &new_config.len().to_string())?;
    if has_data(manifest) {
        record::embed(&mut outer, "/config", &new_config)?;
    }
    let wrapped = Manifest::parse(outer.into_bytes(), Some(&manifest.media_type))?;

    let result = Image {
        manifest: wrapped.clone(),
        config: ImageConfig::parse(new_config.clone())?,
        keeps_manifest: true,
    };
    if result.original().is_none_or(|o| o.manifest.bytes != manifest.bytes || o.config.bytes != config.bytes)
    {
        return Err(Error::unsupported(
            "wrapping this image could not be undone exactly; nothing was written",
        )
        .hint("its manifest or config is written in a way that cannot be restored; please report it"));
    }
    Ok(Rewritten {
        action: Action::Wrapped,
        reason: None,
        notes,
        manifest: wrapped,
        config: Some(new_config),
        layer: Some(layer),
        original: None,
    })
}

/// Restores an image as it was before it was wrapped. Fails with
/// [`Kind::Unsupported`](crate::error::Kind) where there is nothing to undo.
pub fn unwrap(image: &Image) -> Result<Rewritten> {
    match image.record() {
        Found::Valid(original) => {
            let notes = match original.exact {
                true => Vec::new(),
                false => vec!["config and diff_ids are restored; the manifest is new, because this transport keeps none".into()],
            };
            Ok(Rewritten {
                action: Action::Unwrapped,
                reason: None,
                notes,
                manifest: original.manifest.clone(),
                config: Some(original.config.bytes.clone()),
                layer: None,
                original: Some(original),
            })
        }
        Found::Stale { why, .. } => Err(why
            .context("the record of the wrap does not describe this image")
            .hint("it was built from a wrapped image or changed since; unwrap the image it was built from")),
        Found::Nothing => Err(Error::unsupported("the image is not wrapped")),
    }
}

/// The words that name the program: Entrypoint's, or Cmd's where there is none.
pub fn argv(config: &ImageConfig) -> &[String] {
    if config.has_entrypoint() { &config.entrypoint } else { &config.cmd }
}

/// The original list with the prefix in front; its own elements stay the text they are.
fn wrapped_entrypoint(text: &mut Document, config: &ImageConfig, prefix: &[String]) -> Result<String> {
    let prefix = to_json(prefix)?;
    let original = text.get("/config/Entrypoint")?.filter(|_| config.has_entrypoint());
    Ok(match original.as_deref().and_then(|raw| raw.strip_prefix('[')) {
        Some(rest) => format!("{},{rest}", prefix.trim_end_matches(']')),
        None => prefix,
    })
}

/// The clock is not ours to read: the entry repeats the config's `created`.
fn history_entry(config: &ImageConfig, path: &ImagePath) -> String {
    let created = config.created.as_ref().map(|c| format!("\"created\":{c},")).unwrap_or_default();
    format!(
        "{{{created}\"created_by\":{},\"comment\":\"reapify\"}}",
        quote(&format!("reapify: add {path}, a reaper for PID 1"))
    )
}

fn edit_manifest(
    text: &mut Document,
    manifest: &Manifest,
    layer: &Layer,
    record: &Record,
) -> Result<Vec<crate::image::json::Undo>> {
    let mut undo = vec![text.set("/config/digest", "\"\"")?, text.set("/config/size", "0")?];
    let descriptor = layer_descriptor(manifest.family(), &layer.digest, layer.blob.len() as u64);
    undo.push(text.push("/layers", &descriptor)?);
    if manifest.family() == Family::Oci {
        undo.extend(Record::write_annotations(&record.source, &record.recipe, text)?);
    }
    Ok(undo)
}

/// The descriptor of the added layer.
fn layer_descriptor(family: Family, digest: &Digest, size: u64) -> String {
    format!(
        "{{\"mediaType\":{},\"digest\":{},\"size\":{size}}}",
        quote(family.gzip_layer()),
        quote(&digest.to_string()),
    )
}

fn has_data(manifest: &Manifest) -> bool {
    matches!(&manifest.content, Content::Image { config, .. } if config.data.is_some())
}

#[cfg(test)]
mod tests;
