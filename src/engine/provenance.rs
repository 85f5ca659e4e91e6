//! Provenance of a wrap: an in-toto statement with SLSA's provenance predicate, as an OCI referrer of the
//! result. It contains digests only, and is the same for every run with the same input.

use super::report::{Action, Report};
use super::task::{Attestations, Wrap};
use crate::error::Result;
use crate::image::json::to_json;
use crate::image::{Descriptor, Digest, Manifest, Platform, authored};
use crate::rewrite::IfInit;
use crate::transport::{Offer, Payload, Sink};
use bytes::Bytes;
use serde_json::{Value, json};

/// The media type of statements (in-toto attestation framework).
const IN_TOTO: &str = "application/vnd.in-toto+json";
/// The annotation that identifies a statement without reading it.
const PREDICATE_TYPE: (&str, &str) = ("in-toto.io/predicate-type", "https://slsa.dev/provenance/v1");

/// Attaches a statement to the image of the report.
pub async fn push(sink: &dyn Sink, wrap: &Wrap, report: &Report, subject: &Manifest) -> Result<Digest> {
    let statement = Bytes::from(to_json(&statement(wrap, report))?);
    let descriptor = Descriptor::of(IN_TOTO, &statement);
    let manifest = authored::referrer(&descriptor, PREDICATE_TYPE, &subject.descriptor())?;
    let blobs = manifest.blobs().into_iter().zip([Bytes::from_static(b"{}"), statement]);
    for (descriptor, bytes) in blobs {
        put(sink, descriptor, bytes).await?;
    }
    sink.put_referrer(&manifest, &subject.digest).await?;
    Ok(manifest.digest.clone())
}

async fn put(sink: &dyn Sink, descriptor: &Descriptor, bytes: Bytes) -> Result<()> {
    match sink.offer(descriptor, None).await? {
        Offer::Wanted(slot) => sink.put(slot, descriptor, Payload::Bytes(bytes)).await,
        Offer::Mounted | Offer::Existing => Ok(()),
    }
}

fn statement(wrap: &Wrap, report: &Report) -> Value {
    let digest = |d: &Digest| json!({ d.algorithm().name(): d.hex() });
    let name = |p: &Option<Platform>| p.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut materials = vec![json!({ "name": "source", "digest": digest(&report.source_digest) })];
    let wrapped = || report.platforms.iter().filter(|i| i.action != Action::Skipped);
    for image in wrapped() {
        let reaper = image.platform.as_ref().and_then(|p| wrap.reapers.select(p).ok());
        materials.extend(reaper.map(|reaper| {
            json!({
                "name": format!("reaper {}", name(&image.platform)),
                "digest": digest(&reaper.digest),
                "annotations": { "version": reaper.version() },
            })
        }));
    }
    materials.dedup();
    let images: Vec<Value> = wrapped()
        .map(|image| {
            json!({
                "name": name(&image.platform),
                "digest": digest(&image.digest),
                "annotations": { "source": image.source_digest },
            })
        })
        .collect();
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "digest": digest(&report.digest) }],
        "predicateType": PREDICATE_TYPE.1,
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:reapify:wrap:1",
                "externalParameters": {
                    "path": wrap.policy.path,
                    "args": wrap.policy.args,
                    "if_init": if wrap.policy.if_init == IfInit::Wrap { "wrap" } else { "skip" },
                    "attestations": if wrap.attestations == Attestations::Keep { "keep" } else { "drop" },
                    "platforms": wrap.platforms.iter().map(ToString::to_string).collect::<Vec<_>>(),
                },
                "resolvedDependencies": materials,
            },
            "runDetails": {
                "builder": { "id": "urn:reapify", "version": { "reapify": env!("CARGO_PKG_VERSION") } },
                "byproducts": images,
            },
        },
    })
}
