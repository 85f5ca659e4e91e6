//! Archives as written by old and new engines, and invalid ones.

mod support;

use std::path::PathBuf;

use serde_json::json;
use support::docker::Docker;
use support::engine::Engine;
use support::image::{Image, blob_path, digest, file, layout_manifest};
use support::run::{Outcome, reapify, tool};
use support::tars::{FILE, LINK, Member, SYMLINK, gzip, tar_of, zstd};
use support::{in_parallel, scratch, zombies};

/// The content of an image: two equal uncompressed layers and a config.
struct Parts {
    layer: Vec<u8>,
    config: Vec<u8>,
}

fn parts() -> Parts {
    let layer = tar_of(&[("app", FILE, b"#!/bin/sh\n")]);
    let id = digest(&layer);
    // Stored uncompressed, because `Image` would compress the layers.
    let image = Image::new().raw_layer(&layer, &id).raw_layer(&layer, &id);
    Parts { config: image.config_bytes(), layer }
}

/// Returns an archive of `docker save` before version 25: a directory per layer, and a link for a repeated layer.
fn old_engine(parts: &Parts) -> Vec<u8> {
    let manifest =
        json!([{"Config": "c.json", "RepoTags": ["app:v1"], "Layers": ["a/layer.tar", "b/layer.tar"]}]);
    tar_of(&[
        ("a/", tar::EntryType::Directory, b""),
        ("a/VERSION", FILE, b"1.0"),
        ("a/json", FILE, b"{}"),
        ("a/layer.tar", FILE, &parts.layer),
        ("b/", tar::EntryType::Directory, b""),
        ("b/layer.tar", SYMLINK, b"../a/layer.tar"),
        ("c.json", FILE, &parts.config),
        ("repositories", FILE, br#"{"app":{"v1":"b"}}"#),
        ("manifest.json", FILE, manifest.to_string().as_bytes()),
    ])
}

/// An archive in a directory, to be wrapped into a layout beside it.
struct Case {
    dir: tempfile::TempDir,
}

impl Case {
    fn new(archive: &[u8]) -> Self {
        let dir = scratch();
        std::fs::write(dir.path().join("archive.tar"), archive).expect("an archive");
        Self { dir }
    }

    fn layout(&self) -> PathBuf {
        self.dir.path().join("layout")
    }

    fn wrap(&self, transport: &str, name: &str) -> Outcome {
        let from = format!("{transport}:{}{name}", self.dir.path().join("archive.tar").display());
        reapify(["wrap", &from, &format!("oci:{}:v1", self.layout().display())]).run()
    }

    #[track_caller]
    fn is_refused(&self, transport: &str, phrase: &str) {
        self.wrap(transport, "").exits(5).says(phrase).prints("");
        assert!(!self.layout().join("index.json").exists());
        let archive = self.dir.path().join("archive.tar");
        let pipe = ["wrap", &format!("{transport}:-"), &format!("oci:{}:v1", self.layout().display())];
        reapify(pipe).stdin(std::fs::read(archive).expect("an archive")).run().exits(5).says(phrase);
        assert!(!self.layout().join("index.json").exists());
    }
}

#[test]
fn wraps_archives_of_old_engines_with_linked_layers() {
    let parts = parts();
    let archive = old_engine(&parts);
    let case = Case::new(&archive);
    let wrapped = case.wrap("docker-archive", "").succeeds().digest();
    let layer = blob_path(&case.layout(), &digest(&parts.layer));
    assert_eq!(std::fs::read(layer).expect("the layer"), parts.layer, "layers are unchanged");
    let name = format!("oci:{}:v1", case.layout().display());
    tool("skopeo", ["copy", "-q", &name, &format!("dir:{}", case.dir.path().join("copy").display())])
        .run()
        .succeeds();
    // The compressed archive contains the same image.
    let compressed = Case::new(&gzip(&archive)).wrap("docker-archive", ":app:v1").succeeds().digest();
    assert_eq!(compressed, wrapped);
    let pipe = ["wrap", "docker-archive:-", &name];
    assert_eq!(reapify(pipe).stdin(gzip(&archive)).run().succeeds().digest(), wrapped);
    let (first, second) = archive.split_at(archive.len() / 2);
    let zstd = [zstd(first), zstd(second)].concat();
    assert_eq!(Case::new(&zstd).wrap("docker-archive", "").succeeds().digest(), wrapped);
    assert_eq!(reapify(pipe).stdin(zstd).run().succeeds().digest(), wrapped);
}

#[test]
fn reads_archives_of_new_engines_in_both_formats() {
    let dir = scratch();
    let name = format!("oci-archive:{}", dir.path().join("oci.tar").display());
    tool("skopeo", ["copy", "-q", &zombies(), &name]).run().succeeds();
    // Docker 25 adds its own manifest.json to an OCI layout.
    let layout = support::project("testdata/zombies");
    let manifest = support::image::layout_manifest(&layout, "latest");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("a manifest");
    let blob = |descriptor: &serde_json::Value| {
        format!("blobs/{}", descriptor["digest"].as_str().expect("a digest").replace(':', "/"))
    };
    let layers: Vec<String> = manifest["layers"].as_array().expect("layers").iter().map(blob).collect();
    let docker = json!([{"Config": blob(&manifest["config"]), "RepoTags": ["app:v1"], "Layers": layers}]);
    std::fs::write(dir.path().join("manifest.json"), docker.to_string()).expect("manifest.json");
    let archive = dir.path().join("oci.tar").display().to_string();
    tool("tar", ["-rf", &archive, "-C", &dir.path().display().to_string(), "manifest.json"]).run().succeeds();
    let case = Case::new(&std::fs::read(&archive).expect("an archive"));
    let as_layout = case.wrap("oci-archive", "").succeeds().digest();
    let direct =
        reapify(["wrap", &zombies(), &format!("oci:{}:d", case.layout().display())]).run().succeeds();
    assert_eq!(as_layout, direct.digest());
    case.wrap("docker-archive", ":app:v1").succeeds();
    tool("skopeo", ["inspect", &format!("oci:{}:v1", case.layout().display())]).run().succeeds();
}

#[test]
fn docker_loads_wrapped_archives_that_docker_saved() {
    let engine = Docker::get();
    let dir = scratch();
    let file = |name: &str| dir.path().join(name).display().to_string();
    tool("skopeo", ["copy", "-q", &zombies(), &format!("docker-archive:{}:saved:v1", file("in.tar"))])
        .run()
        .succeeds();
    engine.command(&["load", "--input", &file("in.tar")]).run().succeeds();
    engine.command(&["save", "--output", &file("saved.tar"), "saved:v1"]).run().succeeds();
    let from = format!("docker-archive:{}", file("saved.tar"));
    reapify(["wrap", &from, &format!("docker-archive:{}:saved:v2", file("out.tar"))]).run().succeeds();
    engine.command(&["load", "--input", &file("out.tar")]).run().succeeds();
    let table = engine.run_to_end(&["--entrypoint", "/.reaper"], "saved:v2", &["--", "/zombies", "ps"]);
    assert!(table.exits(0).text().contains("reaper"));
}

#[test]
fn requires_a_choice_among_several_images() {
    let parts = parts();
    let entry = |tag: &str| json!({"Config": "c.json", "RepoTags": [tag], "Layers": ["l.tar", "l.tar"]});
    let with = |manifest: serde_json::Value| {
        let manifest = manifest.to_string();
        Case::new(&tar_of(&[
            ("l.tar", FILE, &parts.layer),
            ("c.json", FILE, &parts.config),
            ("manifest.json", FILE, manifest.as_bytes()),
        ]))
    };
    let two = with(json!([entry("app:v1"), entry("other/app:v2")]));
    two.wrap("docker-archive", "").exits(2).says("app:v1").says("other/app:v2");
    two.wrap("docker-archive", ":other/app:v2").succeeds();
    two.wrap("docker-archive", ":other/app:v3").exits(3).says("other/app:v2");
    with(json!([])).wrap("docker-archive", "").exits(3);
    // The archive may contain only one of the platforms that it lists.
    let elsewhere = json!({"Config": "d.json", "RepoTags": ["app:v1"], "Layers": ["l.tar", "m.tar"]});
    let one = with(json!([elsewhere, entry("app:v1")]));
    one.wrap("docker-archive", "").succeeds();
    one.wrap("docker-archive", ":app:v1").succeeds();
    one.wrap("docker-archive", ":@0").exits(5).says("d.json");
}

/// Docker from version 25: an OCI layout in a tar file, in which a tag is not the full name.
#[test]
fn chooses_an_image_in_a_layout_by_its_full_name() {
    let config = |n: &str| support::image::CONFIG.replace("serve", n);
    let images = ["one", "two"].map(|n| (n, Image::small().config(&config(n))));
    let entry = |(name, image): &(&str, Image)| {
        let mut descriptor = image.descriptor();
        descriptor["annotations"] = json!({
            "io.containerd.image.name": format!("docker.io/library/{name}:v1"),
            "org.opencontainers.image.ref.name": "v1",
        });
        descriptor
    };
    let entries: Vec<serde_json::Value> = images.iter().map(entry).collect();
    let index = json!({"schemaVersion": 2, "manifests": entries}).to_string();
    let mut files = vec![
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), index.into_bytes()),
    ];
    for (_, image) in &images {
        for blob in image.blobs().into_iter().chain([image.manifest_bytes()]) {
            let name = format!("blobs/{}", digest(&blob).replace(':', "/"));
            if files.iter().all(|file| file.0 != name) {
                files.push((name, blob));
            }
        }
    }
    let members: Vec<Member> =
        files.iter().map(|(name, bytes)| (name.as_str(), FILE, bytes.as_slice())).collect();
    let case = Case::new(&tar_of(&members));
    let both = ["docker.io/library/one:v1", "docker.io/library/two:v1"];
    case.wrap("oci-archive", ":v1").exits(2).says(both[0]).says(both[1]);
    for (name, (_, image)) in both.iter().zip(&images) {
        let report = case.wrap("oci-archive", &format!(":{name}")).succeeds();
        let source = layout_manifest(&case.layout(), "v1");
        let labels = String::from_utf8(source).unwrap();
        assert!(labels.contains(&image.digest()), "{report}");
    }
}

