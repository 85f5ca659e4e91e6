//! Uploads of blobs (OCI distribution specification, "Pushing Blobs"): in one PUT, in one PATCH, or in chunks,
//! whichever the registry accepts.

use super::answer::Answer;
use super::auth::{Access, Scope};
use super::body::Body;
use super::client::Client;
use super::error::Refusal;
use super::http::{Lane, Request};
use super::quirks::{self, Upload};
use super::retry::Attempts;
use super::session::{Session, Sessions};
use crate::error::{Error, Result, Retry};
use crate::image::Descriptor;
use crate::transport::{BlobStream, Payload};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use oci_spec::distribution::ErrorCode;
use reqwest::header;
use reqwest::{Method, StatusCode, Url};
use std::sync::Arc;

/// The chunk sizes that are tried after a request was too large, in descending order. nginx accepts 1 MiB by default.
const SMALLER: [u64; 4] = [8 << 20, 4 << 20, 1 << 20, 256 << 10];

/// The maximum size of chunks that a registry can demand, because a chunk is held in memory.
const MAX_DEMANDED: u64 = 64 << 20;

/// The uploads to one repository.
pub struct Uploads {
    client: Arc<Client>,
    repository: String,
    scopes: [Scope; 1],
    sessions: Arc<Sessions>,
}

/// The reason why an upload failed.
enum Failure {
    /// The registry does not accept this upload method.
    Method(Refusal),
    /// Another upload found out meanwhile that the registry needs another method.
    Superseded,
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Other(error)
    }
}

impl Uploads {
    /// Creates the uploads to a repository. Sends nothing.
    pub fn new(client: Arc<Client>, repository: &str, sessions: Arc<Sessions>) -> Self {
        let scopes = [Scope { repository: repository.into(), access: Access::Push }];
        Uploads { client, repository: repository.into(), scopes, sessions }
    }

    /// Returns whether the repository is known to have a blob; false if the registry does not say.
    pub async fn exists(&self, descriptor: &Descriptor, attempts: &mut Attempts) -> Result<bool> {
        let url = self.client.url(&self.repository, &format!("blobs/{}", descriptor.digest))?;
        let operation =
            format!("looking for {} in {}/{}", descriptor.digest, self.client.host(), self.repository);
        let request = Request::new(Method::HEAD, url, operation);
        match self.client.send(&request, &self.scopes, Lane::Request, attempts).await {
            Ok(answer) if answer.status() == StatusCode::OK => {
                let size = answer.header("content-length").and_then(|n| n.parse::<u64>().ok());
                Ok(size.is_none_or(|size| size == descriptor.size))
            }
            // A missing blob is 404, or 403 in some registries; others do not allow the request.
            Ok(_) => Ok(false),
            Err(error) => {
                tracing::info!("{error}; uploading it");
                Ok(false)
            }
        }
    }

