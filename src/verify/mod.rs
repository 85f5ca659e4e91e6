//! Is a wrapped image what its record says? The strongest answer there is: undo the wrap, wrap again with
//! the reaper found in the image, and compare every byte.

pub(crate) mod layer;

use crate::error::{Context, Error, Result};
use crate::image::json::{Document, child, quote};
use crate::image::{Content, Digest, Manifest, Platform};
use crate::job::read;
use crate::reapers::Reapers;
use crate::rewrite::index::{self, Base, Replaced};
use crate::rewrite::record::{self, Record};
use crate::rewrite::{self, Action, IfInit, Image, Policy, init};
use crate::transport::Source;
use crate::transport::verify::verified;
use futures_util::StreamExt;
use futures_util::future::try_join_all;

/// What was found true of an image.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The digest of what was verified.
    pub digest: Digest,
    /// The digest of what was wrapped.
    pub source_digest: Digest,
    /// The images within.
    pub images: Vec<VerifiedImage>,
    /// How many blobs were read to the end.
    pub blobs: usize,
}

/// One image.
#[derive(Debug, Clone)]
pub struct VerifiedImage {
    /// What it is for, where it says so.
    pub platform: Option<Platform>,
    /// The digest of its manifest.
    pub digest: Digest,
    /// Its record; `None` if it is rightly not wrapped.
    pub record: Option<Record>,
    /// Whether wrap leaves it alone: it has an init, or there is no reaper for it.
    pub exempt: bool,
    /// Why it is not wrapped.
    pub reason: Option<String>,
}

/// Verifies an image or an index. With `source`, also that it is what wrapping that gives; with `deep`, that every
/// blob is there and intact. Fails with [`Kind::Verification`](crate::error::Kind) and the first difference.
pub async fn verify(image: &dyn Source, source: Option<&dyn Source>, deep: bool) -> Result<Verified> {
    let (manifest, expected) = match source {
        Some(source) => {
            let (manifest, expected) = tokio::join!(image.manifest(), source.manifest());
            (manifest?, Some((source, expected.context(|| "the source")?)))
        }
        None => (image.manifest().await?, None),
    };
    let children = children(image, &manifest).await?;
    let images: Vec<VerifiedImage> = children.iter().map(|c| c.outcome.clone()).collect();
    let unwrapped = images.iter().find(|i| i.record.is_none() && !i.exempt);
    let none = images.iter().all(|i| i.record.is_none());
    let same = expected.as_ref().is_some_and(|(_, e)| e.digest == manifest.digest);
    if let Some(image) = unwrapped.or(images.first().filter(|_| none && !same)) {
        let platform = image.platform.as_ref().map(|p| format!(" for {p}")).unwrap_or_default();
        let why = image.reason.as_deref().unwrap_or_default();
        return Err(Error::verification(format!("the image{platform} is not wrapped: {why}")));
    }
    if images.is_empty() {
        return Err(Error::verification("the index holds no Linux image"));
    }
    let source_digest = match &manifest.content {
        Content::Index { .. } => verify_index(&manifest, &children, expected.as_ref().map(|e| &e.1))?,
        _ => match children.first().and_then(|c| c.original.as_ref()) {
            Some(original) => original.digest.clone(),
            None => manifest.digest.clone(),
        },
    };
    if let Some((place, expected)) = &expected {
        verify_source(*place, expected, &manifest, &children, &source_digest).await?;
    }
    let blobs = if deep { read_all(image, &manifest).await? } else { 0 };
    Ok(Verified { digest: manifest.digest, source_digest, images, blobs })
}

struct Child {
    position: usize,
    manifest: Manifest,
    /// Before it was wrapped, if it was.
    original: Option<Manifest>,
    outcome: VerifiedImage,
}

async fn children(place: &dyn Source, manifest: &Manifest) -> Result<Vec<Child>> {
    let Content::Index { children } = &manifest.content else {
        return match read::image(place, manifest.clone()).await? {
            Some(image) => Ok(vec![one(place, image, 0).await?]),
            None => Err(rewrite::artifact(&manifest.media_type)),
        };
    };
    let images = children.iter().enumerate().filter(|(_, d)| d.is_image() && !d.is_attestation());
    let images =
        images.filter(|(_, d)| d.platform.as_ref().is_none_or(|p| p.os == "linux" || p.os.is_empty()));
    let verified = images.map(|(position, descriptor)| async move {
        let here = || format!("the image {}", descriptor.digest);
        let child = place.child(descriptor).await.context(here)?;
        match read::image(place, child).await.context(here)? {
            Some(image) => one(place, image, position).await.context(here).map(Some),
            None => Ok(None),
        }
    });
    Ok(try_join_all(verified).await?.into_iter().flatten().collect())
}

