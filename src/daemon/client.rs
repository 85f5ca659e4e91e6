//! A client of the Docker Engine API, with the few requests that copying an image needs.

use super::address::{Address, Tls};
use super::answer::{Image, LoadAnswer, message};
use crate::error::{Context, Error, Result};
use crate::image::Digest;
use crate::registry::{Identity, Pem, Progress, Timeouts, Trust, tls_config};
use crate::stats::Stats;
use crate::transport::BlobStream;
use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::{RequestBuilder, Response, StatusCode, Url, header};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The maximum size of an image's description.
const MAX_IMAGE: usize = 16 << 20;
/// The maximum size of an error's body.
const MAX_ERROR: usize = 64 << 10;
/// The URL of an engine at a Unix socket; the host is never looked up.
const SOCKET_URL: &str = "http://docker/";

/// A connection to a Docker engine, or to Podman's service.
#[derive(Clone)]
pub struct Engine {
    address: Address,
    base: Url,
    client: reqwest::Client,
    timeouts: Timeouts,
    stats: Arc<Stats>,
}

impl Engine {
    /// Prepares a connection without sending anything.
    ///
    /// # Errors
    ///
    /// Fails if certificates cannot be read.
    pub fn new(address: Address, timeouts: Timeouts, stats: Arc<Stats>) -> Result<Self> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("reapify/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeouts.connect)
            .http1_only()
            .no_proxy();
        let plain = |builder: reqwest::ClientBuilder| {
            // Done once per process; a second call has no effect.
            let _ = rustls::crypto::ring::default_provider().install_default();
            builder.tls_certs_only([])
        };
        let (builder, base) = match &address {
            Address::Unix(path) => {
                let base = Url::parse(SOCKET_URL).map_err(|e| Error::other(e.to_string()))?;
                (plain(builder).unix_socket(path.as_path()), base)
            }
            Address::Tcp { base, tls: None } => (plain(builder), base.clone()),
            Address::Tcp { base, tls: Some(tls) } => {
                (builder.tls_backend_preconfigured(trust(base, tls)?), base.clone())
            }
        };
        let client = builder.build().map_err(|e| Error::other(format!("cannot set up HTTP: {e}")))?;
        Ok(Engine { address, base, client, timeouts, stats })
    }

    /// Returns the same connection with other counters.
    pub fn counting(&self, stats: Arc<Stats>) -> Self {
        Engine { stats, ..self.clone() }
    }

    /// Returns the engine's address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Returns an image by its name or its ID; `None` if the engine has no such image.
    ///
    /// # Errors
    ///
    /// Fails if the engine cannot be reached, or answers with an error.
    pub async fn image(&self, name: &str) -> Result<Option<Image>> {
        let request = self.client.get(self.url(&format!("images/{name}/json")));
        let response = self.answer(request, self.timeouts.stall).await?;
        let status = response.status();
        if status == StatusCode::NOT_FOUND {
            let body = self.body(response, MAX_ERROR).await?;
            return match message(&body) {
                Some(_) => Ok(None),
                None => Err(self.no_engine(&format!("it answered {status}"))),
            };
        }
        let response = self.success(response).await?;
        let body = self.body(response, MAX_IMAGE).await?;
        let image = serde_json::from_slice(&body).map_err(|e| self.no_engine(&e.to_string()))?;
        Ok(Some(image))
    }

    /// Starts to save an image, as `docker save` does. Returns a tar in pieces.
    ///
    /// # Errors
    ///
    /// Fails if the engine cannot be reached, or answers with an error.
    pub async fn save(self: &Arc<Self>, id: &Digest) -> Result<BlobStream> {
        let request = self.client.get(self.url(&format!("images/{id}/get")));
        // Engines assemble the whole image before they send its first byte.
        let response = self.answer(request, self.timeouts.commit).await?;
        let response = self.success(response).await?;
        let engine = self.clone();
        let pieces = futures_util::stream::unfold(Some(response), move |response| {
            let engine = engine.clone();
            async move {
                let mut response = response?;
                match engine.piece(&mut response, engine.timeouts.stall).await {
                    Ok(None) => None,
                    Ok(Some(piece)) => {
                        Stats::add(&engine.stats.bytes_pulled, piece.len() as u64);
                        Some((Ok(piece), Some(response)))
                    }
                    Err(error) => Some((Err(error), None)),
                }
            }
        });
        Ok(Box::pin(pieces))
    }

    /// Loads an image, as `docker load` does. Returns when the engine has loaded it.
    ///
    /// # Errors
    ///
    /// Fails if the engine cannot be reached, or reports an error, even in an answer with status 200.
    pub async fn load(&self, archive: BlobStream) -> Result<()> {
        let progress = Arc::new(Progress::default());
        let (sent, stats) = (progress.clone(), self.stats.clone());
        let counted = archive.inspect(move |piece| {
            let n = piece.as_ref().map_or(0, |piece| piece.len() as u64);
            sent.add(n);
            Stats::add(&stats.bytes_pushed, n);
        });
        let sent = progress.clone();
        let end = futures_util::stream::poll_fn(move |_| {
            sent.end();
            std::task::Poll::Ready(None)
        });
        let request = self
            .client
            .post(self.url("images/load"))
            .header(header::CONTENT_TYPE, "application/x-tar")
            .body(reqwest::Body::wrap_stream(counted.chain(end)));
        Stats::add(&self.stats.requests, 1);
        let sending = progress.watch(request.send(), self.timeouts.stall, self.timeouts.commit);
        let response = sending.await.context(|| self.name())?.map_err(|e| self.failed(e))?;
        tracing::debug!("POST {} → {}", response.url().path(), response.status().as_u16());
        let mut response = self.success(response).await?;
        let mut answer = LoadAnswer::default();
        while let Some(piece) = self.piece(&mut response, self.timeouts.commit).await? {
            answer.push(&piece).context(|| self.name())?;
        }
        answer.end().context(|| self.name())
    }

