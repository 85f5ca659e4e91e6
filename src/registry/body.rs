//! Request bodies: ranges of blobs, counted and monitored while they are sent.

use super::answer::timeout_error;
use crate::error::Result;
use crate::stats::Stats;
use crate::transport::{BlobStream, Payload};
use bytes::Bytes;
use futures_util::StreamExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// The body of a request.
#[derive(Clone)]
pub enum Body<'a> {
    Empty,
    Bytes(Bytes),
    /// A form that contains a secret: it is sent to the origin of the request and to no other.
    Secret(Bytes),
    /// The bytes `from..from + len` of a blob, opened again each time that they are sent.
    Part {
        payload: Payload<'a>,
        from: u64,
        len: u64,
    },
}

/// The progress of sending a request's body.
#[derive(Default)]
pub struct Progress {
    bytes: AtomicU64,
    is_sent: AtomicBool,
    /// Notified when the last byte has been sent.
    sent: Notify,
}

impl Progress {
    /// Records that `n` more bytes have been sent, and returns the sum.
    pub fn add(&self, n: u64) -> u64 {
        self.bytes.fetch_add(n, Ordering::Relaxed) + n
    }

    /// Records that the whole body has been sent.
    pub fn end(&self) {
        self.is_sent.store(true, Ordering::Relaxed);
        self.sent.notify_one();
    }

    /// Waits for a response. Fails if no byte moves for `stall` while the body is sent; then waits up to `commit`.
    pub async fn watch<T>(
        &self,
        sending: impl Future<Output = T>,
        stall: Duration,
        commit: Duration,
    ) -> Result<T> {
        tokio::pin!(sending);
        let mut before = 0;
        loop {
            let is_sent = self.is_sent.load(Ordering::Relaxed);
            let wait = if is_sent { commit } else { stall };
            tokio::select! {
                outcome = &mut sending => return Ok(outcome),
                () = self.sent.notified(), if !is_sent => {}
                () = tokio::time::sleep(wait) => {
                    let now = self.bytes.load(Ordering::Relaxed);
                    if is_sent || now == before {
                        return Err(timeout_error(wait));
                    }
                    before = now;
                }
            }
        }
    }
}

/// Counts a body of `len` bytes while it is sent. The HTTP library does not read beyond them.
pub fn counted(
    stream: BlobStream,
    len: u64,
    progress: Arc<Progress>,
    stats: Arc<Stats>,
) -> impl futures_util::Stream<Item = Result<Bytes>> {
    if len == 0 {
        progress.end();
    }
    stream.inspect(move |piece| {
        if let Ok(piece) = piece {
            let n = piece.len() as u64;
            if progress.add(n) >= len {
                progress.end();
            }
            Stats::add(&stats.bytes_pushed, n);
        }
    })
}

/// Returns the bytes `from..from + len` of a stream.
pub fn part(stream: BlobStream, from: u64, len: u64) -> BlobStream {
    take(skip(stream, from), len)
}

/// Returns a stream without its first `n` bytes.
fn skip(stream: BlobStream, n: u64) -> BlobStream {
    if n == 0 {
        return stream;
    }
    let mut left = n;
    Box::pin(stream.filter_map(move |piece| {
        let piece = piece.map(|mut piece| {
            let cut = left.min(piece.len() as u64);
            left -= cut;
            // At most the length of the piece.
            piece.split_off(usize::try_from(cut).unwrap_or(usize::MAX))
        });
        futures_util::future::ready(match piece {
            Ok(piece) if piece.is_empty() => None,
            piece => Some(piece),
        })
    }))
}

/// Returns the first `n` bytes of a stream.
fn take(stream: BlobStream, n: u64) -> BlobStream {
    let pieces = stream.scan(n, |left, piece| {
        let piece = match piece {
            _ if *left == 0 => None,
            Ok(mut piece) => {
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= piece.len() as u64;
                Some(Ok(piece))
            }
            Err(error) => Some(Err(error)),
        };
        futures_util::future::ready(piece)
    });
    Box::pin(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test]
    async fn cuts_streams_at_any_position() {
        for (from, len, expected) in
            [(0, 10, "0123456789"), (3, 4, "3456"), (4, 1, "4"), (9, 1, "9"), (0, 0, "")]
        {
            let pieces = ["01", "", "234", "56789"].map(|p| Ok(Bytes::from_static(p.as_bytes())));
            let stream: BlobStream = Box::pin(futures_util::stream::iter(pieces));
            let pieces: Vec<Bytes> = part(stream, from, len).map(Result::unwrap).collect().await;
            assert_eq!(pieces.concat(), expected.as_bytes());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_long_for_a_response_but_not_for_a_stalled_body() {
        let seconds = Duration::from_secs;
        let progress = Progress::default();
        let never = std::future::pending::<()>;
        let begun = Instant::now();
        assert!(progress.watch(never(), seconds(60), seconds(600)).await.is_err());
        assert_eq!(begun.elapsed().as_secs(), 60);
        progress.is_sent.store(true, Ordering::Relaxed);
        assert!(progress.watch(never(), seconds(60), seconds(600)).await.is_err());
        assert_eq!(begun.elapsed().as_secs(), 660);
    }
}
