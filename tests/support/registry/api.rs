//! The distribution API on a [`Store`]: it takes a request and its body, and returns a response.

use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::act::Reply;
use super::route::{Asked, Kind};
use super::store::{Location, Store, Upload};
use crate::support::image::digest;

impl Store {
    /// Processes a request and returns the response. `host` is the registry's own `host:port`.
    pub(super) fn serve(&mut self, asked: &Asked, body: Bytes, host: &str) -> Reply {
        if asked.kind == Kind::Token {
            return self.give_token(asked, &body);
        }
        if let Some(refused) = self.refuse(asked, host) {
            return refused;
        }
        let method = &asked.method;
        match &asked.kind {
            Kind::Ping => Reply::status(200).body("{}"),
            Kind::Manifest { repository, reference } => match *method {
                Method::GET | Method::HEAD => self.get_manifest(repository, reference),
                Method::PUT => self.accept_manifest(asked, repository, reference, body),
                Method::DELETE => self.delete_manifest(repository, reference),
                _ => Reply::status(405),
            },
            Kind::Blob { repository, digest } => match *method {
                Method::GET | Method::HEAD => self.get_blob(asked, repository, digest),
                Method::DELETE if self.repository(repository).blobs.remove(digest).is_some() => {
                    Reply::status(202)
                }
                Method::DELETE => unknown_blob(),
                _ => Reply::status(405),
            },
            Kind::StartUpload { repository } if method == Method::POST => {
                self.start_upload(asked, repository, body, host)
            }
            Kind::Upload { repository, id } => self.go_on_uploading(asked, repository, id, &body, host),
            Kind::Tags { repository } if method == Method::GET => self.list_tags(asked, repository),
            Kind::Catalog if method == Method::GET => {
                let body = json!({"repositories": self.repositories()}).to_string();
                Reply::status(200).header("content-type", "application/json").body(body)
            }
            Kind::Referrers { repository, digest } if method == Method::GET => {
                self.list_referrers(repository, digest)
            }
            _ => Reply::error(404, "UNSUPPORTED", "no such route"),
        }
    }

    fn get_manifest(&self, repository: &str, reference: &str) -> Reply {
        let Some(stored) = self.manifest(repository, reference) else {
            return match self.repositories.contains_key(repository) {
                true => Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
                false => Reply::error(404, "NAME_UNKNOWN", "repository name not known to registry"),
            };
        };
        let reply = Reply::status(200).header("content-type", &stored.media_type).body(stored.bytes);
        match self.settings.content_digest {
            true => reply.header("docker-content-digest", &stored.digest),
            false => reply,
        }
    }

    fn accept_manifest(&mut self, asked: &Asked, name: &str, reference: &str, bytes: Bytes) -> Reply {
        let digest = digest(&bytes);
        if reference.contains(':') && reference != digest {
            return Reply::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
        }
        let Ok(manifest) = serde_json::from_slice::<Value>(&bytes) else {
            return Reply::error(400, "MANIFEST_INVALID", "manifest invalid");
        };
        let media_type = asked.header("content-type");
        if let Some(inner) = manifest["mediaType"].as_str()
            && inner != media_type
        {
            return Reply::error(400, "MANIFEST_INVALID", "mediaType and Content-Type differ");
        }
        if self.settings.checks_references
            && let Some(missing) = self.missing(name, &manifest)
        {
            return Reply::error(400, "MANIFEST_BLOB_UNKNOWN", &missing);
        }
        self.put_manifest(name, reference, media_type, bytes);
        let location = format!("/v2/{name}/manifests/{digest}");
        let reply = Reply::status(201).header("location", &location);
        let reply = reply.header("docker-content-digest", &digest);
        match manifest["subject"]["digest"].as_str() {
            Some(subject) if self.settings.referrers => reply.header("oci-subject", subject),
            _ => reply,
        }
    }

    /// Returns the first digest in a manifest that the repository lacks.
    fn missing(&mut self, name: &str, manifest: &Value) -> Option<String> {
        let repository = self.repository(name);
        let layers = manifest["layers"].as_array().into_iter().flatten();
        let local =
            layers.chain(manifest.get("config")).filter(|descriptor| descriptor.get("urls").is_none());
        let blobs = local.filter_map(|descriptor| descriptor["digest"].as_str());
        let mut blobs = blobs.filter(|digest| !repository.blobs.contains_key(*digest));
        let children = manifest["manifests"].as_array().into_iter().flatten();
        let children = children.filter_map(|descriptor| descriptor["digest"].as_str());
        let mut children = children.filter(|digest| !repository.manifests.contains_key(*digest));
        blobs.next().or_else(|| children.next()).map(|digest| format!("unknown: {digest}"))
    }

    fn delete_manifest(&mut self, name: &str, reference: &str) -> Reply {
        let repository = self.repository(name);
        let removed = match reference.contains(':') {
            true => {
                repository.tags.retain(|_, digest| digest != reference);
                repository.manifests.remove(reference).is_some()
            }
            false => repository.tags.remove(reference).is_some(),
        };
        if removed { Reply::status(202) } else { Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown") }
    }

    fn get_blob(&self, asked: &Asked, repository: &str, digest: &str) -> Reply {
        let Some(blob) = self.blob(repository, digest) else { return unknown_blob() };
        let whole = blob.len();
        let reply = Reply::status(200)
            .header("content-type", "application/octet-stream")
            .header("docker-content-digest", digest);
        let range = asked.header("range").strip_prefix("bytes=").filter(|_| self.settings.ranges);
        let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
            return reply.body(blob);
        };
        let first: usize = first.parse().unwrap_or(0);
        let last = last.parse().unwrap_or(usize::MAX).min(whole.saturating_sub(1));
        if first > last || first >= whole {
            return Reply::status(416).header("content-range", &format!("bytes */{whole}"));
        }
        let part = Reply { status: hyper::StatusCode::PARTIAL_CONTENT, ..reply };
        part.header("content-range", &format!("bytes {first}-{last}/{whole}")).body(blob.slice(first..=last))
    }