#[test]
fn rejects_hostile_and_malformed_archives() {
    let parts = parts();
    let manifest = json!([{"Config": "c.json", "Layers": ["l.tar", "m.tar"]}]).to_string();
    // The image is complete except for `m.tar`, its second layer; each case adds that and more.
    let base: [Member; 3] = [
        ("l.tar", FILE, &parts.layer),
        ("c.json", FILE, &parts.config),
        ("manifest.json", FILE, manifest.as_bytes()),
    ];
    let good: Member = ("m.tar", FILE, &parts.layer);
    let whole = Case::new(&tar_of(&[&base[..], &[good]].concat()));
    whole.wrap("docker-archive", "").succeeds();
    let cases: [(&str, &[Member]); 15] = [
        ("../m", &[good, ("../m", FILE, b"")]),
        ("a/../../m", &[good, ("a/../../m", FILE, b"")]),
        ("/m", &[good, ("/m", FILE, b"")]),
        ("/etc/passwd", &[("m.tar", SYMLINK, b"/etc/passwd")]),
        ("../../m", &[("m.tar", SYMLINK, b"../../m")]),
        ("/etc/passwd", &[("m.tar", LINK, b"/etc/passwd")]),
        ("../m", &[("m.tar", LINK, b"../m")]),
        ("link cycle", &[("m.tar", SYMLINK, b"n.tar"), ("n.tar", SYMLINK, b"m.tar")]),
        ("no member", &[("m.tar", SYMLINK, b"n.tar")]),
        ("more than once", &[good, good]),
        ("more than once", &[good, ("./manifest.json", FILE, b"[]")]),
        ("not a regular file", &[("m.tar", tar::EntryType::Fifo, b"")]),
        ("not a regular file", &[("m.tar", tar::EntryType::Char, b"")]),
        ("no member", &[("m.tar", tar::EntryType::Directory, b"")]),
        ("no member", &[]),
    ];
    in_parallel(cases, |(phrase, members)| {
        Case::new(&tar_of(&[&base[..], members].concat())).is_refused("docker-archive", phrase);
    });
    for (magic, phrase) in [
        (&b"\xfd7zXZ\0"[..], "compressed with xz"),
        (b"BZh91AY", "compressed with bzip2"),
        (b"\x28\xb5\x2f\xfd", "malformed"),
        (b"\x1f\x8b", "malformed"),
    ] {
        let nonsense = [magic, b" not that it matters"].concat().repeat(100);
        Case::new(&nonsense).is_refused("docker-archive", phrase);
        Case::new(&nonsense).is_refused("oci-archive", phrase);
    }
}

