//! Reads the layers of an image for what stands at a path: streaming, from the highest down, no further than
//! needed.

use crate::error::{Context, Error, Result};
use crate::image::{Content, Descriptor, ImagePath, Manifest};
use crate::rewrite::paths::{Attributes, Directory, Kind, Survey};
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

/// The directories above `path`, if the reaper can go there.
pub async fn parents(
    source: &dyn Source,
    manifest: &Manifest,
    path: &ImagePath,
    replace: bool,
) -> Result<Vec<Directory>> {
    let hint = "only the default --path needs no look into the layers";
    let survey =
        walk(source, manifest, Survey::new(path), hint).await.context(|| format!("looking for {path}"))?;
    survey.parents(replace)
}

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
    /// Its content.
    pub content: &'a mut dyn Read,
}

/// Somebody who looks at the layers of an image, from the highest down.
pub trait Visitor: Send + Sized + 'static {
    /// A member of the layer at hand.
    fn member(&mut self, member: Member<'_>) -> std::io::Result<()>;

    /// The layer at hand has ended. Returns whether lower ones are still needed.
    fn end_of_layer(&mut self) -> bool;
}

impl Visitor for Survey {
    fn member(&mut self, member: Member<'_>) -> std::io::Result<()> {
        Survey::member(self, member.name, &member.kind);
        Ok(())
    }

    fn end_of_layer(&mut self) -> bool {
        Survey::end_of_layer(self)
    }
}

/// Shows the layers to a visitor, as far as it wants to see them. `hint` is what to do about a layer that is elsewhere.
pub async fn walk<V: Visitor>(
    source: &dyn Source,
    manifest: &Manifest,
    mut visitor: V,
    hint: &str,
) -> Result<V> {
    let Content::Image { layers, .. } = &manifest.content else { return Ok(visitor) };
    for layer in layers.iter().rev() {
        if layer.is_foreign() {
            return Err(Error::unsupported(format!(
                "the layer {} is foreign and cannot be read",
                layer.digest
            ))
            .hint(hint));
        }
        visitor = read(source, layer, visitor).await.context(|| format!("the layer {}", layer.digest))?;
        if !visitor.end_of_layer() {
            break;
        }
    }
    Ok(visitor)
}

/// One layer: its bytes arrive here, and are decompressed on a thread.
async fn read<V: Visitor>(source: &dyn Source, layer: &Descriptor, visitor: V) -> Result<V> {
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

/// Shows what a layer holds, as far as `limit` bytes of tar.
pub fn members<V: Visitor>(layer: impl Read + 'static, limit: u64, mut visitor: V) -> Result<V> {
    let malformed = |e: std::io::Error| Error::unsupported(format!("the layer is malformed: {e}"));
    let (_, tar) = decompress(layer).context(|| "the layer")?;
    let tar = Bounded::new(tar, limit, "it grows more than a thousandfold when it is decompressed");
    let (limit, mut tar) = ReadLimit::new(tar);
    let mut archive = tar::Archive::new(&mut tar);
    let mut entries = archive.entries().map_err(malformed)?;
    loop {
        limit.before_member();
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(malformed)?;
        limit.within_member();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let header = entry.header().clone();
        let link = String::from_utf8_lossy(&entry.link_name_bytes().unwrap_or_default()).into_owned();
        let kind = match header.entry_type() {
            tar::EntryType::Directory => Kind::Directory(attributes(&header).map_err(malformed)?),
            tar::EntryType::Symlink => Kind::Link(link.clone()),
            _ => Kind::Other,
        };
        let hard_link = (header.entry_type() == tar::EntryType::Link).then_some(link);
        let mode = header.mode().unwrap_or(0);
        let member = Member { name: &name, kind, hard_link, mode, content: &mut entry };
        visitor.member(member).map_err(malformed)?;
        std::io::copy(&mut entry, &mut std::io::sink()).map_err(malformed)?;
    }
    limit.within_member();
    // What follows the archive's end is read too, so that the sender is not left waiting.
    std::io::copy(&mut tar, &mut std::io::sink()).map_err(malformed)?;
    Ok(visitor)
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
