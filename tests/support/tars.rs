//! Tar archives with arbitrary members, and their compressed forms.

use std::io::Write;

/// A tar member: its name as written, its type, and its content or the target of the link.
pub type Member<'a> = (&'a str, tar::EntryType, &'a [u8]);

pub const FILE: tar::EntryType = tar::EntryType::Regular;
pub const SYMLINK: tar::EntryType = tar::EntryType::Symlink;
pub const DIRECTORY: tar::EntryType = tar::EntryType::Directory;
pub const LINK: tar::EntryType = tar::EntryType::Link;

/// Returns a tar with these members. Names are written unchecked, because a library would reject hostile ones.
pub fn tar_of(members: &[Member]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, kind, content) in members {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes().get_mut(..name.len()).expect("a short name").copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        let is_link = [SYMLINK, LINK].contains(kind);
        let body: &[u8] = if is_link { &[] } else { content };
        if is_link {
            let field = header.as_mut_bytes().get_mut(157..157 + content.len()).expect("a short target");
            field.copy_from_slice(content);
        }
        header.set_size(body.len() as u64);
        header.set_cksum();
        tar.append(&header, body).expect("a tar in memory");
    }
    tar.into_inner().expect("a tar in memory")
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).expect("gzip in memory");
    gzip.finish().expect("gzip in memory")
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}