#[test]
fn rejects_archives_that_would_exhaust_memory_or_disk() {
    let zeros = vec![0; 400 << 20];
    let bomb = gzip(&tar_of(&[("layer", FILE, &zeros)]));
    let name = "n".repeat(2 << 20);
    let long_name =
        tar_of(&[("././@LongLink", tar::EntryType::GNULongName, name.as_bytes()), ("n", FILE, b"")]);
    let record = format!("{} path={name}\n", name.len() + 14);
    let long_record = tar_of(&[("h", tar::EntryType::XHeader, record.as_bytes()), ("n", FILE, b"")]);
    for (archive, phrase) in [
        (&bomb, "decompression expands it more than 200-fold"),
        (&long_name, "longer than 1 MiB"),
        (&long_record, "longer than 1 MiB"),
    ] {
        for transport in ["docker-archive", "oci-archive"] {
            Case::new(archive).is_refused(transport, phrase);
        }
    }
}

#[test]
fn detects_layers_that_do_not_match_the_config() {
    let parts = parts();
    let other = tar_of(&[("app", FILE, b"#!/bin/no\n")]);
    assert_eq!(other.len(), parts.layer.len());
    let manifest = json!([{"Config": "c.json", "Layers": ["l.tar", "m.tar"]}]).to_string();
    let case = Case::new(&tar_of(&[
        ("l.tar", FILE, &parts.layer),
        ("m.tar", FILE, &other),
        ("c.json", FILE, &parts.config),
        ("manifest.json", FILE, manifest.as_bytes()),
    ]));
    case.wrap("docker-archive", "").exits(6).says(&digest(&parts.layer));
    assert!(!case.layout().join("index.json").exists());
    // No manifest states the digest of a compressed layer.
    let cut = gzip(&parts.layer)[..20].to_vec();
    for (second, phrase) in [
        (gzip(&other), "\"m.tar\" has the diff_id"),
        (zstd(&other), "\"m.tar\" has the diff_id"),
        (cut, "\"m.tar\" is malformed"),
    ] {
        let case = Case::new(&tar_of(&[
            ("l.tar", FILE, &gzip(&parts.layer)),
            ("m.tar", FILE, &second),
            ("c.json", FILE, &parts.config),
            ("manifest.json", FILE, manifest.as_bytes()),
        ]));
        case.wrap("docker-archive", "").exits(6).says(phrase);
        assert!(!case.layout().join("index.json").exists());
    }
    let case = Case::new(&tar_of(&[
        ("l.tar", FILE, &gzip(&parts.layer)),
        ("m.tar", FILE, &zstd(&parts.layer)),
        ("c.json", FILE, &parts.config),
        ("manifest.json", FILE, manifest.as_bytes()),
    ]));
    case.wrap("docker-archive", "").succeeds();
}

