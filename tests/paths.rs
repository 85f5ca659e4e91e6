//! Reapers at other paths than the default, where the image's layers allow it.

mod support;

use serde_json::Value;
use support::docker::Docker;
use support::engine::Engine;
use support::image::{CONFIG, Image, digest, file, layout_blob, layout_manifest};
use support::podman::Podman;
use support::run::{Outcome, reapify, tool};
use support::tars::{DIRECTORY, FILE, LINK, Member, SYMLINK, gzip, tar_of, zstd};
use support::{in_parallel, scratch};

const PATH: &str = "/usr/local/bin/reaper";
const DIRECTORIES: [Member; 3] =
    [("usr/", DIRECTORY, b""), ("usr/local/", DIRECTORY, b""), ("./usr/local/bin", DIRECTORY, b"")];

/// A layer: its tar, and its compression.
#[derive(Clone)]
struct Layer {
    diff_id: String,
    stored: Vec<u8>,
}

fn layer_as(members: &[Member], store: impl Fn(&[u8]) -> Vec<u8>) -> Layer {
    let tar = tar_of(members);
    Layer { diff_id: digest(&tar), stored: store(&tar) }
}

fn layer(members: &[Member]) -> Layer {
    layer_as(members, gzip)
}

/// Compresses a tar in several frames, some of them skippable, as in `zstd:chunked` layers; the relevant entry is in
/// the last one.
fn in_frames(tar: &[u8]) -> Vec<u8> {
    let (head, rest) = tar.split_at(512);
    let table = [&[0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"toc"].concat();
    [zstd(head), table.clone(), zstd(rest), table].concat()
}

/// An image with these layers, from lowest to highest, to be wrapped with the reaper at [`PATH`].
struct Case {
    dir: tempfile::TempDir,
    name: String,
}

impl Case {
    fn new(layers: &[Layer]) -> Self {
        let image = layers.iter().fold(Image::new(), |image, l| image.raw_layer(&l.stored, &l.diff_id));
        let dir = scratch();
        let name = image.in_layout(&dir.path().join("source"), "v1");
        Self { dir, name }
    }

    fn to(&self, name: &str) -> String {
        format!("oci:{}:v1", self.dir.path().join(name).display())
    }

    fn wrap(&self, options: &[&str]) -> Outcome {
        reapify(["wrap", "--path", PATH]).args(options).args([&self.name, &self.to("out")]).run()
    }

    /// Returns the entries of the added layer: name, mode, owner, time.
    fn added(&self) -> Vec<(String, u32, u64, u64)> {
        let out = self.dir.path().join("out");
        let manifest: Value = serde_json::from_slice(&layout_manifest(&out, "v1")).unwrap();
        let last = manifest["layers"].as_array().unwrap().last().unwrap()["digest"].as_str().unwrap();
        let blob = layout_blob(&out, last);
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&blob[..]));
        let entries = tar.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let name = entry.path().unwrap().display().to_string();
            (name, header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap())
        });
        entries.collect()
    }
}