/// One image: against its record, or against the reasons for having none.
async fn one(place: &dyn Source, image: Image, position: usize) -> Result<Child> {
    let mut outcome = VerifiedImage {
        platform: image.config.platform().ok().map(Platform::canonical),
        digest: image.manifest.digest.clone(),
        record: None,
        exempt: false,
        reason: None,
    };
    let manifest = image.manifest.clone();
    let Some(original) = image.original() else {
        if record::any_trace(&image.config.labels) {
            return Err(Error::verification(why_stale(&image)));
        }
        let init = init::known_init(rewrite::argv(&image.config));
        let no_reaper = image.config.platform().is_ok_and(|p| Reapers::default().select(p).is_err());
        outcome.exempt = init.is_some() || no_reaper;
        outcome.reason = Some(match init {
            Some(init) => format!("it starts {init}"),
            None if no_reaper => "there is no reaper for its platform".into(),
            None => "it has no record".into(),
        });
        return Ok(Child { position, manifest, original: None, outcome });
    };
    let record = original.record.clone();
    let descriptor = image.manifest.blobs().last().copied().cloned();
    let descriptor = descriptor.ok_or_else(|| Error::verification("the image has no layer"))?;
    let blob = read::blob(place, &descriptor, layer::MAX_LAYER).await.context(|| "the reaper's layer")?;
    let layer = layer::read(&blob)?;
    layer.check(&record, image.config.platform()?)?;
    let before = Image {
        manifest: original.manifest.clone(),
        config: original.config.clone(),
        keeps_manifest: image.keeps_manifest,
    };
    rewrapped(&image, &before, &record, &layer)?;
    outcome.record = Some(record);
    Ok(Child { position, manifest, original: Some(before.manifest), outcome })
}

/// Wraps the original with the reaper in the image, and compares.
fn rewrapped(image: &Image, original: &Image, record: &Record, layer: &layer::Contents) -> Result<()> {
    let mut reapers = Reapers::none();
    reapers.give(Some(&image.config.platform()?.canonical()), layer.program.clone())?;
    let policy = |if_init| Policy { path: record.path.clone(), args: record.args.clone(), if_init };
    let policies = [policy(IfInit::Skip), policy(IfInit::Wrap)];
    let policy =
        policies.iter().find(|p| record::recipe(&record.reaper, p) == record.recipe).ok_or_else(|| {
            Error::verification(format!(
                "the recorded recipe {} is not that of its reaper, path and options",
                record.recipe
            ))
        })?;
    let again = rewrite::wrap(original, &reapers, policy, &layer.parents)?;
    if again.action != Action::Wrapped {
        return Err(Error::verification(
            again.reason.unwrap_or_else(|| "wrapping the original does nothing".into()),
        ));
    }
    let config = again.config.unwrap_or_default();
    if image.keeps_manifest {
        compare("the config", &image.config.bytes, &config)?;
        return compare("the manifest", &image.manifest.bytes, &again.manifest.bytes);
    }
    // What the record says of the manifest cannot be compared where there is none.
    let mut text = Document::new(&config)?;
    for (key, value) in image.config.labels.iter().filter(|(key, _)| record::is_about_manifest(key)) {
        text.set(&child("/config/Labels", key), &quote(value))?;
    }
    compare("the config", &image.config.bytes, text.as_str().as_bytes())
}

/// The index is that of its children, by its own record.
fn verify_index(manifest: &Manifest, children: &[Child], source: Option<&Manifest>) -> Result<Digest> {
    let originals: Vec<Replaced> = children
        .iter()
        .filter_map(|c| Some(Replaced { position: c.position, manifest: c.original.clone()? }))
        .collect();
    let base = index::unwrap(manifest, &originals)?;
    let wrapped: Vec<Replaced> = children
        .iter()
        .filter(|c| c.original.is_some())
        .map(|c| Replaced { position: c.position, manifest: c.manifest.clone() })
        .collect();
    let Some((recorded, recipe)) = record::annotated(manifest) else { return Ok(base.source) };
    if recorded != base.source {
        return Err(Error::verification(format!(
            "the index records the source {recorded}, but undoing it gives {}",
            base.source
        )));
    }
    compare("the index", &manifest.bytes, &index::wrap(&base, &wrapped, &[], &recipe)?.bytes)?;
    if let Some(source) = source.filter(|_| base.dropped > 0) {
        kept_of(source, &base)?;
    }
    Ok(base.source)
}