#[test]
fn rejects_archives_truncated_at_any_position() {
    let dir = scratch();
    let oci = dir.path().join("oci.tar");
    let small = Image::new().layer(&[file("app", b"x")]).in_layout(&dir.path().join("small"), "v1");
    tool("skopeo", ["copy", "-q", &small, &format!("oci-archive:{}", oci.display())]).run().succeeds();
    let archives =
        [("docker-archive", old_engine(&parts())), ("oci-archive", std::fs::read(oci).expect("an archive"))];
    for (transport, archive) in archives {
        Case::new(&archive).wrap(transport, "").succeeds();
        // A tar ends with at least two blocks of zeros: without those, all content is still present.
        let end = archive.iter().rposition(|byte| *byte != 0).expect("not all zeros") + 1;
        let cuts = (0..end).step_by(archive.len().div_ceil(40)).chain([1, end - 1]);
        in_parallel(cuts, |at| {
            println!("{transport} {at} of {end}");
            let case = Case::new(archive.get(..at).expect("a part"));
            case.wrap(transport, "").exits(5).prints("");
            assert!(!case.layout().join("index.json").exists());
        });
    }
}

/// Returns an archive with one image, whose entry of `manifest.json` is this text.
fn with_entry(entry: &str) -> Case {
    let parts = parts();
    let manifest = format!("[{entry}]");
    Case::new(&tar_of(&[
        ("l.tar", FILE, &parts.layer),
        ("c.json", FILE, &parts.config),
        ("manifest.json", FILE, manifest.as_bytes()),
    ]))
}

