//! Parts of streams: what an upload in chunks, or one that goes on, sends.

use crate::transport::BlobStream;
use futures_util::StreamExt;

/// A stream without its first `n` bytes.
pub(super) fn skip(stream: BlobStream, n: u64) -> BlobStream {
    if n == 0 {
        return stream;
    }
    let mut left = n;
    Box::pin(stream.filter_map(move |piece| {
        let piece = piece.map(|mut piece| {
            let cut = left.min(piece.len() as u64);
            left -= cut;
            // No longer than the piece.
            piece.split_off(usize::try_from(cut).unwrap_or(usize::MAX))
        });
        futures_util::future::ready(match piece {
            Ok(piece) if piece.is_empty() => None,
            piece => Some(piece),
        })
    }))
}

/// The first `n` bytes of a stream.
pub(super) fn take(stream: BlobStream, n: u64) -> BlobStream {
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
