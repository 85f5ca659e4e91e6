//! Reads one layer: streaming, on a thread, within bounds.

use crate::error::{Context, Error, Result};
use crate::image::digest::{Algorithm, Hasher};
use crate::image::{Descriptor, Digest};
use crate::rewrite::paths::{Attributes, Kind};
use crate::transport::checked::verified;
use crate::transport::decompress::decompress;
use crate::transport::limit::{Bounded, ReadLimit};
use crate::transport::{BlobStream, Source};
use bytes::Bytes;
use futures_util::StreamExt;
use std::io::Read;
use tokio::sync::mpsc;

/// gzip makes a thousandfold of nothing, at most; what grows further is made to fill memory or time.
const MAX_GROWTH: u64 = 1100;
/// Small layers may be anything.
const ALWAYS_READ: u64 = 64 << 20;

/// A member of a layer, in the order of the layer.
pub struct Member<'a> {
    /// Its name as it is written.
    pub name: &'a str,
    /// What it is.
    pub kind: Kind,
    /// Where a hard link points.
    pub hard_link: Option<String>,
    /// Permission bits.
    pub mode: u32,
    /// The size of the content.
    pub size: u64,
    /// Its content.
    pub content: &'a mut dyn Read,
}

/// Sees the members of a layer.
pub trait Visitor: Send + Sized + 'static {
    /// Looks at a member.
    fn member(&mut self, member: Member<'_>) -> std::io::Result<()>;
}

/// Shows one layer to a visitor. Returns it with the digest of the uncompressed layer.
pub async fn read<V: Visitor>(source: &dyn Source, layer: &Descriptor, visitor: V) -> Result<(V, Digest)> {
    let stream = verified(source.blob(layer).await?, layer);
    let (sender, receiver) = mpsc::channel(4);
    let limit = layer.size.saturating_mul(MAX_GROWTH).max(ALWAYS_READ);
    let reading =
        tokio::task::spawn_blocking(move || members(Pipe { receiver, piece: Bytes::new() }, limit, visitor));
    feed(stream, sender).await?;
    reading.await.map_err(|e| Error::other(format!("reading a layer ended early: {e}")))?
}

async fn feed(mut stream: BlobStream, sender: mpsc::Sender<Bytes>) -> Result<()> {
    while let Some(piece) = stream.next().await {
        // The reader is content, or has failed and says so itself; the rest still has to be what was promised.
        let _ = sender.send(piece?).await;
    }
    Ok(())
}

/// The receiving end of a stream, to be read on a thread.
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

/// Shows the members of a layer to a visitor, as far as `limit` bytes of tar. Returns it with the digest of the tar.
pub fn members<V: Visitor>(layer: impl Read + 'static, limit: u64, mut visitor: V) -> Result<(V, Digest)> {
    let malformed = |e: std::io::Error| Error::unsupported(format!("the layer is malformed: {e}"));
    let (_, tar) = decompress(layer).context(|| "the layer")?;
    let tar = Bounded::new(tar, limit, "it grows more than a thousandfold when it is decompressed");
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
    // What follows the archive's end is read too: the sender is not left waiting, and the digest covers it.
    std::io::copy(&mut tar, &mut std::io::sink()).map_err(malformed)?;
    Ok((visitor, tar.into_inner().hasher.finish()))
}

fn show<V: Visitor>(entry: &mut tar::Entry<'_, impl Read>, visitor: &mut V) -> std::io::Result<()> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let header = entry.header().clone();
    let link = String::from_utf8_lossy(&entry.link_name_bytes().unwrap_or_default()).into_owned();
    let kind = match header.entry_type() {
        tar::EntryType::Directory => Kind::Directory(attributes(&header)?),
        tar::EntryType::Symlink => Kind::Link(link.clone()),
        _ => Kind::Other,
    };
    let hard_link = (header.entry_type() == tar::EntryType::Link).then_some(link);
    let (mode, size) = (header.mode().unwrap_or(0), entry.size());
    visitor.member(Member { name: &name, kind, hard_link, mode, size, content: entry })
}

/// Hashes what is read through it.
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

/// What a tar says of a directory. A field that was left blank is 0, as it is to engines.
fn attributes(header: &tar::Header) -> std::io::Result<Attributes> {
    let fields = header.as_old();
    let number = |field: &[u8], value: std::io::Result<u64>| match field {
        field if field.iter().all(|b| matches!(b, 0 | b' ')) => Ok(0),
        _ => value,
    };
    Ok(Attributes {
        // At most twelve bits.
        mode: u32::try_from(number(&fields.mode, header.mode().map(u64::from))? & 0o7777).unwrap_or(0),
        uid: number(&fields.uid, header.uid())?,
        gid: number(&fields.gid, header.gid())?,
        mtime: number(&fields.mtime, header.mtime())?,
    })
}