#[test]
fn places_the_reaper_in_existing_directories() {
    let lower = || layer(&DIRECTORIES);
    let there: Member = ("usr/local/bin/reaper", FILE, b"a file");
    let links: [Member; 2] = [("usr/", DIRECTORY, b""), ("usr/local", SYMLINK, b"/opt")];
    let cases: [(&str, Vec<Layer>, &[&str]); 11] = [
        ("as they are", vec![lower()], &[]),
        ("below other layers", vec![lower(), layer(&[("etc/", DIRECTORY, b"")]), layer(&[])], &[]),
        ("not compressed", vec![layer_as(&DIRECTORIES, <[u8]>::to_vec)], &[]),
        ("zstd", vec![layer_as(&DIRECTORIES, zstd)], &[]),
        ("zstd in frames", vec![layer_as(&DIRECTORIES, in_frames)], &[]),
        (
            "gzip in members",
            vec![layer_as(&DIRECTORIES, |t| [gzip(&t[..512]), gzip(&t[512..])].concat())],
            &[],
        ),
        ("implied by a file", vec![layer(&[("usr/local/bin/x", FILE, b"")])], &[]),
        (
            "the file is deleted",
            vec![
                layer(&[&DIRECTORIES[..], &[there]].concat()),
                layer(&[("usr/local/bin/.wh.reaper", FILE, b"")]),
            ],
            &[],
        ),
        (
            "links are deleted with their directory",
            vec![layer(&links), layer(&[("usr/.wh..wh..opq", FILE, b""), ("usr/local/bin/x", FILE, b"")])],
            &[],
        ),
        ("links are replaced", vec![layer(&links), layer(&[("usr/.wh.local", FILE, b"")]), lower()], &[]),
        ("the file is replaced", vec![layer(&[&DIRECTORIES[..], &[there]].concat())], &["--replace"]),
    ];
    in_parallel(cases, |(what, layers, options)| {
        println!("{what}");
        let case = Case::new(&layers);
        let wrapped = case.wrap(options).succeeds().digest();
        let names: Vec<String> = case.added().into_iter().map(|entry| entry.0).collect();
        assert_eq!(names, ["usr/", "usr/local/", "usr/local/bin/", "usr/local/bin/reaper"], "{what}");
        reapify(["verify", "--deep", &case.to("out"), "--source", &case.name]).run().succeeds();
        // A second run changes nothing, other options change only themselves, and unwrapping restores the original.
        assert_eq!(case.wrap(options).succeeds().digest(), wrapped, "{what}");
        let group =
            reapify(["wrap", "--path", PATH, "--group"]).args(options).args([&case.name, &case.to("g")]);
        let upgraded =
            reapify(["wrap", "--path", PATH, "--group"]).args(options).args([&case.to("out"), &case.to("u")]);
        assert_eq!(group.run().succeeds().digest(), upgraded.run().succeeds().digest(), "{what}");
        reapify(["unwrap", &case.to("out"), &case.to("back")]).run().succeeds();
        let manifest = |name: &str| layout_manifest(&case.dir.path().join(name), "v1");
        assert_eq!(manifest("back"), manifest("source"), "{what}");
    });
}

#[test]
fn copies_the_entries_of_parent_directories() {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, mode, owner) in
        [("usr/", 0o755, 0), ("usr/local/", 0o2775, 50), ("usr/local/bin/", 0o1711, 3_000_000)]
    {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_entry_type(DIRECTORY);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner + 1);
        header.set_mtime(1_700_000_000);
        header.set_size(0);
        header.set_cksum();
        tar.append(&header, std::io::empty()).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    let case = Case::new(&[Layer { diff_id: digest(&tar), stored: gzip(&tar) }]);
    case.wrap(&[]).succeeds();
    let expected = [
        ("usr/", 0o755, 0, 1_700_000_000),
        ("usr/local/", 0o2775, 50, 1_700_000_000),
        ("usr/local/bin/", 0o1711, 3_000_000, 1_700_000_000),
        ("usr/local/bin/reaper", 0o755, 0, 0),
    ];
    assert_eq!(case.added(), expected.map(|(name, mode, uid, time)| (name.to_owned(), mode, uid, time)));
    reapify(["verify", &case.to("out"), "--source", &case.name]).run().succeeds();
}

