//! The HTTP server: it accepts connections, calls hooks, and simulates faults.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use super::act::{Act, Reply};
use super::log::{Key, Log};
use super::route::Asked;
use super::store::Store;
use super::{FOR_EVER, Shared};

/// The error for a connection that is closed without a response.
#[derive(Debug)]
struct HungUp;

impl std::fmt::Display for HungUp {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the registry hangs up")
    }
}

impl std::error::Error for HungUp {}

/// Serves until told to stop. It runs in its own thread with its own runtime, so that a test that blocks its thread
/// does not block the registry.
pub(super) fn run(started: &std::sync::mpsc::Sender<Arc<Shared>>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let shared = Arc::new(Shared {
            store: Mutex::new(Store::default()),
            log: Mutex::new(Log::default()),
            hooks: Mutex::default(),
            address: listener.local_addr().expect("a bound socket has an address"),
        });
        started.send(Arc::clone(&shared)).expect("the test waits for the registry");
        let accept = async {
            loop {
                let Ok((socket, _)) = listener.accept().await else { continue };
                // Responses are small and frequent, so sending must not wait for more data.
                let _ = socket.set_nodelay(true);
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(|request| handle(Arc::clone(&shared), request));
                    // An error here is a fault that a test requested, or a client that disconnected.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        };
        tokio::select! {
            () = accept => {}
            _ = stopped => {}
        }
    });
}

type Answer = Response<UnsyncBoxBody<Bytes, HungUp>>;

async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, HungUp> {
    let (head, mut body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default();
    let asked = Asked::new(head.method, head.uri.path(), query, head.headers);
    let (key, asked) = shared.log().begin(asked);
    let ending = Ending { shared: Arc::clone(&shared), key };
    let latency = shared.store().settings.latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let hooks = shared.hooks.lock().expect("no hook panics").clone();
    let acts = hooks.iter().map(|hook| hook(&asked));
    let act = { acts }.find(|act| !matches!(act, Act::Serve)).unwrap_or(Act::Serve);
    match act {
        Act::HangUp => return Err(HungUp),
        Act::HangUpAfter(bytes) => {
            read(&mut body, bytes, &ending).await?;
            return Err(HungUp);
        }
        Act::Stall => {
            tokio::time::sleep(FOR_EVER).await;
            return Err(HungUp);
        }
        _ => {}
    }
    let content = read(&mut body, usize::MAX, &ending).await?;
    let serve = |content| shared.store().serve(&asked, content, &shared.host());
    let reply = match act {
        Act::Answer(reply) => reply,
        Act::Alter(change) => change(serve(content)),
        Act::Make(answer) => answer(content),
        Act::ServeAndHangUp => {
            serve(content);
            return Err(HungUp);
        }
        Act::Delay(time) => {
            let reply = serve(content);
            tokio::time::sleep(time).await;
            reply
        }
        _ => serve(content),
    };
    Ok(answer(&asked, reply, ending))
}

/// Reads the request's body, up to `most` bytes.
async fn read(body: &mut Incoming, most: usize, ending: &Ending) -> Result<Bytes, HungUp> {
    let mut content = Vec::new();
    while content.len() < most && !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        // An interrupted request is not processed.
        let frame = frame.map_err(|_| HungUp)?;
        if let Ok(data) = frame.into_data() {
            content.extend_from_slice(&data);
        }
        ending.note(|entry| entry.received = content.len() as u64);
    }
    let content = Bytes::from(content);
    ending.note(|entry| entry.body = content.slice(..content.len().min(PIECE)));
    Ok(content)
}

fn answer(asked: &Asked, reply: Reply, ending: Ending) -> Answer {
    let head_only = asked.method == Method::HEAD;
    let length = reply.claim.unwrap_or(reply.body.len() as u64);
    let whole = reply.body.len();
    let sent = if head_only { 0 } else { reply.cut_at.or(reply.stall_at).unwrap_or(whole).min(whole) };
    ending.note(|entry| {
        entry.status = Some(reply.status);
        entry.sent = sent as u64;
    });
    let part = reply.body.slice(..sent);
    let size = if reply.drip.is_some() { sent.div_ceil(4).max(1) } else { PIECE };
    let pieces = (0..sent.div_ceil(size)).map(move |n| part.slice(n * size..sent.min((n + 1) * size)));
    let data = stream::iter(pieces).then(move |piece| async move {
        if let Some(pause) = reply.drip {
            tokio::time::sleep(pause).await;
        }
        Ok(Frame::data(piece))
    });
    let (cut, stall) = (!head_only && reply.cut_at.is_some(), !head_only && reply.stall_at.is_some());
    let end = stream::once(async move {
        if stall {
            tokio::time::sleep(FOR_EVER).await;
        }
        // The data must be sent before the connection is closed.
        tokio::task::yield_now().await;
        drop(ending);
        cut.then_some(Err(HungUp))
    });
    let frames = data.chain(end.filter_map(|end| async { end }));
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    if reply.status != 204 && !reply.headers.contains_key("transfer-encoding") {
        response = response.header("content-length", length);
    }
    response.body(StreamBody::new(frames).boxed_unsync()).expect("a valid response")
}

/// The size of the pieces in which bodies are sent.
const PIECE: usize = 64 * 1024;

/// Records the end of a request in the log, however it ends.
struct Ending {
    shared: Arc<Shared>,
    key: Key,
}

impl Ending {
    fn note(&self, what: impl FnOnce(&mut super::Entry)) {
        if let Some(entry) = self.shared.log().entry(self.key) {
            what(entry);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.note(|entry| entry.ended = Some(Instant::now()));
    }
}
