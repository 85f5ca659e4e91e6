//! Blobs on their way out of a registry: a break in the middle is mended with a range.

use super::auth::Scope;
use super::client::{Client, Request, stalled};
use crate::error::{Error, Result};
use crate::image::Descriptor;
use crate::stats::Stats;
use crate::transport::BlobStream;
use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use std::sync::Arc;

struct Download {
    client: Arc<Client>,
    repository: String,
    descriptor: Descriptor,
    answer: Option<Response>,
    /// Bytes passed on so far.
    at: u64,
    /// Bytes to leave out: the registry ignored the range.
    skip: u64,
    attempt: u32,
    done: bool,
}

/// Opens a blob. Fails here, not later, if it is not there.
pub async fn open(client: Arc<Client>, repository: &str, descriptor: &Descriptor) -> Result<BlobStream> {
    let mut download = Download {
        client,
        repository: repository.into(),
        descriptor: descriptor.clone(),
        answer: None,
        at: 0,
        skip: 0,
        attempt: 0,
        done: false,
    };
    download.connect().await?;
    Ok(Box::pin(futures_util::stream::unfold(download, |mut download| async move {
        if download.done {
            return None;
        }
        let item = download.next().await;
        download.done = !matches!(item, Ok(Some(_)));
        Some((item.transpose()?, download))
    })))
}

impl Download {
    fn what(&self) -> String {
        format!("reading {} from {}/{}", self.descriptor.digest, self.client.host(), self.repository)
    }

    async fn connect(&mut self) -> Result<()> {
        let mut headers = HeaderMap::new();
        if self.at > 0
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={}-", self.at))
        {
            headers.insert(header::RANGE, range);
        }
        let url = self.client.url(&self.repository, &format!("blobs/{}", self.descriptor.digest))?;
        let scopes = [Scope { repository: self.repository.clone(), push: false }];
        let request = Request {
            method: Method::GET,
            url,
            headers,
            body: Bytes::new(),
            scopes: &scopes,
            what: self.what(),
        };
        let answer = self.client.send(&request).await?;
        self.skip = match answer.status() {
            // A whole answer of another size is not broken off: the registry has no more, or something else.
            StatusCode::OK => match answer.content_length().filter(|n| *n != self.descriptor.size) {
                Some(has) => return Err(self.wrong_size(has)),
                None => self.at,
            },
            StatusCode::PARTIAL_CONTENT if self.at > 0 && starts_at(&answer, self.at) => 0,
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(self.wrong_size(self.at)),
            StatusCode::PARTIAL_CONTENT => {
                return Err(Error::network(format!(
                    "{}: the registry sent another range than it was asked for",
                    self.what()
                )));
            }
            _ => return Err(self.client.refusal(&request.what, answer).await),
        };
        self.answer = Some(answer);
        Ok(())
    }

    fn wrong_size(&self, has: u64) -> Error {
        Error::verification(format!(
            "size mismatch: the registry has {has} bytes of {}, its descriptor says {}",
            self.descriptor.digest, self.descriptor.size
        ))
        .hint("the registry holds a damaged blob; push the image to it again")
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let error = match self.piece().await {
                Ok(Some(piece)) => {
                    let skipped = self.skip.min(piece.len() as u64);
                    self.skip -= skipped;
                    let piece = Bytes::copy_from_slice(&piece[usize::try_from(skipped).unwrap_or(0)..]);
                    if piece.is_empty() {
                        continue;
                    }
                    self.at += piece.len() as u64;
                    self.attempt = 0;
                    Stats::add(&self.client.options.stats.bytes_pulled, piece.len() as u64);
                    return Ok(Some(piece));
                }
                Ok(None) if self.at >= self.descriptor.size => return Ok(None),
                Ok(None) => {
                    Error::network(format!("{}: the body ended after {} bytes", self.what(), self.at))
                        .transient()
                }
                Err(error) => error.context(self.what()),
            };
            self.answer = None;
            if !error.is_transient() {
                return Err(error);
            }
            self.client.pause(&mut self.attempt, error).await?;
            self.connect().await?;
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>> {
        let Some(answer) = &mut self.answer else { return Ok(None) };
        let stall = self.client.options.stall;
        let piece = tokio::time::timeout(stall, answer.chunk()).await.map_err(|_| stalled(stall))?;
        piece.map_err(|e| self.client.broken(e))
    }
}

/// Whether a partial answer begins where it was asked to (`Content-Range: bytes 5-9/10`).
fn starts_at(answer: &Response, at: u64) -> bool {
    let range = answer.headers().get(header::CONTENT_RANGE).and_then(|v| v.to_str().ok());
    let start = range.and_then(|r| r.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
    start == Some(at)
}
