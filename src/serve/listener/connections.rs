//! Connections: their number, their age, and their shutdown.

use super::Service;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The maximum size of a request's head. Secrets and names are short.
const MAX_HEAD: usize = 32 << 10;
/// The pause after a connection could not be accepted, for example because too many files are open.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is cancelled; then accepts no more connections, lets current requests finish within
/// [`Limits::grace`](super::Limits::grace), and returns. Dropping the future closes all connections.
///
/// For a graceful shutdown, first [drain](super::super::Queue::drain) the queue: `/readyz` and `/events` answer
/// 503 from then on, while `/metrics` and `/healthz` still work. Then cancel `stop`.
pub async fn serve(listener: TcpListener, service: Arc<Service>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < service.limits.connections => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, service.clone(), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn converse(stream: TcpStream, service: Arc<Service>, stop: CancellationToken) {
    let limits = service.limits;
    let respond = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), respond);
    let mut connection = pin!(connection);
    tokio::select! {
        // An error of a connection affects only its client.
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = sleep(limits.age) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(limits.grace, connection).await;
}