    fn start_upload(&mut self, asked: &Asked, name: &str, body: Bytes, host: &str) -> Reply {
        if let Some(mount) = asked.query.get("mount") {
            let from = asked.query.get("from").map(String::as_str).unwrap_or_default();
            if let Some(blob) = self.blob(from, mount).filter(|_| self.settings.mounts) {
                self.put_blob(name, blob);
                return created(name, mount);
            }
        } else if let Some(expected) = asked.query.get("digest") {
            return match digest(&body) == *expected {
                true => created(name, &self.put_blob(name, body)),
                false => wrong_digest(),
            };
        }
        self.opened += 1;
        let id = format!("upload-{}", self.opened);
        self.uploads.insert(id.clone(), Upload { repository: name.to_owned(), bytes: Vec::new() });
        self.accepted(name, &id, host)
    }

    fn go_on_uploading(&mut self, asked: &Asked, name: &str, id: &str, body: &Bytes, host: &str) -> Reply {
        let state = asked.query.get("_state").map(String::as_str);
        let known = self.uploads.get_mut(id).filter(|upload| upload.repository == name);
        // A client that drops the query of Location loses its session, as with real registries.
        let Some(upload) = known.filter(|_| state == Some(id)) else {
            return Reply::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
        };
        match asked.method {
            Method::DELETE => {
                self.uploads.remove(id);
                return Reply::status(204);
            }
            Method::GET => return self.accepted(name, id, host).with_status(204),
            Method::PATCH | Method::PUT => {}
            _ => return Reply::status(405),
        }
        let range = asked.header("content-range").trim_start_matches("bytes ");
        let first = range.split('-').next().and_then(|first| first.parse::<usize>().ok());
        if first.is_some_and(|first| first != upload.bytes.len()) {
            return self.accepted(name, id, host).with_status(416);
        }
        if body.len() > self.settings.max_body {
            return Reply::status(413);
        }
        let taken = match asked.method {
            Method::PATCH => body.len().min(self.settings.takes_of_patch),
            _ => body.len(),
        };
        upload.bytes.extend_from_slice(&body[..taken]);
        if asked.method == Method::PATCH {
            return self.accepted(name, id, host);
        }
        let bytes = Bytes::from(std::mem::take(&mut upload.bytes));
        self.uploads.remove(id);
        match asked.query.get("digest") {
            Some(expected) if digest(&bytes) == *expected => created(name, &self.put_blob(name, bytes)),
            _ => wrong_digest(),
        }
    }

    fn accepted(&self, name: &str, id: &str, host: &str) -> Reply {
        let base = match &self.settings.location {
            Location::Absolute => format!("http://{host}"),
            Location::Relative => String::new(),
            Location::On(other) => format!("http://{other}"),
        };
        let received = self.uploads.get(id).map_or(0, |upload| upload.bytes.len());
        let mut reply = Reply::status(202);
        if let Some(length) = self.settings.min_chunk {
            reply = reply.header("oci-chunk-min-length", &length.to_string());
        }
        reply
            .header("location", &format!("{base}/v2/{name}/blobs/uploads/{id}?_state={id}"))
            .header("docker-upload-uuid", id)
            .header("range", &format!("0-{}", received.saturating_sub(1)))
    }

    fn list_tags(&mut self, asked: &Asked, name: &str) -> Reply {
        if !self.repositories.contains_key(name) {
            return Reply::error(404, "NAME_UNKNOWN", "repository name not known to registry");
        }
        let all: Vec<String> = self.tags(name).into_keys().collect();
        let limit = asked.query.get("n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
        let last = asked.query.get("last").cloned().unwrap_or_default();
        let rest: Vec<&String> = all.iter().filter(|tag| **tag > last).collect();
        let page: Vec<&String> = rest.iter().copied().take(limit).collect();
        let body = json!({"name": name, "tags": page}).to_string();
        let reply = Reply::status(200).header("content-type", "application/json").body(body);
        match page.last().filter(|_| page.len() < rest.len()) {
            Some(last) => {
                reply.header("link", &format!("</v2/{name}/tags/list?n={limit}&last={last}>; rel=\"next\""))
            }
            None => reply,
        }
    }

    fn list_referrers(&mut self, name: &str, subject: &str) -> Reply {
        if !self.settings.referrers {
            return Reply::status(404);
        }
        let stored = self.repository(name).manifests.values();
        let referrers: Vec<Value> = stored
            .filter_map(|stored| {
                let manifest: Value = serde_json::from_slice(&stored.bytes).ok()?;
                let kind = manifest.get("artifactType").unwrap_or(&manifest["config"]["mediaType"]).clone();
                (manifest["subject"]["digest"] == subject).then(|| {
                    json!({"mediaType": stored.media_type, "digest": stored.digest,
                           "size": stored.bytes.len(), "artifactType": kind})
                })
            })
            .collect();
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": referrers});
        Reply::status(200).header("content-type", media_type).body(index.to_string())
    }
}

impl Reply {
    fn with_status(self, code: u16) -> Self {
        Reply { status: Reply::status(code).status, ..self }
    }
}

fn created(repository: &str, digest: &str) -> Reply {
    Reply::status(201)
        .header("location", &format!("/v2/{repository}/blobs/{digest}"))
        .header("docker-content-digest", digest)
}

fn unknown_blob() -> Reply {
    Reply::error(404, "BLOB_UNKNOWN", "blob unknown to registry")
}

fn wrong_digest() -> Reply {
    Reply::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
}
