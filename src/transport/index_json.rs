//! `index.json`, the list of a layout's images (OCI image specification, "index.json file"): the selection of an
//! entry, and its replacement. Edits keep everything else unchanged.

use super::ImageName;
use crate::error::{Context, Error, Result};
use crate::image::json::{Document, quote};
use crate::image::{Choice, Content, Descriptor, Location, Manifest, Reference, authored, media_type};
use base64::Engine as _;

/// The annotation for the name of an image in a layout, often only its tag.
pub const REF_NAME: &str = oci_spec::image::ANNOTATION_REF_NAME;
/// The annotation for the full name of an image, which containerd and Docker (from version 25) write beside the tag.
/// Where `docker save` writes several images, their tags may be equal.
pub const FULL_NAME: &str = "io.containerd.image.name";
/// The maximum size of `index.json`; a layout may contain many images.
pub const MAX_INDEX: u64 = 64 << 20;
/// The maximum number of images that a hint lists.
const LISTED: usize = 20;

/// Parses `index.json`.
pub fn parse(text: impl Into<String>) -> Result<Manifest> {
    let index = Manifest::parse(text.into(), Some(media_type::OCI_INDEX)).context(|| "index.json")?;
    match index.content {
        Content::Index { .. } => Ok(index),
        _ => Err(Error::unsupported("index.json is not an index")),
    }
}

/// Finds the chosen image. `place` is how the user names the layout.
///
/// # Errors
///
/// Returns [`Kind::Usage`](crate::error::Kind) if more than one image matches.
pub fn find<'a>(index: &'a Manifest, image: &Choice<String>, place: &str) -> Result<Option<&'a Descriptor>> {
    let found = positions(index.children(), image);
    one(index, &found, place).map(|found| found.first().map(|i| &index.children()[*i]))
}

/// Returns the positions of the entries that an image written as `image` replaces; none if it is added. `onto_itself`
/// states that it is made from the layout's only image, which it replaces.
pub fn replaced(
    index: &Manifest,
    image: &Choice<String>,
    onto_itself: bool,
    place: &str,
) -> Result<Vec<usize>> {
    match image {
        Choice::Only if !onto_itself => Ok(Vec::new()),
        image => one(index, &positions(index.children(), image), place),
    }
}

/// Finds the image that an image written as `image` would replace. Without a name, that is the only other one without
/// a name.
pub fn current<'a>(
    index: &'a Manifest,
    image: &Choice<String>,
    onto_itself: bool,
    place: &str,
) -> Result<Option<&'a Descriptor>> {
    let entries = index.children();
    if *image == Choice::Only && !onto_itself {
        let has_name =
            |entry: &Descriptor| [REF_NAME, FULL_NAME].iter().any(|key| entry.annotation(key).is_some());
        let unnamed: Vec<&Descriptor> =
            entries.iter().filter(|entry| !is_artifact(entry) && !has_name(entry)).collect();
        return Ok(unnamed.first().filter(|first| unnamed.iter().all(|e| e.digest == first.digest)).copied());
    }
    let at = replaced(index, image, onto_itself, place)?;
    Ok(at.first().map(|position| &entries[*position]))
}

