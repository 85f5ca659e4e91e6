//! Reading of one layer: streaming, on a thread, within limits.

use crate::error::{Context, Error, Result};
use crate::image::digest::{Algorithm, Hasher};
use crate::image::{Descriptor, Digest};
use crate::rewrite::paths::{Attributes, EntryKind};
use crate::transport::checked::verified;
use crate::transport::decompress::decompress;
use crate::transport::limit::{Bounded, GROWS, ReadLimit, most_unpacked};
use crate::transport::{BlobStream, Source};
use bytes::Bytes;
use futures_util::StreamExt;
use std::io::Read;
use tokio::sync::mpsc;

/// An entry of a layer, in the order of the layer.
pub struct Member<'a> {
    /// The name, as written.
    pub name: &'a str,
    /// The type of the entry.
    pub kind: EntryKind,
    /// The target of a hard link.
    pub hard_link: Option<String>,
    /// The permission bits.
    pub mode: u32,
    /// The size of the content.
    pub size: u64,
    /// The content.
    pub content: &'a mut dyn Read,
}

/// A visitor of the entries of a layer.
pub trait Visitor: Send + Sized + 'static {
    /// Visits an entry.
    fn member(&mut self, member: Member<'_>) -> std::io::Result<()>;
}

/// Passes the entries of one layer to a visitor. Returns the visitor and the digest of the uncompressed layer.
pub async fn read<V: Visitor>(source: &dyn Source, layer: &Descriptor, visitor: V) -> Result<(V, Digest)> {
    let stream = verified(source.blob(layer).await?, layer);
    let (sender, receiver) = mpsc::channel(4);
    let limit = most_unpacked(layer.size);
    let reading =
        tokio::task::spawn_blocking(move || members(Pipe { receiver, piece: Bytes::new() }, limit, visitor));
    feed(stream, sender).await?;
    reading.await.map_err(|e| Error::other(format!("internal error: a background task failed: {e}")))?
}

/// Reads a layer, and returns its diff_id: the digest of the uncompressed layer.
pub async fn diff_id(source: &dyn Source, layer: &Descriptor) -> Result<Digest> {
    struct Nothing;
    impl Visitor for Nothing {
        fn member(&mut self, _: Member<'_>) -> std::io::Result<()> {
            Ok(())
        }
    }
    Ok(read(source, layer, Nothing).await?.1)
}

async fn feed(mut stream: BlobStream, sender: mpsc::Sender<Bytes>) -> Result<()> {
    while let Some(piece) = stream.next().await {
        // The reader may have stopped early, or failed and reported that itself; keep verifying the rest.
        let _ = sender.send(piece?).await;
    }
    Ok(())
}

/// The receiving end of a stream, for reading on a thread.
struct Pipe {
    receiver: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let n = buffer.len().min(self.piece.len());
        buffer[..n].copy_from_slice(&self.piece.split_to(n));
        Ok(n)
    }
}

/// Passes the entries of a layer to a visitor, up to `limit` bytes of tar. Returns the visitor and the digest of the
/// tar stream.
pub fn members<V: Visitor>(layer: impl Read + 'static, limit: u64, mut visitor: V) -> Result<(V, Digest)> {
    let malformed = |e: std::io::Error| Error::unsupported(format!("the layer is malformed: {e}"));
    let (_, tar) = decompress(layer).context(|| "the layer")?;
    let tar = Bounded::new(tar, limit, GROWS);
    let (limit, mut tar) = ReadLimit::new(Hashed { inner: tar, hasher: Hasher::new(Algorithm::Sha256) });
    let mut archive = tar::Archive::new(&mut tar);
    let mut entries = archive.entries().map_err(malformed)?;
    loop {
        limit.before_member();
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(malformed)?;
        limit.within_member();
        show(&mut entry, &mut visitor).map_err(malformed)?;
        std::io::copy(&mut entry, &mut std::io::sink()).map_err(malformed)?;
    }
    limit.within_member();
    // Read to the end of the stream, so that the sender does not block and the digest covers everything.
    std::io::copy(&mut tar, &mut std::io::sink()).map_err(malformed)?;
    Ok((visitor, tar.into_inner().hasher.finish()))
}

fn show<V: Visitor>(entry: &mut tar::Entry<'_, impl Read>, visitor: &mut V) -> std::io::Result<()> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let header = entry.header().clone();
    let link = String::from_utf8_lossy(&entry.link_name_bytes().unwrap_or_default()).into_owned();
    let kind = match header.entry_type() {
        tar::EntryType::Directory => EntryKind::Directory(attributes(&header)?),
        tar::EntryType::Symlink => EntryKind::Link(link.clone()),
        _ => EntryKind::Other,
    };
    let hard_link = (header.entry_type() == tar::EntryType::Link).then_some(link);
    let (mode, size) = (header.mode().unwrap_or(0), entry.size());
    visitor.member(Member { name: &name, kind, hard_link, mode, size, content: entry })
}

/// A reader that hashes what is read.
struct Hashed<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

/// Returns the attributes of a directory's tar header. Engines read a blank field as 0.
fn attributes(header: &tar::Header) -> std::io::Result<Attributes> {
    let fields = header.as_old();
    let number = |field: &[u8], value: std::io::Result<u64>| match field {
        field if field.iter().all(|b| matches!(b, 0 | b' ')) => Ok(0),
        _ => value,
    };
    Ok(Attributes {
        // The value has at most twelve bits.
        mode: u32::try_from(number(&fields.mode, header.mode().map(u64::from))? & 0o7777).unwrap_or(0),
        uid: number(&fields.uid, header.uid())?,
        gid: number(&fields.gid, header.gid())?,
        mtime: number(&fields.mtime, header.mtime())?,
    })
}
