//! Upload sessions: opened by a mount or directly, and cancelled if unused (OCI distribution specification, "Pushing
//! Blobs" and "Mounting a blob from another repository").

use super::answer::Answer;
use super::auth::{Access, Scope};
use super::client::Client;
use super::http::{Lane, Request};
use super::retry::Attempts;
use crate::error::{Error, Kind, Result};
use crate::image::Descriptor;
use reqwest::{Method, StatusCode, Url};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// How long to wait, after a failure, for the responses to pending POSTs.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// The time limit for cancelling a session.
const CANCEL: Duration = Duration::from_secs(2);

/// An upload session of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The URL of its next request.
    pub url: Url,
    /// The minimum size of a chunk, except the last one (`OCI-Chunk-Min-Length`).
    pub min_chunk: u64,
}

/// The result of a mount.
pub enum Mount {
    /// The repository has the blob.
    Done,
    /// The repository does not have the blob; the registry may have opened a session instead.
    Refused(Option<Session>),
}

/// The upload sessions of one repository.
pub struct Sessions {
    client: Arc<Client>,
    repository: String,
    scopes: [Scope; 1],
    state: Arc<Mutex<State>>,
    /// Pending POSTs, which may open more sessions.
    opening: TaskTracker,
}

#[derive(Default)]
struct State {
    /// The open sessions, which are cancelled if they remain unused.
    open: HashSet<Url>,
    /// Whether the run has ended: a session opened now would never be cancelled.
    is_released: bool,
}

impl Sessions {
    /// Creates an empty set of sessions.
    pub fn new(client: Arc<Client>, repository: &str) -> Self {
        Sessions {
            client,
            repository: repository.into(),
            scopes: [Scope { repository: repository.into(), access: Access::Push }],
            state: Arc::default(),
            opening: TaskTracker::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session.
    pub async fn open(&self, attempts: &mut Attempts) -> Result<Session> {
        let url = self.client.url(&self.repository, "blobs/uploads/")?;
        let operation = format!("opening an upload to {}/{}", self.client.host(), self.repository);
        let answer = self.post(&url, &self.scopes, &operation, attempts).await?;
        match answer.status() {
            StatusCode::ACCEPTED => self.session(&answer, &operation),
            _ => Err(self.client.refusal(&operation, answer).await.into_error()),
        }
    }

    /// Asks the registry to mount a blob from another of its repositories. A mount saves an upload; if it fails for
    /// any reason, the blob is uploaded.
    pub async fn mount(&self, descriptor: &Descriptor, from: &str) -> Result<Mount> {
        let mut url = self.client.url(&self.repository, "blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", &descriptor.digest.to_string()).append_pair("from", from);
        let operation = format!("mounting {} from {from}", descriptor.digest);
        let scopes = [self.scopes[0].clone(), Scope { repository: from.into(), access: Access::Pull }];
        let mut attempts = self.client.options().retry.at_most(1).start();
        match self.post(&url, &scopes, &operation, &mut attempts).await {
            Ok(answer) => match answer.status() {
                StatusCode::CREATED => Ok(Mount::Done),
                StatusCode::ACCEPTED => Ok(Mount::Refused(self.session(&answer, &operation).ok())),
                _ => Ok(Mount::Refused(None)),
            },
            Err(error) if matches!(error.kind(), Kind::Network | Kind::Denied) => {
                tracing::info!("{error}; uploading instead");
                Ok(Mount::Refused(None))
            }
            Err(error) => Err(error),
        }
    }

    async fn post(
        &self,
        url: &Url,
        scopes: &[Scope],
        operation: &str,
        attempts: &mut Attempts,
    ) -> Result<Answer> {
        loop {
            match self.post_once(url, scopes, operation).await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.client.pause(attempts, error).await?,
            }
        }
    }

    /// Sends a POST that may open a session. If the caller is cancelled, the response is still received, because a
    /// session in it must be cancelled.
    async fn post_once(&self, url: &Url, scopes: &[Scope], operation: &str) -> Result<Answer> {
        let (client, state) = (self.client.clone(), self.state.clone());
        let request = Request::new(Method::POST, url.clone(), operation);
        let scopes = scopes.to_vec();
        let asking = async move {
            let answer = client.send_once(&request, &scopes, Lane::Request).await?;
            if answer.status() == StatusCode::ACCEPTED
                && let Ok(Some(url)) = client.location(&answer, &request.operation)
            {
                state.lock().unwrap_or_else(PoisonError::into_inner).open.insert(url);
            }
            Ok(answer)
        };
        let asking = {
            let state = self.lock();
            if state.is_released {
                return Err(Error::other(format!("{operation}: cancelled because the run has ended")));
            }
            self.opening.spawn(asking)
        };
        asking
            .await
            .unwrap_or_else(|e| Err(Error::other(format!("internal error: a background task failed: {e}"))))
    }

    fn session(&self, answer: &Answer, operation: &str) -> Result<Session> {
        let url = self.client.location(answer, operation)?;
        let url = url.ok_or_else(|| {
            Error::network(format!("{operation}: the registry returned no Location for the upload"))
        })?;
        let min_chunk = answer.header("oci-chunk-min-length").and_then(|n| n.trim().parse().ok());
        Ok(Session { url, min_chunk: min_chunk.unwrap_or(0) })
    }

    /// Removes a session that has ended.
    pub fn ended(&self, session: &Session) {
        self.lock().open.remove(&session.url);
    }

    /// Cancels a session as far as possible; registries eventually discard sessions themselves.
    pub async fn cancel(&self, session: Session) {
        self.ended(&session);
        if !self.client.is_own(&session.url) {
            return;
        }
        let request = Request::new(Method::DELETE, session.url, "cancelling an upload");
        let cancelling = self.client.send_once(&request, &self.scopes, Lane::Free);
        if let Ok(Err(error)) = timeout(CANCEL, cancelling).await {
            tracing::info!("{error}");
        }
    }

    /// Cancels all sessions, including those that are still being opened.
    pub async fn release(&self) {
        self.lock().is_released = true;
        self.opening.close();
        let _ = timeout(LAST_ANSWERS, self.opening.wait()).await;
        let open: Vec<Url> = self.lock().open.drain().collect();
        let cancel = |url| self.cancel(Session { url, min_chunk: 0 });
        futures_util::future::join_all(open.into_iter().map(cancel)).await;
    }
}