/// Returns the names of the chosen image: all of them, or the one by which it was chosen.
pub fn names(index: &Manifest, image: &Choice<String>) -> Vec<ImageName> {
    let entries = positions(index.children(), image).into_iter().map(|i| &index.children()[i]);
    let name = |entry: &Descriptor| ImageName {
        tag: entry.annotation(REF_NAME).map(String::from),
        full: entry.annotation(FULL_NAME).map(String::from),
    };
    let mut names: Vec<ImageName> = Vec::new();
    for name in entries.map(name).filter(|name| *name != ImageName::default()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Replaces the entries at some positions, all of which refer to `old`, with an image, or appends the image under
/// `name`. If the image was rewritten, its entry keeps all fields that do not depend on the content; if another image
/// replaces it, its entry keeps the annotations, which include its name.
pub fn with_image(
    index: &Manifest,
    manifest: &Manifest,
    at: &[usize],
    old: Option<&Manifest>,
    name: &ImageName,
) -> Result<String> {
    let mut text = Document::new(&index.bytes)?;
    for position in at {
        let descriptor = &index.children()[*position];
        let place = format!("/manifests/{position}");
        if old.is_some_and(|old| is_rewrite(old, manifest)) {
            update(&mut text, &place, descriptor, manifest)?;
        } else {
            let annotations = text.get(&format!("{place}/annotations"))?.map(String::from);
            text.set(&place, &authored::entry(manifest, annotations.as_deref())?)?;
        }
    }
    let is_there = || index.children().iter().any(|entry| entry.digest == manifest.digest);
    if at.is_empty() && (*name != ImageName::default() || !is_there()) {
        text.push("/manifests", &authored::entry(manifest, annotations(name).as_deref())?)?;
    }
    Ok(text.to_string())
}

/// Adds a manifest without a name, unless it is listed already.
pub fn with_referrer(index: &Manifest, manifest: &Manifest) -> Result<String> {
    with_image(index, manifest, &[], None, &ImageName::default())
}

/// Returns the positions of the entries that match the choice.
fn positions(entries: &[Descriptor], image: &Choice<String>) -> Vec<usize> {
    let all = |is_meant: &dyn Fn(&Descriptor) -> bool| -> Vec<usize> {
        (0..entries.len()).filter(|i| is_meant(&entries[*i])).collect()
    };
    match image {
        // Referrers match only by name.
        Choice::Only => all(&|entry| !is_artifact(entry)),
        Choice::Name(name) => named(entries, name),
        Choice::Digest(digest, None) => all(&|entry| entry.digest == *digest),
        Choice::Digest(digest, Some(name)) => {
            named(entries, name).into_iter().filter(|i| entries[*i].digest == *digest).collect()
        }
        Choice::Position(position) => all(&|_| true).into_iter().skip(*position).take(1).collect(),
    }
}

/// Returns the positions of the entries with a name: as written, else the same reference in another form, such as
/// `app:1` for `docker.io/library/app:1`.
fn named(entries: &[Descriptor], name: &str) -> Vec<usize> {
    let all = |is_meant: &dyn Fn(&Descriptor) -> bool| -> Vec<usize> {
        (0..entries.len()).filter(|i| is_meant(&entries[*i])).collect()
    };
    let literally =
        all(&|entry| entry.annotation(REF_NAME) == Some(name) || entry.annotation(FULL_NAME) == Some(name));
    match name.parse::<Reference>() {
        Ok(reference) if literally.is_empty() => all(&|entry| full_name(entry).as_ref() == Some(&reference)),
        _ => literally,
    }
}

/// Returns the full name of an entry; Podman and skopeo write it as the tag.
fn full_name(entry: &Descriptor) -> Option<Reference> {
    let tag = entry.annotation(REF_NAME).filter(|tag| tag.contains([':', '/']));
    entry.annotation(FULL_NAME).or(tag)?.parse().ok()
}

/// Returns whether the artifact type of an entry is not that of an image, which is its config's media type.
fn is_artifact(entry: &Descriptor) -> bool {
    entry
        .artifact_type
        .as_deref()
        .is_some_and(|kind| !kind.is_empty() && !media_type::MediaType::from(kind).is_image_config())
}

/// Returns the positions if they refer to one image, which may have several names.
fn one(index: &Manifest, found: &[usize], place: &str) -> Result<Vec<usize>> {
    let entries = index.children();
    if found.windows(2).all(|two| entries[two[0]].digest == entries[two[1]].digest) {
        return Ok(found.to_vec());
    }
    Err(Error::usage(format!("{place} contains {} images", found.len()))
        .hint(format!("choose one: {}", choices(entries, found, place))))
}

/// Returns the error for a layout or an archive that lacks the image.
pub fn no_such_image(index: &Manifest, image: &Choice<String>, place: &str) -> Error {
    let all: Vec<usize> = (0..index.children().len()).collect();
    let error = match image {
        Choice::Only => Error::not_found(format!("{place} contains no image")),
        image => Error::not_found(format!("{place}{image}: no such image")),
    };
    if all.is_empty() {
        return error.hint("choose another source; this one contains no image");
    }
    error.hint(format!("choose one: {}", choices(index.children(), &all, place)))
}

/// Lists the references by which each of several entries can be chosen.
fn choices(entries: &[Descriptor], positions: &[usize], place: &str) -> String {
    let listed = positions.iter().take(LISTED);
    let mut names: Vec<String> = listed.map(|i| format!("{place}{}", choice(entries, *i, place))).collect();
    names.extend((positions.len() > LISTED).then(|| format!("and {} more", positions.len() - LISTED)));
    names.join(", ")
}

/// Returns the shortest unambiguous way to choose an entry.
fn choice(entries: &[Descriptor], position: usize, place: &str) -> Choice<String> {
    let entry = &entries[position];
    let is_clear = |name: &&str| {
        let all_the_same = named(entries, name).iter().all(|i| entries[*i].digest == entry.digest);
        let written = format!("{place}:{name}").parse();
        let is_read = match &written {
            Ok(Location::Layout { image, .. } | Location::OciArchive { image, .. }) => {
                matches!(image, Choice::Name(read) if read == name)
            }
            _ => false,
        };
        all_the_same && is_read
    };
    let names = [entry.annotation(REF_NAME), entry.annotation(FULL_NAME)].into_iter().flatten();
    match names.into_iter().find(is_clear) {
        Some(name) => Choice::Name(name.into()),
        None => Choice::Position(position),
    }
}

/// Returns whether one image may be a rewrite of the other: they have the same lowest layer.
fn is_rewrite(old: &Manifest, new: &Manifest) -> bool {
    match (&old.content, &new.content) {
        (Content::Image { layers: a, .. }, Content::Image { layers: b, .. }) => {
            match (a.first(), b.first()) {
                (Some(a), Some(b)) => a.digest == b.digest,
                _ => true,
            }
        }
        (Content::Index { .. }, Content::Index { .. }) => true,
        _ => false,
    }
}

/// Updates an entry to the image's new manifest.
fn update(text: &mut Document, place: &str, entry: &Descriptor, manifest: &Manifest) -> Result<()> {
    let mut set = |field: &str, raw: &str| text.set(&format!("{place}/{field}"), raw).map(drop);
    if entry.media_type != manifest.media_type {
        set("mediaType", &quote(&manifest.media_type))?;
    }
    set("digest", &quote(&manifest.digest.to_string()))?;
    set("size", &manifest.bytes.len().to_string())?;
    if entry.data.is_some() {
        set("data", &quote(&base64::engine::general_purpose::STANDARD.encode(&manifest.bytes)))?;
    }
    match &manifest.content {
        Content::Image { config, .. } if entry.artifact_type.is_some() => {
            set("artifactType", &quote(&config.media_type))
        }
        _ => Ok(()),
    }
}

/// Returns a name as annotations.
fn annotations(name: &ImageName) -> Option<String> {
    // Docker archives contain short names; containerd writes full ones.
    let full = name.full.as_ref().map(|full| match full.parse::<Reference>() {
        Ok(reference) => reference.to_string(),
        Err(_) => full.clone(),
    });
    let pairs = [(FULL_NAME, &full), (REF_NAME, &name.tag)];
    let written = pairs
        .iter()
        .filter_map(|(key, value)| value.as_ref().map(|value| format!("{}:{}", quote(key), quote(value))));
    let written: Vec<String> = written.collect();
    (!written.is_empty()).then(|| format!("{{{}}}", written.join(",")))
}
