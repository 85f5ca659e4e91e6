//! The added layer: one regular file, with the same bytes on every machine.

use super::paths::{Attributes, Directory};
use crate::error::{Error, Result};
use crate::image::{Digest, ImagePath};
use bytes::Bytes;

/// A compressed layer, with its digest and diff_id.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The gzip stream.
    pub blob: Bytes,
    /// The digest of the gzip stream.
    pub digest: Digest,
    /// The digest of the uncompressed tar stream.
    pub diff_id: Digest,
}

impl Layer {
    /// Creates the layer that holds `content` as the executable file `path`, below `parents`.
    ///
    /// The only directory entries are copies of the image's own: a new entry for `sbin/` would turn a symbolic link
    /// `/sbin` into a directory on overlay file systems. Owner 0:0, mode 0755 and time 0 keep the layer independent
    /// of the machine.
    pub fn new(path: &ImagePath, content: &[u8], parents: &[Directory]) -> Result<Self> {
        let mut builder = tar::Builder::new(Vec::new());
        for parent in parents {
            let Attributes { mode, uid, gid, mtime } = parent.attributes;
            let mut header =
                header(&format!("{}/", parent.path.in_layer()), tar::EntryType::Directory, mode)?;
            header.set_uid(uid);
            header.set_gid(gid);
            header.set_mtime(mtime);
            header.set_cksum();
            builder.append(&header, std::io::empty())?;
        }
        let mut header = header(path.in_layer(), tar::EntryType::Regular, 0o755)?;
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content)?;
        let tar = builder.into_inner()?;
        let blob = gzip_stored(&tar);
        Ok(Layer { digest: Digest::sha256(&blob), diff_id: Digest::sha256(&tar), blob: blob.into() })
    }
}

fn header(path: &str, kind: tar::EntryType, mode: u32) -> Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header
        .set_path(path)
        .map_err(|e| Error::usage(format!("the path {path:?} does not fit into a tar header: {e}")))?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    Ok(header)
}

/// Compresses data as gzip (RFC 1952) with stored blocks (RFC 1951, 3.2.4). A compressor's output may change with its
/// version, and with it the digest; saving part of 10 kB is not worth that.
fn gzip_stored(data: &[u8]) -> Vec<u8> {
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut out = Vec::with_capacity(data.len() + data.len() / 8192 + 32);
    out.extend_from_slice(&HEADER);
    let mut blocks = data.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        // A chunk is at most `u16::MAX` bytes long.
        let len = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(block);
    }
    let mut crc = flate2::Crc::new();
    crc.update(data);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn contains_exactly_one_executable_file() {
        let content: Vec<u8> = (0..200_000u32).map(|i| i as u8).collect();
        let layer = Layer::new(&"/.reaper".parse().unwrap(), &content, &[]).unwrap();
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(&layer.blob[..]).read_to_end(&mut tar).unwrap();
        assert_eq!(layer.diff_id, Digest::sha256(&tar));
        let mut archive = tar::Archive::new(&tar[..]);
        let mut entries = archive.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        let header = entry.header().clone();
        assert_eq!(entry.path().unwrap().to_str(), Some(".reaper"));
        assert_eq!((header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap()), (0o755, 0, 0));
        let mut read = Vec::new();
        entry.read_to_end(&mut read).unwrap();
        assert_eq!(read, content);
        drop(entry);
        assert!(entries.next().is_none());
    }

    #[test]
    fn the_digest_never_changes() {
        let layer = Layer::new(&"/.reaper".parse().unwrap(), b"reaper", &[]).unwrap();
        assert_eq!(
            layer.digest.to_string(),
            "sha256:2aef0dd0c62f739d6c93ff1049809a0b24c9396f880bb9c4c5541e890e5793da"
        );
    }
}
