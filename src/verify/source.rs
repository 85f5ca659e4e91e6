//! Verification that a wrapped image was made from a given source.

use super::check::{Checked, check, compare, tree};
use crate::error::{Context, Error, Result};
use crate::image::json::Document;
use crate::image::{Content, Descriptor, Digest, Manifest};
use crate::read::Reader;
use crate::rewrite::index::{self, History, Replaced};
use crate::rewrite::record::Annotations;
use crate::rewrite::repeat;
use crate::transport::Source;
use futures_util::future::{BoxFuture, FutureExt};
use std::sync::Arc;

/// Returns an error unless `checked` was made from `expected`: from the whole, or from a subset of its children.
pub async fn verify(place: Arc<dyn Source>, expected: Manifest, checked: &Checked) -> Result<()> {
    let reader = Reader::new(place);
    if checked.manifest().is_some_and(|m| m.digest == expected.digest)
        || made_from(&reader, &expected, checked).await?
    {
        return Ok(());
    }
    // If the source is itself wrapped, both must have the same original.
    let digest = expected.digest.clone();
    let theirs = check(&reader, tree(&reader, expected).await?).await.context(|| "the source")?;
    let is_same = match theirs.original() {
        Some(original) => made_from(&reader, original, checked).await?,
        None => false,
    };
    match is_same {
        true => Ok(()),
        false => Err(Error::verification(format!(
            "the image was made from {}, not from the source {digest}",
            checked.source()
        ))),
    }
}

/// Returns whether `checked` was made from this source. An error names the difference if it should have been.
fn made_from<'a>(
    reader: &'a Reader,
    expected: &'a Manifest,
    checked: &'a Checked,
) -> BoxFuture<'a, Result<bool>> {
    async move {
        let Checked::Index { manifest, history, children } = checked else {
            return of_image(expected, checked);
        };
        // A Docker list does not record its source; its children do.
        let is_recorded = Annotations::read(manifest).is_some();
        if history.original.digest == expected.digest {
            return Ok(true);
        }
        if is_recorded && (history.dropped == 0 || history.source != expected.digest) {
            return Ok(false);
        }
        let Some(Narrowed { dropped, replaced }) = narrowed(expected, history, children)? else {
            return match is_recorded {
                true => Err(Error::verification("the index contains images that the source does not")),
                false => Ok(false),
            };
        };
        for (position, (nested, _)) in &replaced {
            let theirs = reader.child(&expected.children()[*position]).await.context(|| "the source")?;
            if !made_from(reader, &theirs, nested).await? {
                return Ok(false);
            }
        }
        let replaced: Vec<Replaced> = replaced
            .into_iter()
            .map(|(position, (_, manifest))| Replaced { position, manifest: manifest.clone() })
            .collect();
        let kept = index::without(&index::with(expected, &replaced)?, &dropped)?;
        compare("the index before it was wrapped", &history.original.bytes, &kept.bytes)?;
        Ok(true)
    }
    .boxed()
}

/// Returns whether an image comes from a manifest, or from one child of an index. If the image's transport does not
/// store manifests, its config must be that of the source.
fn of_image(expected: &Manifest, checked: &Checked) -> Result<bool> {
    let source = checked.source();
    let chosen = |child: &Descriptor| child.digest == *source;
    if matches!(expected.content, Content::Index { .. }) {
        let keeps = checked.original().is_some_and(|original| original.digest == *source);
        return Ok(!keeps && expected.children().iter().any(chosen));
    }
    let config = |manifest: &Manifest| manifest.blobs().first().map(|config| config.digest.clone());
    let is_same = checked.original().is_none_or(|original| config(original) == config(expected));
    Ok(expected.digest == *source && is_same)
}

/// How an index was derived from a larger one.
struct Narrowed<'a> {
    /// The positions in the larger index of the children that were dropped.
    dropped: Vec<usize>,
    /// The nested indexes from which children were dropped, with their manifests before the wrap.
    replaced: Vec<(usize, (&'a Checked, &'a Manifest))>,
}

/// Compares two indexes; `None` if the smaller one has a child that the larger one lacks, or another order.
fn narrowed<'a>(
    source: &Manifest,
    history: &'a History,
    children: &'a [(usize, Checked)],
) -> Result<Option<Narrowed<'a>>> {
    let nested = |position: usize| {
        let child = children.iter().find(|(at, _)| *at == position).map(|(_, child)| child)?;
        match child {
            Checked::Index { history, .. } if history.dropped > 0 => Some((child, history)),
            _ => None,
        }
    };
    let (mut ours, mut theirs) = (Document::new(&history.original.bytes)?, Document::new(&source.bytes)?);
    let mut next = 0;
    let mut narrowed = Narrowed { dropped: Vec::new(), replaced: Vec::new() };
    for (position, child) in source.children().iter().enumerate() {
        let kept = history.original.children().get(next).map(|kept| {
            let nested = nested(next);
            let came_from: &Digest = nested.map_or(&kept.digest, |(_, history)| &history.source);
            (came_from, nested)
        });
        match kept {
            // The index may list one digest more than once, for different platforms.
            Some((came_from, nested))
                if *came_from == child.digest
                    && repeat::without_target(&mut ours, next)?
                        == repeat::without_target(&mut theirs, position)? =>
            {
                narrowed
                    .replaced
                    .extend(nested.map(|(child, history)| (position, (child, &history.original))));
                next += 1;
            }
            _ => narrowed.dropped.push(position),
        }
    }
    Ok((next == history.original.children().len()).then_some(narrowed))
}
