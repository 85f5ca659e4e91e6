//! Memory use is constant: content that passes through is kept neither in memory nor on disk.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use reapify::image::Digest;
use reapify::image::digest::{Algorithm, Hasher};
use serde_json::{Value, json};
use support::image::{Family, file};
use support::registry::{Act, Registry};
use support::run::reapify;

/// The layers stream concurrently.
const LAYERS: u64 = 4;
/// The difference between two runs of the same image: each thread has an allocation arena of its own, which it fills
/// depending on the order of the streams.
const NOISE_KB: u64 = 4096;

#[test]
fn a_large_image_takes_no_more_memory_than_a_small_one() {
    // The default of 2 GiB suffices; a larger size can be requested.
    let gib = std::env::var("MEMORY_TEST_GIB").map_or(2, |n| n.parse().expect("a number of GiB"));
    let small = (0..3).map(|_| peak_kb(10_000_000)).max().unwrap_or(0);
    let large = peak_kb(gib << 30);
    eprintln!("10 MB: {small} kB, {gib} GiB: {large} kB");
    assert!(small > 1000, "a peak of {small} kB is none");
    assert!(large <= small + NOISE_KB, "{gib} GiB took {large} kB at the peak, 10 MB took {small} kB");
}

/// Wraps an image of `size` bytes from one registry to another. Returns the peak RSS just before the tag is written.
fn peak_kb(size: u64) -> u64 {
    let image = Arc::new(Image::new(size));
    let (from, to) = (serve(image.clone()), serve(image.clone()));
    let home = tempfile::tempdir().expect("a directory");
    // There is no directory for temporary files, so that creating one fails.
    let child = Command::new(env!("CARGO_BIN_EXE_reapify"))
        .args(["wrap", "--quiet", &format!("{from}/image:1"), &format!("{to}/image:2")])
        .env_clear()
        .env("HOME", home.path())
        .env("TMPDIR", home.path().join("none"))
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("reapify starts");
    *image.child.lock().expect("no panic") = Some(child.id());
    let status = { child }.wait().expect("a child");
    assert!(status.success(), "{status}");
    let written = std::fs::read_dir(home.path()).expect("the directory").count();
    assert_eq!(written, 0, "files were left behind");
    assert_eq!(*image.received.lock().expect("no panic"), size / LAYERS * LAYERS, "bytes of layers arrived");
    let peak = *image.peak_kb.lock().expect("no panic");
    peak.expect("the tag was written")
}

/// An image whose layers are generated as they are sent: each repeats one byte.
struct Image {
    layers: Vec<Digest>,
    layer_size: u64,
    config: Vec<u8>,
    manifest: Vec<u8>,
    child: Mutex<Option<u32>>,
    received: Mutex<u64>,
    peak_kb: Mutex<Option<u64>>,
}

impl Image {
    fn new(size: u64) -> Self {
        let layer_size = size / LAYERS;
        let layers: Vec<Digest> = (0..LAYERS)
            .map(|i| {
                thread::spawn(move || {
                    let mut hasher = Hasher::new(Algorithm::Sha256);
                    pieces(i as u8, layer_size, |piece| hasher.update(piece));
                    hasher.finish()
                })
            })
            .collect::<Vec<_>>()
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect();
        let list = |of: &dyn Fn(&Digest) -> String| layers.iter().map(of).collect::<Vec<_>>().join(",");
        let config = format!(
            r#"{{"os":"linux","architecture":"amd64","config":{{"Cmd":["x"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            list(&|digest| format!("\"{digest}\""))
        );
        let kind = |name: &str| format!("application/vnd.oci.image.{name}");
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{}","size":{}}},"layers":[{}]}}"#,
            kind("manifest.v1+json"),
            kind("config.v1+json"),
            Digest::sha256(&config),
            config.len(),
            list(&|digest| format!(
                r#"{{"mediaType":"{}","digest":"{digest}","size":{layer_size}}}"#,
                kind("layer.v1.tar")
            ))
        );
        Image {
            layers,
            layer_size,
            config: config.into(),
            manifest: manifest.into(),
            child: Mutex::default(),
            received: Mutex::default(),
            peak_kb: Mutex::default(),
        }
    }

    /// Reads the child's memory use from `/proc` while it waits for its last response.
    fn measure(&self) {
        *self.peak_kb.lock().expect("no panic") = peak_of(&self.child);
    }
}

/// Returns the peak of a process's memory so far, once its id is known.
fn peak_of(child: &Mutex<Option<u32>>) -> Option<u64> {
    let pid = loop {
        match *child.lock().expect("no panic") {
            Some(pid) => break pid,
            None => thread::yield_now(),
        }
    };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the child runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    peak.and_then(|kb| kb.parse().ok())
}

