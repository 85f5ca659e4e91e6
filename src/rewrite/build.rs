//! Builds wrapped images: config, layer and manifest, with a proof that the wrap can be undone.

use super::embedded;
use super::format;
use super::image::{Image, argv};
use super::layer::Layer;
use super::list::List;
use super::outcome::New;
use super::paths::Directory;
use super::policy::Policy;
use super::record::{self, Annotations, Record, Undos};
use crate::error::{Error, Note, Result};
use crate::image::authored;
use crate::image::json::{Document, Undo, quote, to_json};
use crate::image::media_type::Family;
use crate::image::{Content, Digest, ImageConfig, Manifest, Platform};
use crate::reapers::Reaper;
use bytes::Bytes;

/// The maximum number of layers that engines mount (overlayfs takes 128, the writable one included).
pub const MAX_LAYERS: usize = 127;

/// A wrap that was decided but not built yet.
#[derive(Debug)]
pub struct Plan {
    image: Image,
    platform: Platform,
    reaper: Reaper,
    policy: Policy,
}

impl Plan {
    /// Creates a plan. Returns an error if the image cannot take one more layer.
    pub(super) fn new(image: Image, platform: &Platform, reaper: &Reaper, policy: &Policy) -> Result<Self> {
        let layers = image.config.diff_ids.len();
        if layers >= MAX_LAYERS {
            return Err(Error::unsupported(format!(
                "the image has {layers} layers; engines support at most {MAX_LAYERS}, including the reaper's"
            ))
            .hint("squash layers when you build the image"));
        }
        if let Content::Image { config, .. } = &image.manifest.content {
            embedded::check(config)?;
        }
        let (platform, reaper, policy) = (platform.canonical(), reaper.clone(), policy.clone());
        Ok(Plan { image, platform, reaper, policy })
    }

    /// Returns the image to be wrapped, without any earlier reaper.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Builds the wrapped image. `parents` are the image's directories above the reaper.
    pub fn build(&self, parents: &[Directory]) -> Result<New> {
        let (manifest, config) = (&self.image.manifest, &self.image.config);
        let layer = Layer::new(&self.policy.path, &self.reaper.program, parents)?;
        let record = Record::new(&self.reaper.digest, &self.policy, &manifest.digest, &layer);
        let mut undo = Undos::default();
        let (mut text, notes) = self.edit_config(&layer, &record, &mut undo.config)?;
        // The config's record holds the manifest's undo, and the manifest holds the config's digest. So edit the
        // manifest with placeholders first, which yields the undo, and insert the digest afterwards.
        let mut outer = Document::new(&manifest.bytes)?;
        undo.manifest = self.edit_manifest(&mut outer, &layer, &record)?;
        undo.write(&mut text)?;
        let new_config = Bytes::from(text.into_bytes());
        let family = self.family();
        link(&mut outer, manifest, family, &new_config)?;
        let media_type = match family == manifest.family() {
            true => &manifest.media_type,
            false => format::manifest_type(family),
        };
        let wrapped = Manifest::parse(outer.into_bytes(), Some(media_type))?;
        prove(&wrapped, &new_config, manifest, config)?;
        Ok(New { manifest: wrapped, config: new_config, layer, notes })
    }

    /// Returns the family of the result's media types.
    fn family(&self) -> Family {
        self.policy.format.family(self.image.manifest.family())
    }

    /// Returns the new config, complete except for the undo in its record, and notes for the user.
    fn edit_config(
        &self,
        layer: &Layer,
        record: &Record,
        undo: &mut Vec<Undo>,
    ) -> Result<(Document, Vec<Note>)> {
        let config = &self.image.config;
        let mut notes = Vec::new();
        let mut text = Document::new(&config.bytes)?;
        let entrypoint = wrapped_entrypoint(&mut text, config, &record.prefix())?;
        undo.push(text.set("/config/Entrypoint", &entrypoint)?);
        undo.push(text.push("/rootfs/diff_ids", &quote(&layer.diff_id.to_string()))?);
        match &config.history {
            Some(entries) if entries.iter().filter(|e| **e).count() == config.diff_ids.len() => {
                undo.push(
                    text.push("/history", &authored::history(config.created.as_deref(), &self.policy.path)?)?,
                );
            }
            Some(_) => {
                notes.push("the image's history does not match its layers and was left unchanged".into())
            }
            None => {}
        }
        if argv(config).is_empty() {
            notes.push(
                "the image has neither Entrypoint nor Cmd: it can only be started with a command".into(),
            );
        }
        undo.extend(record.write_labels(&mut text)?);
        Ok((text, notes))
    }