    /// Uploads a blob: into `session` if one was opened before, and again from the start after a failure. A failed
    /// upload may have been stored nevertheless, so the registry is asked first.
    pub async fn put(
        &self,
        session: Option<Session>,
        descriptor: &Descriptor,
        payload: Payload<'_>,
    ) -> Result<()> {
        let mut attempts = self.client.options().retry.start();
        let mut next = session;
        loop {
            let method = self.method(descriptor);
            let failure = match self.put_once(next.take(), method, descriptor, &payload, &mut attempts).await
            {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            let error = match failure {
                Failure::Method(refusal) => match self.other_method(method, descriptor, &refusal) {
                    Some(other) => {
                        tracing::info!("{} does not accept {method}; trying {other}", self.client.host());
                        self.client.governor().set_upload(other);
                        continue;
                    }
                    None => refusal.into_error(),
                },
                Failure::Superseded => continue,
                Failure::Other(error) => error,
            };
            self.client.pause(&mut attempts, error).await?;
            let mut once = self.client.options().retry.at_most(0).start();
            if self.exists(descriptor, &mut once).await? {
                return Ok(());
            }
        }
    }

    async fn put_once(
        &self,
        session: Option<Session>,
        method: Upload,
        descriptor: &Descriptor,
        payload: &Payload<'_>,
        attempts: &mut Attempts,
    ) -> Result<(), Failure> {
        let session = match session {
            Some(session) => session,
            None => self.sessions.open(attempts).await?,
        };
        // With few turns, many uploads wait while the first is refused. They then use the other method at once.
        let is_current = || self.method(descriptor) == method;
        let sending = Sending { uploads: self, descriptor, payload, is_current: &is_current };
        let outcome = match method {
            Upload::Put => sending.finish(&session.url, true).await,
            Upload::Patch => sending.patch(session.url.clone()).await,
            Upload::Chunks(size) => sending.chunks(&session, size, attempts).await,
        };
        // A failed session remains in the set that is cancelled at the end.
        match outcome {
            Ok(()) => self.sessions.ended(&session),
            Err(Failure::Other(_)) if !is_current() => return Err(Failure::Superseded),
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Returns the upload method: the user's choice, else the one learned for this registry, else that of the table.
    fn method(&self, descriptor: &Descriptor) -> Upload {
        let usual = quirks::upload(self.client.host(), descriptor.size).0;
        self.client.options().upload.or(self.client.governor().upload()).unwrap_or(usual)
    }

    /// Returns another method for a blob whose method the registry refused, unless the user chose that method.
    fn other_method(&self, method: Upload, descriptor: &Descriptor, refusal: &Refusal) -> Option<Upload> {
        if self.client.options().upload.is_some() {
            return None;
        }
        if refusal.status == StatusCode::PAYLOAD_TOO_LARGE {
            let sent = match method {
                Upload::Chunks(size) => size.min(descriptor.size),
                _ => descriptor.size,
            };
            return SMALLER.iter().find(|size| **size < sent).map(|size| Upload::Chunks(*size));
        }
        let other = quirks::upload(self.client.host(), descriptor.size).1;
        other.filter(|other| method == Upload::Put && *other != method)
    }
}

/// Returns whether a registry refused an upload because of its method.
fn is_about_method(refusal: &Refusal) -> bool {
    match refusal.status.as_u16() {
        405 | 411 | 413 | 415 | 416 | 501 => true,
        404 => refusal.has(&[ErrorCode::BlobUploadUnknown, ErrorCode::BlobUnknown]),
        400 => {
            refusal.has(&[ErrorCode::BlobUploadInvalid, ErrorCode::BlobUploadUnknown, ErrorCode::Unsupported])
        }
        _ => false,
    }
}

/// One blob that is being uploaded.
struct Sending<'a> {
    uploads: &'a Uploads,
    descriptor: &'a Descriptor,
    payload: &'a Payload<'a>,
    /// Returns whether this is still the method in use.
    is_current: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Sending<'a> {
    fn operation(&self) -> String {
        let (client, repository) = (&self.uploads.client, &self.uploads.repository);
        format!("sending {} to {}/{repository}", self.descriptor.digest, client.host())
    }

    fn request(&self, method: Method, url: Url, body: Body<'a>) -> Result<Request<'a>> {
        let is_wanted = matches!(body, Body::Part { .. }).then_some(self.is_current);
        let request = Request::new(method, url, self.operation())
            .header(header::CONTENT_TYPE, "application/octet-stream")?;
        Ok(Request { is_wanted, ..request.body(body) })
    }

    async fn send(&self, request: &Request<'_>) -> Result<Answer> {
        self.uploads.client.send_once(request, &self.uploads.scopes, Lane::Request).await
    }

    fn part(&self, from: u64) -> Body<'a> {
        Body::Part { payload: self.payload.clone(), from, len: self.descriptor.size - from }
    }

    /// Sends the PUT that ends an upload, with the blob as its body if `with_blob` is set.
    async fn finish(&self, url: &Url, with_blob: bool) -> Result<(), Failure> {
        let mut url = url.clone();
        url.query_pairs_mut().append_pair("digest", &self.descriptor.digest.to_string());
        let body = if with_blob { self.part(0) } else { Body::Empty };
        let request = self.request(Method::PUT, url, body)?;
        let answer = self.send(&request).await?;
        if answer.status().is_success() {
            return Ok(());
        }
        let refusal = self.uploads.client.refusal(&request.operation, answer).await;
        if with_blob && is_about_method(&refusal) {
            return Err(Failure::Method(refusal));
        }
        // The session is gone, or another process uploaded the same blob at the same time: try once more in a new
        // session.
        let is_passing = refusal.status == StatusCode::NOT_FOUND
            || refusal.has(&[
                ErrorCode::DigestInvalid,
                ErrorCode::BlobUploadInvalid,
                ErrorCode::BlobUploadUnknown,
            ]);
        let error = refusal.into_error();
        Err(match is_passing && error.retry().is_none() {
            true => error.retryable(Retry::Later { after: None }).into(),
            false => error.into(),
        })
    }

    /// Sends the blob in one PATCH, and the rest in further ones if the registry accepted only a part.
    async fn patch(&self, mut url: Url) -> Result<(), Failure> {
        let mut at = 0;
        while at < self.descriptor.size {
            let mut request = self.request(Method::PATCH, url.clone(), self.part(at))?;
            if at > 0 {
                let range = format!("{at}-{}", self.descriptor.size - 1);
                request = request.header(header::CONTENT_RANGE, &range)?;
            }
            let answer = self.send(&request).await?;
            (url, at) = self.after_patch(answer, url, at..self.descriptor.size).await?;
        }
        self.finish(&url, false).await
    }

    /// Sends the blob in chunks of `size` bytes, one PATCH per chunk. A chunk is held in memory, so that the part
    /// that was not accepted can be sent again.
    async fn chunks(&self, session: &Session, size: u64, attempts: &mut Attempts) -> Result<(), Failure> {
        let demanded = session.min_chunk.min(self.descriptor.size);
        if demanded > MAX_DEMANDED {
            let error = format!("the registry demands chunks of at least {} bytes", session.min_chunk);
            return Err(Error::unsupported(error).hint("upload each blob in one request").into());
        }
        let size = size.max(demanded);
        let mut chunks = Chunks { stream: self.payload.open().await?, held: BytesMut::new() };
        let (mut url, mut at) = (session.url.clone(), 0);
        while at < self.descriptor.size {
            let chunk = chunks.peek(size.min(self.descriptor.size - at)).await?;
            let end = at + chunk.len() as u64;
            let range = format!("{at}-{}", end - 1);
            let request = self
                .request(Method::PATCH, url.clone(), Body::Bytes(chunk))?
                .header(header::CONTENT_RANGE, &range)?;
            let (next, taken) = match self.send(&request).await {
                Ok(answer) => self.after_patch(answer, url, at..end).await?,
                Err(error) => {
                    self.uploads.client.pause(attempts, error).await?;
                    self.status(url, at..end).await?
                }
            };
            chunks.advance(taken - at);
            attempts.progress(taken - at);
            (url, at) = (next, taken);
        }
        self.finish(&url, false).await
    }

    /// Returns where an upload continues after a PATCH with the bytes `sent`: the URL and the offset.
    async fn after_patch(
        &self,
        answer: Answer,
        url: Url,
        sent: std::ops::Range<u64>,
    ) -> Result<(Url, u64), Failure> {
        let operation = self.operation();
        if !answer.status().is_success() {
            let refusal = self.uploads.client.refusal(&operation, answer).await;
            return Err(match is_about_method(&refusal) {
                true => Failure::Method(refusal),
                false => refusal.into_error().into(),
            });
        }
        let next = self.uploads.client.location(&answer, &operation)?.unwrap_or(url);
        // Registries also send `Range: 0-0` for an empty upload, and some state the length as the last byte.
        let taken = received(&answer).filter(|n| *n > 1).unwrap_or(sent.end).min(sent.end);
        match taken > sent.start {
            true => Ok((next, taken)),
            false => Err(Error::network(format!(
                "{operation}: the registry has {taken} bytes after bytes {} to {} were sent",
                sent.start, sent.end
            ))
            .retryable(Retry::Later { after: None })
            .into()),
        }
    }

    /// Asks how many bytes of an upload a registry has, after a PATCH with the bytes `sent` failed.
    async fn status(&self, url: Url, sent: std::ops::Range<u64>) -> Result<(Url, u64), Failure> {
        let request = Request::new(Method::GET, url.clone(), self.operation());
        let answer = self.send(&request).await?;
        let taken = match received(&answer) {
            // An upload without any bytes has the range 0-0, or none.
            Some(n) if n > 1 => n,
            _ => 0,
        };
        let is_known = answer.status().is_success() && (sent.start..=sent.end).contains(&taken);
        if !is_known {
            let error = format!("{}: the upload cannot be resumed", request.operation);
            return Err(Error::network(error).retryable(Retry::Later { after: None }).into());
        }
        Ok((self.uploads.client.location(&answer, &request.operation)?.unwrap_or(url), taken))
    }
}

/// Returns how many bytes of an upload a registry has (`Range: 0-41`).
fn received(answer: &Answer) -> Option<u64> {
    let range = answer.header("range")?;
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let (start, end) = range.split_once('-')?;
    (start.trim() == "0").then_some(end.trim().parse::<u64>().ok()?.checked_add(1)?)
}

/// A stream cut into pieces of chosen sizes.
struct Chunks {
    stream: BlobStream,
    held: BytesMut,
}

impl Chunks {
    /// Returns the next `size` bytes; fewer at the end.
    async fn peek(&mut self, size: u64) -> Result<Bytes> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        while self.held.len() < size {
            match self.stream.next().await {
                Some(piece) => self.held.extend_from_slice(&piece?),
                None => break,
            }
        }
        Ok(Bytes::copy_from_slice(&self.held[..size.min(self.held.len())]))
    }

    /// Drops the first `n` bytes.
    fn advance(&mut self, n: u64) {
        let n = usize::try_from(n).unwrap_or(usize::MAX).min(self.held.len());
        drop(self.held.split_to(n));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn cuts_chunks_at_any_position() {
        let pieces = ["01", "", "234", "56789"].map(|p| Ok(Bytes::from_static(p.as_bytes())));
        let mut chunks =
            Chunks { stream: Box::pin(futures_util::stream::iter(pieces)), held: BytesMut::new() };
        assert_eq!(chunks.peek(4).await.unwrap(), "0123");
        chunks.advance(3);
        assert_eq!(chunks.peek(4).await.unwrap(), "3456");
        chunks.advance(4);
        assert_eq!(chunks.peek(9).await.unwrap(), "789");
    }
}