#[test]
fn rejects_paths_that_would_break_the_image() {
    let usr: Member = ("usr/", DIRECTORY, b"");
    let there: [Member; 4] = [usr, DIRECTORIES[1], DIRECTORIES[2], ("usr/local/bin/reaper", FILE, b"a file")];
    let linked: [Member; 4] =
        [usr, DIRECTORIES[1], DIRECTORIES[2], ("usr/local/bin/reaper", LINK, b"usr/local/bin/other")];
    let link: [Member; 2] = [usr, ("usr/local", SYMLINK, b"/opt")];
    let bomb = |tar: &[u8]| {
        let zeros = vec![0; 1 << 20];
        let all: Vec<u8> = [tar, &zeros.repeat(100)].concat();
        // Frames of a few bytes that expand to a megabyte each.
        all.chunks(1 << 20).flat_map(zstd).collect()
    };
    let name = "n".repeat(2 << 20);
    let long: [Member; 1] = [("././@LongLink", tar::EntryType::GNULongName, name.as_bytes())];
    let cases: [(&str, Vec<Layer>, &[&str]); 13] = [
        ("/usr/local is a symbolic link to \"/opt\"", vec![layer(&link)], &[]),
        ("/usr/local is a symbolic link", vec![layer_as(&link, in_frames)], &["--replace"]),
        ("/usr/local is a symbolic link", vec![layer(&DIRECTORIES), layer(&link)], &[]),
        ("/usr/local is not a directory", vec![layer(&[usr, ("usr/local", FILE, b"")])], &[]),
        ("/usr/local/bin does not exist", vec![layer(&DIRECTORIES[..2])], &[]),
        ("/usr does not exist", vec![layer(&[])], &[]),
        ("/usr/local does not exist", vec![layer(&DIRECTORIES), layer(&[("usr/.wh.local", FILE, b"")])], &[]),
        ("already has a file /usr/local/bin/reaper", vec![layer(&there)], &[]),
        ("already has a file /usr/local/bin/reaper", vec![layer(&linked)], &[]),
        (
            "/usr/local/bin/reaper is a directory",
            vec![layer(&[("usr/local/bin/reaper/x", FILE, b"")])],
            &["--replace"],
        ),
        ("malformed", vec![layer_as(&DIRECTORIES, |t| gzip(t)[..60].to_vec())], &[]),
        ("more than a thousandfold", vec![layer_as(&[], bomb)], &[]),
        ("longer than 1 MiB", vec![layer(&long)], &[]),
    ];
    in_parallel(cases, |(phrase, layers, options)| {
        let case = Case::new(&layers);
        case.wrap(options).exits(5).says(phrase).says(&case.name["oci:".len()..]).prints("");
        assert!(!case.dir.path().join("out/index.json").exists(), "{phrase}");
        // The default path has none of these requirements.
        reapify(["wrap", &case.name, &case.to("out")]).run().succeeds();
    });
    for path in ["relative", "/", "/usr//bin/x", "/usr/../x", "/.wh.x", "/a\nb", "/dev/x", "/etc/hosts"] {
        reapify(["wrap", "--path", path, "oci:nowhere:v1", "oci:nowhere:v2"]).run().exits(2).says("path");
    }
}

#[test]
fn the_reaper_runs_in_engines_and_directories_are_unchanged() {
    let config = CONFIG.replace(
        r#""Entrypoint":["/app"],"Cmd":["serve"]"#,
        r#""Entrypoint":["/zombies"],"Cmd":["exit","7"]"#,
    );
    let program = support::program();
    let dirs = layer(
        &[&DIRECTORIES[..], &[("bin", SYMLINK, b"usr/local/bin"), ("usr/local/bin/x", FILE, b"x")]].concat(),
    );
    let image = Image::new()
        .raw_layer(&dirs.stored, &dirs.diff_id)
        .layer(&[file("zombies", &program)])
        .config(&config);
    let dir = scratch();
    let source = image.in_layout(&dir.path().join("source"), "v1");
    let archive = dir.path().join("out.tar").display().to_string();
    let to = format!("docker-archive:{archive}:nested:v1");
    reapify(["wrap", "--path", PATH, &source, &to]).run().succeeds();
    let engines: [&dyn Engine; 2] = [Docker::get(), Podman::get()];
    for engine in engines {
        engine.command(&["load", "--input", &archive]).run().succeeds();
        let name = if engine.name() == "podman" { "localhost/nested:v1" } else { "nested:v1" };
        engine.run_to_end(&[], name, &[]).exits(7);
        // It also runs through the symbolic link, which still exists.
        let table = engine.run_to_end(&["--entrypoint", "/bin/reaper"], name, &["--", "/zombies", "ps"]);
        assert!(table.exits(0).text().contains("reaper"), "{}", engine.name());
    }
    // After unpacking with another tool, the files beside the reaper still exist.
    let layout = dir.path().join("layout").display().to_string();
    reapify(["wrap", "--path", PATH, &source, &format!("oci:{layout}:v1")]).run().succeeds();
    let bundle = dir.path().join("bundle");
    tool("umoci", ["unpack", "--image", &format!("{layout}:v1"), &bundle.display().to_string()])
        .run()
        .succeeds();
    assert_eq!(std::fs::read(bundle.join("rootfs/usr/local/bin/x")).unwrap(), b"x");
}