fn pieces(byte: u8, mut left: u64, mut take: impl FnMut(&[u8])) {
    let piece = vec![byte; 256 << 10];
    while left > 0 {
        let n = left.min(piece.len() as u64);
        take(&piece[..n as usize]);
        left -= n;
    }
}

/// Starts a registry that serves the image, and accepts everything without storing it.
fn serve(image: Arc<Image>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let image = image.clone();
            thread::spawn(move || {
                let mut reader = BufReader::new(socket);
                // A connection ends when the child closes it.
                while answer(&mut reader, &image).is_some() {}
            });
        }
    });
    address
}

fn answer(reader: &mut BufReader<TcpStream>, image: &Image) -> Option<()> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        match header.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut parts = line.split(' ');
    let (method, path) = (parts.next()?, parts.next()?);
    let is_layer = |digest: &&Digest| path.contains(digest.hex());
    let layer = image.layers.iter().position(|digest| is_layer(&digest));
    let body = std::io::copy(&mut reader.take(length), &mut std::io::sink()).ok()?;
    let socket = reader.get_mut();
    let mut send = |status: &str, length: u64, body: &[u8]| {
        write!(socket, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n").ok()?;
        socket.write_all(body).ok()
    };
    match method {
        "GET" if path.ends_with("/manifests/1") => {
            send("200 OK", image.manifest.len() as u64, &image.manifest)
        }
        "GET" if layer.is_some() => {
            send("200 OK", image.layer_size, &[])?;
            let mut outcome = Ok(());
            pieces(layer? as u8, image.layer_size, |piece| {
                if outcome.is_ok() {
                    outcome = socket.write_all(piece);
                }
            });
            outcome.ok()
        }
        "GET" if path.contains("/blobs/") => send("200 OK", image.config.len() as u64, &image.config),
        "POST" => send("202 Accepted\r\nLocation: /v2/image/blobs/uploads/1?state=1", 0, &[]),
        "PUT" => {
            if path.contains("/manifests/") {
                image.measure();
            } else if layer.is_some() {
                *image.received.lock().expect("no panic") += body;
            }
            send("201 Created", 0, &[])
        }
        _ => send("404 Not Found", 0, &[]),
    }
}

/// The largest realistic number of platforms in an index.
const PLATFORMS: usize = 32;
const LAYERS_EACH: usize = 30;

#[test]
fn a_large_index_takes_little_memory_and_the_fewest_requests() {
    let registry = Registry::start();
    let architectures = ["amd64", "386", "arm64", "ppc64le", "s390x", "riscv64", "loong64", "mips64le"];
    let children: Vec<Value> = (0..PLATFORMS)
        .map(|n| {
            let architecture = architectures[n % architectures.len()];
            let config = support::image::CONFIG.replace("amd64", architecture);
            let image = (0..LAYERS_EACH)
                .fold(support::image::Image::new().config(&config), |image, layer| {
                    image.layer(&[file("x", format!("{n} {layer}").as_bytes())])
                });
            image.in_registry(&registry, "app", &format!("child-{n}"));
            let mut descriptor = image.descriptor();
            descriptor["platform"] =
                json!({"os": "linux", "architecture": architecture, "os.version": n.to_string()});
            descriptor
        })
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": Family::Oci.index(), "manifests": children});
    registry.put_manifest("app", "all", Family::Oci.index(), index.to_string().as_bytes());
    registry.clear_log();
    let child: Arc<Mutex<Option<u32>>> = Arc::default();
    let peak: Arc<Mutex<Option<u64>>> = Arc::default();
    let (asking, noting) = (child.clone(), peak.clone());
    registry.hook(move |asked| {
        if asked.writes_manifest() && asked.path.ends_with("/reaped") {
            *noting.lock().expect("no panic") = peak_of(&asking);
        }
        Act::Serve
    });
    let running = reapify(["wrap", &registry.name("app", "all"), &registry.name("copy", "reaped")]).start();
    *child.lock().expect("no panic") = Some(running.pid());
    running.wait().succeeds();
    registry.complete("copy", "reaped");
    let peak = peak.lock().expect("no panic").expect("the tag was written");
    println!("{PLATFORMS} platforms of {LAYERS_EACH} layers: {peak} kB");
    // An unoptimised program takes sixteen megabytes more. With --release, this test checks an optimised one.
    let limit = if cfg!(debug_assertions) { 44 << 10 } else { 28 << 10 };
    assert!(peak < limit, "{peak} kB");

    // Both indexes; a manifest and a config per platform; a mount per layer; two requests per upload of a reaper or
    // config; and the manifests, the index last.
    let uploads = architectures.len() + PLATFORMS;
    let expected = 2 + 2 * PLATFORMS + PLATFORMS * LAYERS_EACH + 2 * uploads + PLATFORMS + 1;
    assert_eq!(registry.log().len(), expected);
}
