//! Reports referrers of the source, such as signatures: they apply only to its digest and are not copied.

use super::report::Report;
use crate::error::Note;
use crate::image::Digest;
use crate::transport::Source;
use futures_util::future::join_all;

/// Returns notes about the referrers of the source and of its rewritten images, and warnings if they could
/// not be listed.
pub async fn of_source(source: &dyn Source, report: &Report) -> (Vec<Note>, Vec<String>) {
    let images = report.platforms.iter().filter(|image| image.digest != image.source_digest);
    let mut subjects: Vec<(String, &Digest)> = vec![("the source".into(), &report.source_digest)];
    for image in images {
        if subjects.iter().all(|subject| *subject.1 != image.source_digest) {
            let platform = image.platform.as_ref().map(ToString::to_string).unwrap_or_default();
            subjects.push((format!("the source image for {platform}"), &image.source_digest));
        }
    }
    let asking = subjects.into_iter().map(async |(name, digest)| (name, source.referrers(digest).await));
    let (mut notes, mut warnings) = (Vec::new(), Vec::new());
    for (name, found) in join_all(asking).await {
        match found {
            Ok(found) if found.is_empty() => {}
            Ok(found) => {
                let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                let why = "because they apply only to its digest";
                notes
                    .push(format!("referrers of {name} were not copied, {why}: {}", found.join(", ")).into());
            }
            Err(error) => warnings.push(format!("the referrers of {name} could not be listed: {error}")),
        }
    }
    (notes, warnings)
}