    /// Adds the layer, and placeholders for the config's digest and size.
    fn edit_manifest(&self, text: &mut Document, layer: &Layer, record: &Record) -> Result<Vec<Undo>> {
        let manifest = &self.image.manifest;
        let family = self.family();
        let mut undo = format::convert(text, manifest, family)?;
        undo.extend([text.set("/config/digest", "\"\"")?, text.set("/config/size", "0")?]);
        let size = layer.blob.len() as u64;
        undo.push(text.push("/layers", &authored::layer(family, &layer.digest, size)?)?);
        if family == Family::Oci {
            let annotations = Annotations {
                source: record.source.clone(),
                recipe: record.recipe.clone(),
                platform: Some(self.platform.clone()),
                content: None,
            };
            undo.extend(annotations.write(text)?);
        }
        Ok(undo)
    }
}

/// Adds a Docker manifest list to the record of one of its images, which was just built from `original`.
///
/// # Errors
///
/// Returns an error if the image has no complete record, or if the result could not be undone exactly.
pub fn with_list(new: &New, original: &Image, list: &List) -> Result<New> {
    let (manifest, config) = relabel(&new.manifest, &new.config, original, list)?;
    Ok(New { manifest, config, ..new.clone() })
}

/// Returns the manifest and the config of a wrapped image with this list in its record.
///
/// # Errors
///
/// Returns an error as [`with_list`] does.
pub fn relabel(
    manifest: &Manifest,
    config: &Bytes,
    original: &Image,
    list: &List,
) -> Result<(Manifest, Bytes)> {
    let labels = ImageConfig::parse(config.clone())?.labels.clone();
    let record = Record::read(&labels).ok_or_else(|| Error::other("the new image has no record"))?;
    let mut undo = record.undo.clone();
    let mut text = Document::new(config)?;
    undo.config.push(list.write(&mut text)?);
    undo.write(&mut text)?;
    let config = Bytes::from(text.into_bytes());
    let mut outer = Document::new(&manifest.bytes)?;
    link(&mut outer, &original.manifest, manifest.family(), &config)?;
    let manifest = Manifest::parse(outer.into_bytes(), Some(&manifest.media_type))?;
    prove(&manifest, &config, &original.manifest, &original.config)?;
    Ok((manifest, config))
}

/// Sets the manifest's config descriptor to the new config.
fn link(outer: &mut Document, manifest: &Manifest, family: Family, config: &Bytes) -> Result<()> {
    let digest = Digest::sha256(config);
    outer.set("/config/digest", &quote(&digest.to_string()))?;
    outer.set("/config/size", &config.len().to_string())?;
    if matches!(&manifest.content, Content::Image { config, .. } if config.data.is_some()) {
        embedded::embed(outer, "/config", config)?;
    }
    if family == Family::Oci {
        record::write_content(outer, &digest)?;
    }
    Ok(())
}

/// Returns an error unless undoing the result restores every byte of the source.
fn prove(wrapped: &Manifest, new_config: &Bytes, manifest: &Manifest, config: &ImageConfig) -> Result<()> {
    let result = Image::new(wrapped.clone(), new_config.clone(), true)?;
    let is_undone =
        |o: &record::Original| o.manifest.bytes == manifest.bytes && o.config.bytes == config.bytes;
    if result.original().is_some_and(|original| is_undone(&original)) {
        return Ok(());
    }
    Err(Error::unsupported("wrapping this image could not be undone exactly; nothing was written")
        .hint("please report this image: its manifest or config cannot be restored from the record"))
}

/// Returns the original list with the prefix in front; the original elements are copied verbatim.
fn wrapped_entrypoint(text: &mut Document, config: &ImageConfig, prefix: &[String]) -> Result<String> {
    let prefix = to_json(prefix)?;
    let original = text.get("/config/Entrypoint")?.filter(|_| config.has_entrypoint());
    Ok(match original.as_deref().and_then(|raw| raw.strip_prefix('[')) {
        Some(rest) => format!("{},{rest}", prefix.trim_end_matches(']')),
        None => prefix,
    })
}
