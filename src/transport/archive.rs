//! Tar archives of images: their members are located once by their headers, and then read by position.

use super::BlobStream;
use super::decompress::{Format, decompress};
use super::files::{PIECE, file_stream, read_up_to};
use super::limit::ReadLimit;
use crate::error::{Context, Error, Result};
use crate::image::location::FileOrStdio;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The maximum growth of an archive by decompression. Real archives never compress this well; more is a decompression
/// bomb.
const MAX_GROWTH: u64 = 200;
/// The size up to which growth is not limited.
const ALWAYS_SPOOLED: u64 = 256 << 20;
/// The maximum size of the names of all members, with a hundred bytes of overhead each: about 300,000 members.
const MAX_NAMES: usize = 64 << 20;

/// A member of an archive.
#[derive(Debug, Clone)]
enum Member {
    File {
        start: u64,
        size: u64,
    },
    /// A link. `docker save` of old engines links layers that it has already written.
    Link(String),
    /// Several members with the same name: which one counts depends on the reader.
    Twice,
    /// A member that cannot be part of an image, such as a device or a sparse file.
    Other,
}

/// An archive whose members are located. Clones read the same file.
#[derive(Debug, Clone)]
pub struct Archive {
    file: Arc<File>,
    members: Arc<HashMap<String, Member>>,
    place: String,
}

impl Archive {
    /// Opens an archive and reads its headers. Pipes, devices and compressed archives are first written to a
    /// temporary file, because members are read in the order that the image requires.
    pub fn open(name: &FileOrStdio, place: String) -> Result<Self> {
        let file = match name {
            FileOrStdio::Path(path) => {
                let file = File::open(path).map_err(|e| match e.kind() {
                    std::io::ErrorKind::NotFound => Error::not_found(format!("{place}: no such file"))
                        .hint("check the path, or use `-` for standard input"),
                    _ => Error::from(e).context(&place),
                })?;
                if is_plain_tar(&file).context(|| &place)? { file } else { spool(file).context(|| &place)? }
            }
            FileOrStdio::Pipe => spool(std::io::stdin()).context(|| &place)?,
        };
        Self::of_file(file, place)
    }

    /// Reads the headers of an archive that is not compressed; `place` is what messages call it.
    pub fn of_file(file: File, place: String) -> Result<Self> {
        let members = members(&file).context(|| &place)?;
        Ok(Archive { file: Arc::new(file), members: Arc::new(members), place })
    }

    /// Returns whether there is a member with this name.
    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Returns the position and size of a member's content.
    fn find(&self, name: &str) -> Result<(u64, u64)> {
        let bad = |why: &str| Err(Error::unsupported(format!("{}: the member {name:?} {why}", self.place)));
        let mut at = name.to_string();
        for _ in 0..8 {
            match self.members.get(&at) {
                Some(Member::File { start, size }) => return Ok((*start, *size)),
                Some(Member::Link(target)) => at = target.clone(),
                Some(Member::Twice) => return bad("is in the archive more than once"),
                Some(Member::Other) => return bad("is not a regular file"),
                None => {
                    return Err(Error::unsupported(format!(
                        "{}: the archive has no member {at:?}",
                        self.place
                    ))
                    .hint("check that the archive is complete and that its transport is the right one"));
                }
            }
        }
        bad("is part of a link cycle")
    }

    /// Returns the size of a member.
    pub fn size(&self, name: &str) -> Result<u64> {
        self.find(name).map(|found| found.1)
    }

    /// Reads a whole member of at most `limit` bytes.
    pub fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
        let (start, size) = self.find(name)?;
        if size > limit {
            return Err(Error::unsupported(format!(
                "{}: the member {name:?} has {size} bytes; the limit is {limit}",
                self.place
            )));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, start).context(|| format!("{}: {name:?}", self.place))?;
        Ok(bytes)
    }

    /// Returns how a member is compressed, from its first bytes.
    pub fn format(&self, name: &str) -> Result<Format> {
        let mut magic = [0; 6];
        let n = read_up_to(&mut self.reader(name)?, &mut magic).context(|| &self.place)?;
        Ok(Format::of(&magic[..n]))
    }

    /// Returns a reader of a member.
    pub fn reader(&self, name: &str) -> Result<Section> {
        let (at, left) = self.find(name)?;
        Ok(Section { file: self.file.clone(), at, left })
    }

    /// Returns a stream of a member.
    pub fn stream(&self, name: &str) -> Result<BlobStream> {
        Ok(file_stream(self.reader(name)?))
    }
}