    fn name(&self) -> String {
        format!("the Docker engine at {}", self.address)
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    async fn answer(&self, request: RequestBuilder, patience: Duration) -> Result<Response> {
        Stats::add(&self.stats.requests, 1);
        let response = timeout(patience, request.send()).await.map_err(|_| self.silent(patience))?;
        let response = response.map_err(|e| self.failed(e))?;
        tracing::debug!("GET {} → {}", response.url().path(), response.status().as_u16());
        Ok(response)
    }

    async fn piece(&self, response: &mut Response, patience: Duration) -> Result<Option<Bytes>> {
        let piece = timeout(patience, response.chunk()).await.map_err(|_| self.silent(patience))?;
        piece.map_err(|e| self.failed(e))
    }

    /// Returns a body of at most `limit` bytes.
    async fn body(&self, mut response: Response, limit: usize) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut response, self.timeouts.stall).await? {
            body.extend_from_slice(&piece);
            if body.len() > limit {
                return Err(self.no_engine(&format!("it answered with more than {limit} bytes")));
            }
        }
        Ok(body)
    }

    async fn success(&self, response: Response) -> Result<Response> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.body(response, MAX_ERROR).await.unwrap_or_default();
        if String::from_utf8_lossy(&body).contains("HTTP request to an HTTPS server") {
            return Err(Error::network(format!("{} requires TLS", self.name()))
                .hint("set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the directory of the certificates"));
        }
        let text = message(&body).map(|text| format!(": {text}")).unwrap_or_default();
        let text = format!("{} answered {status}{text}", self.name());
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::denied(text),
            _ => Error::network(text),
        })
    }

    fn silent(&self, patience: Duration) -> Error {
        Error::network(format!("{}: no answer for {} s", self.name(), patience.as_secs()))
    }

    fn no_engine(&self, why: &str) -> Error {
        Error::network(format!("the server at {} is not a Docker engine: {why}", self.address))
            .hint("check DOCKER_HOST and the Docker context")
    }

    /// Turns a failed request into an error with a hint.
    fn failed(&self, error: reqwest::Error) -> Error {
        let mut innermost = error.to_string();
        let mut kind = None;
        let mut source: Option<&dyn std::error::Error> = Some(&error);
        while let Some(e) = source {
            // An error of this program that passed through the HTTP library at the end of a body.
            if let Some(ours) = e.downcast_ref::<Error>() {
                return ours.clone();
            }
            kind = e.downcast_ref::<std::io::Error>().map(std::io::Error::kind).or(kind);
            innermost = e.to_string();
            source = e.source();
        }
        let name = self.name();
        match kind.filter(|_| error.is_connect()) {
            Some(ErrorKind::PermissionDenied) => {
                Error::denied(format!("access to {name} was denied: {innermost}"))
                    .hint("use a user in the group of the socket, which is usually docker, or root")
            }
            Some(ErrorKind::NotFound) => {
                Error::network(format!("{name} is not running: no such socket")).hint(self.others())
            }
            Some(ErrorKind::ConnectionRefused) => {
                Error::network(format!("{name} is not running: {innermost}")).hint(self.others())
            }
            _ if matches!(self.address, Address::Tcp { tls: Some(_), .. }) && error.is_connect() => {
                Error::network(format!("cannot connect to {name}: {innermost}")).hint(
                    "check ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH, or those of the Docker context",
                )
            }
            _ if error.is_connect() => {
                Error::network(format!("cannot connect to {name}: {innermost}")).hint(self.others())
            }
            _ => Error::network(format!("{name}: {innermost}")),
        }
    }

    /// Returns a hint for choosing another engine. Names Podman's socket if it exists.
    fn others(&self) -> String {
        let user = rustix::process::getuid().as_raw();
        let own = format!("/run/user/{user}/podman/podman.sock");
        let sockets = ["/run/podman/podman.sock".to_owned(), own];
        let podman = sockets
            .iter()
            .find(|path| Path::new(path).exists() && self.address != Address::Unix(path.into()));
        let other = podman.map(|path| format!("; Podman's is DOCKER_HOST=unix://{path}")).unwrap_or_default();
        format!("start it, or choose another engine with DOCKER_HOST or `docker context use`{other}")
    }
}

/// Returns the TLS configuration for an engine.
fn trust(base: &Url, tls: &Tls) -> Result<rustls::ClientConfig> {
    let trust = match tls.is_unverified {
        true => Trust::Anything,
        false => Trust::System(tls.authority.iter().cloned().map(Pem::File).collect()),
    };
    let identity = tls
        .identity
        .clone()
        .map(|(certificate, key)| Identity { certificate: Pem::File(certificate), key: Pem::File(key) });
    let host = base.host_str().unwrap_or_default();
    let mut config = tls_config(host, trust, identity)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
