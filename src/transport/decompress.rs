//! Decompression of streams. The format is detected from the first bytes, because names and media types may be wrong.

use super::files::{PIECE, read_up_to};
use crate::error::{Error, Remedy, Result};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{BufReader, Cursor, Read};

/// The compression of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// No known compression.
    Plain,
    /// gzip (RFC 1952), with one or more members.
    Gzip,
    /// Zstandard (RFC 8878), with one or more frames, including skippable ones as in `zstd:chunked` layers.
    Zstd,
    /// A format that is not supported, by name.
    Other(&'static str),
}

impl Format {
    /// Returns the format of a stream that starts with these bytes.
    pub fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Format::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Format::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Format::Other("xz"),
            [b'B', b'Z', b'h', ..] => Format::Other("bzip2"),
            _ => Format::Plain,
        }
    }
}

/// Decompresses a stream.
///
/// # Errors
///
/// Returns [`Kind::Unsupported`](crate::error::Kind) for a compression that is not supported.
pub fn decompress(mut input: impl Read + 'static) -> Result<(Format, Box<dyn Read>)> {
    let mut magic = [0; 6];
    let n = read_up_to(&mut input, &mut magic)?;
    let format = Format::of(&magic[..n]);
    let whole = BufReader::with_capacity(PIECE, Cursor::new(magic).take(n as u64).chain(input));
    let output: Box<dyn Read> = match format {
        Format::Plain => Box::new(whole),
        Format::Gzip => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        Format::Zstd => Box::new(Frames { input: whole, decoder: FrameDecoder::new(), within: false }),
        Format::Other(name) => {
            return Err(Error::unsupported(format!("it is compressed with {name}"))
                .hint(Remedy::DecompressArchive { program: name.into() }));
        }
    };
    Ok((format, output))
}

/// A reader of all frames of a Zstandard stream in sequence.
struct Frames<R> {
    input: R,
    decoder: FrameDecoder,
    within: bool,
}

impl<R: Read> Frames<R> {
    /// Advances to the next frame with content. Returns whether there is one.
    fn next_frame(&mut self) -> std::io::Result<bool> {
        loop {
            let mut first = [0; 1];
            if read_up_to(&mut self.input, &mut first)? == 0 {
                return Ok(false);
            }
            match self.decoder.reset((&first[..]).chain(&mut self.input)) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped =
                        std::io::copy(&mut (&mut self.input).take(length.into()), &mut std::io::sink())?;
                    if skipped < length.into() {
                        return Err(std::io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(std::io::Error::other(error)),
            }
        }
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while !buffer.is_empty() {
            if self.within && self.decoder.can_collect() == 0 && self.decoder.is_finished() {
                self.within = false;
            }
            if !self.within {
                self.within = self.next_frame()?;
                if !self.within {
                    return Ok(0);
                }
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(std::io::Error::other)?;
            }
            let n = self.decoder.read(buffer)?;
            if n > 0 {
                return Ok(n);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(text).unwrap();
        out.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        compress_to_vec(text, CompressionLevel::Fastest)
    }

    /// Returns a skippable frame, such as one with a table of contents.
    fn skippable(n: u8, content: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x50 + n, 0x2a, 0x4d, 0x18];
        frame.extend_from_slice(&u32::try_from(content.len()).unwrap().to_le_bytes());
        frame.extend_from_slice(content);
        frame
    }

    fn all(input: Vec<u8>) -> std::io::Result<Vec<u8>> {
        let mut output = Vec::new();
        decompress(Cursor::new(input)).unwrap().1.read_to_end(&mut output)?;
        Ok(output)
    }

    #[test]
    fn reads_all_members_and_frames() {
        let (a, b) = (b"a".repeat(300_000), b"bc".repeat(70_000));
        let both = [&a[..], &b].concat();
        for (what, input) in [
            ("plain", both.clone()),
            ("one member", gzip(&both)),
            ("two members", [gzip(&a), gzip(&b)].concat()),
            ("one frame", zstd(&both)),
            ("two frames", [zstd(&a), zstd(&b)].concat()),
            ("an empty frame between", [zstd(&a), zstd(b""), zstd(&b)].concat()),
            ("frames to be skipped", {
                [skippable(0, b"first"), zstd(&a), skippable(15, b""), zstd(&b), skippable(14, &a)].concat()
            }),
        ] {
            assert!(all(input).unwrap() == both, "{what}");
        }
        assert_eq!(all(Vec::new()).unwrap(), b"");
    }

    #[test]
    fn rejects_truncated_streams() {
        let a = b"a b c ".repeat(3000);
        for whole in [gzip(&a), zstd(&a), [zstd(&a), skippable(3, b"toc")].concat()] {
            for at in [whole.len() - 1, whole.len() - 5, whole.len() / 2, 7] {
                // A stream may end between two frames.
                if at != zstd(&a).len() {
                    assert!(all(whole[..at].to_vec()).is_err(), "{at} of {}", whole.len());
                }
            }
        }
    }

    #[test]
    fn names_unsupported_compressions() {
        for (magic, name) in [(&b"\xfd7zXZ\0\0"[..], "xz"), (b"BZh91AY", "bzip2")] {
            let error = decompress(Cursor::new(magic.to_vec())).err().unwrap();
            assert!(error.to_string().contains(name));
        }
    }
}