/// Where children were left out, those that stayed are the source's, in its order.
fn kept_of(source: &Manifest, base: &Base) -> Result<()> {
    let mut rest = source.children().iter();
    for child in base.manifest.children() {
        if !rest.any(|d| d.digest == child.digest) {
            return Err(Error::verification(format!(
                "the index has the child {}, which the source has not",
                child.digest
            )));
        }
    }
    let missing = source.children().len() - base.manifest.children().len();
    match missing == base.dropped {
        true => Ok(()),
        false => Err(Error::verification(format!(
            "{missing} children of the source are missing, {} are recorded as left out",
            base.dropped
        ))),
    }
}

async fn verify_source(
    place: &dyn Source,
    expected: &Manifest,
    manifest: &Manifest,
    children: &[Child],
    source: &Digest,
) -> Result<()> {
    if expected.digest == *source || expected.digest == manifest.digest {
        return Ok(());
    }
    // The source may be wrapped itself: then both come from the same original.
    let theirs = self::children(place, expected).await.context(|| "the source")?;
    let same = !theirs.is_empty()
        && theirs.len() == children.len()
        && theirs.iter().zip(children).all(|(a, b)| {
            a.original.is_some()
                && a.original.as_ref().map(|m| &m.digest) == b.original.as_ref().map(|m| &m.digest)
        });
    match same {
        true => Ok(()),
        false => Err(Error::verification(format!(
            "the image was made from {source}, not from the source {}",
            expected.digest
        ))),
    }
}

/// Why a record does not count.
fn why_stale(image: &Image) -> String {
    let Some(record) = Record::read(&image.config.labels) else {
        return "the record in the labels is incomplete or of another version".into();
    };
    let last = image.config.diff_ids.last().cloned().unwrap_or_default();
    if last != record.diff_id.to_string() {
        return format!("the last diff_id is {last}, the record says {}", record.diff_id);
    }
    let layer = image.manifest.blobs().last().map(|l| l.digest.to_string()).unwrap_or_default();
    if image.keeps_manifest && layer != record.layer.to_string() {
        return format!("the last layer is {layer}, the record says {}", record.layer);
    }
    if !image.config.entrypoint.starts_with(&record.prefix()) {
        return format!(
            "the entrypoint is {:?}, the record says that it starts with {:?}",
            image.config.entrypoint,
            record.prefix()
        );
    }
    format!("undoing the wrap does not give the recorded source {}", record.source)
}

/// Fails with the first difference.
fn compare(what: &str, found: &[u8], expected: &[u8]) -> Result<()> {
    let Some(at) = found
        .iter()
        .zip(expected)
        .position(|(a, b)| a != b)
        .or_else(|| (found.len() != expected.len()).then_some(found.len().min(expected.len())))
    else {
        return Ok(());
    };
    let from = at.saturating_sub(20);
    let excerpt = |text: &[u8]| {
        String::from_utf8_lossy(&text[from.min(text.len())..text.len().min(at + 40)]).into_owned()
    };
    Err(Error::verification(format!(
        "{what} differs at byte {at}: it has {:?}, wrapping its source gives {:?}",
        excerpt(found),
        excerpt(expected)
    )))
}

/// Reads every blob to its end.
async fn read_all(place: &dyn Source, manifest: &Manifest) -> Result<usize> {
    let mut pending = vec![manifest.clone()];
    let mut seen = std::collections::HashSet::new();
    while let Some(manifest) = pending.pop() {
        for descriptor in manifest.children() {
            if seen.insert(descriptor.digest.clone()) {
                pending.push(
                    place.child(descriptor).await.context(|| format!("the child {}", descriptor.digest))?,
                );
            }
        }
        for descriptor in manifest.blobs().into_iter().filter(|d| !d.is_foreign()) {
            if seen.insert(descriptor.digest.clone()) {
                let mut stream = verified(place.blob(descriptor).await?, descriptor);
                while let Some(piece) = stream.next().await {
                    piece.context(|| format!("the blob {}", descriptor.digest))?;
                }
            }
        }
    }
    Ok(seen.len())
}
