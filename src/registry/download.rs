//! Blobs on their way out of a registry: a broken connection is resumed with a range.

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
    /// Bytes passed on so far.
    at: u64,
    /// Bytes to leave out: the registry ignored the range.
    skip: u64,
    attempts: Attempts,
    is_done: bool,
    /// Held to the last byte, broken connections included.
    _turn: Turn,
}

/// Opens a blob. Fails here, not later, if it is missing.
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
        let answer = self.client.send(&request, &self.scopes, Lane::Guest, &mut self.attempts).await?;
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
                    "{}: the registry sent another range than requested",
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
            "size mismatch: the registry has {has} bytes of {}, its descriptor says {}",
            self.descriptor.digest, self.descriptor.size
        ))
        .hint("the registry holds a damaged blob; push the image to it again")
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

    /// What is new in a piece. It is copied: the buffers of the connection are given back at once, which keeps memory
    /// flat.
    fn pass_on(&mut self, piece: &Bytes) -> Bytes {
        let skipped = self.skip.min(piece.len() as u64);
        self.skip -= skipped;
        // No more than the piece's length.
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

/// Whether a partial answer begins where it was asked to (`Content-Range: bytes 5-9/10`).
fn starts_at(answer: &Answer, at: u64) -> bool {
    let range = answer.header("content-range");
    let start = range.and_then(|r| r.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
    start == Some(at)
}
