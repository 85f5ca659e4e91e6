//! What refers to an image: signatures, statements, lists of materials (OCI distribution specification,
//! "Listing Referrers" and its fallback by tag).

use super::Repository;
use super::client::headers;
use crate::error::Result;
use crate::image::json::{Document, quote, to_json};
use crate::image::media_type::OCI_INDEX;
use crate::image::{Content, Descriptor, Digest, Manifest};
use crate::transport::index_json::EMPTY_INDEX;
use reqwest::header;
use reqwest::{Method, StatusCode};

/// The tag that stands for the referrers of a digest where a registry has no API for them.
fn fallback_tag(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().name(), digest.hex())
}

impl Repository {
    /// What refers to a digest: the descriptors, and the tags that cosign made before there were referrers.
    pub(super) async fn list_referrers(&self, digest: &Digest) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let what = format!("looking for referrers of {digest}");
        let mut request = self.manifest_request(Method::GET, "", what)?;
        request.url = self.client.url(self.name.repository(), &format!("referrers/{digest}"))?;
        let answer = self.client.whole(&request, 4 << 20).await?;
        let index = match answer.status {
            StatusCode::OK => Some(answer.body),
            _ => self.tagged(&fallback_tag(digest)).await?.map(|m| m.bytes),
        };
        let index = index.and_then(|bytes| Manifest::parse(bytes, Some(OCI_INDEX)).ok());
        found.extend(index.iter().flat_map(Manifest::children).map(described));
        for (suffix, kind) in [(".sig", "signature"), (".att", "attestation"), (".sbom", "bill of materials")]
        {
            let tag = format!("{}{suffix}", fallback_tag(digest));
            let request = self.manifest_request(Method::HEAD, &tag, format!("looking for {tag}"))?;
            if self.client.send(&request).await?.status() == StatusCode::OK {
                found.push(format!("{kind} (tag {tag})"));
            }
        }
        Ok(found)
    }

    /// Writes a manifest with a subject, and lists it where the registry does not do so by itself.
    pub(super) async fn push_referrer(&self, manifest: &Manifest, subject: &Digest) -> Result<()> {
        let target = manifest.digest.to_string();
        let what = format!("writing {}", self.described(&target));
        let mut request = self.manifest_request(Method::PUT, &target, what)?;
        request.headers = headers([(header::CONTENT_TYPE, &manifest.media_type)])?;
        request.body = manifest.bytes.clone();
        let answer = self.client.expect(&request, &[StatusCode::CREATED]).await?;
        if answer.headers().contains_key("oci-subject") {
            return Ok(());
        }
        let tag = fallback_tag(subject);
        let index = self.tagged(&tag).await?;
        if index.as_ref().is_some_and(|i| i.children().iter().any(|d| d.digest == manifest.digest)) {
            return Ok(());
        }
        let text = index.map_or_else(|| EMPTY_INDEX.as_bytes().to_vec(), |i| i.bytes.to_vec());
        let mut text = Document::new(&text)?;
        text.push("/manifests", &entry(manifest)?)?;
        let index = Manifest::parse(text.into_bytes(), Some(OCI_INDEX))?;
        self.write_manifest(&index, &tag).await
    }

    async fn tagged(&self, tag: &str) -> Result<Option<Manifest>> {
        let answer = self.get(tag).await?;
        match answer.status {
            StatusCode::OK => {
                let found = Manifest::parse(answer.body.clone(), answer.header("content-type"));
                Ok(found.ok().filter(|m| matches!(m.content, Content::Index { .. })))
            }
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(answer.refusal(&self.reading(tag))),
        }
    }
}

/// A referrer in the index of its subject's referrers.
fn entry(manifest: &Manifest) -> Result<String> {
    let kind = match &manifest.content {
        Content::Artifact { kind, .. } => kind.as_str(),
        _ => "",
    };
    Ok(format!(
        "{{\"mediaType\":{},\"digest\":{},\"size\":{},\"artifactType\":{}}}",
        quote(&manifest.media_type),
        to_json(&manifest.digest)?,
        manifest.bytes.len(),
        quote(kind)
    ))
}

fn described(descriptor: &Descriptor) -> String {
    let kind = descriptor.artifact_type.as_deref().unwrap_or(&descriptor.media_type);
    format!("{kind} ({})", descriptor.digest)
}