/// A reader of a section of a file.
pub struct Section {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.file.read_at(&mut buffer[..want], self.at)?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

/// Returns whether a file is uncompressed and can be read by position, unlike pipes and devices.
fn is_plain_tar(file: &File) -> Result<bool> {
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let mut magic = [0; 6];
    let mut file = file;
    let n = read_up_to(&mut file, &mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(Format::of(&magic[..n]) == Format::Plain)
}

/// Writes the decompressed archive to a temporary file.
fn spool(input: impl Read + 'static) -> Result<File> {
    let counter = Arc::new(AtomicU64::new(0));
    let (format, mut archive) = decompress(Counted { inner: input, counter: counter.clone() })?;
    let mut file = tempfile::tempfile().context(|| "a temporary file")?;
    let mut piece = vec![0; PIECE];
    let mut written = 0u64;
    loop {
        let n = match archive.read(&mut piece) {
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::unsupported(format!("the archive is malformed or truncated: {e}"))),
        };
        if n == 0 {
            break;
        }
        written += n as u64;
        let most = counter.load(Ordering::Relaxed).saturating_mul(MAX_GROWTH).max(ALWAYS_SPOOLED);
        if format != Format::Plain && written > most {
            return Err(Error::unsupported(format!(
                "invalid archive: decompression expands it more than {MAX_GROWTH}-fold"
            ))
            .hint("if you trust it, decompress it first"));
        }
        file.write_all(&piece[..n]).context(|| "a temporary file")?;
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// A reader that counts the bytes read.
struct Counted<R> {
    inner: R,
    counter: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.counter.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

fn members(file: &File) -> Result<HashMap<String, Member>> {
    let malformed =
        |e: std::io::Error| Error::unsupported(format!("the archive is malformed or truncated: {e}"));
    let len = file.metadata()?.len();
    let mut reader = file;
    reader.seek(SeekFrom::Start(0))?;
    let mut members = HashMap::new();
    let mut end = 0;
    let mut room = MAX_NAMES;
    let (limit, file) = ReadLimit::new(file);
    let mut archive = tar::Archive::new(file);
    let mut entries = archive.entries_with_seek().map_err(malformed)?;
    loop {
        limit.before_member();
        let Some(entry) = entries.next() else { break };
        let entry = entry.map_err(malformed)?;
        let name = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| Error::unsupported("the archive has a member whose name is not UTF-8"))?;
        let name = normal(&name, "")?;
        room = room
            .checked_sub(name.len() + 100)
            .ok_or_else(|| Error::unsupported("invalid archive: it has too many members"))?;
        let kind = entry.header().entry_type();
        end = entry.raw_file_position().saturating_add(entry.size());
        end = end.checked_next_multiple_of(512).unwrap_or(u64::MAX);
        let member = match kind {
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                let (start, size) = (entry.raw_file_position(), entry.size());
                if start.checked_add(size).is_none_or(|end| end > len) {
                    return Err(Error::unsupported(format!("the archive is truncated within {name:?}")));
                }
                Member::File { start, size }
            }
            tar::EntryType::Symlink | tar::EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let target = String::from_utf8(target)
                    .map_err(|_| Error::unsupported(format!("the archive's link {name:?} is not UTF-8")))?;
                let from =
                    if kind == tar::EntryType::Link { "" } else { name.rsplit_once('/').map_or("", |p| p.0) };
                Member::Link(normal(&target, from)?)
            }
            tar::EntryType::Directory => continue,
            _ => Member::Other,
        };
        members.entry(name).and_modify(|m| *m = Member::Twice).or_insert(member);
    }
    if members.is_empty() {
        return Err(Error::unsupported("the archive is empty"));
    }
    // A tar ends with blocks of zeros (POSIX.1, pax); without them it was truncated between two members.
    if len < end.saturating_add(512) {
        return Err(Error::unsupported("the archive is truncated: end-of-archive marker missing"));
    }
    Ok(members)
}

/// Normalizes a member's name. Returns an error if the name points outside the archive.
fn normal(name: &str, from: &str) -> Result<String> {
    let outside = || {
        Error::unsupported(format!("invalid archive: the entry {name:?} points outside it"))
            .hint("do not extract this archive; nothing was written")
    };
    if name.starts_with('/') {
        return Err(outside());
    }
    let mut parts: Vec<&str> = from.split('/').filter(|p| !p.is_empty()).collect();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            // Only the targets of links may contain `..`, and only within the archive.
            ".." if !from.is_empty() => drop(parts.pop().ok_or_else(outside)?),
            ".." => return Err(outside()),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}