#[test]
fn accepts_keys_of_manifest_json_in_any_case() {
    for entry in [
        r#"{"config":"c.json","repoTags":["app:v1"],"layers":["l.tar","l.tar"]}"#,
        r#"{"CONFIG":"c.json","repotags":["app:v1"],"Layers":["l.tar","l.tar"],"layerSources":null}"#,
        // Go also folds the long s.
        "{\"config\":\"c.json\",\"repoTag\u{17f}\":[\"app:v1\"],\"layers\":[\"l.tar\",\"l.tar\"]}",
    ] {
        with_entry(entry).wrap("docker-archive", ":app:v1").succeeds();
    }
    for (entry, phrase) in [
        (r#"{"Config":"c.json","config":"c.json","Layers":["l.tar","l.tar"]}"#, "duplicate key"),
        (r#"{"Config":"c.json","Layers":["l.tar","l.tar"],"layers":null}"#, "duplicate key"),
        (
            r#"{"Config":"c.json","RepoTags":null,"RepoTags":["app:v1"],"Layers":["l.tar","l.tar"]}"#,
            "duplicate key",
        ),
        (r#"{"Layers":["l.tar","l.tar"]}"#, "Config"),
        (r#"{"config":["c.json"],"layers":["l.tar","l.tar"]}"#, "config"),
    ] {
        with_entry(entry).is_refused("docker-archive", phrase);
    }
}

#[test]
fn chooses_unnamed_images_by_position_or_digest() {
    let parts = parts();
    let other = String::from_utf8(parts.config.clone()).unwrap().replace("serve", "other").into_bytes();
    let entry = |config: &str| json!({"Config": config, "RepoTags": null, "Layers": ["l.tar", "l.tar"]});
    let manifest = json!([entry("c.json"), entry("d.json")]).to_string();
    let case = Case::new(&tar_of(&[
        ("l.tar", FILE, &parts.layer),
        ("c.json", FILE, &parts.config),
        ("d.json", FILE, &other),
        ("manifest.json", FILE, manifest.as_bytes()),
    ]));
    let archive = case.dir.path().join("archive.tar").display().to_string();
    case.wrap("docker-archive", "").exits(2).says(&format!("{archive}:@0, docker-archive:{archive}:@1"));
    let results = [":@0", ":@1"].map(|choice| case.wrap("docker-archive", choice).succeeds().digest());
    assert_ne!(results[0], results[1]);
    // By the digest of the config, which engines use, and by that of the manifest created for it.
    for (config, result) in [&parts.config, &other].into_iter().zip(&results) {
        let by_id = case.wrap("docker-archive", &format!("@{}", digest(config))).succeeds().digest();
        assert_eq!(by_id, *result);
        let wrapped: serde_json::Value =
            serde_json::from_slice(&layout_manifest(&case.layout(), "v1")).unwrap();
        let source = wrapped["annotations"]["io.reapify.source"].as_str().unwrap();
        let by_digest = case.wrap("docker-archive", &format!("@{source}")).succeeds().digest();
        assert_eq!(by_digest, *result);
    }
    case.wrap("docker-archive", ":@2").exits(3).says(":@2: no such image");
    case.wrap("docker-archive", &format!("@{}", digest(b"none"))).exits(3).says("no such image");
    let skopeo = |n: usize| {
        tool("skopeo", ["inspect", "--config", "--raw", &format!("docker-archive:{archive}:@{n}")]).run()
    };
    assert_eq!(skopeo(1).succeeds().stdout, other, "skopeo counts the same way");
}

#[test]
fn accepts_images_without_layers() {
    let config = Image::new().config_bytes();
    for layers in ["null", "[]"] {
        let manifest = format!(r#"[{{"Config":"c.json","RepoTags":["app:v1"],"Layers":{layers}}}]"#);
        let case =
            Case::new(&tar_of(&[("c.json", FILE, &config), ("manifest.json", FILE, manifest.as_bytes())]));
        case.wrap("docker-archive", "").succeeds();
    }
}

fn repo_tags(archive: &std::path::Path) -> serde_json::Value {
    let manifest = tool("tar", ["-xOf", &archive.display().to_string(), "manifest.json"]).run().succeeds();
    manifest.json()[0]["RepoTags"].clone()
}

fn entries(archive: &std::path::Path) -> Vec<serde_json::Value> {
    let index = tool("tar", ["-xOf", &archive.display().to_string(), "index.json"]).run().succeeds();
    index.json()["manifests"].as_array().unwrap().clone()
}

#[test]
fn inherits_names_unless_the_destination_has_one() {
    let entry =
        r#"{"Config":"c.json","RepoTags":["app:v1","example.com/app:v2"],"Layers":["l.tar","l.tar"]}"#;
    let case = with_entry(entry);
    let from = format!("docker-archive:{}", case.dir.path().join("archive.tar").display());
    let to = case.dir.path().join("to.tar");
    let wrap = |from: &str, kind: &str, name: &str| {
        let outcome = reapify(["wrap", "--force", from, &format!("{kind}:{}{name}", to.display())]).run();
        outcome.succeeds();
    };
    wrap(&from, "docker-archive", "");
    assert_eq!(repo_tags(&to), json!(["app:v1", "example.com/app:v2"]));
    wrap(&from, "docker-archive", ":other:v3");
    assert_eq!(repo_tags(&to), json!(["other:v3"]));
    wrap(&format!("{from}:example.com/app:v2"), "docker-archive", "");
    assert_eq!(repo_tags(&to), json!(["example.com/app:v2"]));
    wrap(&zombies(), "docker-archive", "");
    assert_eq!(repo_tags(&to), json!([]), "a tag alone is not a name for an engine");

    let annotations = |entry: &serde_json::Value| entry["annotations"].clone();
    wrap(&from, "oci-archive", "");
    let both = [
        json!({"io.containerd.image.name": "docker.io/library/app:v1", "org.opencontainers.image.ref.name": "v1"}),
        json!({"io.containerd.image.name": "example.com/app:v2", "org.opencontainers.image.ref.name": "v2"}),
    ];
    assert_eq!(entries(&to).iter().map(annotations).collect::<Vec<_>>(), both);
    let again = case.dir.path().join("again.tar");
    let archive = format!("oci-archive:{}", to.display());
    reapify(["wrap", &archive, &format!("oci-archive:{}", again.display())]).run().succeeds();
    assert_eq!(entries(&again).iter().map(annotations).collect::<Vec<_>>(), both);
    let docker = case.dir.path().join("docker.tar");
    reapify(["wrap", &format!("{archive}:v2"), &format!("docker-archive:{}", docker.display())])
        .run()
        .succeeds();
    assert_eq!(repo_tags(&docker), json!(["example.com/app:v2"]));
    wrap(&zombies(), "oci-archive", ":v9");
    reapify(["unwrap", "--force", &archive, &format!("oci-archive:{}", again.display())]).run().succeeds();
    assert_eq!(annotations(&entries(&again)[0]), json!({"org.opencontainers.image.ref.name": "v9"}));
}

#[test]
fn a_pipe_between_engines_keeps_the_name() {
    let engine = Docker::get();
    let dir = scratch();
    let file = |name: &str| dir.path().join(name).display().to_string();
    tool("skopeo", ["copy", "-q", &zombies(), &format!("docker-archive:{}:piped:v1", file("in.tar"))])
        .run()
        .succeeds();
    engine.command(&["load", "--input", &file("in.tar")]).run().succeeds();
    let saved = engine.command(&["save", "piped:v1"]).run().succeeds().stdout;
    let wrapped = reapify(["wrap", "docker-archive:-", "docker-archive:-"]).stdin(saved).run().succeeds();
    std::fs::write(dir.path().join("out.tar"), wrapped.stdout).unwrap();
    engine.command(&["load", "--input", &file("out.tar")]).run().succeeds();
    let inspected =
        engine.command(&["inspect", "--format", "{{.Config.Entrypoint}}", "piped:v1"]).run().succeeds();
    assert!(inspected.text().contains("/.reaper"), "{inspected}");
}

#[test]
fn reads_and_writes_pipes_and_devices() {
    use std::os::unix::fs::FileTypeExt as _;
    let dir = scratch();
    let pipe = dir.path().join("pipe");
    tool("mkfifo", [pipe.display().to_string()]).run().succeeds();
    for kind in ["oci-archive", "docker-archive"] {
        let name = format!("{kind}:{}", pipe.display());
        let writing = reapify(["wrap", &zombies(), &name]).start();
        let layout = format!("oci:{}:v1", dir.path().join(kind).display());
        reapify(["wrap", &name, &layout]).run().succeeds();
        writing.wait().succeeds();
        assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
        tool("skopeo", ["inspect", &layout]).run().succeeds();
        reapify(["wrap", &zombies(), &format!("{kind}:/dev/null")]).run().succeeds();
        assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }
}

#[test]
fn does_not_replace_an_archive_created_meanwhile() {
    let dir = scratch();
    let (pipe, out) = (dir.path().join("pipe"), dir.path().join("out.tar"));
    let source = format!("oci-archive:{}", dir.path().join("in.tar").display());
    reapify(["wrap", &zombies(), &source]).run().succeeds();
    let archive = std::fs::read(dir.path().join("in.tar")).unwrap();
    tool("mkfifo", [pipe.display().to_string()]).run().succeeds();
    for force in [false, true] {
        let mut args = vec!["wrap".to_owned(), format!("oci-archive:{}", pipe.display())];
        args.push(format!("oci-archive:{}", out.display()));
        args.extend(force.then(|| "--force".to_owned()));
        let _ = std::fs::remove_file(&out);
        let running = reapify(args).start();
        // The source is opened after the destination, which leaves time to create another archive.
        let mut input = std::fs::File::options().write(true).open(&pipe).unwrap();
        std::fs::write(&out, "precious").unwrap();
        std::io::Write::write_all(&mut input, &archive).unwrap();
        drop(input);
        let outcome = running.wait();
        if force {
            outcome.succeeds();
            assert_ne!(std::fs::read(&out).unwrap(), b"precious");
        } else {
            outcome.exits(2).says("--force");
            assert_eq!(std::fs::read(&out).unwrap(), b"precious");
        }
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }
}

#[test]
fn writes_through_a_symbolic_link() {
    let dir = scratch();
    let (link, target) = (dir.path().join("link.tar"), dir.path().join("target.tar"));
    std::fs::write(&target, "old").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    reapify(["wrap", "--force", &zombies(), &format!("oci-archive:{}:v1", link.display())]).run().succeeds();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    tool("skopeo", ["inspect", "--raw", &format!("oci-archive:{}:v1", target.display())]).run().succeeds();
}

/// Returns an index as engines save it: two platforms and an attestation, of which only the first image is present.
fn saved_index(dir: &std::path::Path, more: &[serde_json::Value]) -> (Image, String) {
    let image = Image::small();
    image.in_layout(dir, "unused");
    let mut child = image.descriptor();
    child["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let children: Vec<serde_json::Value> = std::iter::once(child).chain(more.iter().cloned()).collect();
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": children}).to_string();
    support::image::write_blob(dir, index.as_bytes());
    support::image::write_index(dir, &[("v1", media_type, index.as_bytes())]);
    (image, format!("oci:{}:v1", dir.display()))
}

fn absent(architecture: &str, more: &serde_json::Value) -> serde_json::Value {
    let mut child = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest(architecture.as_bytes()), "size": 500,
        "platform": {"os": "linux", "architecture": architecture},
    });
    child.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    child
}

#[test]
fn writes_an_index_with_one_image_to_a_docker_archive() {
    let dir = scratch();
    let about = json!({
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    });
    let (image, source) = saved_index(dir.path(), &[absent("unknown", &about)]);
    let out = dir.path().join("out.tar");
    let archive = format!("docker-archive:{}", out.display());
    let report = reapify(["wrap", "--output", "json", &source, &archive]).run().succeeds().json();
    assert_eq!(report["source_digest"], image.digest());
    tool("skopeo", ["inspect", &archive]).run().succeeds();
    let (_, two) = saved_index(&dir.path().join("two"), &[absent("arm64", &json!({}))]);
    reapify(["wrap", "--force", &two, &archive]).run().exits(2).says("--platform: linux/amd64, linux/arm64");
    reapify(["wrap", "--force", "--platform", "linux/amd64", &two, &archive]).run().succeeds();
}

#[test]
fn names_the_children_missing_from_an_archive() {
    let dir = scratch();
    let (_, source) = saved_index(&dir.path().join("layout"), &[absent("arm64", &json!({}))]);
    let archive = dir.path().join("archive.tar").display().to_string();
    let layout = dir.path().join("layout").display().to_string();
    tool("tar", ["-cf", &archive, "-C", &layout, "."]).run().succeeds();
    let out = format!("oci:{}:v1", dir.path().join("out").display());
    for source in [source, format!("oci-archive:{archive}")] {
        reapify(["wrap", &source, &out]).run().exits(3).says(&digest(b"arm64")).says("--platform");
        reapify(["wrap", "--platform", "linux/amd64", &source, &out]).run().succeeds();
    }
}
