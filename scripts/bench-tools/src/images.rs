//! The images, with layers of incompressible bytes, the same in every run.

use crate::http;
use crate::sha256::digest;
use std::io::{Error, Result};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The platforms for which there are reapers.
pub const PLATFORMS: [&str; 8] = [
    "linux/amd64",
    "linux/arm64",
    "linux/386",
    "linux/arm/v7",
    "linux/arm/v6",
    "linux/ppc64le",
    "linux/s390x",
    "linux/riscv64",
];

/// The shape of an image.
#[derive(Clone, Copy)]
pub struct Shape {
    pub name: &'static str,
    /// The platforms; more than one makes an index.
    pub platforms: usize,
    pub layers: usize,
    /// The size of a layer in bytes.
    pub layer: usize,
}

pub const SHAPES: [Shape; 5] = [
    Shape { name: "small", platforms: 1, layers: 1, layer: 5_000_000 },
    Shape { name: "typical", platforms: 1, layers: 10, layer: 20_000_000 },
    Shape { name: "many", platforms: 1, layers: 100, layer: 100_000 },
    Shape { name: "multi", platforms: 8, layers: 5, layer: 2_000_000 },
    Shape { name: "big", platforms: 1, layers: 5, layer: 400_000_000 },
];

impl Shape {
    /// Creates the image and pushes it to `host/NAME:1`.
    pub fn push(&self, host: &str) -> Result<()> {
        let images = PLATFORMS[..self.platforms].iter().map(|platform| self.image(host, platform));
        let images: Vec<String> = images.collect::<Result<_>>()?;
        match &images[..] {
            [manifest] => put(host, self.name, "1", MANIFEST, manifest),
            children => {
                for child in children {
                    put(host, self.name, &digest(child.as_bytes()), MANIFEST, child)?;
                }
                let descriptor = |(child, platform): (&String, &str)| {
                    let (architecture, variant) = split(platform);
                    let variant = variant.map(|v| format!(r#","variant":"{v}""#)).unwrap_or_default();
                    format!(
                        r#"{},"platform":{{"architecture":"{architecture}","os":"linux"{variant}}}}}"#,
                        point(MANIFEST, child.as_bytes()).trim_end_matches('}')
                    )
                };
                let list: Vec<String> = children.iter().zip(PLATFORMS).map(descriptor).collect();
                let index = format!(
                    r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#,
                    list.join(",")
                );
                put(host, self.name, "1", INDEX, &index)
            }
        }
    }

    /// Pushes the blobs of an image. Returns its manifest.
    fn image(&self, host: &str, platform: &str) -> Result<String> {
        let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
        for i in 0..self.layers {
            let tar =
                tar(&format!("data/{}-{i}", self.name), &format!("{platform} {}", self.name), i, self.layer);
            diff_ids.push(format!("{:?}", digest(&tar)));
            let blob = gzip(&tar);
            layers.push(upload(host, self.name, LAYER, &blob)?);
        }
        let (architecture, variant) = split(platform);
        let variant = variant.map(|v| format!(r#""variant":"{v}","#)).unwrap_or_default();
        let config = format!(
            r#"{{"created":"2024-01-01T00:00:00Z","architecture":"{architecture}",{variant}"os":"linux","config":{{"Env":["PATH=/usr/bin:/bin"],"Entrypoint":["/bin/app"],"Cmd":["serve"],"WorkingDir":"/"}},"rootfs":{{"type":"layers","diff_ids":[{}]}},"history":[{}]}}"#,
            diff_ids.join(","),
            vec![r#"{"created":"2024-01-01T00:00:00Z","created_by":"COPY data"}"#; self.layers].join(",")
        );
        let config = upload(host, self.name, CONFIG, config.as_bytes())?;
        Ok(format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{}]}}"#,
            layers.join(",")
        ))
    }
}

fn split(platform: &str) -> (&str, Option<&str>) {
    let mut parts = platform.split('/').skip(1);
    (parts.next().unwrap_or_default(), parts.next())
}

fn point(kind: &str, bytes: &[u8]) -> String {
    format!(r#"{{"mediaType":"{kind}","digest":"{}","size":{}}}"#, digest(bytes), bytes.len())
}

fn upload(host: &str, repository: &str, kind: &str, blob: &[u8]) -> Result<String> {
    let (status, location) = http::send("POST", host, &format!("/v2/{repository}/blobs/uploads/"), "", &[])?;
    let target = location.strip_prefix("http://").and_then(|l| l.find('/').map(|at| &l[at..]));
    let target = target.filter(|_| status == 202).ok_or_else(|| refused("an upload", status))?;
    let target = format!("{target}&digest={}", digest(blob));
    match http::send("PUT", host, &target, "application/octet-stream", blob)?.0 {
        201 => Ok(point(kind, blob)),
        status => Err(refused("a blob", status)),
    }
}

fn put(host: &str, repository: &str, name: &str, kind: &str, manifest: &str) -> Result<()> {
    match http::send("PUT", host, &format!("/v2/{repository}/manifests/{name}"), kind, manifest.as_bytes())?.0
    {
        201 => Ok(()),
        status => Err(refused("a manifest", status)),
    }
}

fn refused(what: &str, status: u16) -> Error {
    Error::other(format!("the registry answered {status} to {what}"))
}

/// Returns a tar stream of one file.
pub fn tar_of(name: &str, mode: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    let mut field = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    field(0, name);
    field(100, mode);
    field(108, "0000000");
    field(116, "0000000");
    field(124, &format!("{:011o}", content.len()));
    field(136, "00000000000");
    field(148, "        ");
    field(156, "0");
    field(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = Vec::with_capacity(content.len() + 2048);
    tar.extend_from_slice(&header);
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}

fn tar(name: &str, seed: &str, n: usize, size: usize) -> Vec<u8> {
    // xorshift64* (Vigna, 2016), with a different seed for each layer.
    let mut state = seed.bytes().fold(0x9e37_79b9_7f4a_7c15 ^ n as u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut content = Vec::with_capacity(size + 8);
    while content.len() < size {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        content.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    content.truncate(size);
    tar_of(name, "0000644", &content)
}

/// Returns gzip (RFC 1952) with stored blocks, because the bytes do not compress.
fn gzip(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + data.len() / 8192 + 32);
    out.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let count = data.chunks(0xffff).count();
    for (i, block) in data.chunks(0xffff).enumerate() {
        let len = block.len() as u16;
        out.push(u8::from(i + 1 == count));
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&crc32(data).to_le_bytes());
    out.extend_from_slice(&(data.len() as u32).to_le_bytes());
    out
}

fn crc32(data: &[u8]) -> u32 {
    let table: [u32; 256] = std::array::from_fn(|i| {
        (0..8).fold(i as u32, |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 })
    });
    !data.iter().fold(!0, |crc, byte| table[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}
