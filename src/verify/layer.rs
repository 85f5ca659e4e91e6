//! The content of the reaper's layer.

use crate::error::{Error, Result};
use crate::image::{Digest, ImagePath, Platform};
use crate::reapers::elf::Program;
use crate::rewrite::paths::{Attributes, Directory};
use crate::rewrite::record::Record;
use crate::transport::decompress::decompress;
use bytes::Bytes;
use std::io::Read;

/// The maximum size of the reaper's layer.
pub const MAX_LAYER: u64 = 64 << 20;

/// The content of the layer.
pub struct Contents {
    pub diff_id: Digest,
    pub parents: Vec<Directory>,
    pub path: ImagePath,
    pub mode: u32,
    pub owner: (u64, u64),
    pub program: Bytes,
}

/// Unpacks the reaper's layer. Returns an error unless it holds exactly one file and the directories above it.
pub fn read(blob: &[u8]) -> Result<Contents> {
    let bad = |why: String| Error::verification(format!("the last layer was not created by reapify: {why}"));
    // Docker archives store the layer uncompressed, and other programs may have compressed it again.
    let (_, unpacked) = decompress(std::io::Cursor::new(blob.to_vec())).map_err(|e| bad(e.to_string()))?;
    let mut tar = Vec::new();
    unpacked.take(MAX_LAYER).read_to_end(&mut tar).map_err(|e| bad(e.to_string()))?;
    let mut contents = None;
    let mut parents = Vec::new();
    for entry in tar::Archive::new(&tar[..]).entries().map_err(|e| bad(e.to_string()))? {
        let mut entry = entry.map_err(|e| bad(e.to_string()))?;
        let path = format!("/{}", String::from_utf8_lossy(&entry.path_bytes()).trim_end_matches('/'));
        let path: ImagePath = path.parse().map_err(|_| bad(format!("it contains {path:?}")))?;
        let header = entry.header().clone();
        let field = |value: std::io::Result<u64>| value.map_err(|e| bad(e.to_string()));
        let mode = header.mode().map_err(|e| bad(e.to_string()))?;
        let owner = (field(header.uid())?, field(header.gid())?);
        match header.entry_type() {
            tar::EntryType::Directory => {
                let (uid, gid) = owner;
                let attributes = Attributes { mode, uid, gid, mtime: field(header.mtime())? };
                parents.push(Directory { path, attributes });
            }
            tar::EntryType::Regular if contents.is_none() => {
                let mut program = Vec::new();
                entry.read_to_end(&mut program)?;
                contents = Some((path, mode, owner, program));
            }
            _ => return Err(bad(format!("it also contains {path}"))),
        }
    }
    let (path, mode, owner, program) = contents.ok_or_else(|| bad("it contains no file".into()))?;
    Ok(Contents { diff_id: Digest::sha256(&tar), parents, path, mode, owner, program: program.into() })
}

impl Contents {
    /// Returns an error unless the layer matches the record.
    pub fn check(&self, record: &Record, platform: &Platform) -> Result<()> {
        let differs = |what: &str, found: &dyn std::fmt::Display, recorded: &dyn std::fmt::Display| {
            Err(Error::verification(format!("{what} is {found}, the record says {recorded}")))
        };
        if self.diff_id != record.diff_id {
            return differs("the diff_id of the last layer", &self.diff_id, &record.diff_id);
        }
        if self.path != record.path {
            return differs("the reaper's path", &self.path, &record.path);
        }
        let digest = Digest::sha256(&self.program);
        if digest != record.reaper {
            return differs("the reaper", &digest, &record.reaper);
        }
        if self.mode & 0o7777 != 0o755 || self.owner != (0, 0) {
            return Err(Error::verification(format!(
                "the reaper has mode {:o} and owner {}:{}, not 755 and 0:0",
                self.mode, self.owner.0, self.owner.1
            )));
        }
        Program::check_reaper(&self.program, &platform.canonical())
            .map_err(|e| Error::verification(format!("the reaper does not match the image: {e}")))
    }
}
