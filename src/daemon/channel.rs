//! A pipe from the thread that writes an archive to the request that sends it.

use crate::error::{Error, Result};
use crate::transport::BlobStream;
use crate::transport::archive_sink::Stream;
use bytes::{Bytes, BytesMut};
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// The size of the pieces that are sent.
const PIECE: usize = 128 << 10;
/// The number of pieces that may wait for the request.
const QUEUE: usize = 4;

/// The writing end of a pipe.
pub struct PipeWriter {
    sender: Sender<Option<Bytes>>,
    buffer: BytesMut,
    is_closed: Arc<AtomicBool>,
}

/// Whether the reader of a pipe was closed before the writer was finished.
#[derive(Clone)]
pub struct IsClosed(Arc<AtomicBool>);

impl IsClosed {
    /// Returns whether the reader was closed early.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Creates a pipe. The stream ends with an error, unless the writer reports that it is finished.
pub fn pipe() -> (PipeWriter, BlobStream, IsClosed) {
    let (sender, receiver) = channel(QUEUE);
    let is_closed = Arc::new(AtomicBool::new(false));
    let writer = PipeWriter { sender, buffer: BytesMut::new(), is_closed: is_closed.clone() };
    (writer, stream(receiver), IsClosed(is_closed))
}

fn stream(receiver: Receiver<Option<Bytes>>) -> BlobStream {
    Box::pin(futures_util::stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Some(piece)) => Some((Result::Ok(piece), Some(receiver))),
            Some(None) => None,
            None => Some((Err(Error::other("the image was not written to its end")), None)),
        }
    }))
}

impl PipeWriter {
    fn send(&mut self, piece: Option<Bytes>) -> std::io::Result<()> {
        self.sender.blocking_send(piece).map_err(|_| {
            self.is_closed.store(true, Ordering::Release);
            ErrorKind::BrokenPipe.into()
        })
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            let piece = self.buffer.split().freeze();
            self.send(Some(piece))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = self.buffer.split().freeze();
        self.send(Some(piece))
    }
}

impl Stream for PipeWriter {
    fn end(mut self: Box<Self>) -> std::io::Result<()> {
        self.flush()?;
        self.send(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    #[tokio::test]
    async fn delivers_all_written_bytes() {
        let (mut writer, stream, is_closed) = pipe();
        let writing = std::thread::spawn(move || {
            for n in 0..2000u16 {
                writer.write_all(&[n.to_le_bytes()[0]; 777]).unwrap();
            }
            Box::new(writer).end().unwrap();
        });
        let pieces: Vec<Bytes> = stream.map(Result::unwrap).collect().await;
        writing.join().unwrap();
        let all = pieces.concat();
        assert_eq!(all.len(), 2000 * 777);
        assert!(
            all.chunks(777).enumerate().all(|(n, chunk)| chunk.iter().all(|b| usize::from(*b) == n % 256))
        );
        assert!(!is_closed.get());
    }

    #[tokio::test]
    async fn a_dropped_writer_is_an_error() {
        let (mut writer, stream, _) = pipe();
        writer.write_all(b"half").unwrap();
        drop(writer);
        let pieces: Vec<Result<Bytes>> = stream.collect().await;
        assert!(matches!(pieces[..], [Err(_)]), "{pieces:?}");
    }

    #[test]
    fn detects_a_closed_reader() {
        let (mut writer, stream, is_closed) = pipe();
        drop(stream);
        assert!(!is_closed.get());
        let failed = (0..3).find_map(|_| writer.write_all(&[0; PIECE]).err());
        assert_eq!(failed.unwrap().kind(), ErrorKind::BrokenPipe);
        assert!(is_closed.get());
    }
}
