//! Referrers of an image: signatures, attestations, bills of materials (OCI distribution specification, "Listing
//! Referrers" and its fallback, the referrers tag).

use super::http::Request;
use super::repository::Repository;
use crate::error::{Context, Error, Result};
use crate::image::authored;
use crate::image::json::Document;
use crate::image::media_type::OCI_INDEX;
use crate::image::{Content, Descriptor, Digest, Manifest};
use crate::transport::Referrer;
use reqwest::{Method, StatusCode};

/// The maximum size of a page of a list.
const MAX_PAGE: usize = 4 << 20;
/// The maximum number of pages, so that a registry cannot send an endless list.
const MAX_PAGES: usize = 100;

/// Returns the tag that lists the referrers of a digest in registries without the referrers API.
fn referrers_tag(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().name(), digest.hex())
}

impl Repository {
    /// Lists the referrers of a digest, including the tags that older versions of cosign use.
    pub(super) async fn list_referrers(&self, digest: &Digest) -> Result<Vec<Referrer>> {
        let listed = match self.referrers_api(digest).await? {
            Some(listed) => listed,
            None => {
                let index = self.tagged_index(&referrers_tag(digest)).await?;
                index.map(|index| index.children().to_vec()).unwrap_or_default()
            }
        };
        let mut found: Vec<Referrer> = listed.into_iter().map(Referrer::from).collect();
        for (suffix, kind) in [(".sig", "signature"), (".att", "attestation"), (".sbom", "bill of materials")]
        {
            let tag = format!("{}{suffix}", referrers_tag(digest));
            let request = self.manifest_request(Method::HEAD, &tag, format!("looking for {tag}"))?;
            if self.client.send_alone(&request, &self.scopes).await?.status() == StatusCode::OK {
                found.push(Referrer { kind: kind.into(), digest: None, tag: Some(tag) });
            }
        }
        Ok(found)
    }

    /// Reads all pages of the referrers API; `None` if the registry does not have it.
    async fn referrers_api(&self, digest: &Digest) -> Result<Option<Vec<Descriptor>>> {
        let mut url = self.client.url(self.name.repository(), &format!("referrers/{digest}"))?;
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            let request =
                Request::new(Method::GET, url.clone(), format!("looking for referrers of {digest}"));
            let answer = self.client.fetch(&request, &self.scopes, MAX_PAGE).await?;
            match answer.status {
                StatusCode::OK => {}
                // A registry without the API answers 404; some answer 400, 405 or 501.
                _ if found.is_empty() => return Ok(None),
                _ => return Err(answer.refusal(&request.operation).into_error()),
            }
            let next = self.client.next_page(&url, &answer, &request.operation)?;
            let index = Manifest::parse(answer.body, Some(OCI_INDEX)).context(|| &request.operation)?;
            found.extend(index.children().iter().cloned());
            match next {
                Some(next) => url = next,
                None => return Ok(Some(found)),
            }
        }
        Err(Error::network(format!("more than {MAX_PAGES} pages of referrers of {digest}")))
    }

    /// Writes a manifest with a subject, and lists it under the referrers tag if the registry does not list it by
    /// itself.
    pub(super) async fn push_referrer(&self, manifest: &Manifest, subject: &Digest) -> Result<()> {
        let answer = self.write_manifest(manifest, &manifest.digest.to_string()).await?;
        if answer.headers.contains_key("oci-subject") {
            return Ok(());
        }
        let tag = referrers_tag(subject);
        let index = self.tagged_index(&tag).await?;
        if index.as_ref().is_some_and(|i| i.children().iter().any(|d| d.digest == manifest.digest)) {
            return Ok(());
        }
        let text = match index {
            Some(index) => index.bytes.clone(),
            None => authored::empty_index()?.into(),
        };
        let mut text = Document::new(&text)?;
        text.push("/manifests", &authored::entry(manifest, None)?)?;
        let index = Manifest::parse(text.into_bytes(), Some(OCI_INDEX))?;
        self.write_manifest(&index, &tag).await.map(drop)
    }

    /// Reads the index under a tag, if there is one. Any other content is an error, because it must not be
    /// overwritten.
    async fn tagged_index(&self, tag: &str) -> Result<Option<Manifest>> {
        let answer = self.get(tag).await?;
        match answer.status {
            StatusCode::OK => {
                let kind = answer.header("content-type").map(str::to_owned);
                let found = Manifest::parse(answer.body, kind.as_deref()).context(|| self.described(tag))?;
                match found.content {
                    Content::Index { .. } => Ok(Some(found)),
                    _ => Err(Error::unsupported(format!(
                        "{} is not an index of referrers",
                        self.described(tag)
                    ))),
                }
            }
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(answer.refusal(&self.reading(tag)).into_error()),
        }
    }
}
