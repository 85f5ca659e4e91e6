//! Downloads of blobs: a broken connection is resumed with a range request.

use super::answer::Answer;
use super::auth::{Access, Scope};
use super::client::Client;
use super::governor::Turn;
use super::http::{Lane, Request};
use super::retry::Attempts;
use crate::error::{Error, Result, Retry};
use crate::image::Descriptor;
use crate::stats::Stats;
use crate::transport::BlobStream;
use bytes::Bytes;
use reqwest::header;
use reqwest::{Method, StatusCode};
use std::sync::Arc;

struct Download {
    client: Arc<Client>,
    scopes: [Scope; 1],
    operation: String,
    descriptor: Descriptor,
    answer: Option<Answer>,
    /// The number of bytes passed on so far.
    at: u64,
    /// The number of bytes to skip because the registry ignored the range.
    skip: u64,
    attempts: Attempts,
    is_done: bool,
    /// Held until the last byte, through reconnections.
    _turn: Turn,
}

/// Opens a blob. Returns the error here, rather than from the stream, if the blob is missing.
pub async fn open(client: Arc<Client>, repository: &str, descriptor: &Descriptor) -> Result<BlobStream> {
    let turn = client.governor().download().await;
    let attempts = client.options().retry.start();
    let operation = format!("reading {} from {}/{repository}", descriptor.digest, client.host());
    let mut download = Download {
        client,
        scopes: [Scope { repository: repository.into(), access: Access::Pull }],
        operation,
        descriptor: descriptor.clone(),
        answer: None,
        at: 0,
        skip: 0,
        attempts,
        is_done: false,
        _turn: turn,
    };
    download.connect().await?;
    Ok(Box::pin(futures_util::stream::unfold(download, |mut download| async move {
        if download.is_done {
            return None;
        }
        let item = download.next().await;
        download.is_done = !matches!(item, Ok(Some(_)));
        Some((item.transpose()?, download))
    })))
}

impl Download {
    async fn connect(&mut self) -> Result<()> {
        let repository = &self.scopes[0].repository;
        let url = self.client.url(repository, &format!("blobs/{}", self.descriptor.digest))?;
        let mut request = Request::new(Method::GET, url, &*self.operation);
        if self.at > 0 {
            request = request.header(header::RANGE, &format!("bytes={}-", self.at))?;
        }
        let answer = self.client.send(&request, &self.scopes, Lane::Download, &mut self.attempts).await?;
        self.skip = match answer.status() {
            // A full response of another size was not interrupted: the registry has another blob, or part of one.
            StatusCode::OK => match answer.content_length().filter(|n| *n != self.descriptor.size) {
                Some(has) => return Err(self.wrong_size(has)),
                None => self.at,
            },
            StatusCode::PARTIAL_CONTENT if self.at > 0 && starts_at(&answer, self.at) => 0,
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(self.wrong_size(self.at)),
            StatusCode::PARTIAL_CONTENT => {
                return Err(Error::network(format!(
                    "{}: the registry returned a different byte range than requested",
                    self.operation
                )));
            }
            _ => return Err(self.client.refusal(&self.operation, answer).await.into_error()),
        };
        self.answer = Some(answer);
        Ok(())
    }

    fn wrong_size(&self, has: u64) -> Error {
        Error::verification(format!(
            "size mismatch: the registry has {has} bytes of {}, but its descriptor says {}",
            self.descriptor.digest, self.descriptor.size
        ))
        .hint("push the image again; the registry has a damaged blob")
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let error = match self.piece().await {
                Ok(Some(piece)) => match self.pass_on(&piece) {
                    piece if piece.is_empty() => continue,
                    piece => return Ok(Some(piece)),
                },
                Ok(None) if self.at >= self.descriptor.size => return Ok(None),
                Ok(None) => {
                    Error::network(format!("{}: the body ended after {} bytes", self.operation, self.at))
                        .retryable(Retry::Later { after: None })
                }
                Err(error) => error.context(&self.operation),
            };
            self.answer = None;
            self.client.pause(&mut self.attempts, error).await?;
            self.connect().await?;
        }
    }

    /// Returns the new part of a piece as a copy, so that the connection's buffers are released at once and memory
    /// stays constant.
    fn pass_on(&mut self, piece: &Bytes) -> Bytes {
        let skipped = self.skip.min(piece.len() as u64);
        self.skip -= skipped;
        // At most the length of the piece.
        let start = usize::try_from(skipped).unwrap_or(usize::MAX);
        let piece = Bytes::copy_from_slice(&piece[start..]);
        self.at += piece.len() as u64;
        self.attempts.progress(piece.len() as u64);
        Stats::add(&self.client.options().stats.bytes_pulled, piece.len() as u64);
        piece
    }

    async fn piece(&mut self) -> Result<Option<Bytes>> {
        match &mut self.answer {
            Some(answer) => answer.chunk().await,
            None => Ok(None),
        }
    }
}

/// Returns whether a partial response starts at the requested offset (`Content-Range: bytes 5-9/10`).
fn starts_at(answer: &Answer, at: u64) -> bool {
    let range = answer.header("content-range");
    let start = range.and_then(|r| r.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
    start == Some(at)
}
