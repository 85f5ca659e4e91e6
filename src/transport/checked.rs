//! Verification of every byte against digest and size, in one pass while it is transferred.

use super::stream::BlobStream;
use crate::error::{Error, Result};
use crate::image::digest::{Hasher, mismatch};
use crate::image::{Descriptor, Digest, MAX_MANIFEST, Manifest};
use bytes::Bytes;
use futures_util::StreamExt;

/// Passes a stream on while it matches its descriptor. The last piece is held back until the digest is known, so that
/// a receiver that counts bytes never has a complete but wrong blob.
pub fn verified(stream: BlobStream, descriptor: &Descriptor) -> BlobStream {
    let check = Check {
        stream,
        held: None,
        hasher: Some(Hasher::new(descriptor.digest.algorithm())),
        seen: 0,
        size: descriptor.size,
        digest: descriptor.digest.clone(),
    };
    Box::pin(futures_util::stream::unfold(check, |mut check| async move {
        let item = check.next().await.transpose()?;
        if item.is_err() {
            check.hasher = None;
            check.held = None;
        }
        Some((item, check))
    }))
}

struct Check {
    stream: BlobStream,
    held: Option<Bytes>,
    /// `None` after the end or an error. Hashing on another thread would cost megabytes of memory for pieces in
    /// flight, and save no time.
    hasher: Option<Hasher>,
    seen: u64,
    size: u64,
    digest: Digest,
}

impl Check {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(hasher) = &mut self.hasher else { return Ok(self.held.take()) };
        loop {
            match self.stream.next().await {
                Some(piece) => {
                    let piece = piece?;
                    self.seen += piece.len() as u64;
                    if self.seen > self.size {
                        return Err(wrong_size(&self.digest, self.size, "longer"));
                    }
                    hasher.update(&piece);
                    match self.seen < self.size {
                        _ if piece.is_empty() => {}
                        true => return Ok(Some(piece)),
                        false => self.held = Some(piece),
                    }
                }
                None => {
                    if self.seen < self.size {
                        return Err(wrong_size(&self.digest, self.size, "shorter"));
                    }
                    let found = self.hasher.take().map(Hasher::finish);
                    return match found {
                        Some(found) if found != self.digest => Err(mismatch(&self.digest, &found)),
                        _ => Ok(self.held.take()),
                    };
                }
            }
        }
    }
}

fn wrong_size(digest: &Digest, size: u64, how: &str) -> Error {
    Error::verification(format!("size mismatch: {digest} is {how} than the {size} bytes in its descriptor"))
        .hint("the source is damaged or truncated; nothing was tagged")
}

/// Reads a verified stream whole; its size is limited by the descriptor.
pub async fn read_whole(mut stream: BlobStream, descriptor: &Descriptor, limit: u64) -> Result<Bytes> {
    if descriptor.size > limit {
        return Err(Error::unsupported(format!(
            "{} has {} bytes; the limit is {limit}",
            descriptor.digest, descriptor.size
        )));
    }
    let mut whole = Vec::with_capacity(usize::try_from(descriptor.size).unwrap_or(0));
    while let Some(piece) = stream.next().await {
        whole.extend_from_slice(&piece?);
    }
    Ok(whole.into())
}

/// Parses a manifest and checks it against the descriptor by which it was requested. A manifest that matches but is
/// not understood is [`Content::Opaque`](crate::image::Content).
pub fn checked_manifest(bytes: Bytes, descriptor: &Descriptor) -> Result<Manifest> {
    if bytes.len() as u64 > MAX_MANIFEST {
        return Err(Error::unsupported(format!("the manifest {} is larger than 4 MiB", descriptor.digest)));
    }
    descriptor.digest.check(&bytes, "the manifest")?;
    if bytes.len() as u64 != descriptor.size {
        return Err(Error::verification(format!(
            "size mismatch: the manifest {} has {} bytes, but its descriptor says {}",
            descriptor.digest,
            bytes.len(),
            descriptor.size
        )));
    }
    let media_type = descriptor.media_type.as_str();
    Ok(Manifest::parse(bytes.clone(), Some(media_type))
        .unwrap_or_else(|why| Manifest::opaque(bytes, media_type, why)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn run(pieces: &[&'static str], of: &str, size: u64) -> Result<Bytes> {
        let pieces: Vec<_> = pieces.iter().map(|p| Ok(Bytes::from_static(p.as_bytes()))).collect();
        let descriptor = Descriptor::new("", Digest::sha256(of), size);
        let stream = verified(Box::pin(futures_util::stream::iter(pieces)), &descriptor);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(read_whole(stream, &descriptor, 100))
    }

    #[test]
    fn passes_on_only_content_that_matches_its_descriptor() {
        assert_eq!(run(&["ab", "", "c"], "abc", 3).unwrap(), "abc");
        assert_eq!(run(&[], "", 0).unwrap(), "");
        for (pieces, of, size) in
            [(&["abd"][..], "abc", 3), (&["ab"], "abc", 3), (&["abc", "d"], "abc", 3), (&["abc"], "abc", 4)]
        {
            assert_eq!(run(pieces, of, size).unwrap_err().kind(), Kind::Verification);
        }
        assert_eq!(run(&["abc"], "abc", 101).unwrap_err().kind(), Kind::Unsupported);
    }
}
